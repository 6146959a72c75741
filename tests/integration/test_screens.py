"""The pictures of a terminal in docs/, and the colours of `plan`."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance import screens
from runtime.lifecycle import plan_text

pytestmark = pytest.mark.no_runtime


def test_validate_prints_that(ocirun: Path, tmp_path: Path, tree: Path) -> None:
    """The picture of `validate` is what it prints now."""
    assert screens.validate_screen(ocirun, tmp_path) == (tree / "docs/screen-validate.svg").read_text()


@pytest.mark.parametrize("name", screens.SCREENS)
def test_pictures_are_of_no_machine(name: str, tree: Path) -> None:
    """A picture is well-formed, has the command, and no path of the machine where it was made."""
    text = (tree / f"docs/screen-{name}.svg").read_text()
    words = "".join(ElementTree.fromstring(text).itertext())
    assert f"# ocirun {name}" in words
    assert not re.search(r"/tmp/|/home/|[0-9a-f]{32}|\x1b", words)


def test_plan_has_colours_on_a_terminal(ocirun: Path, tmp_path: Path) -> None:
    """They change nothing of the text, and a pipe gets none."""
    screens.bundle(ocirun, tmp_path, ["sh"])
    shown = screens.printed([ocirun, "plan", "."], tmp_path)
    assert f"{plan_text.BOLD}mounts{plan_text.PLAIN}\n" in shown
    assert f"{plan_text.FAINT}  [" in shown
    piped = screens.printed(["sh", "-c", f"{ocirun} plan . | cat"], tmp_path)
    assert re.sub(r"\x1b\[\d*m", "", shown) == piped
