"""Containers that could change the host's own mounts. The host is here a mount namespace of the test's, whose mounts are
shared among the namespaces that are made from it, as they are under systemd; none is a peer of the machine's."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from tests.integration.bundle import Bundle
from tests.security.attack import Target, attack
from tests.security.test_symlinked_paths import volume

# Of procfs and sysfs there is what this makes. The root file system is a mount of its own, so that what is made private
# for it is not the mount of /. crun refuses a hybrid host, so the v2 hierarchy goes.
HOST = """
umount -l /sys/fs/cgroup/unified 2> /dev/null
awk '($3 == "proc" && $2 != "/proc") || ($3 == "sysfs" && $2 != "/sys") {{print $2}}' /proc/mounts | xargs -r umount -l
{prepare}
mount --bind "$1" "$1"
mkdir "$0/proc"
mount -t proc proc "$0/proc"
mount --make-rshared /
shift
({look}) > "$0/before"
"$@" > "$0/out" 2> "$0/err" < /dev/null
echo $? > "$0/code"
({look}) > "$0/after"
"""
IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]


class Outcome:
    """What `look` prints on that host before and after the container, and how the container ended.

    ``apart``: the runtime runs in a mount namespace that is not that of the host's first process. ``prepare``: what the
    host's script does before the rest, where $0 is a directory of its own, and $1 the bundle's root. ``user``: the host is
    in a user namespace of its own.
    """

    def __init__(
        self,
        target: Target,
        bundle: Bundle,
        look: str,
        *options: str,
        apart: bool = False,
        terminal: bool = False,
        prepare: str = "",
        user: bool = False,
    ) -> None:
        caller = target.caller
        directory = caller.directory / "host"
        directory.mkdir()
        program = caller.program if target.ours else str(shutil.which(target.name))
        run = [program, *caller.command("run", "--bundle", bundle.directory, *options, caller.new_id())[1:]]
        if apart:
            run = ["unshare", "--mount", *run]
        if terminal:
            run = ["script", "-qec", shlex.join(map(str, run)), "/dev/null"]
        script = ["sh", "-c", HOST.format(look=look, prepare=prepare), str(directory), str(bundle.rootfs)]
        host = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc"]
        if user:  # where the v2 hierarchy would be locked
            outer = ["unshare", "--mount", "sh", "-c", 'umount -l /sys/fs/cgroup/unified 2> /dev/null; exec "$@"', "sh"]
            host = [*outer, "unshare", "--user", "--map-root-user", *host[1:]]
        subprocess.run([*host, *script, *run], check=False, timeout=60)
        found = {file.name: file.read_text() for file in directory.iterdir() if file.is_file()}
        self.before, self.out, self.err = found["before"], found["out"], found["err"]
        # Where the host's root has become another one, there is no file to write to.
        self.after, self.code = found.get("after", ""), int(found.get("code", "-1"))


@attack(
    "own find",
    "--no-pivot with a shared root: unmounting /proc and /sys for the container unmounts them on the host",
    stops="their parent mounts are made slaves first, so nothing propagates to the host",
    bites=("runc", "crun"),
)
def test_no_pivot_with_a_shared_root(target: Target) -> None:
    """The container runs, and the host has its /proc and /sys after it, and every procfs below that."""
    bundle = target.caller.shell("true")
    bundle.linux["rootfsPropagation"] = "rshared"
    look = "ls -d /proc/self /sys/kernel; wc -l < /proc/self/mountinfo"
    outcome = Outcome(target, bundle.save(), look, "--no-pivot")
    assert outcome.before.split()[:2] == ["/proc/self", "/sys/kernel"]
    target.judge(outcome.after != outcome.before, outcome.err)
    assert outcome.code == 0, outcome.err


@attack(
    "own find",
    "--no-pivot leaves the host's procfs in the namespace: a process in a new user namespace may then mount"
    " another one, without the container's masks",
    stops="every procfs and sysfs outside the container's root is detached, or covered where that is not allowed",
    bites=("crun",),
)
@pytest.mark.parametrize("user_namespace", [False, True])
def test_no_pivot_leaves_no_procfs(target: Target, user_namespace: bool) -> None:
    """Of two procfs of the host, one at a place of its own, none lets the container's process mount a third. In a user
    namespace they are locked. (runc withstands.)"""
    bundle = target.caller.shell("unshare -U -r -m -p -f sh -c 'mount -t proc proc /mnt && echo mounted'")
    (bundle.rootfs / "mnt").mkdir()
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    if user_namespace:
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = IDS
        bundle.directory.chmod(0o755)
    outcome = Outcome(target, bundle.save(), "true", "--no-pivot")
    target.judge("mounted" in outcome.out, outcome.err)
    assert "mount" in outcome.err or not target.ours


# A procfs that cannot be reached by its path: below a mount that does not have that path, below one that has it, and where
# the bundle itself lies below the cover.
COVERED = {
    "missing": 'mkdir -p "$0/d/proc"; mount -t proc proc "$0/d/proc"; mount -t tmpfs cover "$0/d"',
    "there": 'mkdir -p "$0/d/proc"; mount -t proc proc "$0/d/proc"; mount -t tmpfs cover "$0/d"; mkdir "$0/d/proc"',
    "bundle": 'cd "$0/.."; mkdir hidden; mount -t proc proc hidden; mount --bind . .; cd /',
}


@attack(
    "own find",
    "the same with a procfs that another mount of the host covers",
    stops="the covering mount is detached first; if that fails, so does create",
    bites=("runc", "crun"),
)
@pytest.mark.parametrize("cover", COVERED)
@pytest.mark.parametrize("user_namespace", [False, True])
def test_no_pivot_leaves_no_covered_procfs(target: Target, cover: str, user_namespace: bool) -> None:
    """The container's process mounts no other one. In a user namespace, where the cover is locked, it is an error that says
    why. (runc fails where the path is there, since the procfs is not mounted on it.)"""
    bundle = target.caller.shell("unshare -U -r -m -p -f sh -c 'mount -t proc proc /mnt && echo mounted'")
    (bundle.rootfs / "mnt").mkdir()
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    if user_namespace:
        bundle.linux["namespaces"].append({"type": "user"})
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = IDS
        bundle.directory.chmod(0o755)
    look = "wc -l < /proc/self/mountinfo"
    outcome = Outcome(target, bundle.save(), look, "--no-pivot", prepare=COVERED[cover])
    if cover == "missing" or target.name != "runc":
        target.judge("mounted" in outcome.out, outcome.err)
    if target.ours:
        assert outcome.after == outcome.before
        assert ("lies over a procfs" if user_namespace else "mount") in outcome.err, outcome.err


@attack(
    "own find",
    "a container mounts a file over a masked one: with a shared root the mount propagates to the host's /dev/null",
    stops="the mount that masks a file has no peers",
    bites=("crun",),
)
def test_mount_over_a_masked_file(target: Target) -> None:
    """The host's /dev/null is the device. (runc 1.1.5 withstands.)"""
    bundle = target.caller.shell("echo evil > /file; mount -o bind /file /proc/keys && cat /proc/keys")
    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][kind] = ["CAP_SYS_ADMIN"]
    bundle.linux["rootfsPropagation"] = "rshared"
    outcome = Outcome(target, bundle.save(), "stat -c %F /dev/null")
    assert outcome.out == "evil\n", outcome.err
    target.judge(outcome.after != outcome.before, outcome.after)


