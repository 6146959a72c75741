"""Containers of an ordinary user: with subordinate ids and without, with cgroups and without, and what is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot, terminal
from tests.integration.bundle import Bundle, merge
from tests.integration.caller import TREE, wait_for
from tests.integration.console import ConsoleSocket
from tests.integration.ordinary import GID, MORE_IDS, SIZE, SUBIDS, UID, User
from tests.integration.test_clocks import LOOK, OFFSETS, check

PEERS = ("runc", "crun")


@pytest.fixture
def as_user(runtime_program: str, workplace: Path, busybox: Path, token: str) -> Iterator[Callable[..., User]]:
    """Makes the user, with the view that the test asks for. At the end nothing may be left."""
    directory = workplace / token
    directory.mkdir()
    before = snapshot.take(token)
    made: list[User] = []

    def make(**view: Any) -> User:
        user = User(runtime_program, directory, token, busybox, **view)
        made.append(user)
        return user

    yield make
    for user in made:
        user.remove_all()
    left = snapshot.leftovers(before, token)
    if made:
        left |= {"state": made[0].known_ids()} if made[0].known_ids() else {}
        made[0].discard()
    assert not left, f"left behind: {left}"


@pytest.fixture
def user(as_user: Callable[..., User]) -> User:
    return as_user()


def needs_tools() -> None:
    if not (shutil.which("newuidmap") and shutil.which("newgidmap")):
        pytest.skip("newuidmap (uidmap) is not installed")


def printed(user: User, id: str, lines: int) -> None:
    """Wait for the output of a container that runs on."""
    wait_for(lambda: user.output(id).count("\n") >= lines, f"{lines} lines of output")


# Ids


def test_own_id_alone(as_user: Callable[..., User]) -> None:
    """Without subordinate ids and without newuidmap the user is root inside, and nobody else is there."""
    user = as_user(subids=False, tools=False)
    script = "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; touch /x; exec sleep 60"
    id = user.launch(user.shell(script))
    status = Path(f"/proc/{user.pid(id)}/status").read_text()
    assert f"Uid:\t{UID}\t{UID}" in status
    printed(user, id, 5)
    assert user.output(id).split() == ["0", "0", "0", str(UID), "1", "0", str(GID), "1", "deny"]


@pytest.mark.not_on("runc", reason="it refuses additional groups to every user")
def test_subordinate_ids(user: User) -> None:
    """With newuidmap and newgidmap there are other users and groups inside; setgroups stays allowed."""
    needs_tools()
    change = merge(MORE_IDS, {"process": {"user": {"uid": 1000, "gid": 1000, "additionalGids": [50]}}})
    script = "id -u; id -G; cat /proc/self/uid_map /proc/self/setgroups; exec sleep 60"
    id = user.launch(user.shell(script, change))
    printed(user, id, 5)
    status = Path(f"/proc/{user.pid(id)}/status").read_text()
    assert f"Uid:\t{SUBIDS + 999}\t" in status
    assert f"Groups:\t{SUBIDS + 49} " in status
    maps = ["0", str(UID), "1", "1", str(SUBIDS), str(SIZE)]
    assert user.output(id).split() == ["1000", "1000", "50", *maps, "allow"]
    assert user.exec(id, "id -u; id -g", "--user", "1:1").ok().out.split() == ["1", "1"]


@pytest.mark.not_on("runc", reason="it must give the standard streams away")
def test_subordinate_ids_alone(user: User) -> None:
    """The user's own id need not be mapped: one range of others is, and setgroups is allowed."""
    needs_tools()
    only = {"containerID": 0, "hostID": SUBIDS, "size": 1000}
    bundle = user.shell("id -u; id -G; cat /proc/self/setgroups", {"linux": {"uidMappings": [only]}})
    bundle.linux["gidMappings"] = [only]
    bundle.process["user"]["additionalGids"] = [7]
    # Its root is another user, to whom the way to the root file system must be open.
    user.view.home.chmod(0o755)
    assert user.run(bundle.save()).ok().out.split() == ["0", "0", "7", "allow"]


# Commands


