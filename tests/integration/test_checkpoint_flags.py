"""checkpoint and restore without CRIU's work: every flag reaches CRIU, and what is refused is refused before anything is stopped."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from runtime.criu import messages, wire
from tests.integration.bundle import Bundle
from tests.integration.caller import Caller, Result
from tests.integration.fake_criu import FakeCriu

pytestmark = pytest.mark.not_on("runc", "crun", reason="they find CRIU themselves")
DUMP, PRE_DUMP, RESTORE = messages.DUMP, messages.PRE_DUMP, messages.RESTORE
NEW_NETWORK = 0x40000000
MAPS = [{"containerID": 0, "hostID": 7, "size": 1}]
MAPPED = {
    "destination": "/a",
    "type": "bind",
    "source": "/tmp",
    "options": ["bind"],
    "uidMappings": MAPS,
    "gidMappings": MAPS,
}


@pytest.fixture
def fake(runtime: Caller) -> FakeCriu:
    return FakeCriu(runtime.directory / "fake")


def saved(runtime: Caller, fake: FakeCriu, id: str, *flags: str | Path) -> Result:
    images = runtime.directory / "images"
    return runtime.call("checkpoint", "--criu", fake.program, "--image-path", images, *flags, id)


# Flags → the option of CRIU, and its value.
SHARED = {
    "--tcp-established": ("tcp_established", 1),
    "--ext-unix-sk": ("ext_unix_sk", 1),
    "--shell-job": ("shell_job", 1),
    "--file-locks": ("file_locks", 1),
    "--auto-dedup": ("auto_dedup", 1),
    "--lazy-pages": ("lazy_pages", 1),
    "--manage-cgroups-mode=full": ("manage_cgroups_mode", 4),
    "--manage-cgroups-mode=strict": ("manage_cgroups_mode", 5),
    "--manage-cgroups-mode=ignore": ("manage_cgroups_mode", 0),
    "--network-lock=iptables": ("network_lock", 1),
    "--network-lock=nftables": ("network_lock", 2),
    "--network-lock=skip": ("network_lock", 3),
}
OF_CHECKPOINT = {
    **SHARED,
    "--leave-running": ("leave_running", 1),
    "--tcp-skip-in-flight": ("tcp_skip_in_flight", 1),
    "--link-remap": ("link_remap", 1),
    "--parent-path=../before": ("parent_img", b"../before"),
    "--page-server=[::1]:27277": ("ps", wire.encode([(1, "::1"), (2, 27277)])),
    "--page-server=10.0.0.1:1": ("ps", wire.encode([(1, "10.0.0.1"), (2, 1)])),
}
OF_RESTORE = {
    **SHARED,
    "--tcp-close": ("tcp_close", 1),
    "--lsm-profile=apparmor:other": ("lsm_profile", b"apparmor:other"),
    "--lsm-mount-context=a_u:a_r:a_t:s0": ("lsm_mount_context", b"a_u:a_r:a_t:s0"),
}


def test_flags_of_checkpoint(runtime: Caller, fake: FakeCriu) -> None:
    """Each flag sets its option of the request, and no other flag does."""
    id = runtime.launch(runtime.sleeper())
    (runtime.directory / "before").mkdir(mode=0o700)
    saved(runtime, fake, id, "--pre-dump").ok()
    plain = fake.options(PRE_DUMP)
    assert plain["empty_ns"] == [NEW_NETWORK]
    assert plain["manage_cgroups_mode"] == [3]
    assert plain["track_mem"] == [1]
    assert plain["pid"] == [runtime.pid(id)]
    for flag, (option, value) in OF_CHECKPOINT.items():
        saved(runtime, fake, id, "--pre-dump", flag).ok()
        assert fake.options(PRE_DUMP)[option] == [value], flag
        assert plain.get(option) != [value]
    assert not fake.asked(DUMP)
    assert runtime.status(id) == "running"


def test_what_a_dump_is_told(runtime: Caller, fake: FakeCriu) -> None:
    """The mounts and namespaces of the host, the cgroup to freeze, the log; descriptors.json says what the streams were."""
    directory = runtime.directory / "source"
    directory.mkdir()
    mount = {"destination": "/to/../data", "type": "bind", "source": str(directory), "options": ["bind"]}
    bundle = runtime.sleeper()
    bundle.config["mounts"].append(mount)
    id = runtime.launch(bundle.save())
    saved(runtime, fake, id, "--leave-running", "--work-path", runtime.directory / "work").ok()
    options = fake.options(DUMP)
    mounts = [tuple(wire.decode(row)[number][0].decode() for number in (1, 2)) for row in options["ext_mnt"]]
    assert ("/data", "/data") in mounts
    assert ("/proc/keys", "/dev/null") in mounts
    assert options["log_file"] == [b"dump.log"]
    assert bundle.directory.name in options["freeze_cgroup"][0].decode()
    assert options["root"] == [str(bundle.rootfs).encode()]
    assert len(json.loads((runtime.directory / "images/descriptors.json").read_text())) == 3
    assert (runtime.directory / "images").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("annotation", "file"), [("/etc/own.conf", [b"/etc/own.conf"]), ("", None)])
def test_the_configuration_file(runtime: Caller, fake: FakeCriu, annotation: str, file: list[bytes] | None) -> None:
    """The annotation org.criu.config names CRIU's configuration file, or none; without it, it is runc's or our own."""
    id = runtime.launch(runtime.sleeper({"annotations": {"org.criu.config": annotation}}))
    saved(runtime, fake, id, "--leave-running").ok()
    assert fake.options(DUMP).get("config_file") == file
    id = runtime.launch(runtime.sleeper())
    saved(runtime, fake, id, "--leave-running").ok()
    [path] = fake.options(DUMP)["config_file"]
    assert path in (b"/etc/criu/runc.conf", b"/etc/criu/ocirun.conf")


def test_a_checkpoint_ends_the_container(runtime: Caller, fake: FakeCriu) -> None:
    """Without --leave-running the container is deleted afterwards, and the image directory is ./checkpoint by default."""
    id = runtime.launch(runtime.sleeper())
    runtime.call("--criu", fake.program, "checkpoint", id, cwd=runtime.directory).ok()
    assert runtime.known_ids() == []
    assert (runtime.directory / "checkpoint/descriptors.json").exists()


def test_the_status_descriptor(runtime: Caller, fake: FakeCriu) -> None:
    """--status-fd gets a NUL byte when CRIU says that lazy pages can be served; a descriptor that cannot is refused."""
    id = runtime.launch(runtime.sleeper())
    end, given = os.pipe()
    try:
        fake.tell(notify=["status-ready"])
        where = ["--criu", fake.program, "--image-path", runtime.directory / "images", "--leave-running"]
        runtime.call("checkpoint", *where, "--lazy-pages", f"--status-fd={given}", id, pass_fds=[given]).ok()
        assert os.read(end, 10) == b"\0"
        for number, flags in ((given, []), (99, ["--lazy-pages"]), (end, ["--lazy-pages"])):
            failed = runtime.call("checkpoint", *where, *flags, f"--status-fd={number}", id, pass_fds=[end, given])
            assert "--status-fd" in failed.failed(1).err
    finally:
        os.close(end)
        os.close(given)


REFUSED = {
    "--page-server=there": "ADDRESS:PORT",
    "--page-server=a:99999": "ADDRESS:PORT",
    "--manage-cgroups-mode=hard": "soft, full, strict",
    "--network-lock=none": "iptables, nftables, skip",
    "--empty-ns=pid": "only the network namespace",
    "--parent-path=/tmp": "must be relative",
    "--parent-path=../absent": "--parent-path ../absent",
    "--criu=/absent": "--criu /absent: there is no such program",
    "--criu=no-such-criu": "no-such-criu is not installed",
}


@pytest.mark.parametrize("flag", REFUSED)
def test_a_bad_flag_changes_nothing(runtime: Caller, fake: FakeCriu, flag: str) -> None:
    """A value that is wrong is refused before CRIU is asked for anything."""
    id = runtime.launch(runtime.sleeper())
    flags = ["--image-path", runtime.directory / "images", "--criu", fake.program, flag]
    assert REFUSED[flag] in runtime.call("checkpoint", *flags, id).failed(1).err
    assert not fake.asked(DUMP)
    assert runtime.status(id) == "running"


CANNOT = {
    "too old": ({"version": [3, 14, 0]}, [], "is CRIU 3.14, 3.15 or newer is needed"),
    "a kernel that it does not work on": ({"check": False}, [], "cannot work on this machine: Error (criu/vdso.c:1)"),
    "no tracking of memory": ({"features": [2]}, ["--pre-dump"], "cannot track changes of memory"),
    "no lazy pages": ({"features": [1]}, ["--lazy-pages"], "cannot restore memory lazily"),
    "no network locks": ({"version": [3, 15, 0]}, ["--network-lock=nftables"], "--network-lock needs CRIU 3.16"),
    "no skipping of locks": ({"version": [3, 17, 1]}, ["--network-lock=skip"], "--network-lock skip needs CRIU 3.19"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_a_criu_that_cannot(runtime: Caller, fake: FakeCriu, case: str) -> None:
    """A CRIU or a kernel that lacks what is asked for: a refusal before anything is stopped."""
    id = runtime.launch(runtime.sleeper())
    how, flags, words = CANNOT[case]
    fake.tell(**how)
    assert words in saved(runtime, fake, id, *flags).failed(1).err
    assert not fake.asked(DUMP)
    assert not fake.asked(PRE_DUMP)
    assert runtime.status(id) == "running"
    assert os.listdir(runtime.directory / "images") == []


def freezer(pid: int) -> tuple[Path, str]:
    """The file that freezes the container, and the word for it."""
    paths = {
        names: path
        for _, names, path in (line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    }
    if "freezer" in paths:
        return Path(f"/sys/fs/cgroup/freezer{paths['freezer']}/freezer.state"), "FROZEN"
    return Path(f"/sys/fs/cgroup{paths['']}/cgroup.freeze"), "1"


def test_a_criu_that_crashes(runtime: Caller, fake: FakeCriu) -> None:
    """When CRIU is killed while the container is frozen, it goes on; one that was paused before stays paused."""
    id = runtime.launch(runtime.sleeper())
    file, word = freezer(runtime.pid(id))
    fake.tell(crash=True, freeze=[str(file), word])
    failed = saved(runtime, fake, id).failed(1).err
    assert "CRIU ended without a response" in failed
    assert "goes on running" in failed
    assert runtime.status(id) == "running"
    runtime.call("pause", id).ok()
    saved(runtime, fake, id).failed(1)
    assert runtime.status(id) == "paused"


def test_wrong_states(runtime: Caller, fake: FakeCriu) -> None:
    """A created or stopped container, and none at all, cannot be saved."""
    assert "does not exist" in saved(runtime, fake, "nobody").failed(1).err
    id = runtime.create(runtime.sleeper())
    assert "it is created" in saved(runtime, fake, id).failed(1).err
    runtime.kill(id)
    runtime.wait_status(id)
    assert "it is stopped" in saved(runtime, fake, id).failed(1).err
    assert not fake.asked(messages.VERSION)


def test_a_user_is_refused(runtime: Caller, fake: FakeCriu) -> None:
    """In a user namespace both verbs say that they need root, before they look at anything."""
    for verb in ("checkpoint", "restore"):
        command = ["unshare", "--user", "--map-root-user", *runtime.command(verb, "--criu", fake.program, "x")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, "needs root outside of any user namespace" in done.stderr) == (1, True)


# --- restore


def images_of(runtime: Caller) -> Path:
    images = runtime.directory / "images"
    images.mkdir(mode=0o700, exist_ok=True)
    (images / "descriptors.json").write_text('["/dev/null", "pipe:[11]", "pipe:[11]"]')
    return images


def restored(runtime: Caller, fake: FakeCriu, bundle: Bundle, *flags: str | Path) -> Result:
    where = ["--bundle", bundle.directory, "--image-path", images_of(runtime), "--criu", fake.program]
    return runtime.call("restore", "--detach", *where, *flags, runtime.new_id())


def test_flags_of_restore(runtime: Caller, fake: FakeCriu) -> None:
    """Each flag sets its option of the request; when CRIU fails, nothing is left."""
    bundle = runtime.sleeper()
    fake.tell(success=False)
    assert "nothing is left" in restored(runtime, fake, bundle).failed(1).err
    plain = fake.options(RESTORE)
    assert plain["rst_sibling"] == [1]
    assert plain["inherit_fd"] == [wire.encode([(1, "pipe:[11]"), (2, 1)])]
    assert plain["root"][0].decode().endswith("/criu-root")
    for flag, (option, value) in OF_RESTORE.items():
        restored(runtime, fake, bundle, flag).failed(1)
        assert fake.options(RESTORE)[option] == [value], flag
        assert plain.get(option) != [value]
    assert runtime.known_ids() == []


def test_namespaces_to_restore_into(runtime: Caller, fake: FakeCriu) -> None:
    """A network namespace goes to CRIU as a descriptor, others by their paths; one that CRIU cannot join is refused."""
    fake.tell(success=False)
    bundle = runtime.sleeper()
    rows = {"network": "net", "pid": "pid", "ipc": "ipc", "uts": "uts"}
    bundle.linux["namespaces"] = [{"type": kind, "path": f"/proc/self/ns/{file}"} for kind, file in rows.items()]
    bundle.linux["namespaces"].append({"type": "mount"})
    del bundle.config["hostname"]
    restored(runtime, fake, bundle.save()).failed(1)
    inherited = {bytes(wire.decode(row)[1][0]) for row in fake.options(RESTORE)["inherit_fd"]}
    assert inherited == {b"pipe:[11]", b"extRootNetNS", b"extRootPidNS"}
    joined = [wire.decode(row)[1][0] for row in fake.options(RESTORE)["join_ns"]]
    assert joined == [b"ipc", b"uts"]
    bundle.linux["namespaces"].append({"type": "cgroup", "path": "/proc/self/ns/cgroup"})
    assert "/linux/namespaces/5/path" in restored(runtime, fake, bundle.save()).failed(1).err
    bundle.linux["namespaces"] = [{"type": "mount"}, {"type": "network", "path": "/run/netns/absent"}]
    assert "/linux/namespaces/1/path" in restored(runtime, fake, bundle.save()).failed(1).err


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}", '["pipe:[1]", 2]', "[" * 100000, '"' + "x" * 70000 + '"'],
    ids=["empty", "cut off", "object", "number", "deep", "large"],
)
def test_hostile_descriptors(runtime: Caller, fake: FakeCriu, text: str) -> None:
    """A descriptors.json that is not what checkpoint writes is refused in a sentence, and nothing is made."""
    bundle, images = runtime.sleeper(), images_of(runtime)
    (images / "descriptors.json").write_text(text)
    where = ["--bundle", bundle.directory, "--image-path", images, "--criu", fake.program]
    failed = runtime.call("restore", *where, "x").failed(1).err
    assert "descriptors.json" in failed
    assert "internal error" not in failed
    assert not fake.asked(RESTORE)
    assert runtime.known_ids() == []


def test_names_that_are_no_pipes(runtime: Caller, fake: FakeCriu) -> None:
    """Only names of pipes reach CRIU: a text that means something else to it does not."""
    bundle, images = runtime.sleeper(), images_of(runtime)
    fake.tell(success=False)
    names = ["file[1:2]", "pipe:[1]:x", "pipe:[7]", "pipe:[8]"]
    (images / "descriptors.json").write_text(json.dumps(names))
    where = ["--bundle", bundle.directory, "--image-path", images, "--criu", fake.program]
    runtime.call("restore", *where, "x").failed(1)
    assert fake.options(RESTORE)["inherit_fd"] == [wire.encode([(1, "pipe:[7]"), (2, 2)])]


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
@pytest.mark.parametrize("flag", ["--image-path", "--work-path"])
@pytest.mark.parametrize("kind", ["link", "open", "foreign", "file"])
@pytest.mark.attack(
    hole="images",
    what="another user prepares the image directory, or replaces it by a link",
    stops="it must be the caller's or root's, writable by nobody else, and not a symlink",
    bites=(),
)
def test_directories_that_are_not_trusted(runtime: Caller, fake: FakeCriu, verb: str, flag: str, kind: str) -> None:
    """A directory that is a link, another user's or writable by others is refused, and the container goes on."""
    bundle, images = runtime.sleeper(), images_of(runtime)
    id = runtime.launch(bundle) if verb == "checkpoint" else "x"
    bad = runtime.directory / "bad"
    if kind == "link":
        bad.symlink_to(images)
        os.chown(bad, 1000, 1000, follow_symlinks=False)
    elif kind == "file":
        bad.write_text("")
    else:
        bad.mkdir()
        bad.chmod(0o777 if kind == "open" else 0o700)
        os.chown(bad, 0 if kind == "open" else 1000, 0)
    where = ["--image-path", images] if flag == "--work-path" else []
    more = ["--bundle", bundle.directory] if verb == "restore" else []
    failed = runtime.call(verb, *where, flag, bad, *more, "--criu", fake.program, id).failed(1).err
    assert f"{flag} {bad}" in failed
    assert not fake.asked(DUMP)
    assert not fake.asked(RESTORE)
    if verb == "checkpoint":
        assert runtime.status(id) == "running"