@attack(
    "own find",
    "the same in the caller's user namespace, over a device or sysfs bound from the caller because none can be created",
    stops="these binds have no peers",
    bites=("crun",),
)
def test_mount_over_a_bound_device(target: Target) -> None:
    """The caller's /dev/zero and /sys are what they were. (runc makes no such container.)"""
    bundle = target.caller.shell(
        "echo evil > /file; for at in /dev/zero /sys/devices/system/cpu/online; do mount -o bind /file $at; cat $at; done"
    )
    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][kind] = ["CAP_SYS_ADMIN"]
    bundle.linux.update(rootfsPropagation="rshared", namespaces=[{"type": "mount"}], maskedPaths=[], readonlyPaths=[])
    del bundle.config["hostname"], bundle.linux["cgroupsPath"]
    bundle.config["mounts"] = [
        one for one in bundle.config["mounts"] if one["destination"] in ("/proc", "/dev", "/sys")
    ]
    outcome = Outcome(target, bundle.save(), "stat -c %F /dev/zero; grep -c /file /proc/self/mountinfo", user=True)
    assert outcome.out == "evil\nevil\n", outcome.err
    target.judge(outcome.after != outcome.before, outcome.after)


@attack(
    "own find",
    "a config without a mount namespace has mounts: they are made on the host",
    stops="properties that need a mount namespace are errors without one",
    bites=("runc", "crun"),
)
def test_mounts_without_a_namespace(target: Target) -> None:
    """The host has the mounts that it had, and the error names the property."""
    bundle = target.caller.shell("true").share_mounts()
    bundle.config["mounts"] = [{"destination": "/tmp", "type": "tmpfs", "source": "of-the-container"}]
    outcome = Outcome(target, bundle.save(), "grep -c of-the-container /proc/self/mountinfo")
    target.judge(outcome.after != outcome.before, outcome.err)
    if target.ours:
        assert outcome.code == 1
        assert "/mounts" in outcome.err


