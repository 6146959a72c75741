"""checkpoint and restore with CRIU: what is kept, what the flags do, and what is there after a failure."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import Container, OcirunError
from tests.integration import snapshot
from tests.integration.bundle import merge
from tests.integration.caller import Caller, ended, wait_for
from tests.integration.checkpointing import Checkpoints, working_criu
from tests.integration.console import ConsoleSocket

pytestmark = [pytest.mark.vm, pytest.mark.not_on("runc", "crun", reason="its CRIU is another, or none")]


@pytest.fixture(scope="session")
def criu() -> str:
    found = working_criu()
    if not found:
        pytest.skip("CRIU is not installed or does not work on this kernel")
    return found


@pytest.fixture
def checkpoints(runtime: Caller, criu: str) -> Iterator[Checkpoints]:
    made = Checkpoints(runtime, criu)
    yield made
    made.close()


def test_a_program_goes_on(checkpoints: Checkpoints) -> None:
    """Memory, a tmpfs and the output are there again; the container can be entered, saved again, killed and deleted."""
    runtime, bundle = checkpoints.runtime, checkpoints.bundle()
    id, output = checkpoints.launch(bundle)
    output.wait("count 5\n")
    last = 0
    for _ in range(2):
        checkpoints.saved(id)
        assert runtime.known_ids() == []
        last = int(output.rest().split()[-1])
        pid_file = runtime.directory / "restored.pid"
        output = checkpoints.restored(bundle, id, "--pid-file", pid_file)
        output.wait(f"count {last + 3}\n")
        assert output.text.startswith((f"count {last}\n", f"count {last + 1}\n"))
        assert int(pid_file.read_text()) == runtime.pid(id)
        assert checkpoints.exec(id, "cat /dev/shm/d/f; hostname") == "kept\nbox\n"
    assert "criu" not in " ".join(os.listdir(runtime.root / id))
    runtime.kill(id)
    runtime.wait_status(id)
    runtime.call("delete", id).ok()


def test_the_hosts_cgroup_mount_stays(checkpoints: Checkpoints) -> None:
    """CRIU mounts the v2 hierarchy without its options, which all its mounts share; they are as before afterwards."""

    def options() -> list[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split(" - ")[1] for line in lines if " - cgroup2 " in line]

    kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup")
    bundle = checkpoints.bundle(change={"linux": {"namespaces": [{"type": kind} for kind in kinds]}})
    before = options()
    id, output = checkpoints.launch(bundle)
    assert options() == before
    output.wait("count 2\n")
    checkpoints.saved(id)
    assert options() == before
    checkpoints.restored(bundle, id)
    assert options() == before


def test_the_cgroups_are_the_containers(checkpoints: Checkpoints) -> None:
    """A restored program is in the cgroups of its config, with their limits."""
    bundle = checkpoints.bundle(change={"linux": {"resources": {"pids": {"limit": 77}}}})
    id, output = checkpoints.launch(bundle)
    output.wait("count 2\n")
    before = Path(f"/proc/{checkpoints.runtime.pid(id)}/cgroup").read_text()
    checkpoints.saved(id)
    checkpoints.restored(bundle, id)
    pid = checkpoints.runtime.pid(id)
    assert Path(f"/proc/{pid}/cgroup").read_text() == before
    limits = [
        Path(f"/sys/fs/cgroup{part}{line.split(':')[2]}/pids.max")
        for line in before.splitlines()
        for part in ("", "/pids")
    ]
    assert [file.read_text() for file in limits if file.exists()][:1] == ["77\n"]


def test_leave_running(checkpoints: Checkpoints) -> None:
    """--leave-running: the container goes on, and its images can be restored later."""
    bundle = checkpoints.bundle()
    id, output = checkpoints.launch(bundle)
    output.wait("count 2\n")
    checkpoints.saved(id, "--leave-running")
    checkpoints.goes_on(id)
    output.wait(f"count {int(output.text.split()[-1]) + 5}\n")
    checkpoints.runtime.remove(id)
    checkpoints.restored(bundle, id).wait("count")


def test_pre_dump(checkpoints: Checkpoints) -> None:
    """--pre-dump, then --parent-path: the memory saved earlier is not saved again."""
    if (
        "Dirty tracking is OFF"
        in subprocess.run([checkpoints.criu, "check", "--all"], capture_output=True, text=True, check=False).stderr
    ):
        pytest.skip("CRIU cannot track changes of memory on this kernel")
    script = "x=$(dd if=/dev/zero bs=1M count=4 | tr '\\0' x); trap 'echo size ${#x}' USR1; echo up; while :; do sleep 0.1; done"
    bundle = checkpoints.bundle(script)
    id, output = checkpoints.launch(bundle)
    output.wait("up")
    early = checkpoints.runtime.directory / "early"
    checkpoints.saved(id, "--pre-dump", images=early)
    checkpoints.goes_on(id)
    checkpoints.saved(id, "--parent-path", "../early")
    assert (checkpoints.images / "parent").exists()
    sizes = [sum(file.stat().st_size for file in where.glob("pages-*.img")) for where in (early, checkpoints.images)]
    assert sizes[0] > 4 << 20 > sizes[1]
    output = checkpoints.restored(bundle, id)
    checkpoints.runtime.kill(id, "USR1")
    output.wait(f"size {4 << 20}\n")


def test_a_terminal(checkpoints: Checkpoints) -> None:
    """The terminal of a shell goes to the console socket of restore; what it shows is what the shell remembers."""
    runtime = checkpoints.runtime
    bundle = runtime.bundle({"process": {"terminal": True, "args": ["sh"]}})
    id = runtime.new_id()
    with ConsoleSocket(runtime.directory / "console") as console:
        runtime.call("run", "--detach", "--bundle", bundle.directory, "--console-socket", console.path, id).ok()
        with console.receive() as terminal:
            terminal.write("kept=before; stty rows 33 cols 77; echo an''swer\n")
            terminal.read_until("answer\r\n")
            checkpoints.saved(id)
    with ConsoleSocket(runtime.directory / "console2") as console:
        checkpoints.restored(bundle, id, "--console-socket", console.path)
        with console.receive() as terminal:
            terminal.write("echo $kept-$(stty size)-$(tty)\n")
            terminal.read_until("before-33 77-/dev/pts/0\r\n")


def _line(client: subprocess.Popen[bytes]) -> bytes:
    assert client.stdout
    assert select.select([client.stdout], [], [], 30)[0], "no answer"
    return client.stdout.readline()


def test_a_connection(checkpoints: Checkpoints, netns: Callable[[], str]) -> None:
    """--tcp-established: a server in a network namespace that was joined answers on the connection made before."""
    path = netns()
    subprocess.run(["ip", "-n", Path(path).name, "link", "set", "lo", "up"], check=True)
    namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
    bundle = checkpoints.bundle(
        "nc -ll -p 7 -e cat", {"linux": {"namespaces": [*namespaces, {"type": "network", "path": path}]}}
    )
    id, _ = checkpoints.launch(bundle)
    enter = ["nsenter", f"--net={path}"]
    trial = [*enter, "busybox", "nc", "127.0.0.1", "7"]
    wait_for(lambda: subprocess.run(trial, stdin=subprocess.DEVNULL, check=False).returncode == 0, "a server")
    with ended(subprocess.Popen(trial, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)) as client:
        try:
            assert client.stdin
            assert client.stdout
            client.stdin.write(b"one\n")
            assert _line(client) == b"one\n"
            assert "onnected TCP socket" in checkpoints.checkpoint(id).failed(1).err
            checkpoints.goes_on(id)
            client.stdin.write(b"still\n")
            assert _line(client) == b"still\n"
            checkpoints.saved(id, "--tcp-established")
            checkpoints.restored(bundle, id, "--tcp-established")
            client.stdin.write(b"two\n")
            assert _line(client) == b"two\n"
            assert os.stat(f"/proc/{checkpoints.runtime.pid(id)}/ns/net").st_ino == os.stat(path).st_ino
        finally:
            client.kill()


def test_an_own_network(checkpoints: Checkpoints) -> None:
    """The container's own network namespace is made anew: the loopback device is up, and its sysctls are written."""
    change = {"linux": {"sysctl": {"net.ipv4.ip_unprivileged_port_start": "81"}}}
    bundle = checkpoints.bundle(change=change)
    id, output = checkpoints.launch(bundle)
    output.wait("count 2\n")
    checkpoints.saved(id)
    checkpoints.restored(bundle, id)
    told = checkpoints.exec(id, "ip a show lo; cat /proc/sys/net/ipv4/ip_unprivileged_port_start")
    assert "LOOPBACK,UP" in told
    assert told.endswith("\n81\n")


