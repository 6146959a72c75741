"""The BPF program of a seccomp profile: from the cache, or compiled by libseccomp through the shim and then cached.

Owns ``ROOT/.seccomp/``. Does not know what a profile means (``runtime.plan.seccomp``) and does not load a filter
(init does).

**The cache** has one file per profile. Its name is a digest of everything that the program depends on, except for
libseccomp, which a hit must not open: the profile as it is in the config (with flags, without the listener), the machine's
architecture, the kernel's release (libseccomp derives its API level from the kernel) and VERSION. libseccomp is
identified by its file: an entry holds the path that was loaded with its device, inode, size and modification time. A hit
compares them, so an upgraded library is a miss. The profile is hashed in marshal's format 0, which is injective for JSON
values and has no references; it takes about 50 us for 430 names, repr 70.

A file is trusted if it and its directory belong to the caller, nobody else has access, and its checksum, which is keyed
by the file's name, is right; anything else is a miss. A program is written to an unnamed file (O_TMPFILE) and then
linked, so a crash leaves nothing behind and no reader sees half of it. Without a usable cache, programs are compiled each
time.
"""

import marshal
import posix
from _blake2 import blake2b
from _struct import Struct, pack
from errno import E2BIG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from oci_spec.types import Config, Seccomp
    from runtime.plan.seccomp import Profile
    from runtime.shapes import Filter

# Raise it when the compilation changes: this file, runtime/plan/seccomp*.py, csrc/seccomp.c.
VERSION = 4
POINTER = "/linux/seccomp"
FAIL_UNKNOWN = "run.oci.seccomp_fail_unknown_syscall"  # crun's annotation
MAX_FILES = 64
MAX_INSTRUCTIONS = 4096
INSTRUCTION_SIZE = 8

MAGIC = b"ociseccp"
# magic; seccomp(2) flags; lengths of program, library identity and warnings; the three follow, then the checksum.
HEADER = Struct("=8sIIII")
CHECKSUM_SIZE = 32
MAX_FILE_SIZE = 1 << 20

# The library that this process has opened: an upgrade on disk does not change it.
loaded_library: list[bytes] = []


def program(profile: "Seccomp", root: str) -> "tuple[bytes, int, list[str]]":
    """``(program, flags, warnings)`` for ``linux.seccomp``: the struct sock_filter array and the flags for seccomp(2).

    `root`: the runtime's state directory, which exists. A warning lists the names that were skipped because libseccomp does
    not know them. InvalidConfig if the profile cannot be expressed, OcirunError if libseccomp is missing.
    """
    key = _key(profile)
    entry = _load(root, key)
    if entry is None:
        from runtime.plan.seccomp import filter_flags

        flags = filter_flags(profile)
        code, library, warnings = compile_profile(profile)
        _store(root, key, _encode(key, code, flags, library, warnings))
        return code, flags, warnings
    return entry


def load(profile: "Seccomp", root: str, warn: "Callable[[str], None]") -> "Filter":
    """The same, in the plan's form; ``warn`` takes the warnings."""
    code, flags, warnings = program(profile, root)
    for warning in warnings:
        warn(warning)
    return code, flags, profile.get("listenerPath", ""), profile.get("listenerMetadata", "")


def refuse_unknown(spec: "Config", warning: str) -> None:
    """InvalidConfig if the config's annotation turns an unknown system call into an error."""
    if spec.get("annotations", {}).get(FAIL_UNKNOWN, "0") != "0":
        from runtime.errors import InvalidConfig

        raise InvalidConfig(f"{warning}; the annotation {FAIL_UNKNOWN} makes that an error", POINTER)


def _key(profile: "Seccomp") -> bytes:
    # Containers that differ only in the listener share an entry.
    parts = [part for part in profile.items() if part[0] not in ("listenerPath", "listenerMetadata")]
    system = posix.uname()
    return blake2b(marshal.dumps((VERSION, system.machine, system.release, parts), 0), digest_size=32).digest()


def _checksum(key: bytes, data: bytes) -> bytes:
    return blake2b(data, key=key, digest_size=CHECKSUM_SIZE).digest()


def _encode(key: bytes, code: bytes, flags: int, library: bytes, warnings: "list[str]") -> bytes:
    text = "\0".join(warnings).encode("utf-8", "surrogatepass")
    data = HEADER.pack(MAGIC, flags, len(code), len(library), len(text)) + code + library + text
    return data + _checksum(key, data)