@attack(
    "own find",
    "a container joins the runtime's own mount namespace, or that of the host's first process, by path: the container's root"
    " becomes the host's",
    stops="a mount namespace to join is compared with both, when the config is checked and again by init, on the"
    " descriptor",
    bites=("runc", "crun"),
)
@pytest.mark.parametrize("path", ["/proc/self/ns/mnt", "/proc/1/ns/mnt"])
def test_join_the_hosts_mount_namespace(target: Target, path: str) -> None:
    """The host's root is what it was, and the error names the namespace. The first process is one of a pid namespace of the
    test's, and for its path the runtime stands in another mount namespace."""
    bundle = target.caller.shell("true")
    next(one for one in bundle.linux["namespaces"] if one["type"] == "mount")["path"] = path
    outcome = Outcome(target, bundle.save(), "ls -di / /etc", apart="1" in path)
    target.judge(outcome.after != outcome.before, outcome.err)
    if target.ours:
        assert outcome.code != 0
        assert "/linux/namespaces/" in outcome.err
        assert "host" in outcome.err


@attack(
    "own find",
    "the host's /dev or /sys is bound shared below a shared root: the terminal on /dev/console, masks and"
    " read-only paths appear on the host",
    stops="the parent mount leaves its peer group while the runtime mounts something of its own on it",
    bites=("crun",),
)
def test_own_mounts_below_a_shared_bind(target: Target) -> None:
    """The host's /dev/console is no terminal of the container, and no path of its /sys is masked or read-only; in
    the container the bind is shared, as was asked for. (runc 1.1.5 withstands.)"""
    bundle = target.caller.shell("grep -c ' / /dev .* shared:' /proc/self/mountinfo; echo to-console > /dev/console")
    bundle.linux["rootfsPropagation"] = "rshared"
    mounts = bundle.config["mounts"]
    mounts[:] = [one for one in mounts if not one["destination"].startswith(("/dev", "/sys"))]
    for path in ("/dev", "/sys"):
        mounts.append({"destination": path, "source": path, "type": "bind", "options": ["rbind", "rshared"]})
    bundle.process["terminal"] = True
    bundle.linux["maskedPaths"], bundle.linux["readonlyPaths"] = (
        ["/sys/firmware", "/sys/kernel/vmcoreinfo"],
        ["/sys/fs"],
    )
    outcome = Outcome(
        target, bundle.save(), "awk '$5 ~ \"^/(dev|sys)\" {{print $5}}' /proc/self/mountinfo", terminal=True
    )
    target.judge(outcome.after != outcome.before, (outcome.err, outcome.after))
    if target.ours:
        assert outcome.code == 0, outcome.err
        # script(1) types the end of its input at some time, and the terminal shows that.
        assert outcome.out.replace("^@", "").split() == ["1", "to-console"], outcome.out


@attack(
    "own find",
    'a bind meant to be read-only has a misspelt option ("readonly"): it is silently writable',
    stops="an unknown option of a bind is an error that names it",
    bites=("runc", "crun"),
)
def test_misspelt_option(target: Target) -> None:
    """The host's file is as it was."""
    bundle = target.caller.shell("echo changed > /volume/file")
    (volume(bundle, "/volume", "readonly") / "file").write_text("as it was")
    result = target.caller.run(bundle.save())
    target.judge((bundle.directory / "volume/file").read_text() != "as it was", result)
    if target.ours:
        assert '"readonly"' in result.failed(1).err
