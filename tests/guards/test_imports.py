"""The modules that each command loads, exactly: an interpreter starts for every call, so an import is a price.

tests/guards/imports/COMMAND.txt has one module a line, without those that the bare interpreter has, and for a cold command
without the standard library's, which differ between releases of Python. What changed on purpose is written by
`make test ARGS="tests/guards/test_imports.py --write-imports"` and shows in the diff.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.bundle import BUSYBOX, Bundle, build_busybox_rootfs, default_config, merge

TREE = Path(__file__).resolve().parent.parent.parent
LISTS = Path(__file__).parent / "imports"
IMPORT = re.compile(r"^import '([^']+)' # ", re.MULTILINE)
PYTHON = os.path.realpath(sys._base_executable)

# No hot command may load these; the lists could grow by mistake, this cannot.
DEAR = {"argparse", "collections", "contextlib", "ctypes", "dataclasses", "enum", "functools", "inspect", "json",
        "jsonschema", "logging", "os", "pathlib", "re", "site", "subprocess", "tempfile", "threading", "typing"}  # fmt: skip

# Name of the list -> the calls before, the call that is looked at, the calls after. {id}, {bundle}, {root} are filled in.
CREATE = ("create", "--bundle", "{bundle}", "{id}")
DELETE = ("delete", "--force", "{id}")
HOT = {
    "create": ([], CREATE, [DELETE]),
    "start": ([CREATE], ("start", "{id}"), [DELETE]),
    "state": ([CREATE], ("state", "{id}"), [DELETE]),
    "exec": ([CREATE, ("start", "{id}")], ("exec", "{id}", "/bin/true"), [DELETE]),
    "kill": ([CREATE, ("start", "{id}")], ("kill", "{id}", "KILL"), [DELETE]),
    "delete": ([CREATE, ("start", "{id}"), ("kill", "{id}", "KILL")], ("delete", "--force", "{id}"), []),
    "run": ([], ("run", "--bundle", "{bundle}/true", "{id}"), [DELETE]),
}
COLD = {
    "version": ([], ("--version",), []),
    "help": ([], ("--help",), []),
    "list": ([CREATE], ("list",), [DELETE]),
    "spec": ([], ("spec", "--bundle", "{root}"), []),
    "features": ([], ("features",), []),
    "plan": ([], ("plan", "{bundle}"), []),
    "validate": ([], ("validate", "{bundle}"), []),
    "doctor": ([], ("doctor",), []),
    "explain": ([], ("explain", "/linux/resources/memory/limit"), []),
    "verify": ([CREATE], ("verify", "{id}"), [DELETE]),
}


def listed(*command: str | Path) -> set[str]:
    """The modules that the interpreter says it imports, by -v on standard error (in a file: a container keeps it open)."""
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(
            [PYTHON, "-I", "-S", "-v", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            check=False,
            timeout=60,
        )
        errors.seek(0)
        text = errors.read().decode(errors="replace")
    assert done.returncode == 0, "\n".join(line for line in text.splitlines() if line.startswith("ocirun"))
    return set(IMPORT.findall(text))


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """What the interpreter has loaded before our first line."""
    return listed("-c", "pass")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ocirun-imports-"))
    directory.chmod(0o755)
    (directory / "rootfs").mkdir()
    build_busybox_rootfs(directory / "rootfs")
    for name, args in (("", ["sleep", "30"]), ("true", ["/bin/true"])):
        bundle = directory / name
        bundle.mkdir(exist_ok=True)
        change = {"process": {"args": args}, "root": {"path": str(directory / "rootfs")}}
        Bundle(bundle, merge(default_config(), change)).save()
    # The site without the bundle, which would execute its groups without an import's word.
    site = directory / "site"
    shutil.copytree(TREE / "build/site/oci_spec", site / "oci_spec")
    shutil.copytree(TREE / "build/site/runtime", site / "runtime", ignore=shutil.ignore_patterns("modules.bin"))
    for other in (TREE / "build/site").iterdir():
        if not (site / other.name).exists():
            (site / other.name).symlink_to(other.resolve())
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def loaded(ocirun: Path, place: Path, name: str) -> set[str]:
    """Modules that the command loads; the calls around it are ordinary ones."""
    root = place / f"root-{name}"
    root.mkdir(exist_ok=True)
    words = {"bundle": str(place), "id": f"imports-{os.getpid()}-{name}", "root": str(root)}
    before, command, after = {**HOT, **COLD}[name]

    def filled(call: tuple[str, ...]) -> list[str]:
        return [word.format(**words) for word in call]

    def call(words: tuple[str, ...]) -> None:
        with tempfile.TemporaryFile() as output:
            subprocess.run(
                [ocirun, "--root", root, *filled(words)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=True,
                timeout=60,
            )

    try:
        for words_before in before:
            call(words_before)
        # The cache of what is compiled is warm on every call but the first.
        return listed(place / "site/runtime/__main__.py", "--root", root, *filled(command))
    finally:
        for words_after in after:
            call(words_after)


@pytest.mark.parametrize("name", [*HOT, *COLD])
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(not BUSYBOX.exists(), reason="busybox-static is not installed")
def test_a_command_loads_exactly_these_modules(
    name: str, ocirun: Path, place: Path, bare: set[str], request: pytest.FixtureRequest
):
    """The modules loaded are those of the list, and no hot command loads a dear one."""
    found = sorted(loaded(ocirun, place, name) - bare)
    if name in COLD:
        found = [module for module in found if module.partition(".")[0] not in sys.stdlib_module_names]
    path = LISTS / f"{name}.txt"
    if request.config.getoption("--write-imports"):
        path.write_text("".join(f"{module}\n" for module in found))
    assert found == path.read_text().splitlines()
    if name in HOT:
        assert not DEAR & {module.split(".")[0] for module in found}