def test_every_command(user: User) -> None:
    """From create to delete, with the state in the user's own runtime directory."""
    bundle = user.sleeper()
    id = user.create(bundle)
    state = user.state(id)
    assert (state["status"], state["id"], state["bundle"]) == ("created", id, str(bundle.directory))
    assert (user.root / id).is_dir()
    assert (user.root / id).stat().st_uid == UID
    assert user.root.stat().st_mode & 0o1777 == (0o700 if user.name == "crun" else 0o1700)
    user.start(id)
    assert user.status(id) == "running"
    assert user.exec(id, "id -u; hostname; exit 3").code == 3
    assert user.exec(id, ["cat", "/proc/1/cmdline"]).ok().out.startswith("sh\0-c\0trap")
    listed = user.call("list", "-q").ok().out.split()
    assert listed == [id]
    user.wait_handler(id)
    user.kill(id, "TERM")
    assert user.finish(id) == ""
    assert not (user.root / id).exists()


@pytest.mark.not_on("runc", "crun", reason="has no such command")
def test_verify(user: User) -> None:
    """The user can hold a running container against its config; before start only root may look into it."""
    bundle = user.sleeper({"linux": {"resources": None}})
    id = user.create(bundle)
    assert "root may, or the user" in user.call("verify", id).failed(2).err
    user.start(id)
    assert "differs" not in user.call("verify", id).ok().out
    bundle.process["oomScoreAdj"] = 500
    other = bundle.save().directory
    text = user.call("verify", "--bundle", other, "--pid", str(user.pid(id))).failed(1).out
    assert "/process/oomScoreAdj" in text


def test_delete_by_force(user: User) -> None:
    """A created and a running container are ended by `delete --force`."""
    for id in (user.create(user.sleeper()), user.launch(user.sleeper())):
        pid = user.pid(id)
        user.remove(id)
        assert snapshot.stat_fields(pid)[:1] in ([], ["Z"])


def test_exec_before_start(user: User) -> None:
    """Init shows nothing of itself to a user until it is the program: exec says to start first."""
    id = user.create(user.sleeper())
    if user.name in PEERS:
        pytest.skip("peers enter a created container by other ways")
    assert "start the container first" in user.exec(id, ["true"]).failed(255).err


def test_foreground(user: User) -> None:
    """`run` gives the program's output and exit status, and a terminal."""
    done = user.run(user.shell("echo out; echo err >&2; exit 7"))
    assert (done.code, done.out, done.err) == (7, "out\n", "err\n")
    bundle = user.shell("tty; sleep 0.5; stty size; exit 5", {"process": {"terminal": True}})
    command = user.command("run", "--bundle", bundle.directory, user.new_id())
    code, out = terminal.run(command, rows=33, columns=101, timeout=30)
    size = "stty: standard input: No child processes" if user.name == "crun" else "33 101"  # crun gives it none
    assert (code, out) == (5, f"/dev/pts/0\n{size}\n")


def test_console_socket(user: User) -> None:
    """The terminal of a detached container, and that of an exec, go to the caller's socket."""
    id = user.new_id()
    bundle = user.sleeper({"process": {"terminal": True}})
    with ConsoleSocket(user.view.run / "console") as console:
        os.lchown(console.path, UID, GID)
        user.create(bundle, "--console-socket", console.path, id=id)
        first = console.receive()
    with first, ConsoleSocket(user.view.run / "console") as console:
        os.lchown(console.path, UID, GID)
        user.start(id)
        user.call("exec", "--tty", "--detach", "--console-socket", console.path, id, "sh", "-c", "tty").ok()
        with console.receive() as second:
            assert "/dev/pts/1" in second.read_until("pts/1")


def test_hooks(user: User) -> None:
    """Every hook runs: those of the host as the user, those of the container as its root."""
    kinds = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    bundle = user.shell("echo main")
    log = bundle.directory / "log"
    log.touch()
    user.view.give(bundle.directory)
    bundle.write("/log", "")
    bundle.config["mounts"].append({"destination": "/log", "type": "bind", "source": str(log), "options": ["bind"]})
    bundle.config["hooks"] = {}
    for kind in kinds:
        words = f"cat > /dev/null; echo {kind} $(id -u) >> {'/log' if kind == 'startContainer' else log}"
        bundle.config["hooks"][kind] = [{"path": "/bin/sh", "args": ["sh", "-c", words], "env": ["PATH=/bin:/usr/bin"]}]
    assert user.run(bundle.save()).ok().out == "main\n"
    expected = [f"{kind} {0 if kind in ('createContainer', 'startContainer') else UID}" for kind in kinds]
    assert sorted(log.read_text().splitlines()) == sorted(expected)


