"""docs/security.md says what the attacks are."""

import pytest

from tests.security import page

# Holes of the peers.
HOLES = """
CVE-2016-9962 CVE-2019-5736 CVE-2019-16884 CVE-2019-18837 CVE-2019-19921 CVE-2023-27561 CVE-2023-28642 CVE-2025-54867
CVE-2021-30465 CVE-2021-43784 CVE-2022-29162 CVE-2022-27650 CVE-2025-27612 CVE-2023-25809 CVE-2024-21626 CVE-2024-45310
CVE-2025-24965 CVE-2026-88264 CVE-2025-31133 CVE-2025-62161 CVE-2025-52565 CVE-2025-52881 CVE-2025-62596 CVE-2026-41579
CVE-2026-47766 CVE-2026-30892 CVE-2026-88265 CVE-2026-115521 CVE-2026-119101 CVE-2026-115520
""".split()


@pytest.mark.no_runtime
def test_page_is_up_to_date() -> None:
    """The page is what the marks say. (`python -m tests.security.page` writes it.)"""
    assert page.PAGE.read_text(encoding="utf-8") == page.text()


@pytest.mark.no_runtime
def test_each_known_hole_is_attacked() -> None:
    """A hole of a peer has a test that goes for it."""
    met = " ".join(kwargs["hole"] for _, kwargs in page.attacks())
    for hole in HOLES:
        assert hole in met, hole
