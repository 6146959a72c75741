"""Every way to install gives an `ocirun` that starts: a wheel in each place that pip knows, `make install`, the tree.

pip takes the dependencies from where it always does, so these tests need what `make deps` needs.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.no_runtime

DEBIAN_PYTHON = "/usr/bin/python3"


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The finished command, with none of make's or the virtual environment's variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "VIRTUAL_ENV"))}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env={**kept, **environment}
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


def pip(python: str | Path, *arguments: str | Path, **environment: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-warn-script-location", "--root-user-action=ignore")
    # This environment's pip, for that interpreter: Debian's own comes without one.
    run(sys.executable, "-m", "pip", "--python", python, "install", *quiet, *arguments, **environment)


@pytest.fixture(scope="module")
def source(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree's sources, so that a build for a test does not replace what other tests run."""
    copy = tmp_path_factory.mktemp("source") / "ocirun"
    shutil.copytree(
        tree,
        copy,
        ignore=shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis"),
    )
    for name in ("init", "_shim.abi3.so", "_build.py"):
        (copy / "runtime" / name).unlink(missing_ok=True)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by this environment's hatchling and cffi."""
    directory = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", directory, source)
    (found,) = directory.glob("*.whl")
    return found


def check(command: Path) -> None:
    """The installed command starts and says its version."""
    from runtime._build import VERSION

    for arguments in (["--version"], ["spec", "--help"]):
        assert run(command, *arguments, PATH="/nowhere").stdout
    assert run(command, "--version").stdout.splitlines()[0] == f"ocirun version {VERSION}"
    if os.geteuid() == 0:
        with tempfile.TemporaryDirectory() as bundle:
            finds_jeepney(command, Path(bundle))


def imports_the_api(python: str | Path, site: Path | None = None) -> None:
    """`import ocirun` finds the typed package, and that what the build made."""
    words = "import ocirun.aio, os; ocirun.features(); print(os.listdir(os.path.dirname(ocirun.__file__)))"
    places = {"PYTHONPATH": str(site)} if site else {}
    assert "'py.typed'" in run(python, "-c", words, **places).stdout


