"""--seccomp-explain of run and exec: each system call that the container's filter refuses, as it happens, and what would allow it. Cold.

The filter that init loads asks us wherever the profile's would do something else than allow the call. A thread tells of the
call and then does what the profile says: docs/seccomp.md has what cannot be done the same way.
"""

import posix
import select
from _signal import SIGKILL, SIGSYS
from _thread import allocate_lock, start_new_thread
from errno import ENOSYS

from runtime.errors import InvalidConfig, OcirunError
from runtime.lifecycle.config import locate
from runtime.plan import filter_verdict as verdicts
from runtime.plan import ops
from runtime.plan.call_text import call_text
from runtime.plan.identity import NEW_LISTENER
from runtime.plan.seccomp import POINTER, WAIT_KILLABLE_RECV, X86_64, normalise, notifies
from runtime.process import notifications
from runtime.process.notifications import PAGE, Notification

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oci_spec.types import Config
    from runtime.plan.ops import Operation
    from runtime.process.handshake import Handshake, Perform

    Key = tuple[str, int, str, verdicts.Tested, int]  # name, libseccomp's token, pointer of the rule, arguments, action

PATIENCE = 2  # seconds, for a thread that reads memory of which the container does not let go
MOST_VALUES = 10  # of a call's arguments, each of which is a rule to paste; after that, a rule for all
MOST_UNNAMED = 20  # numbers that are told one by one: a program may try them all
INIT = "ocirun-init"  # init's name until it executes the program
SIGSYS_STATUS = 128 + SIGSYS


