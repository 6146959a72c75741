"""Mounts of every kind with their options, masked and read-only paths, the root file system."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.integration.caller import Caller
from tests.integration.mounts import bind, mount, options_of, with_mounts


@pytest.mark.proves("/mounts/*/type")
@pytest.mark.proves("/mounts/*/options")
@pytest.mark.kernel
def test_tmpfs_options(runtime: Caller) -> None:
    """Flags and data of a tmpfs arrive."""
    bundle = with_mounts(
        runtime, "", mount("/x", "tmpfs", "tmpfs", "nosuid", "nodev", "noexec", "mode=1750", "size=64k")
    )
    flags, _, kind, data = options_of(runtime, bundle, "/x")
    assert {"nosuid", "nodev", "noexec", "rw"} <= flags
    assert kind == "tmpfs"
    assert {"mode=1750", "size=64k"} <= data


@pytest.mark.parametrize(
    ("option", "flag"),
    [
        ("ro", "ro"),
        ("nosuid", "nosuid"),
        ("nodev", "nodev"),
        ("noexec", "noexec"),
        ("noatime", "noatime"),
        ("nodiratime", "nodiratime"),
        ("relatime", "relatime"),
        ("nosymfollow", "nosymfollow"),
    ],
)
def test_flag_of_a_bind(runtime: Caller, option: str, flag: str) -> None:
    """Each flag is set on a bind mount too, where the kernel ignores it at the first call."""
    if option == "nosymfollow" and runtime.name in ("runc", "crun"):
        pytest.skip(f"{runtime.name}: does not know it")
    source = runtime.directory / "source"
    source.mkdir()
    flags = options_of(runtime, with_mounts(runtime, "", bind("/x", source, option)), "/x")[0]
    assert flag in flags


def test_strictatime(runtime: Caller) -> None:
    """strictatime takes the default relatime away."""
    bundle = with_mounts(runtime, "", mount("/x", "tmpfs", "tmpfs", "strictatime"))
    assert not {"relatime", "noatime"} & options_of(runtime, bundle, "/x")[0]


def test_later_option_wins(runtime: Caller) -> None:
    """Of two options that contradict each other the last one counts."""
    bundle = with_mounts(runtime, "", mount("/x", "tmpfs", "tmpfs", "ro", "rw", "noexec", "exec"))
    flags = options_of(runtime, bundle, "/x")[0]
    assert "rw" in flags
    assert "noexec" not in flags


@pytest.mark.proves("/mounts/*/destination")
@pytest.mark.proves("/mounts/*/source")
def test_bind_of_a_directory_and_a_file(runtime: Caller) -> None:
    """A source directory gets a directory, a source file a file, both made where they are missing."""
    source = runtime.directory / "source"
    source.mkdir()
    (source / "inside").write_text("from directory\n")
    (runtime.directory / "file").write_text("from file\n")
    bundle = with_mounts(
        runtime,
        "cat /deep/down/dir/inside /other/name; echo back > /deep/down/dir/new",
        bind("/deep/down/dir", source),
        bind("/other/name", runtime.directory / "file"),
    )
    assert runtime.run(bundle).ok().out == "from directory\nfrom file\n"
    assert (source / "new").read_text() == "back\n"


@pytest.mark.proves("/mounts/*/source")
def test_bind_source_relative_to_the_bundle(runtime: Caller) -> None:
    """A relative source counts from the bundle."""
    bundle = with_mounts(runtime, "cat /x", bind("/x", "local"))
    (bundle.directory / "local").write_text("local\n")
    assert runtime.run(bundle).ok().out == "local\n"


def test_bind_source_behind_a_closed_directory(runtime: Caller) -> None:
    """The host's side opens the source, so a directory that only the host's root may enter is no obstacle."""
    closed = runtime.directory / "closed"
    closed.mkdir(mode=0o700)
    (closed / "file").write_text("reached\n")
    assert runtime.run(with_mounts(runtime, "cat /x", bind("/x", closed / "file"))).ok().out == "reached\n"


def test_missing_bind_source(runtime: Caller) -> None:
    """A source that is not there is named."""
    result = runtime.run(with_mounts(runtime, "true", bind("/x", "/no/such/source"))).failed(1)
    assert "/no/such/source" in result.err


@pytest.mark.proves("/mounts/*/options")
def test_bind_and_rbind(runtime: Caller) -> None:
    """rbind brings the mounts below, bind does not."""
    source = runtime.directory / "source"
    (source / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", source / "below"], check=True)
    try:
        (source / "below/file").touch()
        recursive = {**bind("/with", source), "options": ["rbind"]}
        bundle = with_mounts(runtime, "ls /with/below /without/below", recursive, bind("/without", source))
        out = runtime.run(bundle).ok().out
    finally:
        subprocess.run(["umount", source / "below"], check=True)
    assert out.split() == ["/with/below:", "file", "/without/below:"]


@pytest.mark.not_on("runc", reason="1.1 has no recursive ro on every path")
def test_recursive_read_only(runtime: Caller) -> None:
    """rro makes what is mounted below read-only as well, ro does not."""
    source = runtime.directory / "source"
    (source / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", source / "below"], check=True)
    try:
        bundle = with_mounts(
            runtime,
            "touch /all/below/a 2>/dev/null || echo all; touch /top/below/b && echo top; touch /top/c 2>/dev/null || echo ro",
            {**bind("/all", source), "options": ["rbind", "rro"]},
            {**bind("/top", source), "options": ["rbind", "ro"]},
        )
        out = runtime.run(bundle).ok().out
    finally:
        subprocess.run(["umount", source / "below"], check=True)
    assert out.split() == ["all", "top", "ro"]


@pytest.mark.parametrize(
    ("option", "expected"),
    [("private", []), ("shared", ["shared:"]), ("slave", ["master:"]), ("unbindable", ["unbindable"])],
)
def test_propagation(runtime: Caller, option: str, expected: list[str]) -> None:
    """The propagation of a bind is the one asked for."""
    source = runtime.directory / "source"
    source.mkdir()
    subprocess.run(["mount", "--bind", source, source], check=True)
    try:
        subprocess.run(["mount", "--make-shared", source], check=True)
        bundle = with_mounts(runtime, "", bind("/x", source, option))
        bundle.linux["rootfsPropagation"] = "slave"
        fields = options_of(runtime, bundle, "/x")[1]
    finally:
        subprocess.run(["umount", "-l", source], check=True)
    assert [name.rstrip("0123456789") for name in fields if not name.startswith("propagate")] == expected or (
        option == "shared" and "shared:" in "".join(fields)  # it may stay the slave that the tree's root was
    )


def test_mounts_do_not_reach_the_host(runtime: Caller) -> None:
    """What is mounted in the container stays there."""
    caps = {"capabilities": {name: ["CAP_SYS_ADMIN"] for name in ("bounding", "effective", "permitted")}}
    bundle = runtime.shell("mkdir /m; mount -t tmpfs none /m && echo mounted", {"process": caps})
    assert runtime.run(bundle).ok().out == "mounted\n"  # the fixture compares the mount tables


@pytest.mark.proves("/mounts")
def test_order_of_mounts(runtime: Caller) -> None:
    """Mounts are made in the order of the config: a later one may lie on an earlier."""
    bundle = with_mounts(
        runtime, "ls -d /a/b; mount | grep -c ' /a'", mount("/a"), mount("/a/b"), mount("/a/b", "tmpfs", "second")
    )
    assert runtime.run(bundle).ok().out.split() == ["/a/b", "3"]


@pytest.mark.proves("/mounts/*/options")
@pytest.mark.not_on("crun", reason="copies otherwise")
def test_tmpcopyup(runtime: Caller) -> None:
    """tmpcopyup fills the tmpfs with what the directory held."""
    bundle = with_mounts(
        runtime, "cat /data/one /data/sub/two; echo new > /data/one", mount("/data", "tmpfs", "t", "tmpcopyup")
    )
    bundle.write("/data/one", "1\n")
    bundle.write("/data/sub/two", "2\n")
    assert runtime.run(bundle).ok().out == "1\n2\n"
    assert (bundle.rootfs / "data/one").read_text() == "1\n"


@pytest.mark.not_on("runc", "crun", reason="the tmpfs is root's")
@pytest.mark.parametrize(("options", "owner"), [([], "1000:50"), (["uid=7"], "7:0"), (["gid=8"], "0:8")])
def test_tmpcopyup_has_the_owner_of_what_it_covers(runtime: Caller, options: list[str], owner: str) -> None:
    """So whoever owned the directory can write to the tmpfs, unless its own options name another owner."""
    row = mount("/data", "tmpfs", "t", "tmpcopyup", *options)
    bundle = with_mounts(runtime, "stat -c '%a %u:%g' /data", row)
    (bundle.rootfs / "data").mkdir()
    os.chown(bundle.rootfs / "data", 1000, 50)
    (bundle.rootfs / "data").chmod(0o2750)
    assert runtime.run(bundle).ok().out == f"2750 {owner}\n"


@pytest.mark.proves("/mounts/*/destination")
def test_symlink_in_the_destination(runtime: Caller) -> None:
    """A symlink in a destination is followed inside the root, never outside."""
    outside = runtime.directory / "outside"
    outside.mkdir()
    bundle = with_mounts(runtime, "touch /inside/link/file; ls /real", mount("/inside/link"))
    (bundle.rootfs / "inside").mkdir()
    (bundle.rootfs / "inside/link").symlink_to("/real")
    (bundle.rootfs / "real").mkdir()
    assert runtime.run(bundle).ok().out == "file\n"
    (bundle.rootfs / "inside/link").unlink()
    (bundle.rootfs / "inside/link").symlink_to("../../../../../../../.." + str(outside))
    runtime.run(bundle)
    assert list(outside.iterdir()) == []


@pytest.mark.proves("/root/readonly")
def test_read_only_root(runtime: Caller) -> None:
    """root.readonly: the root is read-only, mounts on it stay writable."""
    bundle = runtime.shell("touch /x 2>/dev/null || echo ro; touch /dev/shm/x && echo rw")
    bundle.config["root"]["readonly"] = True
    assert runtime.run(bundle.save()).ok().out == "ro\nrw\n"


@pytest.mark.proves("/root")
@pytest.mark.proves_operation("pivot")
@pytest.mark.kernel
def test_the_root_is_the_bundles(runtime: Caller) -> None:
    """`/` is the root file system and has its own ``..``; no mount of the host is in the container's table."""
    bundle = runtime.shell("ls /; cat /mine /../mine; cut -d' ' -f5 /proc/self/mountinfo")
    bundle.write("/mine", "here\n")
    out = runtime.run(bundle).ok().out.split()
    names = sorted(os.listdir(bundle.rootfs))
    assert out[: len(names) + 2] == [*names, "here", "here"]
    own = ("/", "/proc", "/dev", "/sys")
    assert [
        path
        for path in out[len(names) + 2 :]
        if path not in own and not path.startswith(tuple(f"{p}/" for p in own[1:]))
    ] == []


