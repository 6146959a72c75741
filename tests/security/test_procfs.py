"""Attempts to make what is written to procfs, or to /sys/fs/cgroup, go where the attacker wants it."""

from __future__ import annotations

from tests.integration.caller import Caller
from tests.security.attack import Target, attack
from tests.security.test_symlinked_paths import volume

IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
PORT = "net.ipv4.ip_unprivileged_port_start"


@attack(
    "CVE-2019-16884, CVE-2025-52881, CVE-2025-62596",
    "a volume over /proc fakes the file a setting is written to",
    stops="settings are written through init's own detached procfs; each file is verified to be on procfs",
)
def test_volume_over_proc(target: Target) -> None:
    """The sysctl takes effect and the fake stays as it was. (runc refuses such a mount, crun 1.8.1 writes to the right
    file; labels go the same way and
    are tried where there is an LSM.)"""
    bundle = target.caller.shell("mount -t proc proc /mnt && cat /mnt/sys/net/ipv4/ip_unprivileged_port_start")
    (bundle.rootfs / "mnt").mkdir()
    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][kind] = ["CAP_SYS_ADMIN"]
    fake = volume(bundle, "/proc") / "sys/net/ipv4/ip_unprivileged_port_start"
    fake.parent.mkdir(parents=True)
    fake.write_text("fake")
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.linux["sysctl"] = {PORT: "81"}
    result = target.caller.run(bundle.save())
    target.judge(fake.read_text() != "fake" or (result.code == 0 and result.out != "81\n"), result)
    result.ok()


@attack(
    "CVE-2023-25809",
    "in a user namespace without a cgroup namespace the host's /sys/fs/cgroup is writable",
    stops="the binds of the hierarchies are read-only if the config says so, and if the host's whole tree is visible",
    bites=("crun",),
)
def test_writable_cgroups(target: Target) -> None:
    """Nothing can be made in any hierarchy, though its files belong to the container's root. (runc 1.1.5 is cured.)"""
    caller: Caller = target.caller
    bundle = caller.shell(
        "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/made 2> /dev/null && echo $d; done; true"
    )
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = IDS
    bundle.directory.chmod(0o755)
    result = caller.run(bundle.save())
    result.ok()
    target.judge(result.out, result.out)


@attack(
    "CVE-2026-115521",
    "a fake /proc/self/fd redirects the remount that makes a path read-only",
    stops="mount_setattr sets attributes on the mount's descriptor; no path goes through /proc",
)
def test_redirected_readonly(target: Target) -> None:
    """/proc of the container is a volume with every self/fd/N a link to /decoy; what was to be read-only is. (runc refuses the
    mount, crun 1.8.1 withstands.)"""
    bundle = target.caller.shell(
        "( : > /etc/made ) 2> /dev/null && echo written; ( : > /kept/made ) 2> /dev/null && echo written; true"
    )
    (bundle.rootfs / "decoy").mkdir()
    fake = volume(bundle, "/proc") / "self/fd"
    fake.mkdir(parents=True)
    for number in range(64):
        (fake / str(number)).symlink_to("/decoy")
    volume(bundle, "/kept", "ro", name="kept")
    bundle.linux["maskedPaths"], bundle.linux["readonlyPaths"] = [], ["/etc"]
    result = target.caller.run(bundle.save())
    result.ok()
    target.judge(result.out)