@pytest.mark.attack(
    hole="restore",
    what="CRIU takes the second of two read-only mounts of one source for a copy and leaves out its options, so the host's files are writable there",
    stops="what the config asks for and CRIU forgot is set before the program goes on",
    bites=(),
)
def test_mounts_of_the_host(checkpoints: Checkpoints) -> None:
    """Bind mounts are made again from the bundle's sources, also through links, and stay read-only and masked."""
    directory = checkpoints.runtime.directory
    mounts, made = [], checkpoints.bundle()
    for name in ("one", "two", "three"):
        (directory / name).mkdir()
        (directory / name / "file").write_text(f"{name}\n")
        options = ["bind", "nosuid", *(["ro"] if name != "three" else [])]
        mounts.append(
            {"destination": f"/to/{name}", "type": "bind", "source": str(directory / name), "options": options}
        )
    mounts.append({**mounts[1], "destination": "/to/two-again"})  # CRIU alone leaves this one writable
    (made.rootfs / "real").mkdir()
    (made.rootfs / "to").symlink_to("/real")
    made.config["mounts"] += mounts
    made.save()
    id, output = checkpoints.launch(made)
    output.wait("count 2\n")
    shown = "cat /to/*/file; grep -E ' (/real/|/proc/(keys|kcore|timer_list|sys) )' /proc/mounts | cut -d' ' -f2,4 | sed 's/,.*//' | sort"
    before = checkpoints.exec(id, shown)
    assert before.startswith("one\nthree\ntwo\ntwo\n")
    checkpoints.saved(id)
    (directory / "one/file").write_text("changed\n")
    checkpoints.restored(made, id)
    assert checkpoints.exec(id, shown) == before.replace("one\n", "changed\n", 1)
    for point in ("/to/one/x", "/to/two/x", "/to/two-again/x", "/proc/sys/kernel/domainname"):
        checkpoints.runtime.exec(id, f"echo x > {point}").failed(1)
    checkpoints.runtime.exec(id, "chmod 600 /proc/timer_list; touch /to/three/x; test -e /to/three/x").ok()
    assert os.stat("/dev/null").st_mode & 0o777 == 0o666