def test_everything_inside(user: User) -> None:
    """Devices, pseudo terminals, shared memory, procfs and sysfs are as in any container."""
    script = (
        "echo x > /dev/null && stat -c '%t,%T' /dev/null /dev/zero /dev/tty; ls -d /dev/pts/ptmx /dev/shm /dev/mqueue;"
        " touch /dev/shm/x && echo shm; hostname; ls /dev/fd/ | head -1; ls -d /sys/class/net; ls /proc | grep -c '^[0-9]';"
        " touch /sys/x 2>&1 | grep -o Read-only; wc -c < /proc/keys; (echo 1 > /proc/sys/kernel/panic) 2> /dev/null || echo closed"
    )
    out = user.run(user.shell(script)).ok().out.split()
    devices = ["1,3", "1,5", "5,0"]
    rest = ["/dev/mqueue", "/dev/pts/ptmx", "/dev/shm", "shm", "box", "0", "/sys/class/net"]
    assert out[:10] == [*devices, *rest]
    assert int(out[10]) < 8
    assert out[11:] == ["Read-only", "0", "closed"]


def test_network_namespace(user: User) -> None:
    """A network namespace of its own is possible: sysfs is then new, loopback is up, and nothing else is there."""
    bundle = user.shell("ls /sys/class/net; ip addr show lo | grep -c 127.0.0.1; ls /sys/fs/cgroup | wc -l")
    bundle.linux["namespaces"].append({"type": "network"})
    sysfs = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
    bundle.config["mounts"][-1] = sysfs
    assert user.run(bundle.save()).ok().out.split() == ["lo", "1", "0"]


@pytest.mark.not_on("runc", reason="it asks for maps also where a namespace is joined")
def test_joined_namespaces(user: User) -> None:
    """A container of the user joins another's namespaces by path, the user namespace with them."""
    first = user.launch(user.sleeper())
    bundle = user.shell("readlink /proc/self/ns/user; hostname; id -u")
    for entry in bundle.linux["namespaces"]:
        name = {"mount": "", "pid": ""}.get(entry["type"], entry["type"])
        if name:
            entry["path"] = f"/proc/{user.pid(first)}/ns/{name}"
    for key in ("uidMappings", "gidMappings"):
        del bundle.linux[key]
    del bundle.config["hostname"]
    out = user.run(bundle.save()).ok().out.split()
    assert out == [os.readlink(f"/proc/{user.pid(first)}/ns/user"), "box", "0"]


@pytest.mark.not_on("crun", "runc", reason="they take no group that is not mapped, or no config without maps")
def test_inside_a_user_namespace(user: User) -> None:
    """A rootless manager calls as root of a user namespace; the config has none, and what the kernel refuses there is
    done otherwise: devices and sysfs are the host's, an unmapped group is left out with a warning."""
    user.inside = ["unshare", "--user", "--map-root-user", "--mount"]
    bundle = user.shell(
        "stat -c '%t,%T' /dev/null; ls -d /sys/class/net; cat /proc/self/uid_map; id -u; ls -d /dev/pts/ptmx"
    )
    kept = [entry for entry in bundle.linux["namespaces"] if entry["type"] not in ("user", "cgroup")]
    bundle.linux.update(namespaces=kept, uidMappings=None, gidMappings=None)
    bundle.config["linux"] = {key: value for key, value in bundle.linux.items() if value is not None}
    sysfs = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
    bundle.config["mounts"][-1] = sysfs
    pts = next(mount for mount in bundle.config["mounts"] if mount["destination"] == "/dev/pts")
    pts["options"].append("gid=5")
    done = user.run(bundle.save()).ok()
    assert done.out.split() == ["1,3", "/sys/class/net", "0", str(UID), "1", "0", "/dev/pts/ptmx"]
    if user.name not in PEERS:
        assert "gid=5 left out" in done.err


# spec


def spec_of(user: User, *program: str) -> dict[str, Any]:
    directory = user.view.home / (program[0] if program else "own")
    directory.mkdir()
    os.chown(directory, UID, GID)
    words = [*user.view.command, program[0] if program else user.program, "spec", "--rootless"]
    subprocess.run([*words, "--bundle", directory], check=True)
    spec: dict[str, Any] = json.loads((directory / "config.json").read_text())
    return spec


