"""Prepares the build of the image: what it is linked from, or why it cannot be built here.

Usage: image.py DIRECTORY

Writes DIRECTORY/config.mk with the Makefile's IMAGE_ variables, DIRECTORY/modules.c with the table of builtin modules, and
the sources of extension modules that this Python has only as shared objects. They come from Debian's source package of
the same Python and from cffi's source distribution, and are kept in ~/.cache/ocirun/sources. If something is missing,
prints what, and the command exits with 1.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from importlib.metadata import version
from pathlib import Path

TESTED = ("3.11", "3.12", "3.13")
BROKEN = ("3.13.0",)  # PyOS_AfterFork_Child aborts (CPython gh-126688)
LIBRARIES = ("libffi.a", "libseccomp.a", "libz.a")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ocirun/sources"

# Extension modules that the command needs. Those that are not builtin in this Python are compiled from its sources.
NEEDED = {"_json": "_json", "termios": "termios", "_contextvars": "_contextvarsmodule", "_typing": "_typingmodule"}
# What _sha2 calls since Python 3.12, and libpython.a leaves out.
HASHES = "_hacl/Hacl_Hash_SHA2"
# Builtin modules that nothing here imports. They would be a tenth of the file.
UNUSED = frozenset(
    "_asyncio _csv _elementtree _lsprof _pickle grp pwd _sha3 _statistics _symtable _tracemalloc _zoneinfo audioop cmath"
    " faulthandler pyexpat spwd syslog unicodedata xxsubtype".split()
)
# Where the initialising function is not called PyInit_NAME.
FUNCTIONS = {"builtins": "NULL", "sys": "NULL", "marshal": "PyMarshal_Init", "_warnings": "_PyWarnings_Init"}


class Missing(Exception):
    """What the image needs and this machine does not have."""


def run(*command: str, directory: Path | None = None) -> str:
    """The output of a command that should succeed."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=directory
        )
    except FileNotFoundError:
        raise Missing(f"{command[0]} is not installed") from None
    if done.returncode:
        raise Missing(f"{' '.join(command[:2])} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return done.stdout


def check_python() -> Path:
    """libpython.a, of a Python that the image was tested with."""
    release = f"{sys.version_info.major}.{sys.version_info.minor}"
    if sys.implementation.name != "cpython" or platform.machine() != "x86_64":
        raise Missing(f"the image was not tested with {sys.implementation.name} on {platform.machine()}")
    if release not in TESTED or platform.python_version() in BROKEN:
        raise Missing(f"the image was not tested with Python {platform.python_version()}")
    library = Path(sysconfig.get_config_var("LIBPL"), sysconfig.get_config_var("LIBRARY"))
    if library.suffix != ".a" or not library.exists():
        raise Missing(f"{library} is not installed (package python3-dev)")
    for name in LIBRARIES:
        if not Path(run("gcc", f"-print-file-name={name}").strip()).is_absolute():
            raise Missing(f"{name} is not installed (package {name.removesuffix('.a')}-dev)")
    return library


def fetch_cpython() -> Path:
    """The tarball of the interpreter's own sources, from the distribution: of this very release."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}"
    tarball = f"{package}_{platform.python_version()}.orig.tar.*"
    for kept in CACHE.glob(tarball):
        return kept
    lines = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(SUITE) $(COMPONENT)", "Created-By: Packages")
    sources = {f"deb-src {line}\n" for line in lines.splitlines() if line.endswith(" main")}
    CACHE.mkdir(parents=True, exist_ok=True)
    state = CACHE / "apt"
    (state / "lists/partial").mkdir(parents=True, exist_ok=True)
    (state / "sources.list").write_text("".join(sorted(sources)))
    options = ["-qq", "-o", f"Dir::Etc::SourceList={state}/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null"]
    options += [
        "-o",
        f"Dir::State::Lists={state}/lists",
        "-o",
        "Dir::Cache::pkgcache=",
        "-o",
        "Dir::Cache::srcpkgcache=",
    ]
    options += ["-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-o", "Acquire::Retries=3"]
    run("apt-get", *options, "update")
    fetch = ["source", "--download-only", "--only-source", "--tar-only", package]
    run("apt-get", *options, *fetch, directory=CACHE)
    shutil.rmtree(state)
    for fetched in CACHE.glob(tarball):
        return fetched
    raise Missing(f"the distribution has other sources than those of Python {platform.python_version()}")


def fetch_cffi() -> Path:
    """The source distribution of the cffi that wrote our extension."""
    name = f"cffi-{version('cffi')}.tar.gz"
    if not (CACHE / name).exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        download = ["download", "--quiet", "--no-deps", "--no-binary=cffi", f"--dest={CACHE}"]
        run(sys.executable, "-m", "pip", "--disable-pip-version-check", *download, f"cffi=={version('cffi')}")
    return CACHE / name


def write_if_changed(path: Path, content: bytes) -> None:
    """Keep the file's time if the content is the same: make compares times."""
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def unpack(archive: Path, pattern: str, directory: Path) -> None:
    """The files of a tarball whose path below its top directory matches ``pattern``, called what its group matches."""
    directory.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as files:
        for member in files:
            found = re.fullmatch(pattern, member.name.partition("/")[2])
            content = files.extractfile(member) if found and member.isfile() else None
            if found and content:
                target = directory / found[1]
                target.parent.mkdir(parents=True, exist_ok=True)
                write_if_changed(target, content.read())


def module_table(extra: list[str]) -> str:
    """The C source of the table of builtin modules, ours and cffi's included."""
    names = sorted({*sys.builtin_module_names, *extra} - UNUSED)
    rows = [(name, FUNCTIONS.get(name, f"PyInit_{name}")) for name in names]
    rows += [("_cffi_backend", "PyInit__cffi_backend"), ("runtime._shim", "PyInit__shim")]
    declared = "\n".join(f"extern PyObject *{function}(void);" for _, function in rows if function != "NULL")
    table = "\n".join(f'\t{{"{name}", {function}}},' for name, function in rows)
    return f"#include <Python.h>\n\n{declared}\n\nstruct _inittab _PyImport_Inittab[] = {{\n{table}\n\t{{0}},\n}};\n"


def prepare(directory: Path) -> None:
    """Write what the Makefile needs. Raises Missing."""
    library = check_python()
    extra = [name for name in NEEDED if name not in sys.builtin_module_names]
    sources = directory / "sources"
    unpack(fetch_cffi(), r"src/(c(?:ffi)?/[^/]+\.[ch])", sources / "cffi")
    files = "|".join(NEEDED[name] for name in extra)
    hashes = [HASHES] if "_sha2" in sys.builtin_module_names else []
    if extra or hashes:
        wanted = rf"Modules/((?:{files})\.c|clinic/(?:{files})\.c\.h|{HASHES}\.c|_hacl/.+\.h)"
        unpack(fetch_cpython(), wanted, sources / "cpython")
    write_if_changed(directory / "modules.c", module_table(extra).encode())
    include = sysconfig.get_config_var("INCLUDEPY")
    variables = {
        "LIBPYTHON": library,
        "INCLUDES": f"-I{include} -I{include}/internal",
        "EXTENSIONS": " ".join([*(NEEDED[name] for name in extra), *hashes]),
        "STDLIB": sysconfig.get_path("stdlib"),
    }
    lines = "".join(f"IMAGE_{name} := {value}\n" for name, value in variables.items())
    write_if_changed(directory / "config.mk", lines.encode())


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    try:
        prepare(target)
    except Missing as missing:
        (target / "config.mk").unlink(missing_ok=True)
        sys.exit(str(missing))