@pytest.mark.attack(
    hole="CVE-2026-119101",
    what="a link of the image confuses CRIU's names of external mounts on restore",
    stops="links are resolved within the root, for the name as for the mount point",
    bites=(),
)
def test_mount_points_are_made_in_the_root(checkpoints: Checkpoints) -> None:
    """A mount point that the root lacks is made as create makes it: below the root, whatever links say there."""
    directory = checkpoints.runtime.directory
    for name in ("source", "outside"):
        (directory / name).mkdir()
    mount = {"destination": "/data/deep", "type": "bind", "source": str(directory / "source"), "options": ["bind"]}
    bundle = checkpoints.bundle()
    bundle.config["mounts"].append(mount)
    bundle.save()
    id, output = checkpoints.launch(bundle)
    output.wait("count 2\n")
    checkpoints.saved(id)
    (bundle.rootfs / "data/deep").rmdir()
    (bundle.rootfs / "data").rmdir()
    checkpoints.restored(bundle, id)
    assert (bundle.rootfs / "data/deep").is_dir()
    checkpoints.saved(id)
    (bundle.rootfs / "data/deep").rmdir()
    (bundle.rootfs / "data").rmdir()
    (bundle.rootfs / "data").symlink_to(directory / "outside")
    checkpoints.restore(bundle, id, "--detach").failed(1)
    assert list((directory / "outside").iterdir()) == []
    assert checkpoints.runtime.known_ids() == []