def _decode(key: bytes, data: bytes) -> "tuple[bytes, int, list[str]] | None":
    """The entry's content; None if it is damaged or from another libseccomp."""
    if len(data) < HEADER.size + CHECKSUM_SIZE or _checksum(key, data[:-CHECKSUM_SIZE]) != data[-CHECKSUM_SIZE:]:
        return None
    magic, flags, code_size, library_size, text_size = HEADER.unpack_from(data)
    if magic != MAGIC or len(data) != HEADER.size + code_size + library_size + text_size + CHECKSUM_SIZE:
        return None
    if not code_size or code_size % INSTRUCTION_SIZE or code_size > MAX_INSTRUCTIONS * INSTRUCTION_SIZE:
        return None
    library_at = HEADER.size + code_size
    text_at = library_at + library_size
    library = data[library_at:text_at]
    if _identity(library.partition(b"\0")[0]) != library:
        return None
    text = data[text_at : text_at + text_size].decode("utf-8", "surrogatepass")
    return data[HEADER.size : library_at], flags, text.split("\0") if text else []


def _identity(path: bytes) -> bytes:
    """The path with device, inode, size and modification time of its file; b"" if it is missing."""
    try:
        file = posix.stat(path)
    except OSError:
        return b""
    return path + b"\0%d:%d:%d:%d" % (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns)


def _private(file: posix.stat_result) -> bool:
    return file.st_uid == posix.geteuid() and not file.st_mode & 0o077


