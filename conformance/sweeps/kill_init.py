#!/usr/bin/env python3
"""create and start under ptrace, with a SIGKILL to the container's init at one system call: a part of crash.py.

strace cannot do it: its injections under `-f` hit the command too, and it stays with the detached init. This tracer
tells the processes apart: `create` from its first child on, `first` and `second` (init before and after its fork, from
their birth to the user's program), `start` from its connect on. Init is killed on entry to a call of its own, or while
create or start is stopped on entry to one of theirs; they go on when init's end is complete.

    kill_init.py '{"create": [WORDS], "start": [WORDS], "at": [WHO, NUMBER] or null}'

Prints JSON: {"calls": {WHO: [names]}, "fired": bool, "codes": {"create": code, "start": code}}. A process of its own,
since it waits for any child.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

TIME_LIMIT = 15
INIT = ("first", "second")
COMMANDS = ("create", "start")

WALL = 0x40000000  # __WALL: waitpid also finds tracees that are nobody's clone with SIGCHLD
CONT, DETACH, SYSCALL, SEIZE, GET_SYSCALL_INFO = 7, 17, 24, 0x4206, 0x420E  # PTRACE_*
OPTIONS = 1 | 2 | 4 | 8 | 16  # TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC
EVENT_FORKS, EVENT_EXEC, EVENT_STOP = (1, 2, 3), 4, 128
SYSCALL_STOP = signal.SIGTRAP | 0x80
OP_ENTRY = 1
EXEC_OF_PROGRAM = 2
"""Init's own comes first."""

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SECCOMP = ctypes.CDLL("libseccomp.so.2")
SECCOMP.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p


class SyscallInfo(ctypes.Structure):
    """The head of struct ptrace_syscall_info, and the number of an entry."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
    )


def ptrace(request: int, pid: int, address: int = 0, data: int | None = 0) -> None:
    """A tracee that is gone in between is no error: its end will be waited for."""
    if LIBC.ptrace(request, pid, address, data) < 0 and ctypes.get_errno() != 3:
        raise OSError(ctypes.get_errno(), f"ptrace {request}")


def entered(pid: int) -> str | None:
    """The name of the call that the stopped tracee enters; None where it leaves one."""
    info = SyscallInfo()
    size = LIBC.ptrace(GET_SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.addressof(info))
    if size < ctypes.sizeof(info) or info.op != OP_ENTRY:
        return None
    name = SECCOMP.seccomp_syscall_resolve_num_arch(info.arch, int(info.number))
    return name.decode() if name else f"#{info.number}"


@dataclass
class Tracee:
    pid: int
    role: str
    execs: int = 0
    counting: bool = True
    calls: list[str] = field(default_factory=list)


class Tracer:
    def __init__(self, words: dict[str, list[str]], at: tuple[str, int] | None) -> None:
        self.words = words
        self.at = at
        self.fired = False
        self.tracees: dict[int, Tracee] = {}
        self.roles: dict[str, Tracee] = {}
        self.codes: dict[str, int] = {}

    def launch(self, role: str) -> None:
        """Start the command, traced from its exec on."""
        gate, opener = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(gate, 1)
            null = os.open("/dev/null", os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            os.execvp(self.words[role][0], self.words[role])
        # create counts from its first child on, start from its connect.
        self.add(Tracee(pid, role, counting=False))
        ptrace(SEIZE, pid, 0, OPTIONS)
        os.close(gate)
        os.write(opener, b"x")
        os.close(opener)

    def add(self, tracee: Tracee) -> Tracee:
        self.tracees[tracee.pid] = tracee
        self.roles[tracee.role] = tracee
        return tracee

    def run(self) -> None:
        self.launch("create")
        while self.tracees:
            self.take(*os.waitpid(-1, WALL))

    def take(self, pid: int, status: int) -> None:
        if not os.WIFSTOPPED(status):
            self.end(pid, os.waitstatus_to_exitcode(status))
            return
        # A new process may stop before its parent's event is seen.
        tracee = self.tracees.get(pid) or self.add(self.new(pid))
        stop, event = os.WSTOPSIG(status), status >> 16
        deliver = 0
        if stop == SYSCALL_STOP:
            self.syscall(tracee)
        elif event in EVENT_FORKS:
            tracee.counting = True
        elif event == EVENT_EXEC:
            tracee.execs += 1
            if tracee.role in INIT and tracee.execs == EXEC_OF_PROGRAM:
                del self.tracees[pid]
                ptrace(DETACH, pid)
                return
        elif event != EVENT_STOP:
            deliver = stop
        follow = tracee.counting or tracee.role == "start"
        ptrace(SYSCALL if follow else CONT, pid, 0, deliver)

    def new(self, pid: int) -> Tracee:
        if "first" not in self.roles:
            return Tracee(pid, "first")
        if "second" in self.roles:
            raise RuntimeError(f"a third process of init's, {pid}")
        return Tracee(pid, "second", execs=1)

    def syscall(self, tracee: Tracee) -> None:
        name = entered(tracee.pid)
        if not name:
            return
        if name == "connect" and tracee.role == "start":
            tracee.counting = True
        if not tracee.counting:
            return
        tracee.calls.append(name)
        if self.at == (tracee.role, len(tracee.calls)) and not self.fired:
            self.strike(tracee)

    def strike(self, at: Tracee) -> None:
        """Kill the process that is init now. It is dead before a command goes on."""
        alive = [role for role in INIT if role in self.roles and self.roles[role].pid in self.tracees]
        if not alive:
            return
        victim = at if at.role in INIT else self.roles[alive[-1]]
        os.kill(victim.pid, signal.SIGKILL)
        self.fired = True
        if victim is at:
            return
        status = 0x7F
        while os.WIFSTOPPED(status):
            status = os.waitpid(victim.pid, WALL)[1]
        self.end(victim.pid, os.waitstatus_to_exitcode(status))

    def end(self, pid: int, code: int) -> None:
        tracee = self.tracees.pop(pid, None)
        if tracee and tracee.role in COMMANDS:
            self.codes[tracee.role] = code
            if tracee.role == "create" and code == 0:
                self.launch("start")


def main(arguments: Sequence[str]) -> int:
    request = json.loads(arguments[0])
    at = request.pop("at")
    tracer = Tracer(request, tuple(at) if at else None)
    signal.alarm(TIME_LIMIT)  # ends us, and the kernel detaches what is left
    tracer.run()
    calls = {role: tracee.calls for role, tracee in tracer.roles.items()}
    json.dump({"calls": calls, "fired": tracer.fired, "codes": tracer.codes}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
