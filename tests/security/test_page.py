"""docs/security.md says what the attacks are."""

import pytest

from tests.security import page


@pytest.mark.no_runtime
def test_page_is_up_to_date() -> None:
    """The page is what the marks say. (`python -m tests.security.page` writes it.)"""
    assert page.PAGE.read_text(encoding="utf-8") == page.text()
