"""`exec`: another process in a running container, by arguments or by --process, with every flag."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.adapt import CONFIGS
from tests.integration.caller import Caller, wait_for
from tests.integration.console import ConsoleSocket
from tests.integration.resources.readings import Counters
from tests.integration.terminal import Session


@pytest.fixture
def running(runtime: Caller) -> str:
    return runtime.launch(runtime.sleeper())


def process_file(runtime: Caller, **change: Any) -> Path:
    process = {"user": {"uid": 0, "gid": 0}, "args": ["true"], "env": ["PATH=/bin"], "cwd": "/", **change}
    file = runtime.directory / f"process-{len(os.listdir(runtime.directory))}.json"
    file.write_text(json.dumps(process))
    return file


@pytest.mark.proves_operation("enter_root")
@pytest.mark.kernel
def test_output_and_exit_code(runtime: Caller, running: str) -> None:
    """Streams and the exit code are the process's own."""
    result = runtime.exec(running, "echo out; echo err >&2; exit 9")
    assert (result.code, result.out, result.err) == (9, "out\n", "err\n")


def test_broken_process_file(runtime: Caller, running: str) -> None:
    """Broken JSON is told with its line."""
    file = runtime.directory / "broken.json"
    file.write_text('{"args": ["true"]\n "cwd": "/"}')
    result = runtime.call("exec", "--process", file, running).failed(255)
    assert result.err == f"ocirun: error: {file}:1: a comma is missing; write one after the value\n"


def test_failure_does_not_blame_the_config(runtime: Caller, running: str) -> None:
    """What is wrong with the command line is told without a place in config.json."""
    assert runtime.exec(running, ["nosuch"]).failed(255).err == (
        'ocirun: error: exec: "nosuch": executable file not found in $PATH\n'
    )


def test_stdin(runtime: Caller, running: str) -> None:
    """Standard input reaches the process."""
    assert runtime.exec(running, ["cat"], stdin="hello").ok().out == "hello"


def test_death_by_signal(runtime: Caller, running: str) -> None:
    """A process that a signal ended gives 128 plus its number."""
    assert runtime.exec(running, "kill -USR1 $$").code == 128 + 10


@pytest.mark.parametrize("user", ["x", "1x", "-1", "+1", "4294967295", "9" * 5000, "1:", "1:x", "\u0661"])
def test_user_that_is_no_number(runtime: Caller, running: str, user: str) -> None:
    """What is not an id in digits is refused, and never taken for root."""
    err = runtime.exec(running, "id -u", f"--user={user}").failed(255).err
    assert "is not a numeric id" in err


def test_process_file(runtime: Caller, running: str) -> None:
    """--process takes the spec's process object."""
    file = process_file(
        runtime,
        args=["sh", "-c", "id -u; id -g; pwd; echo $A"],
        user={"uid": 1000, "gid": 50},
        cwd="/tmp",
        env=["PATH=/bin", "A=b"],
    )
    assert runtime.call("exec", "--process", file, running).ok().out == "1000\n50\n/tmp\nb\n"


def test_process_file_without_user(runtime: Caller, running: str) -> None:
    """A process object without a user is root's, and nothing is said of that."""
    file = process_file(runtime, args=["sh", "-c", "id -u; id -g"])
    value = json.loads(file.read_text())
    value.pop("user", None)
    file.write_text(json.dumps(value))
    result = runtime.call("exec", "--process", file, running).ok()
    assert (result.out, result.err) == ("0\n0\n", "")


@pytest.mark.not_on("runc", "crun", reason="says nothing")
def test_process_file_without_a_group(runtime: Caller, running: str) -> None:
    """A user without a gid may be a slip of the pen: a warning says what is taken."""
    file = process_file(runtime, args=["id", "-g"], user={"uid": 1000})
    result = runtime.call("exec", "--process", file, running).ok()
    assert result.out == "0\n"
    assert "/user/gid: gid is missing, it is taken as 0" in result.err


def test_process_file_of_podman(runtime: Caller, running: str) -> None:
    """The process that Podman generated runs."""
    file = CONFIGS / "podman-exec-process.json"
    limits = json.loads(file.read_text())["rlimits"]
    if any(limit["hard"] > 20000 for limit in limits if limit["type"] == "RLIMIT_NOFILE"):
        pytest.skip("needs a higher limit")
    assert runtime.call("exec", "--process", file, running).ok().out == "in-exec\n"