def _open_directory(root: str) -> int:
    """Open the cache's directory. OSError also if others have access to it."""
    directory = posix.open(root + "/.seccomp", posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
    if not _private(posix.fstat(directory)):
        posix.close(directory)
        raise PermissionError(root)
    return directory


def _load(root: str, key: bytes) -> "tuple[bytes, int, list[str]] | None":
    try:
        directory = _open_directory(root)
    except OSError:
        return None
    try:
        # O_NONBLOCK: a fifo of that name must not block us.
        flags = posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
        file = posix.open(key.hex(), flags, dir_fd=directory)
    except OSError:
        return None
    finally:
        posix.close(directory)
    try:
        status = posix.fstat(file)
        if not _private(status) or status.st_size > MAX_FILE_SIZE:
            return None
        return _decode(key, posix.read(file, status.st_size))
    except (OSError, UnicodeDecodeError):
        return None
    finally:
        posix.close(file)


def _store(root: str, key: bytes, data: bytes) -> None:
    """Add an entry, or replace a damaged one. A cache that cannot be written is no error."""
    try:
        try:
            posix.mkdir(root + "/.seccomp", 0o700)
        except FileExistsError:
            pass
        directory = _open_directory(root)
    except OSError:
        return
    try:
        file = posix.open(".", posix.O_TMPFILE | posix.O_WRONLY | posix.O_CLOEXEC, 0o600, dir_fd=directory)
        try:
            if posix.write(file, data) == len(data):
                _link(file, directory, key.hex())
        finally:
            posix.close(file)
        _evict(directory)
    except OSError:
        pass
    finally:
        posix.close(directory)


def _link(file: int, directory: int, name: str) -> None:
    source = f"/proc/self/fd/{file}"
    try:
        posix.link(source, name, dst_dir_fd=directory)
    except FileExistsError:
        posix.unlink(name, dir_fd=directory)
        posix.link(source, name, dst_dir_fd=directory)


def _evict(directory: int) -> None:
    names = posix.listdir(directory)
    if len(names) <= MAX_FILES:
        return
    ages = []
    for name in names:
        try:
            ages.append((posix.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns, name))
        except FileNotFoundError:
            continue
    for _, name in sorted(ages)[: len(ages) - MAX_FILES]:
        try:
            posix.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            continue


def compile_profile(profile: "Seccomp") -> "tuple[bytes, bytes, list[str]]":
    """``(program, library identity, warnings)``, always by libseccomp. Raises like `program`."""
    from runtime.plan.seccomp import enosys_stub, normalise
    from runtime.shim import ffi, lib

    normalised = normalise(profile)
    block, names = _pack(normalised)
    result = ffi.new("struct seccomp_result *")
    unknown = bytearray(len(names))
    error = lib.shim_seccomp_compile(block, len(block), result, ffi.from_buffer("char[]", unknown))
    version = ".".join(str(part) for part in result.version)
    if error:
        _fail(profile, normalised, names, result.step, result.index, -error, version)
    if not loaded_library:
        loaded_library.append(_identity(ffi.string(result.library)))
    code = bytes(ffi.buffer(result.program, result.instructions * INSTRUCTION_SIZE))
    tables = [(table.token, table.highest) for table in result.table[0 : result.tables]]
    if len(set(names)) < len(names):
        code = _decided(normalised, [token for token, _ in tables]) + code
    if normalised[1]:
        code = enosys_stub(tables) + code
    if len(code) > MAX_INSTRUCTIONS * INSTRUCTION_SIZE:
        _fail(profile, normalised, names, lib.SECCOMP_STEP_EXPORT, 0, E2BIG, version)
    skipped = dict.fromkeys(name for name, mark in zip(names, unknown, strict=True) if mark)
    warnings = []
    if skipped:
        listed = ", ".join(skipped)
        warnings.append(f"system calls that libseccomp {version} does not know are skipped: {listed}")
    return code, loaded_library[0], warnings


def _decided(profile: "Profile", tokens: "list[int]") -> bytes:
    """The code before libseccomp's program: all rules for the names whose rules libseccomp may merge wrongly, or b"". (A call
    through a multiplexer, such as `socket` on x86, is left to libseccomp: its arguments cannot be examined.)
    """
    default, _, _, groups = profile
    from runtime.plan.seccomp_rules import contested, program
    from runtime.shim import lib

    rules = contested(groups, default)
    tables = []
    for token in tokens:
        numbers = [lib.shim_seccomp_number(token, name.encode("utf-8", "surrogatepass")) for name in rules]
        calls = [(number, decided) for number, decided in zip(numbers, rules.values(), strict=True) if number >= 0]
        if calls:
            tables.append((token, calls))
    return program(tables, default) if tables else b""


def _pack(profile: "Profile") -> "tuple[bytes, list[str]]":
    """The block of csrc/seccomp.h, and the names in its order."""
    default_action, _, architectures, groups = profile
    names: list[str] = []
    conditions = []
    records = []
    for action, _, group_names, group_conditions in groups:
        records.append(pack("=3I", action, len(group_names), len(group_conditions)))
        conditions += [pack("=IIQQ", *condition) for condition in group_conditions]
        names += group_names
    header = pack("=5I4x", default_action, len(architectures), len(conditions), len(groups), len(names))
    # A NUL would cut a name short; with a "?" it is unknown to libseccomp, as it should be.
    strings = [text.replace("\0", "?") + "\0" for text in architectures + names]
    parts = [header, *conditions, *records, "".join(strings).encode("utf-8", "surrogatepass")]
    return b"".join(parts), names


def _fail(
    profile: "Seccomp", normalised: "Profile", names: list[str], step: int, index: int, errno: int, version: str
) -> "NoReturn":
    """Raise the error that csrc/seccomp.c reported."""
    from runtime.errors import OcirunError
    from runtime.shim import lib

    pointer = POINTER
    reason = posix.strerror(errno)
    if step == lib.SECCOMP_STEP_LIBRARY:
        message = "open libseccomp.so.2: not found or too old; install libseccomp 2.4 or newer, or remove the profile"
    elif step == lib.SECCOMP_STEP_ARCHITECTURE:
        pointer += f"/architectures/{index}"
        message = f"libseccomp {version} cannot filter {profile['architectures'][index]} on this machine"
    elif step == lib.SECCOMP_STEP_RULE:
        pointer = _origin(normalised, index)
        message = f"add a rule for {names[index]}: {reason}"
    elif step == lib.SECCOMP_STEP_EXPORT:
        message = f"write the program, of at most {MAX_INSTRUCTIONS} instructions: {reason}"
    else:
        message = f"make the filter: {reason}"
    raise OcirunError(message, pointer, errno=errno)


def _origin(normalised: "Profile", index: int) -> str:
    """The pointer of the group that contains name number `index`."""
    for _, pointer, names, _ in normalised[3]:
        if index < len(names):
            return pointer
        index -= len(names)
    raise IndexError(index)
