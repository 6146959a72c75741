"""Every mount option of the spec's table, by what the kernel then shows of the mount in the container.

An option that clears something is given for a source that has it. The recursive ones are looked at on the mount and on
the one below it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from runtime.plan.mount_options import NAMES
from tests.integration.caller import Caller
from tests.integration.mounts import bind, mount, nested, rbind, shown, with_mounts

pytestmark = pytest.mark.not_on("runc", "crun", reason="have other options")

# option → (options of the source on the host, what the mount then shows, what it does not)
ATTRIBUTES: dict[str, tuple[str, str, str]] = {
    "ro": ("", "ro", "rw"),
    "rw": ("ro", "rw", "ro"),
    "nosuid": ("", "nosuid", ""),
    "suid": ("nosuid", "", "nosuid"),
    "nodev": ("", "nodev", ""),
    "dev": ("nodev", "", "nodev"),
    "noexec": ("", "noexec", ""),
    "exec": ("noexec", "", "noexec"),
    "noatime": ("", "noatime", "relatime"),
    "atime": ("noatime", "relatime", "noatime"),
    "nodiratime": ("", "nodiratime", ""),
    "diratime": ("nodiratime", "", "nodiratime"),
    "relatime": ("noatime", "relatime", "noatime"),
    "strictatime": ("", "", "relatime noatime"),
    "nostrictatime": ("strictatime", "relatime", "noatime"),
    "nosymfollow": ("", "nosymfollow", ""),
    "symfollow": ("nosymfollow", "", "nosymfollow"),
}
PROPAGATION = {"private": set(), "shared": {"shared"}, "slave": {"master"}, "unbindable": {"unbindable"}}
# option → what the file system shows; "" where it shows nothing.
SUPERBLOCK = {"sync": "sync", "dirsync": "dirsync", "lazytime": "lazytime", "mand": "mand"}
OFF = {"async": "sync", "nolazytime": "lazytime", "nomand": "mand"}
# Those that the kernel shows nowhere: the flag of mount(2) is looked at. And those that take one away.
CALLED = {"iversion": "MS_I_VERSION", "silent": "MS_SILENT"}
NOT_CALLED = {"noiversion": "iversion", "loud": "silent"}
ELSEWHERE = {
    "bind": "test_mounts.py::test_bind_and_rbind",
    "rbind": "test_mounts.py::test_bind_and_rbind",
    "tmpcopyup": "test_mounts.py::test_tmpcopyup",
    "idmap": "test_idmapped_mounts.py",
    "ridmap": "test_idmapped_mounts.py",
    "copy-symlink": "test_lost_options.py::test_copy_symlink",
    "src-nofollow": "test_lost_options.py::test_nofollow",
    "dest-nofollow": "test_lost_options.py::test_nofollow",
    **dict.fromkeys(("rsync", "rdirsync", "rmand"), "test_lost_options.py::test_recursive_file_system_option"),
    **dict.fromkeys(("rasync", "rnomand"), "test_lost_options.py::test_recursive_file_system_option_off"),
}
HERE = ("defaults", "remount", "norelatime", "rnorelatime")


def test_every_option_has_a_test() -> None:
    """The tables of this file, and the tests that they name, have each option that the runtime knows."""
    recursive = [f"r{name}" for name in (*ATTRIBUTES, *PROPAGATION)]
    tables = (ATTRIBUTES, PROPAGATION, SUPERBLOCK, OFF, CALLED, NOT_CALLED, ELSEWHERE, HERE)
    assert sorted([name for table in tables for name in table] + recursive) == sorted(NAMES)
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        assert f"def {name}" in (Path(__file__).parent / file).read_text()


@pytest.mark.proves("/mounts/*/options")
@pytest.mark.parametrize("option", ATTRIBUTES)
def test_attribute(runtime: Caller, option: str) -> None:
    """The option is the mount's, and of what is mounted below nothing changes."""
    before, present, absent = ATTRIBUTES[option]
    with nested(runtime.directory / "source", *before.split()) as source:
        found = shown(runtime, with_mounts(runtime, "", rbind("/x", source, option)))
        plain = shown(runtime, with_mounts(runtime, "", rbind("/x", source)))
    assert set(present.split()) <= found["/x"].flags
    assert not set(absent.split()) & found["/x"].flags
    assert found["/x/below"].flags == plain["/x/below"].flags
    assert found["/x"].flags != plain["/x"].flags