def test_process_file_rlimits_and_capabilities(runtime: Caller, running: str) -> None:
    """rlimits and capabilities of the process object are applied."""
    names = ["CAP_CHOWN"]
    file = process_file(
        runtime,
        args=["sh", "-c", "ulimit -n; grep CapEff /proc/self/status"],
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 80}],
        capabilities={"bounding": names, "effective": names, "permitted": names},
    )
    out = runtime.call("exec", "--process", file, running).ok().out.split()
    assert out == ["77", "CapEff:", "0000000000000001"]


@pytest.mark.not_on("runc", reason="this version ignores the umask in exec")
def test_process_file_additional_gids_and_umask(runtime: Caller, running: str) -> None:
    """additionalGids and umask of the process object are applied."""
    user = {"uid": 1000, "gid": 1000, "additionalGids": [50, 77], "umask": 0o27}
    file = process_file(runtime, args=["sh", "-c", "id -G; umask"], user=user)
    assert runtime.call("exec", "--process", file, running).ok().out == "1000 50 77\n0027\n"


def test_detach_and_pid_file(runtime: Caller, running: str) -> None:
    """--detach returns at once; the pid file holds the host pid, without a newline."""
    pid_file = runtime.directory / "exec.pid"
    runtime.exec(running, ["sleep", "60"], "--detach", "--pid-file", pid_file).ok()
    text = pid_file.read_text()
    assert text.isdigit()
    command = Path(f"/proc/{text}/cmdline").read_bytes()
    assert command == b"sleep\x0060\x00"


def test_detached_process_is_handed_to_the_caller(runtime: Caller, running: str) -> None:
    """The detached process becomes a child of the caller's subreaper, which can collect its exit code."""
    pid_file = runtime.directory / "exec.pid"
    runtime.exec(running, "sleep 0.2; exit 5", "--detach", "--pid-file", pid_file).ok()
    _, status = os.waitpid(int(pid_file.read_text()), 0)
    assert os.waitstatus_to_exitcode(status) == 5


def test_cwd_env_user(runtime: Caller, running: str) -> None:
    """--cwd, --env and --user lay over the container's process."""
    flags = ["--cwd", "/tmp", "-e", "A=1", "-e", "B=2", "--user", "1000:50"]
    assert runtime.exec(running, "pwd; echo $A$B; id -u; id -g", *flags).ok().out == "/tmp\n12\n1000\n50\n"


def test_user_without_group(runtime: Caller, running: str) -> None:
    """--user UID alone leaves the group at 0."""
    assert runtime.exec(running, "id -u; id -g", "-u", "1000").ok().out == "1000\n0\n"


@pytest.mark.not_on("crun", reason="has no such flag")
def test_additional_gids(runtime: Caller, running: str) -> None:
    """--additional-gids adds groups."""
    out = runtime.exec(running, ["id", "-G"], "-u", "1000:1000", "-g", "50", "-g", "77").ok().out
    assert out == "1000 50 77\n"


@pytest.mark.not_on("crun", reason="adds to the sets in its own way")
def test_cap(runtime: Caller, running: str) -> None:
    """--cap adds a capability to the process's sets."""
    before = runtime.exec(running, ["grep", "CapEff", "/proc/self/status"]).ok().out.split()[1]
    after = runtime.exec(running, ["grep", "CapEff", "/proc/self/status"], "--cap", "CAP_SYS_CHROOT").ok().out
    assert int(after.split()[1], 16) == int(before, 16) | 1 << 18


@pytest.mark.not_on("crun", reason="adds to the sets in its own way")
@pytest.mark.parametrize(("inheritable", "bits"), [(["CAP_KILL"], 1 << 5), ([], 0)])
def test_cap_of_a_user(runtime: Caller, inheritable: list[str], bits: int) -> None:
    """--cap with another user than root: what the config lets be inherited is ambient, and so the program has it."""
    id = runtime.launch(runtime.sleeper({"process": {"capabilities": {"inheritable": inheritable}}}))
    look = ["grep", "CapEff", "/proc/self/status"]
    result = runtime.exec(id, look, "--user", "1000", "--cap", "CAP_KILL").ok()
    assert int(result.out.split()[1], 16) == bits
    assert result.err == ""


