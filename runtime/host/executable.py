"""What the kernel and the dynamic loader would need to execute a file of the container. Cold: for `validate` and failures.

`faults` opens and reads the file, and follows what it names: the interpreter of a script, the loader and the libraries of
a program. It looks through a `Tree`, so nothing outside the container is read. Sources: execve(2), elf(5), ld.so(8),
Documentation/admin-guide/binfmt-misc.rst.
"""

import _struct as struct
import posix
from errno import EISDIR, ESTALE

from runtime.host.container_tree import Unknown
from runtime.host.elf import DT_NEEDED, DT_RPATH, DT_RUNPATH, ET_DYN, ET_EXEC, Elf
from runtime.kernel import S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.host.container_tree import Tree

    Fault = tuple[str, str | None, bool]
    """Message, remedy, and whether execve fails: otherwise the program starts and cannot go on."""

LOOKUPS, NAMES = 5_000, 500  # of one check: paths, and names of one directory
HEAD = 256  # bytes of a file by which the kernel knows its format (BINPRM_BUF_SIZE)
SCRIPTS = 5  # interpreters that are scripts themselves, at most
# e_machine → the name that uname(1) and images have for it.
MACHINES = {
    2: "sparc",
    3: "i386",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    43: "sparc64",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
    258: "loongarch64",
}
NATIVE = {
    "x86_64": ("x86_64", "i386"),
    "aarch64": ("aarch64", "arm"),
    "ppc64le": ("ppc64",),
    "riscv64": ("riscv",),
    "s390x": ("s390x",),
}
PLATFORMS = {"x86_64": "linux/amd64", "aarch64": "linux/arm64", "riscv64": "linux/riscv64"}
LOADERS = (
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-aarch64.so.1",
    "/lib/ld-linux.so.2",
)
LIBRARIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/lib32", "/usr/lib32")
BINFMT_MISC = "/proc/sys/fs/binfmt_misc"


