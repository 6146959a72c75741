"""mounts add and mounts remove: what a container that runs gets and loses, and what neither can reach."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.caller import Caller, Result, wait_for
from tests.integration.mounts import host_mount
from tests.integration.test_user_namespace_mounts import IDS

pytestmark = pytest.mark.not_on(
    "runc", "crun", reason="the one has no such verb, the installed release of the other neither"
)


MAPS = {f"{kind}Mappings": [{"containerID": 0, "hostID": 1, "size": 1}] for kind in ("uid", "gid")}
MAPPED = json.dumps([{"destination": "/x", "source": "/tmp", "options": ["bind", "idmap"], **MAPS}])


def bind(destination: str, source: Path | str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "none", "source": str(source), "options": ["bind", *options]}


def tmpfs(destination: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": list(options)}


def change(runtime: Caller, action: str, id: str, *mounts: dict[str, Any]) -> Result:
    return runtime.call("mounts", action, id, "-", stdin=json.dumps(mounts))


def mounted(runtime: Caller, id: str) -> dict[str, list[str]]:
    """The container's mounts: destination to the fields of mountinfo."""
    lines = runtime.exec(id, ["cat", "/proc/self/mountinfo"]).ok().out.splitlines()
    return {line.split()[4]: line.split() for line in lines}


@pytest.fixture
def source(runtime: Caller) -> Path:
    path = runtime.directory / "source"
    path.mkdir()
    (path / "file").write_text("of the host\n")
    return path


@pytest.mark.kernel
@pytest.mark.proves_operation("unmount")
def test_add_and_remove(runtime: Caller, source: Path) -> None:
    """A directory, a file and a new file system come with their options, are seen by what runs there, and go."""
    script = "while [ ! -e /mnt/file ]; do sleep 0.05; done; cat /mnt/file > /said; exec sleep 60"
    bundle = runtime.shell(script)
    id = runtime.launch(bundle)
    before = set(mounted(runtime, id))
    given = [
        bind("/mnt/directory", source, "ro", "nosuid"),
        tmpfs("/mnt/new", "size=64k", "nodev", "ro"),
        bind("/mnt/file", source / "file"),
    ]
    change(runtime, "add", id, *given).ok()
    wait_for(lambda: (bundle.rootfs / "said").read_text() == "of the host\n", "the host's file in the container")
    now = mounted(runtime, id)
    assert set(now) - before == {"/mnt/directory", "/mnt/new", "/mnt/file"}
    assert {"ro", "nosuid"} <= set(now["/mnt/directory"][5].split(","))
    assert {"ro", "nodev"} <= set(now["/mnt/new"][5].split(","))
    assert "size=64k" in now["/mnt/new"][-1]
    assert "shared:" not in str(now)
    hosts = Path("/proc/self/mountinfo").read_text()
    assert [name for name in ("directory", "new", "file") if f"/mnt/{name} " in hosts] == []
    change(runtime, "remove", id, *given).ok()
    assert set(mounted(runtime, id)) == before
    assert os.listdir(source) == ["file"]


def test_a_created_and_a_paused_container(runtime: Caller, source: Path) -> None:
    """They get mounts too; a stopped one does not, and one that is not there neither."""
    id = runtime.create(runtime.shell("cat /mnt/file; exec sleep 60"))
    change(runtime, "add", id, bind("/mnt", source)).ok()
    runtime.start(id)
    runtime.call("pause", id).ok()
    change(runtime, "add", id, tmpfs("/more")).ok()
    runtime.call("resume", id).ok()
    assert {"/mnt", "/more"} <= set(mounted(runtime, id))
    runtime.kill(id)
    runtime.wait_status(id)
    assert "container not running: it is stopped" in change(runtime, "add", id, tmpfs("/x")).failed(1).err
    assert "does not exist" in change(runtime, "remove", "nobody", tmpfs("/x")).failed(1).err