@pytest.mark.not_on("crun", reason="its config has no maps")
def test_spec_runs(user: User) -> None:
    """What `spec --rootless` writes is a container that the same user can run."""
    spec = spec_of(user)
    assert spec["linux"]["uidMappings"] == [{"containerID": 0, "hostID": UID, "size": 1}]
    assert spec["linux"]["gidMappings"] == [{"containerID": 0, "hostID": GID, "size": 1}]
    spec["process"].update(terminal=False, args=["sh", "-c", "id -u; touch /x 2>&1 | grep -o Read-only"])
    done = user.run(user.bundle(config=spec)).ok()
    assert (done.out.split(), done.err) == (["0", "Read-only"], "")


@pytest.mark.not_on("crun", reason="its config has no maps")
def test_spec_is_as_runcs(user: User) -> None:
    """The namespaces, maps and mounts are those of runc's `spec --rootless`; but no cgroups where no namespace of them
    is made, which would be the caller's. (crun's has no maps.)"""
    if not shutil.which("runc"):
        pytest.skip("runc is not installed")
    ours, theirs = spec_of(user), spec_of(user, "runc")

    def shape(spec: dict[str, Any]) -> dict[str, Any]:
        linux = spec["linux"]
        maps = [{key: row[key] for key in ("containerID", "hostID", "size")} for row in linux["uidMappings"]]
        mounts = {mount["destination"]: (mount["type"], set(mount.get("options") or ())) for mount in spec["mounts"]}
        kinds = {entry["type"] for entry in linux["namespaces"]}
        if "cgroup" not in kinds:
            mounts.pop("/sys/fs/cgroup", None)
        return {"namespaces": kinds, "maps": maps, "mounts": mounts, "resources": linux.get("resources")}

    assert shape(ours) == shape(theirs)


# cgroups


def in_cgroup(user: User, script: str, limits: dict[str, Any] | None = None, path: str = "") -> Bundle:
    linux: dict[str, Any] = {"cgroupsPath": path or f"/{user.token}/box"}
    if limits:
        linux["resources"] = limits
    return user.shell(script, {"linux": linux})


def test_no_cgroups_asked_for(user: User) -> None:
    """A config that says nothing of cgroups runs without them, and without a word."""
    done = user.run(user.shell("echo ran"))
    assert (done.code, done.out, done.err) == (0, "ran\n", "")


@pytest.mark.not_on("runc", "crun", reason="they refuse, or say nothing")
def test_unwritable_cgroups_warn(user: User) -> None:
    """A cgroup that cannot be made, and in which nothing was to be limited, is done without, and told once."""
    done = user.run(in_cgroup(user, "echo ran")).ok()
    assert done.out == "ran\n"
    assert re.fullmatch(
        r"ocirun: warning: config.json:\d+: /linux/cgroupsPath: done without: .*permission denied.*\n", done.err
    )


def test_a_limit_that_cannot_be_set(user: User) -> None:
    """A limit that was asked for and cannot be set is an error that says what is needed; nothing is left."""
    done = user.run(in_cgroup(user, "echo ran", {"pids": {"limit": 20}})).failed(1)
    assert done.out == ""
    if user.name not in PEERS:
        assert "/linux/resources/pids/limit: the limit cannot be set" in done.err
        assert "delegated" in done.err


@pytest.mark.not_on("runc", "crun", reason="the option is theirs in part")
def test_the_option_rootless(user: User) -> None:
    """`--rootless false` takes a cgroup that cannot be made for an error, `--cgroup-manager disabled` makes none."""
    user.options = ["--rootless", "false"]
    assert "permission denied" in user.run(in_cgroup(user, "echo ran")).failed(1).err
    user.options = ["--cgroup-manager", "disabled"]
    done = user.run(in_cgroup(user, "echo ran")).ok()
    assert done.out == "ran\n"
    assert "/linux/cgroupsPath: no cgroup is made" in done.err


@pytest.fixture
def delegated(token: str) -> Iterator[list[Path]]:
    """A cgroup of the user's own in each v1 hierarchy, as an administrator delegates one."""
    made = []
    for mount in snapshot.cgroup_mounts():
        if (mount / "cgroup.controllers").exists():
            continue
        directory = mount / token
        directory.mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (directory / name).exists():
                (directory / name).write_text((mount / name).read_text())
        for path in (directory, directory / "tasks", directory / "cgroup.procs"):
            os.chown(path, UID, GID)
        made.append(directory)
    if not made:
        pytest.skip("no cgroup v1 hierarchy here")
    yield made
    for directory in made:
        directory.rmdir()


