"""runtime/modules.bin, which commands import from: as good as the sources, and never older."""

import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def site(tree: Path, tmp_path: Path) -> Path:
    """A site directory of its own, with an archive that checks the sources."""
    for name in ("runtime", "oci_spec"):
        shutil.copytree(tree / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.bin"))
    target = tmp_path / "runtime/modules.bin"
    subprocess.run([sys.executable, tree / "csrc/tools/archive.py", tmp_path, target], check=True)
    return tmp_path


def call(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [os.path.realpath(sys.executable), "-I", "-S", str(site / "runtime/__main__.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_modules_come_from_the_archive(site: Path) -> None:
    """With the sources of all commands overwritten, their size and time kept, a command still runs."""
    for path in (site / "runtime/commands").glob("*.py"):
        status = path.stat()
        path.write_text("#" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "create" in call(site, "--help").stdout


def test_an_edited_module_is_imported_as_it_is(site: Path) -> None:
    """An edit is seen at once, without a build."""
    path = site / "runtime/errors.py"
    path.write_text(path.read_text() + "\nraise SystemExit(66)\n")
    assert call(site, "state", "x").returncode == 66


@pytest.mark.parametrize(
    "data", [b"", b"\x05\0\0\0\0\0\0\0", b"\x01\0\0\0\0\0\0\0i", b"\x01\0\0\0\0\0\0\0N", b"x" * 99]
)
def test_a_broken_archive_is_left_alone(site: Path, data: bytes) -> None:
    """A file that is no archive counts as absent."""
    (site / "runtime/modules.bin").write_bytes(data)
    assert "create" in call(site, "--help").stdout


def test_another_interpreters_archive_is_left_alone(site: Path) -> None:
    """A file with another magic number counts as absent."""
    path = site / "runtime/modules.bin"
    header = marshal.dumps((b"????", (0, 0), {}))
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert "create" in call(site, "--help").stdout


def test_an_archive_that_an_upgrade_replaced_is_left_alone(site: Path) -> None:
    """What was read from the first file says nothing about the second: the sources are imported from then on."""
    script = """if True:
        import os, sys
        site = sys.argv[1]
        sys.path.append(site)
        from runtime.archive import install
        install(site, [])
        import runtime.errors
        file = site + "/runtime/modules.bin"
        with open(file + ".new", "wb") as new:
            new.write(b"x" * os.stat(file).st_size)
        os.rename(file + ".new", file)
        import runtime.lifecycle.undo
        print(type(runtime.errors.__loader__).__name__, type(runtime.lifecycle.undo.__loader__).__name__)
    """
    command = [os.path.realpath(sys.executable), "-I", "-S", "-c", script, str(site)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Archive SourceFileLoader\n", "")


def test_debug_has_line_numbers(site: Path) -> None:
    """--debug imports the sources, so that a traceback names lines."""
    text = call(site, "--debug", "--root", str(site), "state", "missing").stderr
    assert '.py", line ' in text
    assert "does not exist" in text


@pytest.mark.parametrize("command", ["create", "run", "exec", "start", "state", "kill", "delete"])
def test_a_group_is_what_its_command_imports(site: Path, tree: Path, command: str) -> None:
    """Neither more, which would be read in vain, nor less than tests/guards/imports lists."""
    data = (site / "runtime/modules.bin").read_bytes()
    body = data[8 + int.from_bytes(data[:8], "little") :]
    _, (start, length), groups = marshal.loads(data[8:])
    index = marshal.loads(body[start : start + length])
    sources, _ = marshal.loads(body[groups[command][0] :])
    listed = (tree / f"tests/guards/imports/{command}.txt").read_text().split()
    assert sorted(name for name, *_ in sources) == [name for name in listed if name in index]


def test_a_truncated_archive_is_left_alone(site: Path) -> None:
    """Where the header is whole and what it points to is missing, the sources are imported."""
    path = site / "runtime/modules.bin"
    data = path.read_bytes()
    path.write_bytes(data[: 8 + int.from_bytes(data[:8], "little")])
    assert "create" in call(site, "--help").stdout
    assert "does not exist" in call(site, "--root", str(site), "state", "missing").stderr