@pytest.mark.proves("/root/path")
def test_root_path_absolute(runtime: Caller) -> None:
    """root.path may be absolute."""
    bundle = runtime.shell("echo root")
    bundle.config["root"]["path"] = str(bundle.rootfs)
    assert runtime.run(bundle.save()).ok().out == "root\n"


def test_the_old_root_is_gone(runtime: Caller) -> None:
    """After the pivot the host's tree is nowhere to be found."""
    out = runtime.run(runtime.shell("cat /proc/self/mountinfo | cut -d' ' -f5; ls -a /")).ok().out.split()
    assert not [name for name in out if "old" in name or "pivot" in name]
    assert runtime.directory.name not in " ".join(out)


@pytest.mark.proves("/linux/maskedPaths")
def test_masked_paths(runtime: Caller) -> None:
    """A masked file reads as empty, a masked directory is empty, and a missing path is no error."""
    bundle = runtime.shell(
        "cat /secret; ls -A /vault; touch /vault/x 2>/dev/null || echo ro; test -e /none || echo none"
    )
    bundle.write("/secret", "visible\n")
    bundle.write("/vault/file", "visible\n")
    bundle.linux["maskedPaths"] = ["/secret", "/vault", "/none", "/proc/kcore"]
    assert runtime.run(bundle.save()).ok().out == "ro\nnone\n"