@pytest.mark.not_on("crun", reason="it moves the container by the host's root only")
def test_delegated_cgroups(user: User, delegated: list[Path]) -> None:
    """In a cgroup that is delegated to the user the limits are set, hold, and are gone with the container."""
    bundle = in_cgroup(user, "cat /proc/self/cgroup; exec sleep 60", {"pids": {"limit": 20}})
    id = user.create(bundle)
    box = next(path for path in delegated if (path / "pids.max").exists()) / "box"
    assert (box / "pids.max").read_text() == "20\n"
    assert str(user.pid(id)) in (box / "cgroup.procs").read_text().split()
    user.start(id)
    assert user.exec(id, "grep -c box /proc/self/cgroup").ok().out != "0\n"
    user.remove(id)
    assert not box.exists()


# Refusals


@pytest.mark.not_on("crun", reason="it makes one of its own accord")
def test_without_a_user_namespace(user: User) -> None:
    """A config for root is refused with the way to one for the user."""
    bundle = user.bundle()
    bundle.linux["namespaces"] = [entry for entry in bundle.linux["namespaces"] if entry["type"] != "user"]
    for key in ("uidMappings", "gidMappings"):
        del bundle.linux[key]
    done = user.run(bundle.save()).failed(1)
    if user.name not in PEERS:
        assert "/linux/namespaces: without root a container needs a user namespace" in done.err
        assert "ocirun spec --rootless" in done.err


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"tools": False}, f"newuidmap is not installed, .* the caller's own id, {UID}, .* install uidmap"),
        ({"subids": False}, "newuidmap .*/etc/subuid has no range for ocirun-user: as root, usermod --add-subuids"),
    ],
    ids=["no newuidmap", "no subuid"],
)
def test_ids_that_cannot_be_mapped(as_user: Callable[..., User], view: dict[str, bool], words: str) -> None:
    """The error says what is missing, and how to get it."""
    needs_tools()
    user = as_user(**view)
    done = user.run(user.shell("true", MORE_IDS)).failed(1)
    if user.name not in PEERS:
        assert re.search(f"config.json:\\d+: /linux/uidMappings: {words}", done.err), done.err
        assert done.err.count("\n") == 1


def test_ids_of_somebody_else(user: User) -> None:
    """Ids beyond the user's ranges: the error names those that there are."""
    needs_tools()
    bundle = user.shell("true", MORE_IDS)
    bundle.linux["uidMappings"][1]["hostID"] = SUBIDS - 1
    done = user.run(bundle.save()).failed(1)
    if user.name not in PEERS:
        assert f"ocirun-user may map {SUBIDS} to {SUBIDS + SIZE - 1} (/etc/subuid)" in done.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"uid": 1000}, "/process/user/uid: user 1000 is not mapped in the user namespace; .*uidMappings"),
        ({"gid": 1000}, "/process/user/gid: group 1000 is not mapped in the user namespace; .*gidMappings"),
        ({"additionalGids": [0]}, "/process/user/additionalGids: the user namespace denies setgroups"),
    ],
    ids=["uid", "gid", "groups"],
)
def test_a_user_who_is_not_there(user: User, change: dict[str, Any], words: str) -> None:
    """A user or group without a map, and groups where only one is mapped, are refused with the place."""
    if user.name == "crun" and "additionalGids" in change:
        pytest.skip("crun leaves the groups out without a word")
    done = user.run(user.shell("true", {"process": {"user": change}})).failed(1)
    if user.name not in PEERS:
        assert re.search(words, done.err), done.err


@pytest.mark.parametrize("kind", ["network", "ipc"])
def test_a_namespace_of_somebody_else(user: User, kind: str) -> None:
    """A namespace of root's, or of another user's, cannot be joined, and the error says why."""
    bundle = user.bundle()
    path = f"/proc/{os.getpid()}/ns/{'net' if kind == 'network' else kind}"
    spaces = [entry for entry in bundle.linux["namespaces"] if entry["type"] != kind]
    bundle.linux["namespaces"] = [*spaces, {"type": kind, "path": path}]
    done = user.run(bundle.save()).failed(1)
    if user.name not in PEERS:
        assert re.search(r"/linux/namespaces/\d+: .*: (permission denied|operation not permitted); ", done.err)