@pytest.mark.proves("/mounts/*/options")
@pytest.mark.parametrize("option", ATTRIBUTES)
def test_recursive_attribute(runtime: Caller, option: str) -> None:
    """With an r before it the option is the mount's and that of every mount below."""
    before, present, absent = ATTRIBUTES[option]
    with nested(runtime.directory / "source", *before.split()) as source:
        found = shown(runtime, with_mounts(runtime, "", rbind("/x", source, f"r{option}")))
    for path in ("/x", "/x/below"):
        assert set(present.split()) <= found[path].flags, path
        assert not set(absent.split()) & found[path].flags, path


def test_norelatime(runtime: Caller) -> None:
    """norelatime chooses no other access time; rnorelatime takes the kernel's choice everywhere."""
    with nested(runtime.directory / "source", "noatime") as source:
        found = shown(
            runtime, with_mounts(runtime, "", rbind("/x", source, "norelatime"), rbind("/y", source, "rnorelatime"))
        )
    assert "noatime" in found["/x"].flags
    assert all("relatime" in found[path].flags for path in ("/y", "/y/below"))


@pytest.mark.parametrize("option", ["nosymfollow", "rnosymfollow"])
def test_nosymfollow_follows_none(runtime: Caller, option: str) -> None:
    """A symbolic link on the mount is not followed."""
    source = runtime.directory / "source"
    source.mkdir()
    (source / "file").write_text("text\n")
    (source / "link").symlink_to("file")
    bundle = with_mounts(
        runtime, "cat /x/file; cat /x/link 2>/dev/null || readlink /x/link", bind("/x", source, option)
    )
    assert runtime.run(bundle).ok().out == "text\nfile\n"


@pytest.mark.parametrize(
    ("option", "script"),
    [
        ("ro", "touch /x/new"),
        ("noexec", "/x/program"),
        ("nodev", "head -c 1 /x/null"),
    ],
)
def test_what_an_attribute_forbids(runtime: Caller, option: str, script: str) -> None:
    """Without the option it works, with it it does not."""
    source = runtime.directory / "source"
    source.mkdir()
    (source / "program").write_text("#!/bin/sh\n")
    (source / "program").chmod(0o755)
    os.mknod(source / "null", 0o020666, os.makedev(1, 3))
    codes = []
    for options in ([], [option]):
        bundle = runtime.shell(f"{script} 2>/dev/null")
        bundle.config["mounts"].append(bind("/x", source, *options))
        codes.append(runtime.run(bundle.save()).code)
    assert codes[0] == 0
    assert codes[1] != 0


@pytest.mark.proves("/mounts/*/options")
@pytest.mark.parametrize("option", PROPAGATION)
@pytest.mark.parametrize("recursive", ["", "r"])
def test_propagation_option(runtime: Caller, recursive: str, option: str) -> None:
    """The propagation is the mount's; with an r before it that of every mount below too."""
    with nested(runtime.directory / "source") as source:
        for path in (source, source / "below"):
            subprocess.run(["mount", "--make-shared", path], check=True)
        bundle = with_mounts(runtime, "", rbind("/x", source, recursive + option))
        bundle.linux["rootfsPropagation"] = "shared"  # else nothing in the container is a peer of the host's
        found = shown(runtime, bundle)
        bundle.config["mounts"][-1]["options"] = ["rbind"]
        plain = shown(runtime, bundle)
    expected = PROPAGATION[option]
    assert found["/x"].propagates() >= expected
    assert option in ("shared", "slave") or found["/x"].propagates() == expected
    if recursive:
        assert found["/x/below"].propagates() >= expected
        assert option in ("shared", "slave") or found["/x/below"].propagates() == expected
    else:
        assert found["/x/below"].propagates() == plain["/x/below"].propagates()


