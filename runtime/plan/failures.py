"""Failed operations as errors: config pointer, what was tried, what the system said, the remedy. Pure and cold."""

from errno import EBUSY, EEXIST, EINVAL, EISDIR, ENODEV, ENOENT, ENOTDIR, EPERM, ESTALE

from runtime.errors import OcirunError, system_words

from . import ops, remedies
from .explain import sentence, text_of
from .operations import steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ops import Operation, String

# What went wrong in a verification by init. Its errno is a code for that, not the system's answer.
FINDINGS = {
    ENOTDIR: "it is not an ordinary directory in the root file system",
    EBUSY: "it leads to the container's root",
    EEXIST: "a different file is in its place",
    ENODEV: "the host has no such device there",
    ESTALE: "it was replaced by something else while it was being mounted on",
}


def finding_of(operation: "Operation", error: int) -> str:
    """Why a verification failed; "" if errno says it all."""
    code = operation[0]
    if code == ops.OP_OPEN_NAMESPACE and error == EBUSY:
        return "the host itself is in it: the container's root would become the host's"
    if code == ops.OP_OPEN_NAMESPACE:
        return "the file is not a namespace of this type"
    if code == ops.OP_MASK and error == ENODEV:
        return "the host's /dev/null is not the null device"
    if code == ops.OP_UNMOUNT and error == EINVAL:
        return "nothing is mounted there"
    if code == ops.OP_UNMOUNT and error == EPERM:
        return "it is in or on procfs or sysfs, where mounts protect the host"
    if code in (ops.OP_CWD, ops.OP_CWD_AS_USER):
        return "the directory is outside the container's root"
    return FINDINGS.get(error, "")


def program_failure(name: str, step: int, error: int, origin: "str | None") -> OcirunError:
    """The error in the wording that managers match: Docker's exit codes 127 and 126 depend on it.

    ``origin``: the pointer of the label that execve was to change to, else /process/args.
    """
    pointer = "/process/args"
    if step == steps.LOOKUP and error == ENOENT and "/" not in name:
        return OcirunError(f'exec: "{name}": executable file not found in $PATH', f"{pointer}/0", None, error)
    if step == steps.LOOKUP and error == EISDIR:  # execve's own answer is EACCES, and managers know that one only
        return OcirunError(f'exec: "{name}": is a directory: permission denied', f"{pointer}/0", None, error)
    tried = f"stat {name}: " if step == steps.LOOKUP and error == ENOENT else ""
    hint = remedies.transition(origin, error) if step != steps.LOOKUP else ""
    if step == steps.EXEC and error == ENOENT:  # the look-up did find the file
        message = f"exec {name}: {system_words(error)}; the interpreter that it names (a script's or the dynamic linker) does not exist"
        return OcirunError(message, f"{pointer}/0", None, error)
    return OcirunError(
        f'exec: "{name}": {tried}{system_words(error)}{hint}', origin if hint else f"{pointer}/0", None, error
    )


def hook_name(pointer: "str | None", path: str) -> str:
    """The start of a hook's error, as with runc. ``pointer``: such as "/hooks/poststart/0"."""
    _, _, kind, index = (pointer or "/hooks//").split("/")
    return f"error running {kind} hook #{index}: {path}"


BY_FILTER = REFUSED, KILLED = (
    "the seccomp filter refuses execve",
    "killed before the program ran, as by a seccomp filter that kills on execve",
)


def unspoken(operation: "Operation | None", passed: bool, error: int) -> OcirunError:
    """The error for an execve under a filter that kept init from reporting it.

    ``operation``: None if it is another release's. ``passed``: the filter allowed the execve. ``error``: errno, or 0 if init was killed.
    """
    origin = operation[2] if operation else None
    name = text_of(operation[4][0]) if operation else "the program"
    if passed:
        return program_failure(name, steps.EXEC, error, origin)
    if error:
        return OcirunError(f'exec: "{name}": {REFUSED}: {system_words(error)}', "/linux/seccomp", None, error)
    return OcirunError(f'exec: "{name}": {KILLED}', "/linux/seccomp")