def test_one_that_fails_undoes_the_others(runtime: Caller, source: Path) -> None:
    """The error names the mount by its place in the file, and the container has none of them."""
    id = runtime.launch(runtime.sleeper())
    before = set(mounted(runtime, id))
    given = [tmpfs("/one"), bind("/two", source), bind("/three", "/no/such/source"), tmpfs("/four")]
    result = change(runtime, "add", id, *given).failed(1)
    assert "/mounts/2: " in result.err
    assert "/no/such/source" in result.err
    assert "no such file or directory" in result.err
    assert set(mounted(runtime, id)) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "line 1"),
        ("{}", "/mounts"),
        ('[{"type": "tmpfs"}]', "/mounts/0"),
        ('[{"destination": "/x"}]', "/mounts/0/type: a mount needs a type"),
        (
            '[{"destination": "/x", "type": "proc", "source": "proc"}]',
            "/mounts/0/type: a running container gets binds and tmpfs, not proc: mount it on the host, and bind it",
        ),
        (
            '[{"destination": "/x", "type": "ext4", "source": "/dev/vda"}]',
            "/mounts/0/type: a running container gets binds",
        ),
        ('[{"destination": "/x", "type": "overlay", "options": ["lowerdir=/etc"]}]', "binds and tmpfs, not overlay"),
        ('[{"destination": "/x", "type": "cgroup2"}]', "binds and tmpfs, not cgroup2"),
        (
            '[{"destination": "/proc", "options": ["remount", "rw"]}]',
            "/mounts/0/options: a mount of a running container",
        ),
        (
            MAPPED,
            "/mounts/0/options: id maps are for",
        ),
        (
            '[{"destination": "/", "source": "/tmp", "options": ["bind"]}]',
            "/mounts/0/destination: a mount on / would cover",
        ),
        (
            '[{"destination": "/proc/x", "source": "/tmp", "options": ["bind"]}]',
            "/mounts/0/destination: a mount inside /proc",
        ),
        ('[{"destination": "/x", "source": "/tmp", "options": ["bind", "rprivte"]}]', "did you mean"),
    ],
)
def test_what_is_refused(runtime: Caller, text: str, words: str) -> None:
    """A file that is wrong, and mounts that a container that runs cannot have: an error with the place, and no change."""
    id = runtime.launch(runtime.sleeper())
    before = set(mounted(runtime, id))
    assert words in runtime.call("mounts", "add", id, "-", stdin=text).failed(1).err
    assert set(mounted(runtime, id)) == before


def test_paths_stay_in_the_container(runtime: Caller, source: Path) -> None:
    """Symlinks of the container that lead outside lead to its own root, where the mount is then."""
    bundle = runtime.sleeper()
    (bundle.rootfs / "out").symlink_to("../../../../../etc")
    (bundle.rootfs / "absolute").symlink_to("/tmp")
    id = runtime.launch(bundle)
    token = f"planted-{runtime.token}"
    change(runtime, "add", id, bind(f"/out/{token}", source), bind(f"/absolute/{token}", source / "file")).ok()
    assert {f"/etc/{token}", f"/tmp/{token}"} <= set(mounted(runtime, id))
    assert not Path(f"/etc/{token}").exists()
    assert not Path(f"/tmp/{token}").exists()
    change(runtime, "remove", id, tmpfs(f"/out/{token}"), tmpfs(f"/absolute/{token}")).ok()
    assert not {f"/etc/{token}", f"/tmp/{token}"} & set(mounted(runtime, id))


