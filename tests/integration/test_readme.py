"""What README.md shows is what the command prints."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.elf import elf

pytestmark = pytest.mark.no_runtime


def shown(tree: Path, command: str) -> str:
    """The README's block for this command, without the command."""
    text = (tree / "README.md").read_text()
    found = re.search(rf"```console\n# {re.escape(command)}\n(.*?)```", text, re.DOTALL)
    assert found, f"README.md does not show {command}"
    return found[1]


def output(ocirun: Path, bundle: Path, *arguments: str) -> str:
    done = subprocess.run([ocirun, *arguments], cwd=bundle, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.fixture
def bundle(ocirun: Path, tmp_path: Path) -> Path:
    """What `ocirun spec` writes, with a root that has the program."""
    (tmp_path / "rootfs/bin").mkdir(parents=True)
    program = tmp_path / "rootfs/bin/sh"
    program.write_bytes(elf())
    program.chmod(0o755)
    subprocess.run([ocirun, "spec"], cwd=tmp_path, check=True)
    return tmp_path


def test_validate(tree: Path, ocirun: Path, bundle: Path) -> None:
    """The report on two misspelt words, to the letter."""
    config = bundle / "config.json"
    text = config.read_text().replace('"CAP_KILL"', '"CAP_KIL"', 1).replace('"type": "pid"', '"type": "pdi"')
    config.write_text(text)
    assert output(ocirun, bundle, "validate") == shown(tree, "ocirun validate")


def test_plan(tree: Path, ocirun: Path, bundle: Path) -> None:
    """Each line that is shown, in this order. The numbers depend on how many hierarchies of cgroups the host has."""
    number = re.compile(r"^ *\d+(-\d+)? +")
    lines = [number.sub("", line) for line in output(ocirun, bundle, "plan", ".").splitlines()]
    wanted = [number.sub("", line) for line in shown(tree, "ocirun plan .").splitlines() if line != "..."]
    assert len(wanted) > 3
    places = [lines.index(line) for line in wanted]
    assert places == sorted(places)
