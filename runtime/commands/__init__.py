"""The verbs of the command line, one module each, imported when its verb is called.

A module has ``OPTIONS``, ``OPERANDS``, and ``main(call) -> int`` (the exit status). What the
Python API needs too is not here but in ``runtime.lifecycle`` and ``runtime.process``.

OPTIONS rows are ``(names, metavar, key, help)``: all spellings with their dashes; what ``--help`` calls the value,
None for a switch, "N" for an unsigned number, with "..." at the end where the option may be repeated; the key in
``call.options``; the help's sentence. A fifth element, LATER, marks a flag that is understood but refused, since what
it asks for is not built.

OPERANDS is ``(least, most, usage)``; a ``most`` of None takes everything after the first operand as it is, options too.

FAILURE_STATUS and USAGE_STATUS, where a module has them, replace exit status 1.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Option = tuple[tuple[str, ...], str | None, str, str] | tuple[tuple[str, ...], str | None, str, str, bool]
    Operands = tuple[int, int | None, str]

LATER = True

# In the order of `ocirun --help`. "later" holds the verbs that are not built.
COMMANDS = {
    "create": ("create", "make a container from a bundle, up to the point before its program runs"),
    "start": ("start", "run the program of a created container"),
    "run": ("run", "create and start a container, and wait for it"),
    "exec": ("exec", "run another program in a running container"),
    "kill": ("kill", "send a signal to a container's first process"),
    "delete": ("delete", "remove a stopped container and all that was made for it"),
    "state": ("state", "print the state of a container as JSON"),
    "list": ("list", "list the containers of this root directory"),
    "spec": ("spec", "write a config.json to begin with"),
    "validate": ("validate", "check a bundle's config.json and show every problem"),
    "plan": ("plan", "show what create would do, operation by operation"),
    "features": ("features", "print what this build supports, as the runtime-spec's features document"),
    "ps": ("ps", "list the processes of a container"),
    "pause": ("pause", "suspend all processes of a container"),
    "resume": ("resume", "let the processes of a paused container go on"),
    "update": ("update", "change the resource limits of a container"),
    "events": ("events", "report statistics and out-of-memory events"),
    "checkpoint": ("later", "save a running container to disk"),
    "restore": ("later", "bring a saved container back"),
}