@pytest.mark.proves("/linux/readonlyPaths")
def test_readonly_paths(runtime: Caller) -> None:
    """A read-only path cannot be written, keeps its contents, and keeps its other flags."""
    bundle = runtime.shell(
        "cat /f; echo x 2>/dev/null > /f || echo no; echo 1 2>/dev/null > /proc/sys/kernel/panic || echo no"
    )
    bundle.write("/f", "text\n")
    bundle.linux["readonlyPaths"] = ["/f", "/none", "/proc/sys"]
    assert runtime.run(bundle.save()).ok().out == "text\nno\nno\n"
    flags = options_of(runtime, bundle, "/proc/sys")[0]
    assert "ro" in flags


def test_cgroup_mount(runtime: Caller) -> None:
    """The cgroup mount shows the container's own cgroup as the root of each hierarchy."""
    bundle = runtime.shell("ls /sys/fs/cgroup; find /sys/fs/cgroup -name cgroup.procs | head -1 | xargs grep -c .")
    out = runtime.run(bundle).ok().out.split()
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        assert "cgroup.procs" in out
    else:
        assert "memory" in out
        assert "pids" in out
    assert int(out[-1]) <= 4  # this container's processes only


def test_cgroup_mount_is_read_only(runtime: Caller) -> None:
    """With `ro` nothing under /sys/fs/cgroup can be written."""
    script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir $d/x 2>/dev/null && echo made $d; done; true"
    assert runtime.run(runtime.shell(script)).ok().out == ""


