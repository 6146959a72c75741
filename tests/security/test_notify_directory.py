"""The directory at /run/notify is the one place of the state directory that a container sees: a privileged one may change it, and what lies on it."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from runtime import kernel
from runtime.lifecycle import store
from tests.security.attack import Target, attack

IMMUTABLE, APPEND_ONLY = 0x10, 0x20
STRANGER = 4242
# The host is a mount namespace of the test's: shared, as under systemd, and no peer of the machine's.
HOST = """
mount -t tmpfs state "$STATE"
mount --bind "$BUNDLE" "$BUNDLE"
mount --make-rshared /
$RUNTIME create --bundle "$BUNDLE" "$ID" < /dev/null
$RUNTIME start "$ID" &
tries=0
while [ ! -e "$VOLUME/done" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
$RUNTIME delete --force "$ID"
echo $? > "$VOLUME/code"
"""


@attack(
    "own find",
    "with a shared root the container mounts another user's directory on /run/notify, and so on the host's state"
    " directory: delete empties it, and fails for ever",
    stops="the mount at /run/notify is not a peer of the host's; delete unmounts what is on it, and never crosses"
    " a mount",
)
def test_mount_on_notify(target: Target) -> None:
    """The user's file stays, and delete removes the container. (An earlier ocirun removed the file, which the container's root cannot read.)"""
    caller = target.caller
    volume = caller.directory / "volume"
    private = volume / "private"
    private.mkdir(parents=True)
    (private / "file").write_text("precious")
    os.chown(private, STRANGER, STRANGER)
    private.chmod(0o700)
    script = "rm -rf /volume/private; mount -o bind /volume/private /run/notify && touch /volume/done; sleep 100"
    bundle = caller.shell(script)
    bundle.linux["rootfsPropagation"] = "shared"
    bundle.process["capabilities"] = {name: ["CAP_SYS_ADMIN"] for name in ("bounding", "effective", "permitted")}
    mount = {"destination": "/volume", "type": "bind", "source": str(volume), "options": ["rbind"]}
    bundle.config["mounts"].append(mount)
    bundle.save()
    environment = {
        **os.environ,
        "STATE": str(caller.root),
        "BUNDLE": str(bundle.directory),
        "VOLUME": str(volume),
        "RUNTIME": " ".join(caller.command()),
        "ID": caller.new_id(),
        "NOTIFY_SOCKET": str(caller.directory / "nobody"),
    }
    apart = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    subprocess.run([*apart, "sh", "-c", HOST], env=environment, check=False, timeout=60)
    assert (volume / "done").exists(), "the container's mount failed"
    kept = (private / "file").exists()
    code = int((volume / "code").read_text())
    target.judge(not kept or code != 0, f"kept: {kept}, delete: {code}")


def forbid(path: Path, flags: int) -> None:
    """What chattr(1) does, as a container with CAP_LINUX_IMMUTABLE does it in its mount."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, kernel.FS_IOC_SETFLAGS, array.array("i", [flags, 0]))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY):
            pytest.skip(f"the file system of {path} has no flags")
        raise
    finally:
        os.close(descriptor)


@attack(
    "own find",
    "a container makes its mount at /run/notify writable and sets chattr +i and +a in it: it cannot be deleted",
    stops="delete clears both flags by descriptor, on regular files and directories only, where they prevent removal",
)
def test_immutable_below_notify(target: Target) -> None:
    """Files and directories with either flag go, the directory itself among them. (Known from an earlier ocirun.)"""
    caller = target.caller
    id = caller.create(caller.sleeper(), env={"NOTIFY_SOCKET": str(caller.directory / "nobody")})
    place = caller.root / id / store.NOTIFY
    for name, flag in (("i", IMMUTABLE), ("a", APPEND_ONLY)):
        (place / name / "below").mkdir(parents=True)
        (place / name / "file").write_text("")
        (place / name / "link").symlink_to("/etc")
        os.mkfifo(place / name / "fifo")
        for path in (place / name / "file", place / name / "below", place / name):
            forbid(path, flag)
    forbid(place, IMMUTABLE)
    told = caller.call("delete", "--force", id)
    left = (caller.root / id).exists()
    if left:
        subprocess.run(["chattr", "-R", "-i", "-a", str(place)], check=False)
    target.judge(told.code != 0 or left, told)
