"""Why a program did not run, or ended, when the kernel's own word on it is short: a broken file, or a seccomp filter. Cold.

The parent of a program that a filter has killed learns only the signal. The kernel's log names the call, if we may read it.
"""

import posix
import time
from _signal import SIGSYS
from errno import EIO, ENOSYS

from oci_spec import load_accepted
from oci_spec.rules.profile import NEEDED
from runtime.errors import PROGRAM, OcirunError
from runtime.lifecycle.assembly import seccomp_profile
from runtime.lifecycle.config import locate
from runtime.plan import failures
from runtime.plan import filter_verdict as verdicts
from runtime.plan.seccomp import POINTER, normalise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from oci_spec.types import Config, Seccomp
    from runtime.host.container_tree import Tree
    from runtime.plan.seccomp import Profile
    from runtime.shapes import Warn

KERNEL_LOG = "/dev/kmsg"
INITIAL_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO: the one whose numbers the log has
RECENT, PAUSE, TRIES = 10, 0.02, 5  # seconds
AUDIT_SECCOMP = "type=1326 "
SHELL = 128  # plus the signal: what a shell returns for its last command
EXPLAIN = "'ocirun run --seccomp-explain' tells each call that is refused"


def explain(error: OcirunError, spec: "Config", bundle: str, tree: "Tree | None" = None) -> None:
    """Add to the word on an execve that failed what is known: the file's fault, or the rule that refuses it."""
    if error.pointer == PROGRAM:
        from runtime.host.program_file import explained

        explained(error, spec, bundle, tree)
    elif error.pointer == POINTER and any(words in error.message for words in failures.BY_FILTER):
        profile = seccomp_profile(spec)
        if profile:
            _name_rule(error, normalise(profile))


def _name_rule(error: OcirunError, profile: "Profile") -> None:
    """The error about execve gets the place of the rule, if one is sure to have decided."""
    decided = verdicts.unconditional(profile, "execve")
    if not decided:
        return
    action, pointer = decided
    kind, data = action & verdicts.ACTION, action & verdicts.RET_DATA
    expected = {verdicts.ERRNO: data or EIO, verdicts.TRACE: ENOSYS}.get(kind)  # EIO: init saw no errno
    if kind in (verdicts.ALLOW, verdicts.LOG) or error.errno != expected:
        return
    if kind == verdicts.ERRNO and not data:
        error.message = f"{error.message.rpartition(': ')[0]}: it is told that all is well"
    error.message += f" ({verdicts.action_name(action)})"
    error.pointer, error.line = pointer, None


def tell(profile: "Seccomp", data: bytes, pid: int, status: int, warn: "Warn") -> None:
    """Warn about a program that its filter has ended, or that ended since the filter refuses what every program needs.

    ``data``: the config's text. ``pid``, ``status``: the program's, and how it ended, as wait(2) has it.
    """
    normalised = normalise(profile)
    code = posix.waitstatus_to_exitcode(status)
    if code == -SIGSYS:
        warn(f"the program was killed by SIGSYS, {_killed(normalised, data, pid)}")
    elif code == SHELL + SIGSYS and _kills(normalised):
        place = locate(OcirunError("", POINTER), data)
        warn(
            f"exit status {code}: of a shell it means that a program was killed by SIGSYS, as by the filter ({_bare(place)}); {EXPLAIN}"
        )
    else:
        _tell_missing(normalised, data, code, warn)


def of_stopped(data: bytes, pid: int, start_time: int) -> str:
    """Why the first process of a stopped container has ended, if the kernel's log says that its filter has killed it; else "".

    ``data``: the config's text. ``start_time``: the process's, in clock ticks since boot.
    """
    if b'"seccomp"' not in data:
        return ""
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    found = next(_logged(pid, booted + start_time / posix.sysconf("SC_CLK_TCK")), None)
    profile = seccomp_profile(load_accepted(data)) if found else None
    return f"killed by SIGSYS, {_by_filter(normalise(profile), data, found)}" if found and profile else ""


