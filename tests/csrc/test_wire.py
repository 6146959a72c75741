"""The init program and bytes that are no plan: it says so, and no bytes make it crash.

Init runs without privileges here, since bytes at random may happen to be a plan.
"""

import errno
import os
import signal
import socket
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.plan import ops
from runtime.plan.encode import HEADER, MAGIC, MAX_SIZE, RECORD, VERSION, encode
from tests.csrc.init_runner import FAILED, FORKED, INIT, REPORT, STEPS

NOBODY = 65534
FD_PLAN, FD_HANDSHAKE = 3, 4
MAX_OPS = 16384
QUICK = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
GOOD = encode([ops.umask(0o022, None), ops.hostname("name"), ops.created()])
EINVAL = (errno.EINVAL, "STEP_PLAN")


@pytest.fixture(autouse=True)
def root(needs_root):
    """Another user is needed, to be nobody."""


def child(plan, channel, program):
    """What is left of the fork: nobody, with init's two descriptors, and then init."""
    os.dup2(plan, 200)
    os.dup2(channel, 201)
    os.dup2(program, 202)
    os.dup2(200, FD_PLAN)
    os.dup2(201, FD_HANDSHAKE)
    os.closerange(5, 200)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.chdir("/")
    os.execve(202, ["ocirun-init"], {})


def run(data):
    """(errno, step) of init's failure report, None without one, and its wait status. Nobody answers it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    memory = os.memfd_create("plan")
    os.write(memory, data)
    program = os.open(INIT, os.O_RDONLY)
    pid = os.fork()
    if pid == 0:
        try:
            child(memory, theirs.fileno(), program)
        finally:
            os._exit(126)
    for descriptor in (memory, program):
        os.close(descriptor)
    theirs.close()
    ours.shutdown(socket.SHUT_WR)  # end of file to whoever waits for an answer
    ours.settimeout(10)
    failure = None
    with ours:
        while report := ours.recv(4096):
            kind, _, error, step, _, _ = REPORT.unpack(report)
            assert kind != FORKED
            if kind == FAILED:
                failure = error, STEPS[step]
    return failure, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def refused(data):
    """Init reports that this is no plan, and ends in order."""
    return run(data) == (EINVAL, 1)


def changed(offset, format, *values):
    data = bytearray(GOOD)
    struct.pack_into(format, data, offset, *values)
    return bytes(data)


def record(index, field=0):
    """The offset of a record's field: 0 is its code, 2 its side, 4 reserved, 8 its numbers, 56 its strings."""
    return HEADER.size + index * RECORD.size + field


def string(offset, length):
    """The plan with another place of the only string."""
    return changed(record(1, 56), "<II", offset, length)


def accepts(data):
    """What plan.h demands of a plan, once more in Python."""
    if not HEADER.size <= len(data) <= MAX_SIZE:
        return False
    magic, version, _, count, size = HEADER.unpack_from(data)
    if (magic, version, size) != (MAGIC, VERSION, len(data)) or not 0 < count <= MAX_OPS:
        return False
    if HEADER.size + count * RECORD.size > len(data):
        return False
    for index in range(count):
        code, side, reserved, *rest = RECORD.unpack_from(data, record(index))
        if code >= len(ops.TABLE) or side > 1 or reserved:
            return False
        for offset, length in zip(rest[6::2], rest[7::2], strict=True):
            end = offset + length
            if offset == 0 and length == 0:
                continue
            if offset < HEADER.size or end >= len(data) or data[end]:
                return False
    return True


def test_a_good_plan_is_read():
    """The plan that the others are made from fails at its own operation: nobody may set a host's name."""
    assert accepts(GOOD)
    (error, step), status = run(GOOD)
    assert (error, status) == (errno.EPERM, 1)
    assert step != "STEP_PLAN"