def finds_jeepney(command: Path, bundle: Path) -> None:
    """The library that talks to systemd is where the command looks."""
    program = bundle / "rootfs/bin/sh"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    run(command, "spec", "--bundle", bundle)
    call = [command, "--root", bundle / "state", "--systemd-cgroup", "run", "--bundle", bundle, "one"]
    environment = {"PATH": "/nowhere", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert "reach systemd through unix:path=/nowhere: no such file or directory" in done.stderr


def compiled(site: Path) -> bool:
    return any((site / "runtime" / "__pycache__").glob("cli.*.pyc"))


def test_the_wheel_is_for_every_cpython_from_3_11(wheel: Path):
    """The tag says abi3, the launcher is a script, and what the build made is in the package."""
    assert wheel.name.startswith("ocirun-")
    assert "-cp311-abi3-linux_" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert {"runtime/init", "runtime/_shim.abi3.so", "runtime/_build.py", "runtime/py.typed"} <= set(names)
    assert any(name.endswith(".data/scripts/ocirun") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"oci_spec", "ocirun", "runtime", *(top for top in tops if top.endswith((".data", ".dist-info")))}


def test_in_a_virtual_environment_and_through_a_link(wheel: Path, tmp_path: Path):
    """`pip install` in a virtual environment, called directly and through a link in another directory."""
    run(DEBIAN_PYTHON, "-m", "venv", tmp_path / "v")
    pip(tmp_path / "v/bin/python", wheel)
    (site,) = (tmp_path / "v/lib").glob("python3*/site-packages")
    assert compiled(site)
    imports_the_api(tmp_path / "v/bin/python")
    check(tmp_path / "v/bin/ocirun")
    (tmp_path / "link").symlink_to("v/bin/ocirun")
    check(tmp_path / "link")


def test_the_api_of_an_editable_install(source: Path, tmp_path: Path):
    """After `pip install -e` Python imports the API from the tree. The command does not start: the launcher reads no .pth file."""
    run(DEBIAN_PYTHON, "-m", "venv", tmp_path / "v")
    copy = tmp_path / "tree"
    shutil.copytree(source, copy, symlinks=True)
    pip(tmp_path / "v/bin/python", "-e", copy)
    imports_the_api(tmp_path / "v/bin/python")
    (copy / "runtime/import/ocirun/added.py").touch()
    run(tmp_path / "v/bin/python", "-c", "import ocirun.added")


def test_for_a_user(wheel: Path, tmp_path: Path):
    """`pip install --user`, with Debian's interpreter."""
    pip(DEBIAN_PYTHON, "--user", "--break-system-packages", wheel, PYTHONUSERBASE=str(tmp_path))
    check(tmp_path / "bin/ocirun")


def test_for_the_system(wheel: Path, tmp_path: Path):
    """`pip install` into the system's directories, below another root so that this system stays as it is."""
    pip(DEBIAN_PYTHON, "--root", tmp_path, "--ignore-installed", "--break-system-packages", wheel)
    check(tmp_path / "usr/local/bin/ocirun")


def test_without_cffi_beside_it_site_finds_it(wheel: Path, tmp_path: Path):
    """Where the package's directory has no cffi and no jeepney, `site` is asked where else they are: slower, and correct."""
    run(DEBIAN_PYTHON, "-m", "venv", tmp_path / "v")
    pip(tmp_path / "v/bin/python", "--no-deps", wheel)
    elsewhere = tmp_path / "elsewhere"
    pip(tmp_path / "v/bin/python", "--target", elsewhere, "cffi", "jeepney")
    (site,) = (tmp_path / "v/lib").glob("python3*/site-packages")
    (site / "elsewhere.pth").write_text(f"{elsewhere}\n")
    check(tmp_path / "v/bin/ocirun")


def make_install(source: Path, tree: Path, prefix: Path, *variables: str, stage: Path | None = None) -> None:
    """`make install` into ``prefix``, and what it put below ``stage`` moved there."""
    (source / ".venv").is_symlink() or (source / ".venv").symlink_to(tree / ".venv")
    run("make", "-C", source, "install", f"PREFIX={prefix}", f"DESTDIR={stage or ''}", *variables)
    if stage:
        assert not prefix.exists()
        shutil.move(f"{stage}{prefix}", prefix)


@pytest.mark.parametrize("staged", [False, True], ids=["prefix", "destdir"])
def test_make_install_the_launcher(source: Path, tree: Path, tmp_path: Path, staged: bool):
    """`make install PREFIX= IMAGE=no` puts all of it below the prefix; with DESTDIR= the prefix stays out of it."""
    prefix = tmp_path / "prefix"
    make_install(source, tree, prefix, "IMAGE=no", stage=tmp_path / "stage" if staged else None)
    assert {path.name for path in prefix.iterdir()} == {"bin", "lib"}
    assert compiled(prefix / "lib/ocirun")
    imports_the_api(DEBIAN_PYTHON, prefix / "lib/ocirun")
    shutil.rmtree(source / "build")
    check(prefix / "bin/ocirun")
    assert "(interpreter)" in run(prefix / "bin/ocirun", "--version").stdout


def test_make_install_the_image(source: Path, tree: Path, image: Path, tmp_path: Path):
    """Where the image can be built, it is all that is installed, in the place of a launcher and its packages."""
    prefix = tmp_path / "prefix"
    make_install(source, tree, prefix, "IMAGE=no")
    (prefix / "lib/other").mkdir()
    make_install(source, tree, prefix)
    assert [path.name for path in (prefix / "lib").iterdir()] == ["other"]
    shutil.rmtree(source / "build")
    assert "(image)" in run(prefix / "bin/ocirun", "--version").stdout
    check(prefix / "bin/ocirun")


def test_an_upgrade_while_the_command_is_called(source: Path, tree: Path, image: Path, tmp_path: Path):
    """`make install` over an installed image: a manager that calls it all the time never fails to start it."""
    prefix = tmp_path / "prefix"
    make_install(source, tree, prefix)
    before = (prefix / "bin/ocirun").stat().st_ino
    statuses: list[int] = []
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            try:
                statuses.append(subprocess.run([prefix / "bin/ocirun", "--version"], capture_output=True).returncode)
            except OSError as error:
                statuses.append(error.errno or -1)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        make_install(source, tree, prefix)
    finally:
        done.set()
        caller.join()
    assert (prefix / "bin/ocirun").stat().st_ino != before
    assert len(statuses) > 10
    assert set(statuses) == {0}
    assert os.listdir(prefix / "bin") == ["ocirun"]


def test_in_the_tree(ocirun: Path, tmp_path: Path):
    """build/ocirun runs the tree, from any directory and through a link."""
    (tmp_path / "ocirun").symlink_to(ocirun)
    check(tmp_path / "ocirun")
