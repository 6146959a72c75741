"""Device nodes: the defaults, those of the config, the symlinks, and what may be opened."""

from __future__ import annotations

import os

import pytest

from tests.integration.caller import Caller
from tests.integration.resources.readings import Counters, limited, on_v1

DEFAULTS = {"null": "1,3", "zero": "1,5", "full": "1,7", "random": "1,8", "urandom": "1,9", "tty": "5,0"}


@pytest.mark.kernel
def test_default_devices(runtime: Caller) -> None:
    """The six default devices are there with their numbers, mode 666, and work."""
    script = "cd /dev; for d in null zero full random urandom tty; do stat -c '%n %t,%T %a %F' $d; done"
    lines = runtime.run(runtime.shell(script)).ok().out.splitlines()
    assert lines == [f"{name} {numbers} 666 character special file" for name, numbers in DEFAULTS.items()]
    script = "head -c 4 /dev/zero | od -An -tx1; echo x > /dev/null; echo x 2>&- > /dev/full || echo full"
    assert runtime.run(runtime.shell(script)).ok().out.split() == ["00", "00", "00", "00", "full"]


@pytest.mark.proves_operation("symlink")
def test_symlinks(runtime: Caller) -> None:
    """/dev/fd, stdin, stdout, stderr, ptmx and core lead where they should."""
    out = runtime.run(runtime.shell("cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done")).ok().out
    assert out.split() == ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx"]


@pytest.fixture(scope="module")
def extra() -> tuple[int, int]:
    """Numbers of a character device that is not among the defaults and that anybody may open."""
    for path in ("/dev/fuse", "/dev/loop-control", "/dev/net/tun", "/dev/tty1"):
        try:
            os.close(os.open(path, os.O_RDWR))
        except OSError:
            continue
        number = os.stat(path).st_rdev
        return os.major(number), os.minor(number)
    pytest.skip("the machine has no device for the test")


def device(path: str, **change: object) -> dict[str, object]:
    return {"path": path, "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 7, **change}


@pytest.mark.proves("/linux/devices")
@pytest.mark.proves("/linux/devices/*/type")
@pytest.mark.proves("/linux/devices/*/path")
@pytest.mark.proves("/linux/devices/*/major")
@pytest.mark.proves("/linux/devices/*/minor")
@pytest.mark.proves("/linux/devices/*/fileMode")
@pytest.mark.proves("/linux/devices/*/uid")
@pytest.mark.proves("/linux/devices/*/gid")
def test_devices_of_the_config(runtime: Caller) -> None:
    """A device has the type, numbers, mode and owner of the config; parents are made."""
    bundle = runtime.shell("cd /dev; stat -c '%n %t,%T %a %u %g %F' mine deep/er pipe; stat -c '%F' block")
    bundle.linux["devices"] = [
        device("/dev/mine"),
        device("/dev/deep/er", minor=5, fileMode=0o604, uid=0, gid=0),
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
        device("/dev/block", type="b", major=7, minor=0),
    ]
    assert runtime.run(bundle.save()).ok().out.splitlines() == [
        "mine 1,3 640 5 7 character special file",
        "deep/er 1,5 604 0 0 character special file",
        "pipe 0,0 600 0 0 fifo",
        "block special file",
    ]


def test_mode_is_not_cut_by_the_umask(runtime: Caller) -> None:
    """The caller's umask does not change a device's mode."""
    bundle = runtime.shell("stat -c %a /dev/mine /dev/null")
    bundle.linux["devices"] = [device("/dev/mine", fileMode=0o666)]
    assert runtime.run(bundle.save(), preexec_fn=lambda: os.umask(0o77)).ok().out.split() == ["666", "666"]


def test_default_device_that_exists(runtime: Caller) -> None:
    """A rootfs that brings its own /dev/null node (no /dev mount) works, a wrong node in its place is not taken."""
    bundle = runtime.shell("echo x > /dev/null; stat -c '%t,%T' /dev/null")
    bundle.config["mounts"] = [
        entry for entry in bundle.config["mounts"] if not entry["destination"].startswith("/dev")
    ]
    assert runtime.run(bundle.save()).ok().out == "1,3\n"


@pytest.mark.kernel
def test_denied_device(runtime: Caller, extra: tuple[int, int]) -> None:
    """A device that no rule allows cannot be opened, though its node can be made."""
    caps = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"]
    bundle = runtime.shell(
        f"mknod /tmp/node c {extra[0]} {extra[1]} && echo made; (exec 3</tmp/node) 2>&1 | grep -o 'not permitted'",
        {"process": {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), caps)}},
    )
    assert runtime.run(bundle).ok().out == "made\nnot permitted\n"