def test_what_cannot_be_removed(runtime: Caller) -> None:
    """The root, procfs, sysfs and what covers their files stay, also by a symlink of the container; so does what is no mount."""
    bundle = runtime.sleeper()
    for name, target in (("p", "/proc"), ("top", "/"), ("link", "/dev/shm")):
        (bundle.rootfs / name).symlink_to(target)
    bundle.write("/plain/file", "")
    id = runtime.launch(bundle)
    before = set(mounted(runtime, id))
    assert {"/proc", "/sys", "/proc/sys", "/dev/shm"} <= before
    protected = "it is in or on procfs or sysfs"
    for path, words in (
        ("/", "the container's root stays"),
        ("/proc", protected),
        ("/sys", protected),
        ("/proc/sys", protected),
        ("/p/sys", protected),
        ("/top/proc", protected),
        ("/link", "nothing is mounted there"),
        ("/plain", "nothing is mounted there"),
        ("/plain/file", "nothing is mounted there"),
        ("/absent", "no such file or directory"),
        ("/absent/below", "no such file or directory"),
    ):
        result = change(runtime, "remove", id, tmpfs(path)).failed(1)
        assert words in result.err, path
        assert "/mounts/0" in result.err
    assert set(mounted(runtime, id)) == before
    assert not (bundle.rootfs / "absent").exists()
    change(runtime, "remove", id, tmpfs("/dev/shm")).ok()
    assert set(mounted(runtime, id)) == before - {"/dev/shm"}


def test_a_user_namespace(runtime: Caller, source: Path) -> None:
    """What is bound is locked: the container's root cannot make it writable. A new file system belongs to that root."""
    bundle = runtime.sleeper()
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    for name in ("bound", "new"):
        (bundle.rootfs / name).mkdir()
    everything = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_CHOWN"]
    bundle.process["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), everything)
    id = runtime.launch(bundle.save())
    change(runtime, "add", id, bind("/bound", source, "ro", "nosuid"), tmpfs("/new", "mode=755")).ok()
    result = runtime.exec(
        id, "cat /bound/file; stat -c %u /new; mount -o remount,bind,rw,suid /bound; echo x > /bound/new"
    )
    assert result.out == "of the host\n0\n"
    assert "Operation not permitted" in result.err or "permission denied" in result.err.lower()
    assert os.listdir(source) == ["file"]
    change(runtime, "remove", id, tmpfs("/bound"), tmpfs("/new")).ok()
    assert not {"/bound", "/new"} & set(mounted(runtime, id))


@pytest.mark.parametrize("option", ["rprivate", "rslave"])
def test_the_hosts_peers(runtime: Caller, option: str) -> None:
    """A shared mount of the host's does not become a peer: what the container mounts there stays in it."""
    id = runtime.launch(runtime.sleeper())
    with host_mount(runtime.directory / "peer") as peer:
        subprocess.run(["mount", "--make-shared", peer], check=True)
        (peer / "below").mkdir()
        given = bind("/peer", peer, *(["rslave"] if option == "rslave" else []))
        change(runtime, "add", id, given).ok()
        change(runtime, "add", id, tmpfs("/peer/below")).ok()
        fields = mounted(runtime, id)["/peer"]
        assert any(field.startswith("master:") for field in fields) == (option == "rslave")
        assert not any(field.startswith("shared:") for field in fields)
        assert f"{peer}/below" not in Path("/proc/self/mountinfo").read_text()
        change(runtime, "remove", id, given).ok()
        subprocess.run(["mount", "--make-private", peer], check=True)


def test_the_hosts_mount_namespace(runtime: Caller) -> None:
    """A container without a mount namespace of its own is refused: its mounts are the host's."""
    id = runtime.launch(runtime.sleeper().share_mounts())
    for action in ("add", "remove"):
        result = change(runtime, action, id, tmpfs("/x")).failed(1)
        assert "the container has no mount namespace of its own" in result.err


def test_the_command_line(runtime: Caller) -> None:
    """Another action is an error; the log has the container's id."""
    assert 'must be "mounts add" or "mounts remove"' in runtime.call("mounts", "list", "x", "-").failed(1).err
    assert "needs add|remove CONTAINER FILE" in runtime.call("mounts", "add", "x").failed(1).err
    log = runtime.directory / "log"
    words = ("--log", log, "--log-format", "json", "mounts", "add", "nobody", "-")
    runtime.call(*words, stdin="[]").failed(1)
    assert json.loads(log.read_text())["id"] == "nobody"