def test_a_user_namespace(checkpoints: Checkpoints) -> None:
    """A container with its own user namespace keeps it, with its maps."""
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    runtime = checkpoints.runtime
    namespaces = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user")]
    bundle = checkpoints.bundle(
        "i=0; while :; do i=$((i+1)); echo count $i; sleep 0.1; done",
        {"linux": {"namespaces": namespaces, "uidMappings": maps, "gidMappings": maps}},
    )
    subprocess.run(["chown", "-R", "100000:100000", bundle.rootfs], check=True)
    id, output = checkpoints.launch(bundle)
    output.wait("count 2\n")
    checkpoints.saved(id)
    checkpoints.restored(bundle, id).wait("count")
    assert Path(f"/proc/{runtime.pid(id)}/uid_map").read_text().split() == ["0", "100000", "65536"]
    assert checkpoints.exec(id, "id -u; echo x > /dev/null") == "0\n"


def test_in_the_foreground(checkpoints: Checkpoints) -> None:
    """Without --detach, restore passes on the exit status of the program, and deletes the container."""
    bundle = checkpoints.bundle("echo up; while [ ! -e /go ]; do sleep 0.1; done; exit 9")
    id, output = checkpoints.launch(bundle)
    output.wait("up")
    checkpoints.saved(id)
    bundle.write("/go", "")
    assert checkpoints.restore(bundle, id).code == 9
    assert checkpoints.runtime.known_ids() == []


def test_signals_in_the_foreground(checkpoints: Checkpoints) -> None:
    """A signal to a restore in the foreground goes to the program."""
    bundle = checkpoints.bundle("trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done")
    id, output = checkpoints.launch(bundle)
    output.wait("up")
    checkpoints.saved(id)
    where = ["--bundle", bundle.directory, "--image-path", checkpoints.images, "--criu", checkpoints.criu]
    command = checkpoints.runtime.command("restore", *where, id)
    with ended(subprocess.Popen(command, stdin=subprocess.DEVNULL)) as child:
        wait_for(lambda: checkpoints.runtime.call("state", id).out.find('"running"') > 0, "the container")
        wait_for(lambda: not (checkpoints.runtime.root / id / "criu-root").exists(), "the end of the restore")
        child.terminate()
        assert child.wait(30) == 7
    assert checkpoints.runtime.known_ids() == []


def test_a_paused_container(checkpoints: Checkpoints) -> None:
    """A paused container can be saved; restored, it runs."""
    bundle = checkpoints.bundle()
    id, output = checkpoints.launch(bundle)
    output.wait("count 2\n")
    checkpoints.runtime.call("pause", id).ok()
    checkpoints.saved(id, "--leave-running")
    assert checkpoints.runtime.status(id) == "paused"
    checkpoints.saved(id)
    checkpoints.restored(bundle, id).wait("count")


def test_hooks(checkpoints: Checkpoints) -> None:
    """restore runs the prestart and createRuntime hooks, before the program goes on, and warns of the others; checkpoint poststop."""
    file = checkpoints.runtime.directory / "hooks"
    kinds = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    hooks = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {kind} $(cat) >> {file}"]}] for kind in kinds}
    bundle = checkpoints.bundle(change={"hooks": {**hooks, "createContainer": [], "startContainer": []}})
    id, output = checkpoints.launch(bundle)
    output.wait("count 2\n")
    assert [line.split()[0] for line in file.read_text().splitlines()] == ["prestart", "createRuntime", "poststart"]
    file.unlink()
    checkpoints.saved(id)
    assert [line.split()[0] for line in file.read_text().splitlines()] == ["poststop"]
    file.unlink()
    done = checkpoints.restore(bundle, id, "--detach")
    assert done.code == 0, done.err
    lines = [line.split(" ", 1) for line in file.read_text().splitlines()]
    pid = checkpoints.runtime.pid(id)
    assert [(kind, json.loads(state)["pid"]) for kind, state in lines] == [("prestart", pid), ("createRuntime", pid)]
    assert "/hooks/poststart: not run" in done.err
    checkpoints.saved(id)
    bundle.config["hooks"]["createRuntime"][0]["args"][2] = "echo no good; exit 3"
    bundle.save()
    assert "/hooks/createRuntime/0" in (failed := checkpoints.restore(bundle, id, "--detach").failed(1).err)
    assert "no good" in failed
    assert checkpoints.runtime.known_ids() == []


