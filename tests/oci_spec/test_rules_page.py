"""The list of rules in docs/ is current."""

from tests.oci_spec.rules_page import PAGE, page


def test_page_is_current():
    """docs/rules.md is what the docstrings say."""
    assert PAGE.read_text() == page(), "run python -m tests.oci_spec.rules_page"
