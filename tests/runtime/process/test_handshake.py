"""What comes over the handshake: whatever it is, it is a report that init can have sent, or an error of one line.

The other end is this very process, over a real pair of sockets with real descriptors.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import shim
from runtime.errors import OcirunError
from runtime.lifecycle import operations
from runtime.lifecycle.start import REPORT
from runtime.plan import ops
from runtime.plan.identity import NEW_LISTENER
from runtime.process import last_word, spawn
from runtime.process.handshake import CONSOLE, FAILED, FORKED, LISTENER, OUTPUT, REACHED, TRACE, WORD, Handshake
from tests import bpf
from tests.csrc.init_runner import CLONE_NEWPID
from tests.runtime import reports

PLAN = [
    ops.id_maps("0 0 1\n", "0 0 1\n", False, None),
    ops.fork(),
    ops.console(80, 24, True, 0),
    ops.hooks("prestart", 1, "/hooks/prestart"),
    ops.run_hook("/bin/hook", ["hook"], [], 0, 0, "/hooks/createContainer/0"),
    ops.program(["true"], [], "/bin", 0, False),
    ops.created(),
    ops.place_descriptors(0),
    ops.seccomp_notify(b"", NEW_LISTENER, "/run/agent", ""),
    ops.exec("true"),
]
INDEX = {operation[0]: index for index, operation in enumerate(PLAN)}


class Harmless(Handshake):
    """Its pid may be ours."""

    __slots__ = ()

    def end(self) -> int:
        return 0


def report(kind: int, index: int, error: int = 0, step: int = 0, detail: int = 0) -> bytes:
    return REPORT.pack(kind, index, error, step, detail, 0)


def descriptors() -> set[tuple[str, str]]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
        except OSError:  # of listdir itself
            pass
    return found


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Nothing here may take long; shim.receive lets go for a signal."""

    def end(number: int, frame: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def send(channel: socket.socket, data: bytes, count: int = 0) -> None:
    """``data`` with ``count`` descriptors."""
    given = [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]
    try:
        socket.send_fds(channel, [data], given) if given else channel.send(data)
    finally:
        for descriptor in given:
            os.close(descriptor)


def follow(
    messages: list[tuple[bytes, int]],
    credentials: bool = True,
    plan: list[ops.Operation] = PLAN,
    does: Callable[[Handshake, ops.Operation], None] | None = None,
) -> tuple[str | bool, list[int]]:
    """(the error's words, or whether `created` was reached; codes of what was performed) after these messages.

    ``does`` performs an operation. No descriptor is open afterwards that was not before.
    """
    before = descriptors()
    if credentials:
        ours, theirs = (socket.socket(fileno=end) for end in shim.socketpair())
    else:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    first = subprocess.Popen(["/bin/true"])  # the process that `fork` leaves behind
    handshake = Harmless(first.pid, ours.detach(), plan)
    performed: list[int] = []

    def perform(one: Handshake, operation: ops.Operation) -> None:
        performed.append(operation[0])
        if does:
            does(one, operation)
        if operation[0] == ops.OP_SECCOMP_NOTIFY:
            os.close(one.take_listener())

    with theirs:
        for data, count in messages:
            send(theirs, data, count)
        theirs.shutdown(socket.SHUT_WR)
        try:
            outcome: str | bool = handshake.follow(perform)
        except OcirunError as error:
            outcome = str(error)
        handshake.close()
    first.wait()
    assert descriptors() == before
    return outcome, performed


def test_what_init_sends() -> None:
    """The reports of a whole plan, each with what belongs to it."""
    messages = [
        (report(REACHED, INDEX[ops.OP_ID_MAPS]), 0),
        (report(TRACE, INDEX[ops.OP_ID_MAPS]), 0),
        (report(FORKED, INDEX[ops.OP_FORK]), 0),
        (report(CONSOLE, INDEX[ops.OP_CONSOLE]), 1),
        (report(REACHED, INDEX[ops.OP_HOOKS]), 0),
    ]
    assert follow(messages) == (False, [ops.OP_ID_MAPS, ops.OP_HOOKS])
    created = (report(REACHED, INDEX[ops.OP_CREATED]), 0)
    assert follow([*messages, created]) == (True, [ops.OP_ID_MAPS, ops.OP_HOOKS])
    listener = (report(LISTENER, INDEX[ops.OP_SECCOMP_NOTIFY]), 1)
    assert follow([listener]) == (False, [ops.OP_SECCOMP_NOTIFY])
    word = (report(WORD, INDEX[ops.OP_PLACE_DESCRIPTORS]), 1)
    assert follow([word]) == (False, [])
    failed = (report(FAILED, INDEX[ops.OP_PROGRAM], errno.ENOENT, 39), 0)
    assert "executable file not found" in str(follow([failed])[0])


@pytest.mark.parametrize(
    ("passed", "error", "words"),
    [
        (False, 0, "killed before the program ran"),
        (False, errno.ENOSYS, "the seccomp filter refuses execve: function not implemented"),
        (True, errno.EACCES, 'exec: "true": permission denied'),
        (True, 0, None),
    ],
)
def test_the_last_word(passed: bool, error: int, words: str | None) -> None:
    """A first page that is there says that execve was let pass, a number what it came back with."""
    memory = os.memfd_create("word")
    try:
        os.ftruncate(memory, 2 * last_word.ERROR)
        if passed:
            os.pwrite(memory, b"\0", 0)
        if error:
            os.pwrite(memory, error.to_bytes(4, sys.byteorder), last_word.ERROR)
        failure = last_word.failure(memory, lambda: PLAN[-1])
        assert (failure and words in str(failure)) if words else failure is None
    finally:
        os.close(memory)


@pytest.mark.proves_operation("resctrl")
def test_the_place_in_resctrl(tmp_path: Path) -> None:
    """Init's pid is written to both files, the group's first. (They are ordinary ones: few machines have resctrl.)"""
    files = [tmp_path / "tasks", tmp_path / "monitored"]
    for file in files:
        file.touch()
    plan = [ops.resctrl([str(file) for file in files])]
    outcome, _ = follow(
        [(report(REACHED, 0), 0)],
        plan=plan,
        does=operations.performer({"record": {}, "status": "", "handle": -1, "hooks": {}}),
    )
    assert outcome is False
    pids = {file.read_text() for file in files}
    assert len(pids) == 1
    assert pids.pop().isdigit()


def test_a_fork_without_credentials() -> None:
    """Without its sender's pid there is nobody to go on with: pid 0 would be waited for, and killed, as our own group."""
    forked = (report(FORKED, INDEX[ops.OP_FORK]), 0)
    assert follow([forked]) == (False, [])
    assert "unexpected report" in str(follow([forked], credentials=False)[0])


@pytest.mark.parametrize(
    ("kind", "index", "count"),
    [
        pytest.param(REACHED, len(PLAN), 0, id="no such operation"),
        pytest.param(REACHED, 2**32 - 1, 0, id="far from any operation"),
        pytest.param(REACHED, INDEX[ops.OP_FORK], 0, id="reached is init's own"),
        pytest.param(REACHED, INDEX[ops.OP_HOOKS], 1, id="a descriptor that nobody takes"),
        pytest.param(FORKED, INDEX[ops.OP_CONSOLE], 0, id="forked by another operation"),
        pytest.param(CONSOLE, INDEX[ops.OP_CONSOLE], 0, id="console without a descriptor"),
        pytest.param(CONSOLE, INDEX[ops.OP_FORK], 1, id="console by another operation"),
        pytest.param(LISTENER, INDEX[ops.OP_SECCOMP_NOTIFY], 0, id="listener without a descriptor"),
        pytest.param(LISTENER, 99, 1, id="listener of no operation"),
        pytest.param(LISTENER, INDEX[ops.OP_EXEC], 1, id="listener of another operation"),
        pytest.param(OUTPUT, INDEX[ops.OP_RUN_HOOK], 1, id="output of no stream"),
        pytest.param(6, INDEX[ops.OP_EXEC], 0, id="a warning comes on another channel"),
        pytest.param(0, 0, 0, id="no kind"),
        pytest.param(99, 0, 1, id="unknown kind"),
    ],
)
def test_what_init_cannot_send(kind: int, index: int, count: int) -> None:
    """Each is refused, and nothing is done for it."""
    outcome, performed = follow([(report(kind, index), count)])
    assert "unexpected report" in str(outcome)
    assert performed == []


@pytest.mark.parametrize(("operation", "count"), [(ops.OP_RUN_HOOK, 0), (ops.OP_EXEC, 1)])
def test_output_that_cannot_be(operation: int, count: int) -> None:
    """It is a hook's, and a descriptor."""
    assert "unexpected report" in str(follow([(report(OUTPUT, INDEX[operation], detail=1), count)])[0])


def test_what_a_hook_says() -> None:
    """Both streams, of this hook alone, are in the words of its failure."""
    pipes = [os.pipe() for _ in range(3)]
    for number, (_, end) in enumerate(pipes):
        os.write(end, b"stream %d\n" % number)
        os.close(end)
    plan = [*PLAN, ops.run_hook("/bin/other", ["other"], [], 0, 0, "/hooks/createContainer/1")]
    first, second = INDEX[ops.OP_RUN_HOOK], len(plan) - 1
    ours, theirs = (socket.socket(fileno=end) for end in shim.socketpair())
    handshake = Harmless(0, ours.detach(), plan)
    with theirs:
        for index, stream, (pipe, _) in ((first, 1, pipes[0]), (second, 1, pipes[1]), (second, 2, pipes[2])):
            socket.send_fds(theirs, [report(OUTPUT, index, detail=stream)], [pipe])
            os.close(pipe)
        theirs.send(report(TRACE, second))
        theirs.send(report(FAILED, second, errno.ECHILD, 42, 3 << 8))
        with pytest.raises(OcirunError) as caught:
            handshake.follow(lambda *_: None)
    handshake.close()
    assert str(caught.value).endswith("createContainer hook #1: /bin/other: exit status 3: stream 1 stream 2")


def test_the_same_twice() -> None:
    """An operation that was reached, a fork, a terminal or an output does not come again."""
    for message in (
        (report(OUTPUT, INDEX[ops.OP_RUN_HOOK], detail=2), 1),
        (report(REACHED, INDEX[ops.OP_ID_MAPS]), 0),
        (report(FORKED, INDEX[ops.OP_FORK]), 0),
        (report(CONSOLE, INDEX[ops.OP_CONSOLE]), 1),
    ):
        assert "unexpected report" in str(follow([message, message])[0])


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(report(CONSOLE, 2)[:-1], id="too short"),
        pytest.param(report(CONSOLE, 2) + b"\0", id="too long"),
        pytest.param(report(CONSOLE, 2), id="a report"),
    ],
)
def test_messages_of_another_size(data: bytes, count: int) -> None:
    """What is no report, or has more than one descriptor, is refused, and the descriptors are closed."""
    outcome, _ = follow([(data, count)])
    if data == report(CONSOLE, 2) and count == 1:
        assert outcome is False
    else:
        assert "unexpected report" in str(outcome) or "protocol error" in str(outcome)