class Reader:
    """Files of a container, as bytes. Its user may change them meanwhile, so each is opened name by name, without links.

    After LOOKUPS paths every one counts as there: what a file names may be without end.
    """

    def __init__(self, tree: "Tree") -> None:
        self.tree = tree
        self.left = LOOKUPS

    def mode(self, path: str) -> int:
        """As Tree.mode, and Unknown when too many were asked for."""
        self.left -= 1
        if self.left < 0:
            raise Unknown(path, False)
        return self.tree.mode(path)

    def locate(self, path: str) -> int:
        """An O_PATH descriptor of what a path leads to. Raises OSError, also if it is another file by now, and Unknown."""
        mode = self.mode(path)
        base, rest = self.tree.base, self.tree.host[len(self.tree.base) :]
        descriptor = posix.open(base, posix.O_PATH | posix.O_CLOEXEC)
        for name in rest.split("/"):
            if not name:
                continue
            try:
                inner = posix.open(name, posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=descriptor)
            finally:
                posix.close(descriptor)
            descriptor = inner
        if posix.fstat(descriptor).st_mode & S_IFMT != mode & S_IFMT:
            posix.close(descriptor)
            raise OSError(ESTALE, posix.strerror(ESTALE))
        return descriptor

    def open(self, path: str) -> int:
        """A descriptor of a regular file. Raises OSError, and Unknown below a mount of unknown content."""
        place = self.locate(path)
        try:
            if posix.fstat(place).st_mode & S_IFMT != S_IFREG:
                raise OSError(EISDIR, "not a regular file")
            return posix.open(f"/proc/self/fd/{place}", posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
        finally:
            posix.close(place)

    def exists(self, path: str) -> bool:
        """Whether the file is there, or may be: below a mount of unknown content."""
        try:
            return self.mode(path) & S_IFMT == S_IFREG
        except Unknown:
            return True
        except (OSError, ValueError):
            return False

    def lines(self, path: str) -> "list[str]":
        """The lines of a small text file; [] if it cannot be read."""
        try:
            descriptor = self.open(path)
        except (OSError, ValueError, Unknown):
            return []
        try:
            return posix.read(descriptor, 1 << 16).decode(errors="replace").split("\n")
        finally:
            posix.close(descriptor)

    def names(self, directory: str) -> "list[str]":
        """The first names in a directory; [] if it cannot be read."""
        try:
            descriptor = self.locate(directory)
        except (OSError, ValueError, Unknown):
            return []
        try:
            return sorted(posix.listdir(f"/proc/self/fd/{descriptor}"))[:NAMES]
        except OSError:
            return []
        finally:
            posix.close(descriptor)


def faults(tree: "Tree", path: str, env: "Sequence[str]", machine: str) -> "Iterator[Fault]":
    """Why the file at a path of the container cannot be executed, if anything is wrong with it.

    ``machine``: of this host, as uname says. A file that cannot be opened has no fault: others report it.
    """
    yield from _of_file(Reader(tree), path, env, machine, 0)


def _of_file(reader: Reader, path: str, env: "Sequence[str]", machine: str, depth: int) -> "Iterator[Fault]":
    try:
        descriptor = reader.open(path)
    except (OSError, ValueError, Unknown):
        return
    try:
        head = posix.pread(descriptor, HEAD, 0)
        if head.startswith(b"\x7fELF"):
            yield from _of_elf(reader, descriptor, path, env, machine)
        elif head.startswith(b"#!"):
            yield from _of_script(reader, head, path, env, machine, depth)
        elif not _handled(head, path):
            yield _unknown_format(head, path)
    except (struct.error, OSError, OverflowError, IndexError, ValueError):  # type: ignore[attr-defined]  # missing in the stub
        yield f"{path} is a damaged ELF file", "copy it again", True
    finally:
        posix.close(descriptor)


def _unknown_format(head: bytes, path: str) -> "Fault":
    if not head:
        return f"{path} is empty", "copy it again: an empty file cannot be executed", True
    if head.startswith(b"\xef\xbb\xbf#!"):
        return f"{path}: a byte order mark precedes #!, so the kernel takes it for no script", "remove it", True
    if head.lstrip()[:2] == b"#!":
        return (
            f"{path}: #! is not at the very beginning, so the kernel takes it for no script",
            "remove what precedes it",
            True,
        )
    if b"\0" not in head:
        return (
            f"{path} is a text without an interpreter line",
            "begin it with #!/bin/sh, or execute its interpreter",
            True,
        )
    return f"{path} is neither an ELF file nor a script", None, True


# --- scripts


def _of_script(
    reader: Reader, head: bytes, path: str, env: "Sequence[str]", machine: str, depth: int
) -> "Iterator[Fault]":
    line = head[2:].split(b"\n", 1)[0].split(b"\0", 1)[0]
    if b"\n" not in head and len(head) == HEAD:
        yield f"{path}: its interpreter line is longer than {HEAD - 2} bytes", "shorten it", True
        return
    if line.endswith(b"\r"):
        message = f"{path}: its interpreter line ends with a carriage return, as on Windows"
        yield message, "convert its line ends: sed -i 's/\\r$//' FILE", True
        return
    words = line.decode(errors="surrogateescape").split(None, 1)
    if not words:
        yield f"{path}: its interpreter line names no interpreter", "name one, such as #!/bin/sh", True
        return
    interpreter, argument = words[0], words[1].strip() if len(words) > 1 else ""
    if interpreter[:1] != "/":
        return  # relative to the working directory
    if not reader.exists(interpreter):
        yield f"{path}: its interpreter {interpreter} does not exist", _similar(reader, interpreter), True
        return
    if depth < SCRIPTS:
        for message, remedy, certain in _of_file(reader, interpreter, env, machine, depth + 1):
            yield f"{path}: its interpreter: {message}", remedy, certain
    if interpreter.rpartition("/")[2] == "env":
        name = next((word for word in argument.split() if word[:1] != "-" and "=" not in word), "")
        if name and not argument.startswith("-") and " " in argument:
            yield (
                f"{path}: env looks for a program called {argument!r}",
                "write #!/usr/bin/env -S, or only one word",
                False,
            )
        elif name and "/" not in name and not in_path(reader, name, env):
            yield f"{path}: env would not find {name} in $PATH", f"install {name}, or correct PATH", False


def in_path(reader: Reader, name: str, env: "Sequence[str]") -> bool:
    """Whether a program is, or may be, in one of the directories of PATH."""
    path = next((entry[5:] for entry in reversed(env) if entry.startswith("PATH=")), "/bin:/usr/bin")
    return any(reader.exists(f"{directory}/{name}") for directory in path.split(":") if directory)


def _similar(reader: Reader, path: str) -> "str | None":
    """Where a program of the same name is."""
    name = path.rpartition("/")[2]
    for directory in ("/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin"):
        other = f"{directory}/{name}"
        try:
            if other != path and reader.mode(other) & S_IFMT == S_IFREG:
                return f"{name} is {other}"
        except (OSError, ValueError, Unknown):
            continue
    return f"install {name}, or name another interpreter" if name else None


# --- programs


def _of_elf(reader: Reader, descriptor: int, path: str, env: "Sequence[str]", machine: str) -> "Iterator[Fault]":
    elf = Elf(descriptor)
    name = MACHINES.get(elf.machine, f"machine {elf.machine}")
    if name not in NATIVE.get(machine, (machine,)):
        if not _handled(posix.pread(descriptor, HEAD, 0), path):
            platform = PLATFORMS.get(machine, machine)
            remedy = f"take an image for {platform}, or register an emulator in binfmt_misc"
            yield f"{path} is a program for {name}, and this machine is {machine}", remedy, True
        return
    if elf.kind not in (ET_EXEC, ET_DYN):
        yield f"{path} is an ELF file, but no program", "execute a program", True
        return
    loader = elf.interpreter()
    if not loader:
        return
    if not reader.exists(loader):
        yield f"{path} needs the dynamic loader {loader}, which does not exist", _loader_remedy(reader, loader), True
        return
    dynamic = elf.dynamic()
    directories = _library_directories(reader, dynamic, path, env, loader)
    missing = [library for library in dynamic[DT_NEEDED] if not _library_exists(reader, library, directories)]
    if missing:
        plural = "libraries" if len(missing) > 1 else "library"
        yield (
            f"{path} needs the {plural} {', '.join(missing)}, not found in the root file system",
            f"install {missing[0]}",
            False,
        )


def _loader_remedy(reader: Reader, loader: str) -> str:
    libc = "musl" if "musl" in loader else "glibc"
    others = [other for other in LOADERS if other != loader and reader.exists(other)]
    if not others:
        return f"the root file system has no C library: install {libc}, or link the program statically"
    other = "musl" if "musl" in others[0] else "glibc"
    if other != libc:
        return f"the program is for {libc}, and the root file system has {other} ({others[0]}): take one for {other}, or a static one"
    return f"the root file system has {others[0]}: it is for another machine"


def _library_exists(reader: Reader, library: str, directories: "list[str]") -> bool:
    if "/" in library:
        return reader.exists(library)
    return any(reader.exists(f"{directory}/{library}") for directory in directories)


def _library_directories(
    reader: Reader, dynamic: "dict[int, list[str]]", path: str, env: "Sequence[str]", loader: str
) -> "list[str]":
    """Where the loader looks, those of its configuration and of Debian's architectures included."""
    listed = [*dynamic[DT_RPATH], *dynamic[DT_RUNPATH]]
    listed += [entry.partition("=")[2] for entry in env if entry.startswith("LD_LIBRARY_PATH=")]
    origin = reader.tree.resolve(path).rpartition("/")[0]
    directories = [
        directory.replace("$ORIGIN", origin).replace("${ORIGIN}", origin)
        for paths in listed
        for directory in paths.split(":")
        if directory
    ]
    if "musl" in loader:
        machine = loader.rpartition("ld-musl-")[2].partition(".")[0]
        configured = reader.lines(f"/etc/ld-musl-{machine}.path")
        directories += [directory for line in configured for directory in line.split(":")]
    else:
        files = ["/etc/ld.so.conf", *(f"/etc/ld.so.conf.d/{name}" for name in reader.names("/etc/ld.so.conf.d"))]
        directories += [line.strip() for file in files for line in reader.lines(file) if line.strip()[:1] == "/"]
    directories += LIBRARIES
    directories += [
        f"{place}/{name}" for place in ("/lib", "/usr/lib") for name in reader.names(place) if "-linux-gnu" in name
    ]
    return directories


# --- binfmt_misc


def _handled(head: bytes, path: str) -> bool:
    """Whether an interpreter is registered for the file (binfmt_misc). True, too, if that cannot be known."""
    try:
        names = posix.listdir(BINFMT_MISC)
        entries = [_entry(f"{BINFMT_MISC}/{name}") for name in names if name not in ("register", "status")]
    except PermissionError:
        return True
    except OSError:
        return False
    return any(_matches(entry, head, path) for entry in entries)


def _entry(path: str) -> "dict[str, str]":
    """The lines of a registration: the first word of each, and the rest."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        lines = posix.read(descriptor, 4096).decode(errors="replace").splitlines()
    finally:
        posix.close(descriptor)
    return {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in lines}


def _matches(entry: "dict[str, str]", head: bytes, path: str) -> bool:
    if "disabled" in entry:
        return False
    if "extension" in entry:
        return path.endswith(entry["extension"])
    magic = bytes.fromhex(entry.get("magic", ""))
    mask = bytes.fromhex(entry["mask"]) if "mask" in entry else b"\xff" * len(magic)
    at = int(entry.get("offset", "0") or 0)
    found = head[at : at + len(magic)]
    return (
        bool(magic)
        and len(found) == len(magic)
        and all((a ^ b) & m == 0 for a, b, m in zip(found, magic, mask, strict=True))
    )