@pytest.mark.proves("/mounts/*/options")
@pytest.mark.parametrize("option", SUPERBLOCK)
def test_file_system_option(runtime: Caller, option: str) -> None:
    """The file system has it; without the option it does not."""
    found = shown(runtime, with_mounts(runtime, "", mount("/x", "tmpfs", "tmpfs", option), mount("/y")))
    assert SUPERBLOCK[option] in found["/x"].superblock
    assert SUPERBLOCK[option] not in found["/y"].superblock


@pytest.mark.parametrize("option", OFF)
def test_file_system_option_off(runtime: Caller, option: str) -> None:
    """It takes back what an option before it asked for, and what a remount finds."""
    mounts = (
        mount("/x", "tmpfs", "tmpfs", OFF[option], option),
        mount("/y", "tmpfs", "tmpfs", OFF[option]),
        mount("/y", "tmpfs", "tmpfs", "remount", option),
    )
    found = shown(runtime, with_mounts(runtime, "", *mounts))
    assert OFF[option] not in found["/x"].superblock
    assert OFF[option] not in found["/y"].superblock


def mount_calls(runtime: Caller, *options: str) -> str:
    """The calls of mount(2) that init makes for a tmpfs with these options."""
    trace = runtime.directory / "trace"
    bundle = with_mounts(runtime, "true", mount("/x", "tmpfs", "marked", *options))
    command = runtime.command("run", "--bundle", bundle.directory, runtime.new_id())
    subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=mount", *command], check=True, timeout=60)
    return "\n".join(line for line in trace.read_text().splitlines() if '"marked"' in line)


@pytest.mark.proves("/mounts/*/options")
@pytest.mark.parametrize("option", [*CALLED, *NOT_CALLED])
def test_option_that_the_kernel_shows_nowhere(runtime: Caller, option: str) -> None:
    """The flag is in the call; the option that takes it back leaves no such call."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    if option in CALLED:
        assert CALLED[option] in mount_calls(runtime, option)
    else:
        assert mount_calls(runtime, NOT_CALLED[option], option) == ""


@pytest.mark.proves("/mounts/*/options")
def test_remount(runtime: Caller) -> None:
    """remount changes the mount that is there: its attributes and its file system's options, or with bind the first only."""
    mounts = (
        mount("/x", "tmpfs", "tmpfs", "size=64k", "nosuid"),
        mount("/x", "tmpfs", "tmpfs", "remount", "size=128k", "nodev"),
        mount("/y", "tmpfs", "tmpfs", "size=64k"),
        mount("/y", "tmpfs", "tmpfs", "remount", "bind", "ro"),
    )
    found = shown(runtime, with_mounts(runtime, "", *mounts))
    assert "size=128k" in found["/x"].superblock
    assert "nodev" in found["/x"].flags
    assert "ro" in found["/y"].flags
    assert "rw" in found["/y"].superblock


def test_defaults(runtime: Caller) -> None:
    """defaults asks for nothing."""
    found = shown(runtime, with_mounts(runtime, "", mount("/x", "tmpfs", "t", "defaults"), mount("/y", "tmpfs", "t")))
    assert found["/x"].flags == found["/y"].flags
    assert found["/x"].superblock == found["/y"].superblock


def test_unknown_option_is_the_file_systems(runtime: Caller) -> None:
    """What no table knows goes to the file system, which refuses what it does not know; the message names the mount."""
    found = shown(runtime, with_mounts(runtime, "", mount("/x", "tmpfs", "tmpfs", "nr_inodes=77")))
    assert "nr_inodes=77" in found["/x"].superblock
    err = runtime.run(with_mounts(runtime, "", mount("/x", "tmpfs", "tmpfs", "nosuchoption=1"))).failed(1).err
    assert "/mounts/" in err
    assert "nosuchoption=1" in err