INDICES = st.one_of(st.integers(0, len(PLAN) + 1), st.sampled_from([2**31, 2**32 - 1]))


@settings(deadline=None, max_examples=150)
# Init waits for an answer after most of its reports; nobody reads the answers here, of which the socket holds ten.
@given(reports.messages(INDICES, 8), st.booleans())
def test_any_messages(messages: list[reports.Message], credentials: bool) -> None:
    """Bytes and descriptors of any kind end in words, never in a trace of Python, a hang or an open descriptor."""
    outcome, performed = follow(messages, credentials)
    assert outcome in (True, False) or (isinstance(outcome, str) and "\n" not in outcome)
    assert len(performed) <= len(PLAN) + len(messages)


@pytest.fixture
def strangers() -> Iterator[tuple[int, Callable[[], bool]]]:
    """A process that is no child of ours, and whether it is alive."""
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        yield pid, lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        os.kill(pid, signal.SIGKILL)


def test_end_kills_its_own_child_alone(strangers: tuple[int, Callable[[], bool]]) -> None:
    """Once init was waited for, its pid may be another process's: that one lives on. A child that has not ended is killed."""
    pid, lives = strangers
    assert Handshake(pid, -1, PLAN).end() == 0
    assert lives()
    with subprocess.Popen(["sleep", "60"]) as child:
        assert os.waitstatus_to_exitcode(Handshake(child.pid, -1, PLAN).end()) == -signal.SIGKILL
        assert Handshake(child.pid, -1, PLAN).end() == 0
    ended = subprocess.Popen(["sh", "-c", "exit 3"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert os.waitstatus_to_exitcode(Handshake(ended.pid, -1, PLAN).end()) == 3
    ended.wait()


SENDMSG = {"x86_64": 46, "aarch64": 211}
KILLED_BY_SENDMSG = (
    (0x20, 0, 0, 0),  # load the number of the system call
    (0x15, 0, 1, SENDMSG[os.uname().machine]),
    (0x06, 0, 0, 0x80000000),  # SECCOMP_RET_KILL_PROCESS
    (0x06, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
)


@pytest.mark.kernel
@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("killed", [True, False])
def test_end_before_the_child_is_known(tmp_path: Path, killed: bool) -> None:
    """The child that has not told its pid, dead or alive, is reaped: left, it would keep its pid namespace from ending."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = children.read_text()
    program = b"".join(bpf.INSTRUCTION.pack(*one) for one in KILLED_BY_SENDMSG)
    head = [ops.unshare(CLONE_NEWPID, None), *([ops.seccomp(program, 0)] if killed else [])]
    handshake = spawn.init([*head, ops.fork(), ops.created()], 0, str(tmp_path))
    os.waitid(os.P_PID, handshake.pid, os.WEXITED | os.WNOWAIT)
    assert len(children.read_text().split()) == len(before.split()) + 2
    if killed:
        assert not handshake.follow(lambda *_: None)
        assert f"killed by signal {signal.SIGSYS:d} (SIGSYS: bad system call)" in str(handshake.died())
    else:
        assert os.waitstatus_to_exitcode(handshake.end()) == -signal.SIGKILL
    handshake.close()
    assert children.read_text() == before