def test_no_new_privs(runtime: Caller) -> None:
    """--no-new-privs sets the bit."""
    id = runtime.launch(runtime.sleeper({"process": {"noNewPrivileges": False}}))
    look = ["grep", "NoNewPrivs", "/proc/self/status"]
    assert runtime.exec(id, look).ok().out.split()[1] == "0"
    assert runtime.exec(id, look, "--no-new-privs").ok().out.split()[1] == "1"


@pytest.mark.proves_operation("join_process")
def test_shares_the_containers_namespaces(runtime: Caller, running: str) -> None:
    """The process stands in each of init's namespaces."""
    look = "for n in mnt pid net ipc uts; do readlink /proc/self/ns/$n; done"
    pid = runtime.pid(running)
    expected = [os.readlink(f"/proc/{pid}/ns/{name}") for name in ("mnt", "pid", "net", "ipc", "uts")]
    assert runtime.exec(running, look).ok().out.split() == expected


def test_shares_the_containers_cgroups(runtime: Caller, running: str) -> None:
    """The process stands in init's cgroups."""
    expected = Path(f"/proc/{runtime.pid(running)}/cgroup").read_text()
    pid_file = runtime.directory / "exec.pid"
    runtime.exec(running, ["sleep", "60"], "--detach", "--pid-file", pid_file).ok()
    assert Path(f"/proc/{pid_file.read_text()}/cgroup").read_text() == expected


def test_terminal(runtime: Caller, running: str) -> None:
    """exec -t runs the process on a new terminal of the container."""
    session = Session(runtime.command("exec", "-t", running, "sh", "-c", "tty; stty size"), 33, 101)
    assert session.finish() == (0, "/dev/pts/0\n33 101\n")


def test_console_socket(runtime: Caller, running: str) -> None:
    """--console-socket hands the terminal over, and --detach leaves it to the receiver."""
    with ConsoleSocket(runtime.directory / "c") as console:
        file = process_file(runtime, args=["sh", "-c", "tty; read x; echo got $x"], terminal=True)
        runtime.call("exec", "--detach", "--console-socket", console.path, "--process", file, running).ok()
        with console.receive() as terminal:
            assert console.message
            terminal.read_until("/dev/pts/0")
            terminal.write("word\n")
            terminal.read_until("got word")


def test_missing_command(runtime: Caller, running: str) -> None:
    """A missing command exits 255 with the words that managers look for."""
    result = runtime.exec(running, ["no-such-command"]).failed()
    if runtime.name != "crun":
        assert result.code == 255
        assert "executable file not found in $PATH" in result.err


@pytest.mark.not_on("crun", reason="exits 1")
def test_every_failure_is_255(runtime: Caller, running: str) -> None:
    """A failure of exec itself is 255, whatever it was."""
    assert runtime.exec(running, ["/etc/passwd"]).code == 255
    assert runtime.exec(running, ["true"], "--cwd", "/no/such/place", "-u", "1000").code == 255
    assert runtime.call("exec", "--process", "/no/such/file", running).code == 255


def test_not_running(runtime: Caller) -> None:
    """exec in a stopped container is refused."""
    id = runtime.launch(runtime.bundle())
    runtime.wait_status(id)
    result = runtime.exec(id, ["true"]).failed()
    if runtime.name != "crun":
        assert result.code == 255
        assert "container not running" in result.err or "stopped" in result.err


def test_in_a_created_container(runtime: Caller) -> None:
    """exec works before start, as with the peers."""
    id = runtime.create(runtime.sleeper())
    assert runtime.exec(id, ["echo", "early"]).ok().out == "early\n"


@pytest.mark.not_on("crun", reason="its --preserve-fds counts in its own way")
def test_preserve_fds(runtime: Caller, running: str) -> None:
    """--preserve-fds N passes descriptors 3 to 3+N-1 and no more."""
    files = [os.open("/etc/hostname", os.O_RDONLY) for _ in range(2)]
    try:

        def place() -> None:
            os.dup2(files[0], 3)
            os.dup2(files[1], 4)

        result = runtime.exec(
            running, "ls /proc/$$/fd; true", "--preserve-fds", "1", pass_fds=(3, 4), preexec_fn=place
        ).ok()
    finally:
        for file in files:
            os.close(file)
    assert result.out.split() == ["0", "1", "2", "3"]