def test_locks(checkpoints: Checkpoints) -> None:
    """--file-locks: without it a program with a lock cannot be saved, and goes on; with it the lock is kept."""
    held = "echo up; while :; do sleep 0.1; done"
    bundle = checkpoints.bundle(change={"process": {"args": ["/usr/bin/flock", "/lock", "sh", "-c", held]}})
    sources = {"/usr": "/usr", "/lib": "/usr/lib", "/lib64": "/usr/lib64"}  # busybox has no flock
    mounts = [
        {"destination": to, "type": "bind", "source": path, "options": ["bind", "ro"]} for to, path in sources.items()
    ]
    bundle.config["mounts"] += mounts
    bundle.save()
    id, output = checkpoints.launch(bundle)
    output.wait("up")
    failed = checkpoints.checkpoint(id).failed(1)
    assert "lock" in failed.err
    assert str(checkpoints.work / "dump.log") in failed.err
    assert "goes on running" in failed.err
    checkpoints.goes_on(id)
    checkpoints.saved(id, "--file-locks")
    checkpoints.restored(bundle, id, "--file-locks")
    checkpoints.runtime.exec(id, "/usr/bin/flock -n /lock true").failed(1)


def test_images_that_are_no_images(checkpoints: Checkpoints) -> None:
    """restore from a directory without images fails, says why, and leaves nothing."""
    bundle = checkpoints.bundle()
    id, output = checkpoints.launch(bundle)
    output.wait("count 2\n")
    checkpoints.saved(id)
    for file in checkpoints.images.glob("core-*.img"):
        file.write_bytes(b"no image")
    failed = checkpoints.restore(bundle, id, "--detach").failed(1)
    assert str(checkpoints.work / "restore.log") in failed.err
    assert "Traceback" not in failed.err
    assert checkpoints.runtime.known_ids() == []
    (checkpoints.images / "descriptors.json").unlink()
    assert "descriptors.json" in checkpoints.restore(bundle, id).failed(1).err


def test_a_kill_while_it_restores(checkpoints: Checkpoints) -> None:
    """SIGTERM to restore while a hook hangs: what was made is removed."""
    bundle = checkpoints.bundle()
    id, output = checkpoints.launch(bundle)
    output.wait("count 2\n")
    checkpoints.saved(id)
    bundle.config["hooks"] = {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "100"]}]}
    bundle.save()
    where = ["--bundle", bundle.directory, "--image-path", checkpoints.images, "--criu", checkpoints.criu]
    child = subprocess.Popen(checkpoints.runtime.command("restore", "--detach", *where, id), stderr=subprocess.DEVNULL)
    try:
        wait_for(
            lambda: any("sleep 100" in snapshot.command_of(pid) for pid in snapshot.descendants(child.pid)), "the hook"
        )
        child.terminate()
        assert child.wait(20) == 1
    finally:
        child.kill()
        child.wait()
    assert checkpoints.runtime.known_ids() == []


