"""The launcher of a wheel, in layouts made for it: which interpreter, which package, which flags."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LAUNCHER

MAIN = """import json, os, sys
print(json.dumps([sys.flags.isolated, sys.flags.no_site, sys.argv, os.path.realpath(sys.executable)]))
"""


@pytest.fixture
def prefix(tree: Path, tmp_path: Path) -> Path:
    """An installation: bin/ocirun, a package that tells how it was started, and no interpreter."""
    (tmp_path / "bin").mkdir()
    shutil.copy(tree / "build" / "wheel" / "ocirun", tmp_path / "bin" / "ocirun")
    add_package(tmp_path, "lib/python3.11/site-packages")
    return tmp_path


def add_package(prefix: Path, site: str) -> Path:
    package = prefix / site / "runtime"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(MAIN)
    return package


def start(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def told(done: subprocess.CompletedProcess[str]) -> list:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_interpreter_is_isolated_and_has_no_site(prefix: Path):
    """The package is started with -I -S and the arguments as they came."""
    isolated, no_site, argv, _ = told(start(prefix / "bin" / "ocirun", "state", "--root", "", "a b"))
    assert (isolated, no_site) == (1, 1)
    assert argv[0] == str(prefix / "lib/python3.11/site-packages/runtime/__main__.py")
    assert argv[1:] == ["state", "--root", "", "a b"]


def test_without_arguments(prefix: Path):
    """No argument is made up."""
    assert len(told(start(prefix / "bin" / "ocirun"))[2]) == 1


def test_the_interpreter_beside_it_is_preferred(prefix: Path):
    """python3 in the same directory is the one that has the packages (a virtual environment)."""
    (prefix / "bin" / "python3").write_text('#!/bin/sh\necho beside "$1" "$2"\n')
    (prefix / "bin" / "python3").chmod(0o755)
    assert start(prefix / "bin" / "ocirun").stdout == "beside -I -S\n"


def test_the_path_is_not_asked(prefix: Path):
    """A python3 in PATH, such as a version manager's, is never used; /usr/bin/python3 is."""
    shims = prefix / "shims"
    shims.mkdir()
    (shims / "python3").write_text("#!/bin/sh\necho shim\n")
    (shims / "python3").chmod(0o755)
    executable = told(start(prefix / "bin" / "ocirun", PATH=str(shims)))[3]
    assert executable == os.path.realpath("/usr/bin/python3")


def test_the_environment_is_not_asked(prefix: Path):
    """PYTHONPATH and PYTHONSTARTUP reach nothing."""
    (prefix / "evil").mkdir()
    (prefix / "evil" / "json.py").write_text("raise SystemExit('evil')\n")
    assert told(start(prefix / "bin" / "ocirun", PYTHONPATH=str(prefix / "evil")))


def test_a_link_leads_to_the_installation(prefix: Path, tmp_path_factory: pytest.TempPathFactory):
    """Through a link in another directory, relative or not, the package beside the real file is found."""
    elsewhere = tmp_path_factory.mktemp("links")
    (elsewhere / "ocirun").symlink_to(prefix / "bin" / "ocirun")
    (elsewhere / "again").symlink_to("ocirun")
    assert told(start(elsewhere / "again", "x"))[2][1:] == ["x"]


def test_no_package_is_an_error_that_says_where_it_looked(prefix: Path):
    """Without a package beside it the launcher names the pattern."""
    shutil.rmtree(prefix / "lib")
    done = start(prefix / "bin" / "ocirun")
    assert done.returncode == 1
    assert f"{prefix}/lib/python3*/*-packages/runtime" in done.stderr


def test_several_packages_are_an_error_that_names_them(prefix: Path):
    """Which of two packages is meant cannot be known."""
    first, second = add_package(prefix, "lib/python3.12/site-packages"), prefix / "lib/python3.11/site-packages/runtime"
    done = start(prefix / "bin" / "ocirun")
    assert done.returncode == 1
    assert str(first) in done.stderr
    assert str(second) in done.stderr


def test_an_interpreter_that_cannot_start_is_named(prefix: Path):
    """A broken python3 beside the launcher is named with the system's words."""
    (prefix / "bin" / "python3").write_text("#!/nowhere/sh\n")
    (prefix / "bin" / "python3").chmod(0o755)
    done = start(prefix / "bin" / "ocirun")
    assert done.returncode == 1
    assert done.stderr == f"ocirun: execute {prefix}/bin/python3: No such file or directory\n"


def test_a_path_that_is_too_long_is_refused(tree: Path, tmp_path: Path):
    """A compiled-in path longer than the system allows is refused, not cut."""
    program = tmp_path / "ocirun"
    long = "/" + "x" * 4100
    subprocess.run(
        ["cc", f'-DOCIRUN_SITE="{long}"', '-DOCIRUN_PYTHON="/bin/true"', tree / "csrc" / "launcher.c", "-o", program],
        check=True,
    )
    done = start(program)
    assert done.returncode == 1
    assert "too long" in done.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_tree_runs_on_the_real_interpreter(tree: Path, tmp_path: Path):
    """build/launcher/ocirun has both paths compiled in: the interpreter behind .venv, and the tree's site directory."""
    trace = tmp_path / "trace"
    start("strace", "-qq", "-e", "trace=execve", "-s", "4096", "-o", trace, LAUNCHER, "--version")
    python = os.path.realpath(sys._base_executable)
    main = tree / "build/site" / "runtime" / "__main__.py"
    assert f'execve("{python}", ["{python}", "-I", "-S", "-X", "utf8", "{main}", "--version"]' in trace.read_text()