def test_sysfs_and_proc_are_the_containers(runtime: Caller) -> None:
    """proc shows the container's processes, sysfs its network."""
    out = runtime.run(runtime.shell("ls /proc | grep -c '^[0-9]'; ls /sys/class/net")).ok().out.split()
    assert int(out[0]) <= 4
    assert out[1:] == ["lo"]


def test_mount_through_proc_is_refused(runtime: Caller) -> None:
    """A mount on a path of /proc that is not one of the harmless ones is refused: it could hide what is checked."""
    source = runtime.directory / "source"
    source.mkdir()
    runtime.run(with_mounts(runtime, "true", bind("/proc/sys", source))).failed(1)


def test_unknown_file_system(runtime: Caller) -> None:
    """A type that the kernel does not know fails, and the message names the destination."""
    assert "/x" in runtime.run(with_mounts(runtime, "true", mount("/x", "nosuchfs"))).failed(1).err


@pytest.mark.proves("/mounts/*/type")
def test_long_data(runtime: Caller) -> None:
    """Options longer than 255 bytes arrive: an overlay's lowerdir is."""
    layers = []
    for number in range(8):
        layer = runtime.directory / f"a-rather-long-name-of-a-layer-{number}"
        layer.mkdir()
        (layer / f"file{number}").touch()
        layers.append(str(layer))
    lower = f"lowerdir={':'.join(layers)}"
    assert len(lower) > 300
    bundle = with_mounts(runtime, "ls /x", mount("/x", "overlay", "overlay", lower))
    assert runtime.run(bundle).ok().out.split() == [f"file{number}" for number in range(8)]


def test_no_pivot(runtime: Caller) -> None:
    """--no-pivot runs, by moving the root, and exec enters the same root."""
    bundle = runtime.sleeper()
    bundle.write("/mark", "here\n")
    id = runtime.launch(bundle, "--no-pivot")
    assert runtime.exec(id, ["cat", "/mark"]).ok().out == "here\n"


@pytest.mark.proves("/linux/rootfsPropagation")
@pytest.mark.parametrize("name", ["shared", "slave", "private", "rshared", "rslave", "rprivate", "unbindable"])
def test_rootfs_propagation(runtime: Caller, name: str) -> None:
    """rootfsPropagation is the root mount's."""
    if runtime.name == "runc" and name in ("shared", "rshared", "unbindable"):
        pytest.skip("runc: sets it on the host's root, not on the container's")
    bundle = runtime.shell("")
    bundle.linux["rootfsPropagation"] = name
    fields = options_of(runtime, bundle, "/")[1]
    kinds = [field.partition(":")[0] for field in fields]
    expected = {"shared": ["shared"], "unbindable": ["unbindable"]}.get(name.removeprefix("r"), [])
    assert [kind for kind in kinds if kind in ("shared", "unbindable")] == expected


@pytest.mark.proves("/mounts/*/destination")
def test_mount_on_a_file(runtime: Caller) -> None:
    """A file can be bound on a file; a directory on a file, a file on a directory and a tmpfs on a file are refused by name."""
    directory, file = runtime.directory / "directory", runtime.directory / "file"
    directory.mkdir()
    file.write_text("bound\n")
    bundle = with_mounts(runtime, "cat /f", bind("/f", file))
    bundle.write("/f", "covered\n")
    assert runtime.run(bundle).ok().out == "bound\n"
    assert (bundle.rootfs / "f").read_text() == "covered\n"
    for wrong in (bind("/f", directory), bind("/tmp", file), mount("/f")):
        bundle.config["mounts"][-1] = wrong
        err = runtime.run(bundle.save()).failed(1).err
        if runtime.name == "ocirun":
            assert "/mounts/7: " in err
            assert "directory" in err