def test_the_python_api(checkpoints: Checkpoints) -> None:
    """Container.checkpoint and Container.restore: this process is the parent, and can wait for the program."""
    runtime, bundle = (
        checkpoints.runtime,
        checkpoints.bundle("trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done"),
    )
    id, output = checkpoints.launch(bundle)
    output.wait("up")
    Container.load(id, runtime.root).checkpoint(checkpoints.images, criu=checkpoints.criu, leave_running=True)
    Container.load(id, runtime.root).checkpoint(checkpoints.images, criu=checkpoints.criu)
    assert runtime.known_ids() == []
    restored = Container.restore(id, bundle.directory, checkpoints.images, root=runtime.root, criu=checkpoints.criu)
    assert restored.state()["status"] == "running"
    restored.kill("TERM")
    assert restored.wait() == 3
    restored.delete()
    with pytest.raises(OcirunError, match="no such file"):
        Container.restore(id, bundle.directory, checkpoints.images / "absent", root=runtime.root, criu=checkpoints.criu)


def test_restore_is_killed(checkpoints: Checkpoints) -> None:
    """After SIGKILL to restore in the middle, delete --force removes what is left, and the images can be restored."""
    bundle = checkpoints.bundle()
    id, output = checkpoints.launch(bundle)
    output.wait("count 2\n")
    checkpoints.saved(id)
    bundle.config["hooks"] = {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "100"]}]}
    bundle.save()
    where = ["--bundle", bundle.directory, "--image-path", checkpoints.images, "--criu", checkpoints.criu]
    child = subprocess.Popen(checkpoints.runtime.command("restore", "--detach", *where, id), stderr=subprocess.DEVNULL)
    hook = wait_for(
        lambda: [pid for pid in snapshot.descendants(child.pid) if snapshot.command_of(pid) == "sleep 100"], "the hook"
    )[0]
    child.kill()
    child.wait()
    os.kill(hook, 9)
    assert checkpoints.runtime.known_ids() == [id]
    checkpoints.runtime.call("delete", "--force", id, reaping=True).ok()
    assert checkpoints.runtime.known_ids() == []
    bundle.config["hooks"] = {}
    bundle.save()
    checkpoints.restored(bundle, id).wait("count")


def test_lazy_pages(checkpoints: Checkpoints) -> None:
    """--lazy-pages with --page-server: the memory stays behind, --status-fd tells when it can be fetched, and it is."""
    if subprocess.run(
        [checkpoints.criu, "check", "--feature", "uffd-noncoop"], capture_output=True, check=False
    ).returncode:
        pytest.skip("CRIU cannot restore memory lazily on this kernel")
    script = "x=$(dd if=/dev/zero bs=1M count=4 | tr '\\0' x); trap 'echo size ${#x}' USR1; echo up; while :; do sleep 0.1; done"
    bundle = checkpoints.bundle(script)
    id, output = checkpoints.launch(bundle)
    output.wait("up")
    port = free_port()
    end, given = os.pipe()
    flags = [
        "--image-path",
        checkpoints.images,
        "--criu",
        checkpoints.criu,
        "--lazy-pages",
        "--page-server",
        f"127.0.0.1:{port}",
    ]
    command = checkpoints.runtime.command("checkpoint", *flags, f"--status-fd={given}", id)
    with ended(subprocess.Popen(command, pass_fds=[given], stdin=subprocess.DEVNULL)) as dump:
        os.close(given)
        assert select.select([end], [], [], 60)[0]
        assert os.read(end, 1) == b"\0"
        os.close(end)
        serve = [checkpoints.criu, "lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", str(port)]
        where = ["-D", checkpoints.images, "-W", checkpoints.work_directory()]
        with ended(subprocess.Popen([*serve, *where])) as server:
            wait_for((checkpoints.work / "lazy-pages.socket").exists, "a page server")
            cgroup = {"linux": {"cgroupsPath": f"/second-{checkpoints.runtime.token}"}}
            bundle.config = merge(bundle.config, cgroup)
            output = checkpoints.restored(bundle.save(), checkpoints.runtime.new_id(), "--lazy-pages")
            assert server.wait(60) == 0
        assert dump.wait(60) == 0
    assert id not in checkpoints.runtime.known_ids()
    checkpoints.runtime.kill(checkpoints.runtime.known_ids()[0], "USR1")
    output.wait(f"size {4 << 20}\n")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
