"""The programs of profiles: compiling, its errors, and the cache."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runtime import seccomp
from runtime.errors import OcirunError
from runtime.shim import ffi, lib
from tests import bpf

CONFIGS = Path(__file__).parents[1] / "configs"
ALLOW = 0x7FFF0000


def profile(errno: int = 1, *names: str, **more: Any) -> dict[str, Any]:
    rule = {"names": list(names or ("mkdir",)), "action": "SCMP_ACT_ERRNO", "errnoRet": errno}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], **more}


def podman() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONFIGS / "podman.json").read_text())["linux"]["seccomp"]
    return found


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each compilation."""
    counted: list[int] = []
    compile_profile = seccomp.compile_profile

    def count(profile: dict[str, Any]) -> tuple[bytes, bytes, list[str]]:
        counted.append(1)
        return compile_profile(profile)

    monkeypatch.setattr(seccomp, "compile_profile", count)
    return counted


def entries(root: str) -> list[Path]:
    return sorted(Path(root, ".seccomp").iterdir())


@pytest.mark.proves("/linux/seccomp")
def test_kernel_enforces_the_program(root: str) -> None:
    """A process that loads the program gets the errno of the profile, and everything else works."""
    code, flags, _ = seccomp.program(profile(95), root)
    child = f"""
import ctypes, os, sys
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
code = bytes.fromhex("{code.hex()}")
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
number = {{"x86_64": 317, "aarch64": 277, "riscv64": 277}}[os.uname().machine]
assert libc.syscall(number, 1, {flags}, ctypes.byref(Program(len(code) // 8, code))) == 0, ctypes.get_errno()
try:
    os.mkdir({root!r} + "/made")
except OSError as error:
    sys.exit(error.errno)
"""
    assert subprocess.run([sys.executable, "-c", child], timeout=30).returncode == 95


def test_hit_gives_what_was_compiled(root: str, compilations: list[int]) -> None:
    """The second call reads the cache: the same program, flags and warnings."""
    flagged = profile(1, "mkdir", "no_such_call", flags=["SECCOMP_FILTER_FLAG_LOG"])
    first = seccomp.program(flagged, root)
    assert seccomp.program(flagged, root) == first
    assert first[1] == 2
    assert len(compilations) == 1


def test_hit_loads_neither_plan_nor_shim(root: str) -> None:
    """A hit opens no libseccomp: it does not even import what could."""
    seccomp.program(profile(), root)
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from runtime import seccomp
assert len(seccomp.program({profile()!r}, {root!r})[0]) > 0
loaded = [name for name in sys.modules if name.startswith("runtime.") or name in ("os", "re", "_cffi_backend")]
assert loaded == ["runtime.seccomp"], loaded
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=30)


def test_hit_is_quick(root: str) -> None:
    """Podman's profile takes well under a millisecond."""
    wanted = podman()
    seccomp.program(wanted, root)
    times = []
    for _ in range(30):
        before = time.perf_counter()
        seccomp.program(wanted, root)
        times.append(time.perf_counter() - before)
    assert min(times) < 0.0003


def test_other_profile_is_another_entry(root: str) -> None:
    """An entry answers for one profile only, however small the difference."""
    assert seccomp.program(profile(1), root)[0] != seccomp.program(profile(2), root)[0]
    assert seccomp.program(profile(1), root)[0] != seccomp.program(profile(1, "rmdir"), root)[0]
    assert len(entries(root)) == 3


def test_where_the_listener_goes_is_no_part_of_the_program(root: str) -> None:
    """Profiles that differ in listenerPath and listenerMetadata share an entry; notifying or not is another."""
    notify = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}
    first = seccomp.program(notify | {"listenerPath": "/a", "listenerMetadata": "1"}, root)
    assert seccomp.program(notify | {"listenerPath": "/b"}, root) == first
    assert len(entries(root)) == 1
    assert first[1] == 8
    seccomp.program(profile(), root)
    assert len(entries(root)) == 2


def test_files_are_private(root: str) -> None:
    """The directory has mode 0700 and an entry 0600, whatever the umask."""
    before = os.umask(0)
    try:
        seccomp.program(profile(), root)
    finally:
        os.umask(before)
    (entry,) = entries(root)
    assert stat.S_IMODE(entry.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600


def damage_flip(entry: Path) -> None:
    data = bytearray(entry.read_bytes())
    data[40] ^= 1
    entry.write_bytes(data)


def damage_cut(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-1])


def damage_empty(entry: Path) -> None:
    entry.write_bytes(b"")


def damage_mode(entry: Path) -> None:
    entry.chmod(0o644)


def damage_symlink(entry: Path) -> None:
    elsewhere = entry.parent.parent / "elsewhere"
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)


def damage_fifo(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry, 0o600)


@pytest.mark.parametrize(
    "damage",
    [damage_flip, damage_cut, damage_empty, damage_mode, damage_symlink, damage_fifo],
    ids=lambda f: f.__name__,
)
def test_damaged_entry_is_a_miss_and_is_replaced(damage: Any, root: str, compilations: list[int]) -> None:
    """Wrong content, mode or kind of file: compiled again, once."""
    first = seccomp.program(profile(), root)
    damage(entries(root)[0])
    assert seccomp.program(profile(), root) == first
    assert seccomp.program(profile(), root) == first
    assert len(compilations) == 2
    assert len(entries(root)) == 1