class Explainer:
    """What one program is refused. ``data``: the text of the config. ``write`` takes each line, without its end.

    ``counts``: how often, by call and rule. ``killed``: the first process was ended by us, in the place of the filter.
    """

    def __init__(self, spec: "Config", data: bytes, write: "Callable[[str], None]") -> None:
        """InvalidConfig, with the line, for a config that cannot be explained."""
        profile = spec["linux"].get("seccomp")
        if not profile:
            raise locate(InvalidConfig("there is nothing to explain: the config has no seccomp profile", POINTER), data)
        if notifies(profile):
            message = "uses SCMP_ACT_NOTIFY: a process has one listener, so its agent and --seccomp-explain cannot both be had"
            raise locate(InvalidConfig(message, POINTER), data)
        self.data = data
        self.write = write
        self.profile = normalise(profile)
        self.code = b""
        self.counts: dict[Key, int] = {}
        self.killed = False
        self._first = -1
        self._places: dict[str, str] = {}
        self._names: dict[tuple[int, int], str] = {}
        self._unnamed = 0
        self._tested: dict[str, tuple[list[int], set[verdicts.Tested]]] = {}
        self._lock = allocate_lock()

    def changed(self, operations: "Sequence[Operation]") -> "list[Operation]":
        """The plan, with a filter that asks us; startContainer hooks, which have no listener, keep the profile's own."""
        result: list[Operation] = []
        for operation in operations:
            code, _, _, numbers, strings = operation
            if code != ops.OP_SECCOMP:
                result.append(operation)
                continue
            program = strings[0]
            assert isinstance(program, bytes)
            self.code = program
            result.append(ops.seccomp(program, numbers[0] | ops.SECCOMP_OF_HOOKS))
            flags = numbers[0] | NEW_LISTENER | (WAIT_KILLABLE_RECV if notifications.holds_back() else 0)
            result.append(ops.seccomp_notify(verdicts.notifying(program), flags, "--seccomp-explain", ""))
        return result

    def performer(self, perform: "Perform") -> "Perform":
        """As ``perform``, but the listener is for us."""

        def performed(handshake: "Handshake", operation: "Operation") -> None:
            if operation[0] != ops.OP_SECCOMP_NOTIFY:
                perform(handshake, operation)
                return
            self._first = handshake.pid
            start_new_thread(self._serve, (handshake.take_listener(),))

        return performed

    def _serve(self, listener: int) -> None:
        """Answer until nobody has the filter any more. On an error of ours the listener is closed: then the calls fail with ENOSYS."""
        try:
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            while True:
                events = poll.poll()[0][1]
                if not events & select.POLLIN:
                    return
                notification = notifications.take(listener)
                if notification:
                    with self._lock:
                        self._attend(notification)
        except Exception as error:
            self.say(f"given up: {type(error).__name__}: {error}; from now on such calls fail with ENOSYS")
        finally:
            posix.close(listener)

    def say(self, text: str) -> None:
        self.write(f"ocirun: seccomp: {text}")

    def _attend(self, call: Notification) -> None:
        token = verdicts.token_of(call.arch, call.number)
        action = verdicts.verdict(self.code, call.number, call.arch, call.args)
        name = self._name(token, call)
        pointer = verdicts.rule(self.profile, name, token, call.args, action)
        arguments = self._arguments(name, call.args)
        key = name, token, pointer, arguments, action
        self.counts[key] = self.counts.get(key, 0) + 1
        if self.counts[key] == 1:
            self.say(self._told(call, key))
        self._do(call, action)

    def _arguments(self, name: str, args: "list[int]") -> "verdicts.Tested":
        """What the profile looks at, as (index, value), as long as there are not too many different values."""
        if name not in self._tested:
            self._tested[name] = verdicts.tested(self.profile, name), set()
        indices, known = self._tested[name]
        arguments = tuple((index, args[index]) for index in indices)
        if len(known) == MOST_VALUES and arguments not in known:
            return ()
        known.add(arguments)
        return arguments

    def _name(self, token: int, call: Notification) -> str:
        """The call's name in its table, as the profile would name it; "system call N" if there is none."""
        name = verdicts.multiplexed(token, call.number, call.args)
        if name:
            return name
        key = token, call.number
        if key not in self._names:
            found = notifications.name_of(token, call.number)
            if not found and self._unnamed == MOST_UNNAMED:
                return f"{verdicts.UNKNOWN}of yet another number"
            self._unnamed += not found
            self._names[key] = found or f"{verdicts.UNKNOWN}{call.number}"
        return self._names[key]

    def _told(self, call: Notification, key: "Key") -> str:
        name, token, pointer, arguments, action = key
        read = path_of_init if call.thread == self._first and call.command == INIT else Notification.read
        table = "" if token == X86_64 else f" ({verdicts.TABLES.get(token, hex(token))})"
        who = f"{call.command}[{call.thread}]"
        args = call.args
        if verdicts.multiplexed(token, call.number, args):
            args = verdicts.own_arguments(call.number, args, call.read)
        text = call_text(name, args, lambda address, length: read(call, address, length))
        words, rules = verdicts.remedies(self.profile, [(name, token, pointer, arguments)])
        remedy = " and add ".join([*words, *rules])
        return f"{who}: {text}{table} {verdicts.effect(action)}: {self._place(pointer, action)}; to allow it: {remedy}"

    def _place(self, pointer: str, action: int) -> str:
        if pointer not in self._places:
            self._places[pointer] = str(locate(OcirunError("", pointer), self.data))
        return self._places[pointer] + verdicts.reason(pointer, action)

    def _do(self, call: Notification, action: int) -> None:
        """What the profile's filter would have done."""
        kind, data = action & verdicts.ACTION, action & verdicts.RET_DATA
        if kind == verdicts.LOG:
            call.answer(go_on=True)
        elif kind == verdicts.ERRNO:
            call.answer(error=data)
        elif kind == verdicts.TRACE:
            call.answer(error=ENOSYS)
        elif kind == verdicts.TRAP and call.handles:
            call.trap(data)
        elif call.kill() == SIGKILL and call.process == self._first:
            self.killed = True

    def end(self, status: int) -> int:
        """Summarise. Returns the exit status that the program would have had: a first process can only be killed by SIGKILL."""
        self.summarise()
        return SIGSYS_STATUS if self.killed and status == 128 + SIGKILL else status

    def summarise(self) -> None:
        """Say what was refused, how often, and what to change so that it is allowed. Nothing if the filter was never loaded."""
        if self._first < 0:
            return
        locked = self._lock.acquire(timeout=PATIENCE)
        try:
            self._tell_counts()
        finally:
            if locked:
                self._lock.release()

    def _tell_counts(self) -> None:
        if not self.counts:
            self.say("no system call was refused")
            return
        totals: dict[str, int] = {}
        for (name, *_), count in self.counts.items():
            totals[name] = totals.get(name, 0) + count
        listed = ", ".join(f"{name} \u00d7{count}" if count > 1 else name for name, count in totals.items())
        self.say(f"refused or logged: {listed}")
        words, rules = verdicts.remedies(self.profile, (key[:4] for key in self.counts))
        for change in words:
            self.say(f"to allow them: {change}")
        if rules:
            self.say(f"to allow them: put this first in {POINTER}/syscalls:")
        for number, text in enumerate(rules, 1):
            self.write(text + ("," if number < len(rules) else ""))


def path_of_init(call: Notification, address: int, length: int) -> bytes:
    """The path that init executes: it ends with its page (csrc/last_word.c).

    Reading the NUL after it would look as if the kernel had let the execve through.
    """
    return call.read(address, min(length, PAGE - address % PAGE)) + b"\0"