NOT_FILTERED, NOT_EXECUTED, SIGSYS = 125, 127, 31
HOOK_ENDS = {
    NOT_EXECUTED: "; it could not be executed in the container",
    NOT_FILTERED: ", as when its seccomp filter cannot be loaded",
    -SIGSYS: "; the seccomp filter (/linux/seccomp) kills on a system call that it made",
}


def signal_words(number: int) -> str:
    """How a process was killed: the number of the signal, the name that `kill` takes, and the words that a shell prints.

    A real-time signal, and a number that is no signal, has neither name nor words.
    """
    from _signal import strsignal

    from .call_text import SIGNALS

    if number >= len(SIGNALS):
        return f"killed by signal {number}"
    return f"killed by signal {number} ({SIGNALS[number]}: {(strsignal(number) or '').lower()})"


def quoted(output: bytes) -> str:
    """A hook's output, as the end of its error."""
    text = " ".join(output.decode(errors="replace").split())
    return f": {text}" if text else ""


def hook_failure(operation: "Operation", error: int, step: int, detail: int, output: bytes) -> OcirunError:
    import posix

    _, _, origin, (timeout, _, _, filtered), (path, _, _) = operation
    name, said = hook_name(origin, text_of(path)), quoted(output)
    if step == steps.HOOK_TIMEOUT:
        return OcirunError(f"{name}: not finished after its timeout of {timeout} s, killed{said}", origin)
    if step == steps.HOOK_EXIT:
        try:
            code = posix.waitstatus_to_exitcode(detail)
        except (ValueError, OverflowError):  # not the status of an ended process
            return OcirunError(f"{name}: wait status {detail}", origin)
        how = signal_words(-code) if code < 0 else f"exit status {code}"
        hint = HOOK_ENDS.get(code, "") if code == NOT_EXECUTED or filtered else ""
        if said and code > 0:  # the status is the program's own, and its output says more
            hint = ""
        return OcirunError(f"{name}: {how}{hint}{said}", origin)
    return OcirunError(f"{name}: start the hook: {system_words(error)}", origin, None, error)


def of_plan(operations: "Sequence[Operation]", index: int) -> "Operation":
    """The operation that init reports. A bind without a source gets that of the operation before it, which opened it."""
    operation = operations[min(index, len(operations) - 1)]
    code, side, origin, numbers, strings = operation
    if code == ops.OP_BIND and not strings[1] and 0 < index < len(operations):
        return code, side, origin, numbers, (strings[0], operations[index - 1][4][0])
    return operation


def failure(operation: "Operation", error: int, step: int, detail: int = 0, output: bytes = b"") -> OcirunError:
    """The error for a failed operation: config pointer, what it does, what was tried, what the system said.

    ``error`` is errno, ``step`` of enum plan_step, ``detail`` a hook's wait status, ``output`` what the hook wrote.
    """
    code, _, origin, _, strings = operation
    if code in (ops.OP_PROGRAM, ops.OP_EXEC):
        first = strings[0]
        name: String = first if first is None or isinstance(first, str | bytes) else first[0]
        return program_failure(text_of(name), step, error, origin)
    if code == ops.OP_RUN_HOOK:
        return hook_failure(operation, error, step, detail, output)
    if step == steps.VERIFY and (finding := finding_of(operation, error)):
        return OcirunError(f"{sentence(operation)}: {finding}", origin, None, error)
    tried = steps.PHRASES[step] if step < len(steps.PHRASES) and step != steps.MOUNT else ""
    tried = f"{sentence(operation)}: {tried}: " if tried else f"{sentence(operation)}: "
    return OcirunError(tried + system_words(error) + remedies.remedy(operation, step, error), origin, None, error)
