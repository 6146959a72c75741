"""Failed operations as errors: the place in the config, what was tried, what the system said, the remedy. Pure, and cold."""

from errno import EBUSY, EEXIST, ENODEV, ENOENT, ENOTDIR, ESTALE

from runtime.errors import OcirunError, system_words

from . import ops, remedies
from .explain import sentence, words
from .operations import steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .ops import Operation

# What init found when it verified something: its errno says which finding, not what the system answered.
FINDINGS = {
    ENOTDIR: "it is not an ordinary directory in the root file system",
    EBUSY: "it leads to the container's root",
    EEXIST: "a different file is in its place",
    ENODEV: "the host has no such device there",
    ESTALE: "it was replaced by something else while it was being mounted on",
}


def found(operation: "Operation", error: int) -> str:
    """What init saw in place of what it verified; "" where errno says it all."""
    code = operation[0]
    if code == ops.OP_OPEN_NAMESPACE and error == EBUSY:
        return "the host itself is in it: the container's root would become the host's"
    if code == ops.OP_OPEN_NAMESPACE:
        return "the file is no namespace of this type"
    if code == ops.OP_MASK and error == ENODEV:
        return "the host's /dev/null is not the null device"
    if code in (ops.OP_CWD, ops.OP_CWD_AS_USER):
        return "the directory is outside the container's root"
    return FINDINGS.get(error, "")


def program_failure(name: str, step: int, error: int, origin: "str | None") -> OcirunError:
    """In the words that managers match: Docker's exit codes 127 and 126 depend on them.

    ``origin``: of the label that the execve was to change to, else /process/args.
    """
    pointer = "/process/args"
    if step == steps.LOOKUP and error == ENOENT and "/" not in name:
        return OcirunError(f'exec: "{name}": executable file not found in $PATH', f"{pointer}/0", None, error)
    tried = f"stat {name}: " if step == steps.LOOKUP and error == ENOENT else ""
    hint = remedies.transition(origin, error) if step != steps.LOOKUP else ""
    place = origin if hint else f"{pointer}/0"
    if step == steps.EXEC and error == ENOENT:  # the file itself was found before
        words = (
            f"exec {name}: {system_words(error)}; the interpreter that it names, of a script or a linker, is not there"
        )
        return OcirunError(words, f"{pointer}/0", None, error)
    return OcirunError(f'exec: "{name}": {tried}{system_words(error)}{hint}', place, None, error)


def hook_name(pointer: "str | None", path: str) -> str:
    """How a failure of the hook at ``pointer`` ("/hooks/poststart/0") begins, as with runc."""
    _, _, kind, index = (pointer or "/hooks//").split("/")
    return f"error running {kind} hook #{index}: {path}"


def unspoken(operation: "Operation", passed: bool, error: int) -> OcirunError:
    """The error for an execve under a filter, which init could not tell. ``passed``: the filter let it pass; ``error`` is errno,
    0 where init was killed.
    """
    _, _, origin, _, strings = operation
    name = words(strings[0])
    if passed:
        return program_failure(name, steps.EXEC, error, origin)
    if error:
        refused = f'exec: "{name}": the seccomp filter does not let execve pass: {system_words(error)}'
        return OcirunError(refused, "/linux/seccomp", None, error)
    killed = "killed before the program ran, as a seccomp filter does that kills for execve"
    return OcirunError(f'exec: "{name}": {killed}', "/linux/seccomp")


NOT_FILTERED, NOT_EXECUTED, SIGSYS = 125, 127, 31
HOOK_ENDS = {
    NOT_EXECUTED: "; it could not be executed in the container",
    NOT_FILTERED: ", as when its seccomp filter cannot be loaded",
    -SIGSYS: "; the seccomp filter (/linux/seccomp) kills for a system call that it made",
}


def quoted(output: bytes) -> str:
    """What a hook has written, as the end of its error."""
    text = " ".join(output.decode(errors="replace").split())
    return f": {text}" if text else ""


def hook_failure(operation: "Operation", error: int, step: int, detail: int, output: bytes) -> OcirunError:
    import posix

    _, _, origin, (timeout, _, _, filtered), (path, _, _) = operation
    name, said = hook_name(origin, words(path)), quoted(output)
    if step == steps.HOOK_TIMEOUT:
        return OcirunError(f"{name}: not finished after its timeout of {timeout} s, killed{said}", origin)
    if step == steps.HOOK_EXIT:
        try:
            code = posix.waitstatus_to_exitcode(detail)
        except (ValueError, OverflowError):  # no status of a process that has ended
            return OcirunError(f"{name}: wait status {detail}", origin)
        how = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
        hint = HOOK_ENDS.get(code, "") if code == NOT_EXECUTED or filtered else ""
        if said and code > 0:  # it is the program's own status, which has said more
            hint = ""
        return OcirunError(f"{name}: {how}{hint}{said}", origin)
    return OcirunError(f"{name}: start the hook: {system_words(error)}", origin, None, error)


def of_plan(operations: "Sequence[Operation]", index: int) -> "Operation":
    """The operation that init reports. A bind of what the one before it opened names the source of that."""
    operation = operations[min(index, len(operations) - 1)]
    code, side, origin, numbers, strings = operation
    if code == ops.OP_BIND and not strings[1] and 0 < index < len(operations):
        return code, side, origin, numbers, (strings[0], operations[index - 1][4][0])
    return operation


def failure(operation: "Operation", error: int, step: int, detail: int = 0, output: bytes = b"") -> OcirunError:
    """The error for a failed operation: the place in the config, what it does, what was tried, what the system said.

    ``error`` is errno, ``step`` of enum plan_step, ``detail`` what init adds: a hook's wait status; ``output`` what the hook wrote.
    """
    code, _, origin, _, strings = operation
    if code in (ops.OP_PROGRAM, ops.OP_EXEC):
        first: Any = strings[0]
        return program_failure(words(first[0] if code == ops.OP_PROGRAM else first), step, error, origin)
    if code == ops.OP_RUN_HOOK:
        return hook_failure(operation, error, step, detail, output)
    if step == steps.VERIFY and (finding := found(operation, error)):
        return OcirunError(f"{sentence(operation)}: {finding}", origin, None, error)
    tried = steps.WORDS[step] if step < len(steps.WORDS) and step != steps.MOUNT else ""
    tried = f"{sentence(operation)}: {tried}: " if tried else f"{sentence(operation)}: "
    return OcirunError(tried + system_words(error) + remedies.remedy(operation, step, error), origin, None, error)