def test_renamed_entry_is_a_miss(root: str, compilations: list[int]) -> None:
    """An entry does not answer for another profile, even under its name."""
    wanted = seccomp.program(profile(1), root)
    (first,) = entries(root)
    seccomp.program(profile(2), root)
    (second,) = set(entries(root)) - {first}
    second.rename(first)
    assert seccomp.program(profile(1), root) == wanted
    assert len(compilations) == 3


def test_foreign_entry_is_a_miss(root: str, compilations: list[int], needs_root: None) -> None:
    """A file or directory of another owner is not trusted, and such a directory is left alone."""
    seccomp.program(profile(), root)
    (entry,) = entries(root)
    os.chown(entry, 1, 1)
    seccomp.program(profile(), root)
    assert len(compilations) == 2
    os.chown(entry.parent, 1, 1)
    seccomp.program(profile(), root)
    seccomp.program(profile(), root)
    assert len(compilations) == 4


def test_upgraded_library_is_a_miss(root: str, compilations: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that another libseccomp made, by size, time or inode, is compiled again."""
    with monkeypatch.context() as patch:
        patch.setattr(seccomp, "loaded_library", [b"/proc/self/exe\0001:2:3:4"])
        seccomp.program(profile(), root)
    seccomp.program(profile(), root)
    seccomp.program(profile(), root)
    assert len(compilations) == 2


def test_cache_is_bounded(root: str) -> None:
    """At most 64 files stay; the oldest go, whoever made them."""
    seccomp.program(profile(), root)
    directory = Path(root, ".seccomp")
    for i in range(80):
        (directory / f"old{i}").touch()
        os.utime(directory / f"old{i}", (i, i))
    code = seccomp.program(profile(2), root)[0]
    assert code
    names = {entry.name for entry in entries(root)}
    assert len(names) == 64
    assert {f"old{i}" for i in range(80)} & names == {f"old{i}" for i in range(18, 80)}


@pytest.mark.parametrize("obstacle", ["missing", "file", "readable"])
def test_unusable_cache_is_no_error(obstacle: str, root: str) -> None:
    """Without a directory that is only ours, programs are compiled each time."""
    if obstacle == "missing":
        root += "/not/there"
    elif obstacle == "file":
        Path(root, ".seccomp").touch()
    else:
        Path(root, ".seccomp").mkdir(mode=0o755)
    assert seccomp.program(profile(), root) == seccomp.program(profile(), root)
    assert not Path(root, ".seccomp").is_dir() or not entries(root)


def test_unknown_names_are_skipped_with_a_warning(root: str) -> None:
    """One warning lists the names that libseccomp does not know, each once; the rest of the profile holds."""
    code, _, warnings = seccomp.program(profile(5, "zz\0top", "mkdir", "no_such_call", "no_such_call", "\udc80"), root)
    (warning,) = warnings
    assert warning.startswith("system calls that libseccomp ")
    assert warning.endswith(" does not know are skipped: zz\0top, no_such_call, \udc80")
    assert bpf.decode(code) == bpf.decode(seccomp.program(profile(5), root)[0])


@pytest.mark.parametrize(
    ("refused", "pointer", "words"),
    [
        (
            profile(1, architectures=["SCMP_ARCH_X86", "SCMP_ARCH_PPC"]),
            "/linux/seccomp/architectures/1",
            "SCMP_ARCH_PPC",
        ),
        (
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [
                    {
                        "names": ["read", "personality"],
                        "action": "SCMP_ACT_ERRNO",
                        "errnoRet": errno,
                        "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 8}],
                    }
                    for errno in (5, 6)
                ],
            },
            "/linux/seccomp/syscalls/1",
            "add a rule for read: File exists",
        ),
    ],
)
def test_refusal_of_libseccomp_names_the_property(refused: dict[str, Any], pointer: str, words: str, root: str) -> None:
    """What libseccomp cannot do is an error with its place, and nothing is cached."""
    with pytest.raises(OcirunError) as caught:
        seccomp.program(refused, root)
    assert caught.value.pointer == pointer
    assert words in caught.value.message
    assert not Path(root, ".seccomp").exists()


def test_too_long_program_is_refused(root: str) -> None:
    """The kernel takes 4096 instructions; more is an error before anything is made."""
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_TRAP"}
    rules = [rule | {"args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": i << 32 | i}]} for i in range(1500)]
    with pytest.raises(OcirunError, match="4096 instructions"):
        seccomp.program({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}, root)


def test_damaged_block_is_refused() -> None:
    """The C side reads nothing outside the block that it is given: each cut and each wrong count is EINVAL."""
    from runtime.plan.seccomp import normalise

    block, names = seccomp._pack(normalise(podman()))
    result = ffi.new("struct seccomp_result *")
    unknown = bytearray(len(names))

    def compiled(data: bytes) -> int:
        return int(lib.shim_seccomp_compile(data, len(data), result, ffi.from_buffer("char[]", unknown)))

    for size in (0, 4, 23, 24, 100, len(block) // 2, len(block) - 1):
        assert compiled(block[:size]) == -22
        assert result.step == lib.SECCOMP_STEP_DECODE
    for at in (4, 8, 12, 16):
        for value in (0xFFFFFFFF, 0x10000):
            assert compiled(block[:at] + value.to_bytes(4, sys.byteorder) + block[at + 4 :]) == -22


def test_version_is_libseccomps() -> None:
    """The loaded library's version, API level and file are known without compiling."""
    result = ffi.new("struct seccomp_result *")
    assert lib.shim_seccomp_version(result) == 0
    assert result.version[0] == 2
    assert result.api >= 1
    assert os.path.exists(ffi.string(result.library))
