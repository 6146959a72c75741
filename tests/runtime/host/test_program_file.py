"""What only the kernel would say about the program's file: each cause is named, with its remedy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from runtime.host import executable, program_file
from runtime.host.container_tree import Tree
from tests.elf import AARCH64, elf
from tests.integration.bundle import BUSYBOX


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A root file system with a shell, a musl loader and a library."""
    root = tmp_path / "rootfs"
    for name in ("bin", "lib", "usr/lib/x86_64-linux-gnu", "etc"):
        (root / name).mkdir(parents=True)
    add(root, "bin/sh", elf())
    add(root, "bin/env", elf())
    add(root, "lib/ld-musl-x86_64.so.1", elf(kind=3))
    add(root, "usr/lib/x86_64-linux-gnu/libthere.so.1", elf(kind=3))
    return root


def add(root: Path, name: str, content: bytes, mode: int = 0o755) -> None:
    (root / name).write_bytes(content)
    (root / name).chmod(mode)


GLIBC = "/lib64/ld-linux-x86-64.so.2"
MUSL = "/lib/ld-musl-x86_64.so.1"
FAULTS = [
    (b"", "/bin/x is empty", "copy it again", True),
    (b"#!/bin/sh\r\necho\r\n", "its interpreter line ends with a carriage return", "sed -i 's/\\r$//'", True),
    (b"\xef\xbb\xbf#!/bin/sh\n", "a byte order mark precedes #!", "remove it", True),
    (b"\n#!/bin/sh\n", "#! is not at the very beginning", "remove what precedes it", True),
    (b"#!/bin/bash\n", "its interpreter /bin/bash does not exist", "install bash", True),
    (b"#!/usr/bin/sh\n", "its interpreter /usr/bin/sh does not exist", "sh is /bin/sh", True),
    (b"#!\n", "names no interpreter", "name one", True),
    (b"#!/bin/env python3\n", "env would not find python3 in $PATH", "install python3", False),
    (b"#!/bin/env sh -e\n", "env looks for a program called 'sh -e'", "write #!/usr/bin/env -S", False),
    (b"echo hello\n", "a text without an interpreter line", "begin it with #!/bin/sh", True),
    (b"\0\1\2\3", "neither an ELF file nor a script", None, True),
    (b"\x7fELF\x02\x01", "a damaged ELF file", "copy it again", True),
    (elf(AARCH64), "a program for aarch64, and this machine is x86_64", "take an image for linux/amd64", True),
    (elf(kind=1), "an ELF file, but no program", "execute a program", True),
    (
        elf(loader=GLIBC),
        f"needs the dynamic loader {GLIBC}",
        "the program is for glibc, and the root file system has musl",
        True,
    ),
    (
        elf(loader=MUSL, needed=("libgone.so.2", "libthere.so.1")),
        "needs the library libgone.so.2,",
        "install libgone.so.2",
        False,
    ),
]
SOUND = [
    elf(),
    elf(loader=MUSL, needed=("libthere.so.1",)),
    elf(loader=MUSL, needed=("libown.so",), runpath="$ORIGIN/../opt"),
    b"#!/bin/sh\n",
    b"#! /bin/sh -e\n",
    b"#!/bin/env sh\n",
    b"#!/bin/env -S sh -e\n",
]


@pytest.mark.parametrize(("content", "message", "remedy", "fails"), FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_named(rootfs: Path, content: bytes, message: str, remedy: str | None, fails: bool) -> None:
    """One fault: what is wrong, what to do, and whether execve fails."""
    add(rootfs, "bin/x", content)
    ((said, advice, certain),) = executable.faults(Tree(str(rootfs)), "/bin/x", ["PATH=/bin"], "x86_64")
    assert message in said
    assert (remedy is None and advice is None) or (remedy or "") in (advice or "")
    assert certain is fails


@pytest.mark.parametrize("content", SOUND, ids=range(len(SOUND)))
def test_a_sound_file_has_no_fault(rootfs: Path, content: bytes) -> None:
    """Scripts and programs of which everything is there."""
    (rootfs / "opt").mkdir()
    add(rootfs, "opt/libown.so", elf(kind=3))
    add(rootfs, "bin/x", content)
    assert list(executable.faults(Tree(str(rootfs)), "/bin/x", ["PATH=/bin"], "x86_64")) == []


def test_links_of_the_container_stay_inside(rootfs: Path) -> None:
    """An absolute link is followed below the root: the host's file of that name is not looked at."""
    (rootfs / "bin/x").symlink_to("/etc/passwd")
    assert list(executable.faults(Tree(str(rootfs)), "/bin/x", [], "x86_64")) == []


def config(rootfs: Path, **process: Any) -> dict[str, Any]:
    base = {"cwd": "/", "args": ["x"], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}} | process
    return {"root": {"path": str(rootfs)}, "process": base, "mounts": [], "linux": {"namespaces": [{"type": "mount"}]}}


