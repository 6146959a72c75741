"""Mount options that cannot be honoured, and those for symbolic links: in containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.caller import Caller
from tests.integration.mounts import bind, mount, shown, shown_in, with_mounts

MAPS = [{"containerID": 0, "hostID": 0, "size": 65536}]
HERE_ONLY = pytest.mark.not_on("runc", "crun", reason="say nothing")


@HERE_ONLY
@pytest.mark.parametrize(
    ("option", "hint"),
    [("readonly", '"ro"'), ("rprivte", '"rprivate"'), ("nsdelegate", ""), ("nosiud", '"nosuid"')],
)
def test_unknown_option_of_a_bind(runtime: Caller, option: str, hint: str) -> None:
    """An unknown option of a bind is an error that names it, and what may be meant: without it the bind could be writable."""
    err = runtime.run(with_mounts(runtime, "true", bind("/x", runtime.directory, option))).failed(1).err
    assert "/mounts/" in err
    assert f'"{option}"' in err
    assert f"did you mean {hint}" in err or not hint


@pytest.mark.parametrize("option", ["copy", "nocopy"])
def test_word_of_podman(runtime: Caller, option: str) -> None:
    """`podman run -v NAME:/x:nocopy` passes its word on, which is done with."""
    assert runtime.run(with_mounts(runtime, "echo ran", bind("/x", runtime.directory, option))).ok().out == "ran\n"


@HERE_ONLY
@pytest.mark.parametrize(
    "option", ["sync", "dirsync", "lazytime", "async", "iversion", "rsync", "X-mount.subdir=a", "size=1k"]
)
def test_file_system_option_of_a_bind(runtime: Caller, option: str) -> None:
    """A bind cannot change the file system: a warning that names the option."""
    result = runtime.run(with_mounts(runtime, "true", bind("/x", runtime.directory, option))).ok()
    assert "warning: config.json" in result.err
    assert f'"{option}" is not done' in result.err


@HERE_ONLY
@pytest.mark.parametrize("option", ["nsdelegate", "readonly"])
def test_unknown_option_of_a_cgroup_mount(runtime: Caller, option: str) -> None:
    """The hierarchies are the host's: no option of theirs is taken."""
    bundle = runtime.shell("true")
    entry = next(one for one in bundle.config["mounts"] if one["type"] == "cgroup")
    entry["options"].append(option)
    assert f'"{option}" is not an option of type "cgroup"' in runtime.run(bundle.save()).failed(1).err


@HERE_ONLY
def test_recursive_read_only_cgroup_mount(runtime: Caller) -> None:
    """rro makes each of the hierarchies read-only."""
    bundle = runtime.shell("true")
    entry = next(one for one in bundle.config["mounts"] if one["type"] == "cgroup")
    entry["options"] = ["nosuid", "noexec", "nodev", "rro"]
    found = [one for path, one in shown(runtime, bundle).items() if path.startswith("/sys/fs/cgroup")]
    assert found
    assert all("ro" in one.flags for one in found)


@pytest.mark.not_on("runc", "crun", reason="have no such options")
@pytest.mark.parametrize("option", ["rsync", "rdirsync", "rmand"])
def test_recursive_file_system_option(runtime: Caller, option: str) -> None:
    """A new file system has it as without the r: nothing is mounted below."""
    assert (
        option[1:] in shown(runtime, with_mounts(runtime, "", mount("/x", "tmpfs", "tmpfs", option)))["/x"].superblock
    )


@pytest.mark.not_on("runc", "crun", reason="have no such options")
@pytest.mark.parametrize(("on", "off"), [("sync", "rasync"), ("mand", "rnomand")])
def test_recursive_file_system_option_off(runtime: Caller, on: str, off: str) -> None:
    """It takes back what an option before it asked for, and what a remount finds, which says that it goes no deeper."""
    mounts = (mount("/x", "tmpfs", "tmpfs", on, off), mount("/y", "tmpfs", "tmpfs", on))
    bundle = with_mounts(runtime, "cat /proc/self/mountinfo", *mounts, mount("/y", "tmpfs", "tmpfs", "remount", off))
    result = runtime.run(bundle).ok()
    found = shown_in(result.out)
    assert on not in found["/x"].superblock | found["/y"].superblock
    assert f'"{off}" is done as "{off[1:]}"' in result.err


def link(directory: Path, target: str) -> Path:
    path = directory / "a-link"
    path.symlink_to(target)
    return path


@pytest.mark.not_on("runc", reason="has no copy-symlink")
@pytest.mark.proves("/mounts/*/options")
@pytest.mark.parametrize("user_namespace", [False, True])
def test_copy_symlink(runtime: Caller, user_namespace: bool) -> None:
    """A source that is a symbolic link is made again in the container, also one to nowhere; a file is bound."""
    (runtime.directory / "file").write_text("text\n")
    bundle = with_mounts(
        runtime,
        "readlink /a/link; cat /b",
        bind("/a/link", link(runtime.directory, "no/where"), "copy-symlink"),
        bind("/b", runtime.directory / "file", "copy-symlink"),
    )
    if user_namespace:
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = MAPS
    assert runtime.run(bundle.save()).ok().out == "no/where\ntext\n"


@pytest.mark.not_on("runc", reason="has no copy-symlink")
@pytest.mark.parametrize("there", ["no/where", "else/where", ""])
def test_copy_symlink_to_what_is_there(runtime: Caller, there: str) -> None:
    """The same link may be there already; another one, or a file (here ""), is an error and stays."""
    bundle = with_mounts(runtime, "readlink /link", bind("/link", link(runtime.directory, "no/where"), "copy-symlink"))
    place = bundle.rootfs / "link"
    if there:
        place.symlink_to(there)
    else:
        place.touch()
    result = runtime.run(bundle)
    assert (result.code == 0) == (there == "no/where")
    assert result.out == ("no/where\n" if there == "no/where" else "")
    assert place.is_symlink() == bool(there)


@pytest.mark.not_on("runc", reason="has no src-nofollow")
@pytest.mark.not_on("crun", reason="Debian's has no src-nofollow")
@pytest.mark.proves("/mounts/*/options")
@pytest.mark.parametrize("source", ["link", "file"])
def test_nofollow(runtime: Caller, source: str) -> None:
    """src-nofollow binds a link itself; dest-nofollow mounts on the link that stands there, and leaves where it points."""
    (runtime.directory / "file").write_text("text\n")
    path = link(runtime.directory, "no/where") if source == "link" else runtime.directory / "file"
    bundle = with_mounts(
        runtime,
        "readlink /x; cat /x 2>/dev/null; cat /elsewhere",
        bind("/x", path, "src-nofollow", "dest-nofollow"),
        bind("/new", path, "src-nofollow"),
    )
    (bundle.rootfs / "elsewhere").write_text("untouched\n")
    (bundle.rootfs / "x").symlink_to("elsewhere")
    expected = "no/where\nuntouched\n" if source == "link" else "text\nuntouched\n"
    assert runtime.run(bundle).ok().out == expected


@pytest.mark.not_on("runc", "crun", reason="have other options")
@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["bind", "copy-symlink", "src-nofollow"], "src-nofollow"),
        (["remount", "dest-nofollow"], "dest-nofollow"),
        (["bind", "tmpcopyup"], "tmpcopyup"),
    ],
)
def test_options_that_do_not_go_together(runtime: Caller, options: list[str], name: str) -> None:
    """An error names one of them."""
    entry = {"destination": "/x", "type": "none", "source": str(runtime.directory), "options": options}
    assert f'"{name}"' in runtime.run(with_mounts(runtime, "true", entry)).failed(1).err