def _killed(profile: "Profile", data: bytes, pid: int) -> str:
    found = _found(pid)
    if found:
        return _by_filter(profile, data, found)
    place = locate(OcirunError("", POINTER), data)
    return f"as by its seccomp filter ({_bare(place)}); {EXPLAIN}, and so may the kernel's log (type=1326, pid={pid})"


def _by_filter(profile: "Profile", data: bytes, found: "tuple[int, int, int]") -> str:
    """The call and the rule of one of `_logged`."""
    from runtime.process.notifications import name_of

    number, arch, action = found
    token = verdicts.token_of(arch, number)
    name = name_of(token, number) or f"{verdicts.UNKNOWN}{number}"
    pointer = verdicts.rule(profile, name, token, None, action)
    place = locate(OcirunError(verdicts.reason(pointer, action), pointer), data)
    return f"by its seccomp filter for {name} ({verdicts.TABLES.get(token, hex(token))}): {place}"


def _bare(place: OcirunError) -> str:
    return str(place).removesuffix(": ")


def _kills(profile: "Profile") -> bool:
    kinds = {profile[0] & verdicts.ACTION, *(action & verdicts.ACTION for action, *_ in profile[3])}
    return bool(kinds & {verdicts.KILL_THREAD, verdicts.KILL_PROCESS, verdicts.TRAP})


def _found(pid: int) -> "tuple[int, int, int] | None":
    """The last of `_logged`. The kernel writes its log a little later than it kills."""
    since = time.time() - RECENT
    for _ in range(TRIES):
        for found in _logged(pid, since):
            return found
        time.sleep(PAUSE)
    return None


def _logged(pid: int, since: float) -> "Iterator[tuple[int, int, int]]":
    """(number, architecture, action) of the calls for which a filter has killed process ``pid``, the newest first.

    ``since``: the time from which on it has had this number, in seconds since 1970.

    Nothing where we may not read the log, or number processes in another way than it does.
    """
    try:
        if posix.readlink("/proc/self/ns/pid") != INITIAL_NAMESPACE:
            return
        lines = _kernel_log()
    except OSError:
        return
    for line in reversed(lines):
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        try:
            stamp = float(line.partition("audit(")[2].partition(":")[0])
            if fields["pid"] == str(pid) and fields["sig"] == str(int(SIGSYS)) and stamp > since:
                yield int(fields["syscall"]), int(fields["arch"], 16), int(fields["code"], 16)
        except (KeyError, ValueError):
            continue  # of another form than we know


def _kernel_log() -> "list[str]":
    """The log's lines about seccomp. Raises OSError where it may not be read."""
    descriptor = posix.open(KERNEL_LOG, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    lines: list[str] = []
    try:
        while True:
            try:
                line = posix.read(descriptor, 8192).decode(errors="replace")
            except BlockingIOError:  # the end
                return lines
            except BrokenPipeError:  # older lines were overwritten
                continue
            if AUDIT_SECCOMP in line:
                lines.append(line)
    finally:
        posix.close(descriptor)


def _tell_missing(profile: "Profile", data: bytes, code: int, warn: "Warn") -> None:
    """Warn if the filter refuses, whatever their arguments, calls that every program makes."""
    refused: dict[str, list[str]] = {}
    for name in NEEDED:
        decided = verdicts.unconditional(profile, name)
        if decided and decided[0] & verdicts.ACTION not in (verdicts.ALLOW, verdicts.LOG):
            refused.setdefault(decided[1], []).append(name)
    if not refused:
        return
    places = [
        f"{', '.join(names)} ({_bare(locate(OcirunError('', pointer), data))})" for pointer, names in refused.items()
    ]
    how = f"was {failures.signal_words(-code)}" if code < 0 else f"ended with status {code}"
    warn(f"the program {how}; its seccomp filter refuses what programs need: {'; '.join(places)}; {EXPLAIN}")