@pytest.mark.not_on("runc", "crun", reason="their words differ")
def test_no_place_for_the_state(user: User) -> None:
    """Without XDG_RUNTIME_DIR and without /run/user the error says what to set."""
    user.inside = ["env", "-u", "XDG_RUNTIME_DIR"]
    done = user.run(user.shell("true")).failed(1)
    assert f"make /run/user/{UID}/{user.name}: " in done.err
    assert "set XDG_RUNTIME_DIR or give --root" in done.err


def test_another_users_container(user: User, as_user: Callable[..., User], runtime_program: str) -> None:
    """A container of root's cannot be entered, killed or removed by the user."""
    if user.name in PEERS:
        pytest.skip("their words differ")
    root = user.directory / "state"
    bundle = user.shell("exec sleep 60")
    subprocess.run(
        [runtime_program, "--root", root, "run", "--detach", "--bundle", bundle.directory, user.token],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    try:
        root.chmod(0o755)
        user.options = ["--root", str(root)]
        for words in (["exec", user.token, "true"], ["kill", user.token], ["delete", "--force", user.token]):
            assert "permission denied" in user.call(*words).failed().err
    finally:
        subprocess.run([runtime_program, "--root", root, "delete", "--force", user.token], check=True)


# The demo


def test_demo(user: User) -> None:
    """`make demo` of an ordinary user: what is not limited is said, the rest is refused as it is for root's."""
    if user.name in PEERS:
        pytest.skip("the demo is ocirun's")
    command = [*user.view.command, str(TREE / ".venv/bin/python"), str(TREE / "conformance/demo/demo.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert "✘" not in done.stdout
    assert done.stdout.count("✔") == 8
    assert done.stderr == ""


@pytest.mark.not_on(*PEERS, reason="these versions know no time namespace")
def test_clocks(user: User) -> None:
    """A time namespace's offsets are written by the user himself."""
    needs_tools()
    bundle = user.shell("cat /proc/self/timens_offsets")
    bundle.linux["namespaces"].append({"type": "time"})
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 7}}
    assert user.run(bundle.save()).ok().out.split()[-3:] == ["boottime", "7", "0"]


@pytest.mark.not_on(*PEERS, reason="these versions know no time namespace")
def test_clocks_of_exec(user: User) -> None:
    """exec enters the time namespace, too."""
    needs_tools()
    bundle = user.sleeper({"linux": {"timeOffsets": OFFSETS}})
    bundle.linux["namespaces"].append({"type": "time"})
    check(user.exec(user.launch(bundle.save()), LOOK).ok().out)


@pytest.mark.not_on(*PEERS, reason="have no such verb")
def test_mounts_of_a_container_that_runs(user: User) -> None:
    """A new file system can be added and removed; a bind of the host's takes rights over its mounts, which the error says."""
    id = user.launch(user.sleeper())
    new = [{"destination": "/tmp/new", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]}]
    user.call("mounts", "add", id, "-", stdin=json.dumps(new)).ok()
    assert "/tmp/new" in user.exec(id, ["cat", "/proc/self/mountinfo"]).ok().out
    user.call("mounts", "remove", id, "-", stdin=json.dumps(new)).ok()
    bound = [*new, {"destination": "/tmp/bound", "source": "/etc", "options": ["bind"]}]
    said = user.call("mounts", "add", id, "-", stdin=json.dumps(bound)).failed(1).err
    assert "/mounts/1: " in said
    assert "it takes CAP_SYS_ADMIN" in said
    assert "/tmp/new" not in user.exec(id, ["cat", "/proc/self/mountinfo"]).ok().out


# Seccomp


@pytest.mark.not_on(*PEERS, reason="has no such option")
@pytest.mark.parametrize("view", [{}, {"subids": False, "tools": False}], ids=["subordinate ids", "own id alone"])
def test_refused_calls_are_told(as_user: Callable[..., User], view: dict[str, Any]) -> None:
    """`run --seccomp-explain` needs no rights: it tells the calls, with their paths, and does what the profile says."""
    user = as_user(**view)
    rules = [
        {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["rmdir"], "action": "SCMP_ACT_KILL_PROCESS"},
    ]
    bundle = user.shell("mkdir /a; rmdir /b; exec rmdir /c")
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    result = user.run(bundle.save(), "--seccomp-explain").failed(128 + 31)
    assert "No space left" in result.err
    for call in ('mkdir("/a", 0777) fails with ENOSPC', 'rmdir("/b") kills its process'):
        assert call in result.err
    assert "refused or logged: mkdir, rmdir \u00d72" in result.err