@pytest.mark.proves("/linux/resources/devices/*/allow")
@pytest.mark.proves("/linux/resources/devices/*/type")
@pytest.mark.proves("/linux/resources/devices/*/major")
@pytest.mark.proves("/linux/resources/devices/*/minor")
@pytest.mark.proves("/linux/resources/devices/*/access")
@pytest.mark.kernel
def test_allowed_device(runtime: Caller, extra: tuple[int, int]) -> None:
    """A rule of the config opens a device, only with the access that it names."""
    bundle = runtime.shell("(exec 3</dev/x && echo read); (exec 3>/dev/x) 2>&1 | grep -o 'not permitted'")
    bundle.linux["devices"] = [device("/dev/x", major=extra[0], minor=extra[1], fileMode=0o666)]
    rule = {"type": "c", "major": extra[0], "minor": extra[1]}
    bundle.linux["resources"]["devices"].append({"allow": True, **rule, "access": "r"})
    assert runtime.run(bundle.save()).ok().out == "read\nnot permitted\n"


@pytest.mark.proves("/linux/resources/devices")
def test_rules_in_order(runtime: Caller, extra: tuple[int, int]) -> None:
    """A later rule overrides an earlier one."""
    bundle = runtime.shell("(exec 3</dev/x) 2>&1 | grep -o 'not permitted'")
    bundle.linux["devices"] = [device("/dev/x", major=extra[0], minor=extra[1], fileMode=0o666)]
    rule = {"type": "c", "major": extra[0], "minor": extra[1], "access": "rwm"}
    bundle.linux["resources"]["devices"] += [{"allow": True, **rule}, {"allow": False, **rule}]
    assert runtime.run(bundle.save()).ok().out == "not permitted\n"


def test_exec_is_under_the_same_rules(runtime: Caller, extra: tuple[int, int]) -> None:
    """A process that exec added is denied the same devices."""
    bundle = runtime.sleeper()
    bundle.linux["devices"] = [device("/dev/x", major=extra[0], minor=extra[1], fileMode=0o666)]
    id = runtime.launch(bundle.save())
    assert runtime.exec(id, "(exec 3</dev/x) 2>&1 | grep -o 'not permitted'").ok().out == "not permitted\n"


def test_dev_null_of_the_host_is_replaced(runtime: Caller) -> None:
    """A standard stream that is the host's /dev/null becomes the container's."""
    out = runtime.finish(runtime.launch(runtime.shell("stat -L -c %d /dev/stdin /dev/null"))).split()
    assert out[0] == out[1]


@pytest.mark.not_on("runc", reason="sorts the rules")
@pytest.mark.proves("/linux/resources/devices")
def test_the_kernel_lists_the_rules_of_the_config(runtime: Caller) -> None:
    """On v1 a rule is listed with the access that the config gives, beside the right to make nodes that every container has."""
    if not on_v1("devices"):
        pytest.skip("v2 has a program, and no list")
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "b", "major": 8, "minor": 20, "access": "rw"},
        {"allow": True, "type": "b", "major": 10, "minor": 200, "access": "r"},
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
    ]
    id = runtime.launch(limited(runtime, "sleep 100", devices=rules))
    listed = (Counters(runtime, id).directory("devices") / "devices.list").read_text().splitlines()
    assert {"b 8:20 rw", "b 10:200 r", "c 10:229 rwm", "b *:* m"} <= set(listed)


@pytest.mark.not_on("runc", "crun", reason="leaves it out without a word")
def test_another_device_at_ptmx(runtime: Caller) -> None:
    """What /dev/ptmx cannot be is told, and it leads to the container's own terminals."""
    bundle = runtime.shell("readlink /dev/ptmx")
    bundle.linux["devices"] = [{"path": "/dev/ptmx", "type": "c", "major": 1, "minor": 5}]
    result = runtime.run(bundle.save()).ok()
    assert result.out == "pts/ptmx\n"
    assert "/linux/devices/0: not made" in result.err