@pytest.mark.parametrize("length", [0, 1, HEADER.size - 1, HEADER.size, record(1), record(2), len(GOOD) - 1])
def test_a_plan_that_is_cut(length):
    """A file that ends early, whatever its header says."""
    assert refused(GOOD[:length])
    if length >= HEADER.size:
        assert refused(HEADER.pack(MAGIC, VERSION, 0, 3, length) + GOOD[HEADER.size : length])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(changed(0, "<I", MAGIC ^ 1), id="magic"),
        pytest.param(changed(4, "<H", VERSION + 1), id="version"),
        pytest.param(changed(8, "<I", 0), id="no operation"),
        pytest.param(changed(8, "<I", 4), id="one operation more"),
        pytest.param(changed(8, "<I", MAX_OPS + 1), id="too many operations"),
        pytest.param(changed(8, "<I", 2**32 - 1), id="count wraps"),
        pytest.param(changed(8, "<I", 2**32 // RECORD.size + 1), id="size of records wraps"),
        pytest.param(changed(12, "<I", len(GOOD) + 1), id="size"),
        pytest.param(GOOD + b"\0", id="longer than it says"),
        pytest.param(changed(record(2), "<H", len(ops.TABLE)), id="unknown code"),
        pytest.param(changed(record(0), "<H", 65535), id="greatest code"),
        pytest.param(changed(record(0, 2), "<H", 2), id="unknown side"),
        pytest.param(changed(record(0, 4), "<I", 1), id="reserved"),
        pytest.param(string(len(GOOD), 0), id="string after the end"),
        pytest.param(string(2**32 - 1, 0), id="string far after the end"),
        pytest.param(string(len(GOOD) - 5, 5), id="string over the end"),
        pytest.param(string(len(GOOD) - 5, 2**32 - 1), id="length wraps"),
        pytest.param(string(2**32 - 8, 8), id="offset and length wrap to 0"),
        pytest.param(string(HEADER.size, 2**32 - HEADER.size), id="end wraps"),
        pytest.param(string(1, 3), id="string in the header"),
        pytest.param(string(0, 4), id="absent string with a length"),
        pytest.param(string(len(GOOD) - 5, 3), id="no NUL at its end"),
        pytest.param(GOOD[:-1] + b"x", id="no NUL at the end of all"),
    ],
)
def test_no_plan(data):
    """Each thing that plan.h says of a plan is looked at before the first operation runs."""
    assert not accepts(data)
    assert refused(data)


@QUICK
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=8), st.data())
def test_a_plan_with_other_bytes(changes, data):
    """Changed at random, and cut: what is no plan is refused, and what is one may fail, but never by a signal."""
    plan = bytearray(GOOD)
    for offset, value in changes:
        plan[offset] = value
    del plan[data.draw(st.integers(1, len(GOOD) + 200)) :]
    codes = {RECORD.unpack_from(plan, record(index))[0] for index in range(3) if record(index + 1) <= len(plan)}
    if not accepts(plan):
        assert refused(bytes(plan))
    elif ops.OP_FORK not in codes:
        assert run(bytes(plan))[1] == 1


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes(data):
    """Behind a good header too."""
    size = HEADER.size + len(data)
    for plan in (data, HEADER.pack(MAGIC, VERSION, 0, len(data) // RECORD.size, size) + data):
        if not accepts(plan):
            assert refused(plan)


@pytest.mark.parametrize(
    "code", [code for code in range(len(ops.TABLE)) if code != ops.OP_FORK], ids=lambda code: ops.TABLE[code][0]
)
def test_an_operation_with_any_arguments(code):
    """An operation that stands alone, with arguments that no plan has, fails or is done; it does not crash."""
    for number in (0, 1, 2**64 - 1):
        for text in (None, "", "x" * 5000, ["a", "b"]):
            _, status = run(encode([(code, ops.CONTAINER, None, (number,) * 6, (text,) * 4)]))
            if (code, number) == (ops.OP_RLIMIT, 0) and status == -signal.SIGKILL:
                continue  # it is done: resource 0 is RLIMIT_CPU, and the kernel ends a process whose limit is 0
            assert status == 1, (number, text)


def test_an_operation_of_the_other_side():
    """One that only the parent can do, said to be init's, is refused and not skipped."""
    for operation in (
        ops.cgroups(None),
        ops.state_document(),
        ops.created(),
        ops.hooks("prestart", 1, "/hooks/prestart"),
    ):
        code, _, *rest = operation
        assert run(encode([(code, ops.CONTAINER, *rest)])) == ((errno.ENOSYS, "STEP_PLAN"), 1)


def test_a_plan_that_does_not_end_in_execve():
    """There is nothing for init to become."""
    assert run(encode([ops.umask(0, None)])) == (EINVAL, 1)


def test_too_many_cgroups():
    """More than init keeps open is an error of the plan."""
    plan = encode([ops.open_cgroup("/dev/null", False, None)] * 100)
    assert run(plan) == ((errno.E2BIG, "STEP_PLAN"), 1)


def test_init_ends_without_a_parent():
    """When nobody answers a REACHED, init goes, and makes no failure of it."""
    assert run(encode([ops.created()])) == (None, 1)


def test_signals_are_not_mistaken_for_an_end():
    """The check above would see a crash: a status below zero."""
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