def test_links(runtime: Caller, fake: FakeCriu) -> None:
    """The caller's own link is followed for the work directory, as containerd gives it, but not for the images."""
    id, images = runtime.launch(runtime.sleeper()), images_of(runtime)
    (runtime.directory / "work").symlink_to("images")
    where = ["--work-path", runtime.directory / "work", "--criu", fake.program, "--leave-running"]
    runtime.call("checkpoint", *where, "--image-path", images, id).ok()
    failed = runtime.call("checkpoint", *where, "--image-path", runtime.directory / "work", id).failed(1)
    assert "is a symbolic link" in failed.err


@pytest.mark.attack(
    hole="links among images",
    what="an image whose log or statistics lead to a file of the host's",
    stops="CRIU is not asked: what it writes must be the directory's own files",
    bites=(),
)
@pytest.mark.parametrize("kind", ["symbolic", "hard", "fifo"])
@pytest.mark.parametrize("name", ["log", "stats"])
@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_what_criu_would_write_through(runtime: Caller, fake: FakeCriu, verb: str, name: str, kind: str) -> None:
    """CRIU opens its log and its statistics as root, and follows links."""
    bundle, images = runtime.sleeper(), images_of(runtime)
    id = runtime.launch(bundle) if verb == "checkpoint" else "x"
    what = "dump" if verb == "checkpoint" else "restore"
    bad, precious = images / (f"{what}.log" if name == "log" else f"stats-{what}"), runtime.directory / "precious"
    precious.write_text("kept")
    if kind == "symbolic":
        bad.symlink_to(precious)
    elif kind == "hard":
        bad.hardlink_to(precious)
    else:
        os.mkfifo(bad)
    more = ["--bundle", bundle.directory] if verb == "restore" else []
    failed = runtime.call(verb, "--image-path", images, *more, "--criu", fake.program, id).failed(1).err
    assert f"{bad} is a link, or no ordinary file" in failed
    assert not fake.asked(DUMP)
    assert not fake.asked(RESTORE)
    assert precious.read_text() == "kept"
    if verb == "checkpoint":
        assert runtime.status(id) == "running"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mounts": [{"destination": "/a]:/etc", "type": "bind", "source": "/tmp", "options": ["bind"]}]}, "]:"),
        ({"mounts": [MAPPED]}, "id maps"),
        ({"process": {"terminal": True}}, "--console-socket"),
    ],
    ids=["name", "id map", "terminal"],
)
@pytest.mark.attack(
    hole="CVE-2026-115520",
    what="the same, with `]:` in a mount point",
    stops="a name with `]:` is refused",
    bites=(),
)
def test_configs_that_cannot_be_restored(
    runtime: Caller, fake: FakeCriu, change: dict[str, object], words: str
) -> None:
    """What CRIU would misread or lose is refused, with the place in the config."""
    bundle = runtime.sleeper(change)
    failed = restored(runtime, fake, bundle).failed(1).err
    assert words in failed
    assert "config.json:" in failed
    assert not fake.asked(RESTORE)
    assert runtime.known_ids() == []


def test_an_id_that_is_taken(runtime: Caller, fake: FakeCriu) -> None:
    """restore does not touch a container that has the id already; --no-pivot is refused."""
    bundle = runtime.sleeper()
    id = runtime.launch(bundle)
    where = ["--bundle", bundle.directory, "--image-path", images_of(runtime), "--criu", fake.program]
    assert "already exists" in runtime.call("restore", *where, id).failed(1).err
    assert runtime.status(id) == "running"
    assert "--no-pivot" in restored(runtime, fake, bundle, "--no-pivot").failed(1).err