def rows(spec: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = program_file.rows(spec, "/")  # type: ignore[arg-type]
    return [(pointer, severity, message) for pointer, severity, message, _, _ in found]


def test_a_directory_that_the_user_may_not_search(rootfs: Path) -> None:
    """The first one is named, with the user, its mode and its owner; a group that may search it is enough."""
    add(rootfs, "bin/x", elf())
    (rootfs / "bin").chmod(0o750)
    owner = rootfs.stat()
    ((pointer, severity, message),) = rows(config(rootfs, user={"uid": owner.st_uid + 1, "gid": owner.st_gid + 1}))
    assert (pointer, severity) == ("/process/args/0", "error")
    assert f"user {owner.st_uid + 1} may not search /bin (mode 0750, owner {owner.st_uid}:{owner.st_gid}" in message
    assert rows(config(rootfs, user={"uid": owner.st_uid + 1, "gid": owner.st_gid})) == []


def test_a_script_that_the_user_may_not_read(rootfs: Path) -> None:
    """The right to execute is not enough for a script: its interpreter reads it."""
    add(rootfs, "bin/x", b"#!/bin/sh\n", 0o711)
    uid = rootfs.stat().st_uid + 1
    ((_, _, message),) = rows(config(rootfs, user={"uid": uid, "gid": uid}))
    assert f"user {uid} may not read /bin/x (mode 0711" in message


def test_ids_are_mapped_before_they_are_compared(rootfs: Path) -> None:
    """In a user namespace root is another user of the host, and may not search what only the host's root may."""
    add(rootfs, "bin/x", elf())
    (rootfs / "bin").chmod(0o700)
    spec = config(rootfs)
    uid = rootfs.stat().st_uid
    maps = [{"containerID": 0, "hostID": uid + 100000, "size": 10}]
    spec["linux"] = {"namespaces": [{"type": "user"}], "uidMappings": maps, "gidMappings": maps}
    ((_, _, message),) = rows(spec)
    assert "user 0 may not search /bin" in message
    maps[0]["hostID"] = uid
    assert rows(spec) == []


def test_a_mount_without_exec(rootfs: Path) -> None:
    """The mount that forbids it is named; a later option takes it back."""
    add(rootfs, "bin/x", elf())
    shutil.copytree(rootfs / "bin", rootfs / "tools")
    spec = config(rootfs, args=["/tools/x"])
    mount = {"destination": "/tools", "type": "bind", "source": str(rootfs / "bin"), "options": ["rbind", "noexec"]}
    spec["mounts"] = [mount]
    assert ("/mounts/0/options", "error", "/tools/x lies on /tools, which is mounted noexec") in rows(spec)
    mount["options"] = ["rbind", "noexec", "exec"]
    assert rows(spec) == []


def test_hooks(rootfs: Path, tmp_path: Path) -> None:
    """A startContainer hook is looked at in the container, the others on the host. A program that they may make is no error."""
    add(rootfs, "bin/x", b"#!/bin/bash\n")
    hook = tmp_path / "hook"
    add(tmp_path, "hook", b"text")
    spec = config(rootfs)
    spec["hooks"] = {"poststop": [{"path": str(hook)}], "startContainer": [{"path": "/bin/x"}]}
    assert rows(spec) == [
        ("/process/args/0", "warning", "/bin/x: its interpreter /bin/bash does not exist"),
        ("/hooks/startContainer/0/path", "warning", "/bin/x: its interpreter /bin/bash does not exist"),
        ("/hooks/poststop/0/path", "warning", f"{hook} is a text without an interpreter line"),
    ]


@pytest.mark.skipif(not BUSYBOX.exists(), reason="busybox-static is not installed")
def test_real_programs() -> None:
    """Programs of this machine that run have no fault."""
    for path in (str(BUSYBOX), "/bin/ls", "/usr/bin/python3", "/usr/bin/ldd"):
        assert list(executable.faults(Tree("/"), path, ["PATH=/usr/bin:/bin"], executable.posix.uname().machine)) == []