@pytest.mark.not_on("runc", "crun", reason="reads cgroup paths of hybrid hosts in its own way")
def test_beside_a_first_process_that_has_moved(runtime: Caller) -> None:
    """Where the first process is below, and controllers are enabled, nobody may enter the container's own cgroup of v2."""
    running = runtime.launch(runtime.bundle({"process": {"args": ["sleep", "100"]}}))
    own = Counters(runtime, running).unified()
    if "hugetlb" not in (own / "cgroup.controllers").read_text().split():
        pytest.skip("hugetlb, the one controller of v2 on hybrid hosts of ours, is v1's here")
    (own / "a").mkdir()
    (own / "a/cgroup.procs").write_text(str(runtime.pid(running)))
    (own / "cgroup.subtree_control").write_text("+hugetlb")
    expected = cgroup_of(runtime.pid(running)).splitlines()[-1]
    assert expected.startswith("0::/")
    assert expected.endswith("/a")
    for _ in range(2):
        assert runtime.exec(running, "tail -n 1 /proc/self/cgroup").ok().out.strip() == expected


@pytest.mark.proves_operation("keep_descriptors")
@pytest.mark.not_on("runc", "crun", reason="leaves other descriptors or sees them differently")
def test_no_descriptor_leaks(runtime: Caller, running: str) -> None:
    """The process has its three standard descriptors."""
    assert runtime.exec(running, "ls /proc/$$/fd; true").ok().out.split() == ["0", "1", "2"]


@pytest.mark.not_on("runc", "crun", reason="reads cgroup paths of hybrid hosts in its own way")
def test_cgroup_flag(runtime: Caller, running: str) -> None:
    """--cgroup PATH places the process in a cgroup below the container's."""
    own = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in cgroup_of("self").splitlines()}
    assert own  # the machine has cgroups at all
    mounts = [Path(mount) for mount in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup") if os.path.ismount(mount)]
    path = cgroup_path(runtime.pid(running), "pids" if mounts[0].name == "pids" else "")
    below = Path(f"{mounts[0]}{path}/below")
    below.mkdir()
    try:
        pid_file = runtime.directory / "exec.pid"
        controller = "pids:" if mounts[0].name == "pids" else ""
        runtime.exec(running, ["sleep", "60"], "-d", "--cgroup", f"{controller}/below", "--pid-file", pid_file).ok()
        pid = int(pid_file.read_text())
        assert cgroup_path(pid, "pids" if controller else "").endswith("/below")
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    finally:
        wait_for(lambda: not (below / "cgroup.procs").read_text(), "empty cgroup")
        below.rmdir()


@pytest.mark.not_on("runc", "crun", reason="the words are ours, and crun runs the program in its caller's cgroups")
def test_cgroup_that_is_not_there(runtime: Caller, running: str) -> None:
    """--cgroup PATH in no cgroup of the container's: no program is run elsewhere, and the error says what PATH has to be."""
    refused = runtime.exec(running, ["touch", "/ran"], "--cgroup", "nowhere").failed(255).err
    assert "/nowhere" in refused
    assert "--cgroup nowhere: there is no cgroup" in refused
    assert "PATH has to exist in every hierarchy" in refused
    runtime.exec(running, ["ls", "/ran"]).failed(1)


def cgroup_of(pid: int | str) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text()


def cgroup_path(pid: int, controller: str) -> str:
    for line in cgroup_of(pid).splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path
    raise AssertionError(f"{pid} is in no {controller or 'v2'} cgroup")


def test_exec_after_many(runtime: Caller, running: str) -> None:
    """Twenty in a row leave no process in the container."""
    for number in range(20):
        assert runtime.exec(running, ["echo", str(number)]).ok().out == f"{number}\n"
    left = [line.split()[0] for line in runtime.exec(running, ["ps"]).ok().out.splitlines()[1:]]
    assert len(left) <= 3  # init, its sleep, ps