@pytest.mark.proves("/mounts/*/destination")
@pytest.mark.not_on("crun", reason="makes no file behind a link")
def test_missing_targets_behind_a_link(runtime: Caller) -> None:
    """What is missing behind a link is made inside the root, where the link leads to seen from there."""
    file = runtime.directory / "file"
    file.write_text("bound\n")
    bundle = with_mounts(runtime, "cat /real/a/b/f; ls -d /real/a/c/d", bind("/link/a/b/f", file), mount("/link/a/c/d"))
    (bundle.rootfs / "link").symlink_to("/real")
    assert runtime.run(bundle).ok().out == "bound\n/real/a/c/d\n"
    assert (bundle.rootfs / "real/a/b/f").is_file()


@pytest.mark.proves("/mounts/*/destination")
@pytest.mark.not_on("runc", "crun", reason="other versions of the specification")
def test_relative_destination(runtime: Caller) -> None:
    """A destination that is not absolute counts from the root, with a warning."""
    result = runtime.run(with_mounts(runtime, "grep -c ' /x/y ' /proc/self/mountinfo", mount("x/y"))).ok()
    assert result.out == "1\n"
    assert "/mounts/7/destination" in result.err


@pytest.mark.proves_operation("propagation")
@pytest.mark.kernel
@pytest.mark.vm
@pytest.mark.parametrize("propagation", ["", "shared"])
@pytest.mark.parametrize("user", [False, True])
def test_nothing_reaches_a_host_with_shared_mounts(runtime: Caller, user: bool, propagation: str) -> None:
    """Where `/` is shared, as systemd makes it, what the container mounts is not mounted on the host too."""
    bundle = runtime.shell("grep -c . /proc/self/mountinfo")
    if user:
        ids = [{"containerID": 0, "hostID": 100000, "size": 1000}]
        bundle.linux.update(uidMappings=ids, gidMappings=ids)
        bundle.linux["namespaces"].append({"type": "user"})
    if propagation:
        bundle.linux["rootfsPropagation"] = propagation
    command = runtime.command("run", "--bundle", bundle.save().directory, runtime.new_id())
    script = '"$@" || exit 2; grep / /proc/self/mountinfo >"$0"'
    after = runtime.directory / "after"
    shared = ["unshare", "--mount", "--propagation", "shared", "sh", "-c", script, str(after), *command]
    done = subprocess.run(shared, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 5
    assert [line for line in after.read_text().splitlines() if runtime.token in line] == []


@pytest.mark.not_on("runc", "crun", reason="runc 1.1.5 fails on the mask, crun 1.8.1 leaves the root writable")
@pytest.mark.parametrize("how", ["pivot", "no pivot", "user", "shared"])
def test_what_leads_to_the_root(runtime: Caller, how: str) -> None:
    """By /, or by a link of the image: read-only it is the root itself, and nothing is mounted over it."""
    bundle = runtime.shell("touch /written; touch /tmp/written")
    (bundle.rootfs / "slash").symlink_to("/")
    bundle.config["mounts"].append(mount("/tmp", "tmpfs"))
    if how == "user":
        ids = [{"containerID": 0, "hostID": 0, "size": 65536}]
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.linux.update(uidMappings=ids, gidMappings=ids)
    if how == "shared":
        bundle.linux["rootfsPropagation"] = "shared"
    options = ["--no-pivot"] if how == "no pivot" else []
    bundle.linux["readonlyPaths"] = ["/slash"]
    done = runtime.run(bundle.save(), *options)
    assert done.err == "touch: /written: Read-only file system\n"
    source = runtime.directory / f"source-{how}"
    source.mkdir()
    for change, entry in (
        ({}, bind("/slash", source)),
        ({}, mount("/slash", "tmpfs")),
        ({"maskedPaths": ["/slash"]}, None),
    ):
        bundle.config["mounts"][-1] = entry or mount("/tmp", "tmpfs")
        bundle.linux.update(change)
        assert "it leads to the container's root" in runtime.run(bundle.save(), *options).failed(1).err
