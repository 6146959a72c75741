"""The verbs of the command line, one module each, imported when its verb is called.

A module has ``OPTIONS``, ``OPERANDS``, and ``main(call) -> int`` (the exit status). Whatever the Python API needs too is
in ``runtime.lifecycle`` and ``runtime.process``.

OPTIONS rows are ``(names, metavar, key, help)``: all spellings with their dashes; the name of the value in ``--help``,
None for a switch, "N" for an unsigned number, ending in "..." if the option may be repeated; the key in
``call.options``; the help text.

OPERANDS is ``(least, most, usage)``. If ``most`` is None, everything after the first operand is an operand, options too.

FAILURE_STATUS and USAGE_STATUS, where a module has them, replace exit status 1.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    Option = tuple[tuple[str, ...], str | None, str, str]
    Operands = tuple[int, int | None, str]

# In the order of `ocirun --help`.
COMMANDS = {
    "create": ("create", "make a container from a bundle, up to the point before its program runs"),
    "start": ("start", "run the program of a created container"),
    "run": ("run", "create and start a container, and wait for it"),
    "exec": ("exec", "run another program in a running container"),
    "kill": ("kill", "send a signal to a container's first process"),
    "delete": ("delete", "remove a stopped container and everything made for it"),
    "state": ("state", "print the state of a container as JSON"),
    "list": ("list", "list the containers under --root"),
    "spec": ("spec", "write a default config.json"),
    "validate": ("validate", "check a bundle's config.json and show every problem"),
    "plan": ("plan", "show what create would do, operation by operation"),
    "explain": ("explain", "explain a property of config.json, or a word in it"),
    "doctor": ("doctor", "show what this host can do for containers, and how to get what is missing"),
    "verify": ("verify", "compare a running container with its config.json"),
    "features": ("features", "print what this build supports, as the runtime-spec's features document"),
    "ps": ("ps", "list the processes of a container"),
    "pause": ("pause", "suspend all processes of a container"),
    "resume": ("resume", "resume a paused container"),
    "update": ("update", "change the resource limits of a container"),
    "mounts": (
        "mounts",
        "add or remove mounts of a running container; FILE has an array, as mounts of config.json",
    ),
    "events": ("events", "report statistics and out-of-memory events"),
    "checkpoint": ("checkpoint", "save a running container to disk"),
    "restore": ("restore", "make a container again from what checkpoint has saved"),
    "bundle unpack": ("bundle", "make a bundle of an image, an OCI layout or an archive; layers are shared"),
    "bundle diff": ("bundle", "show what a container has changed of its bundle's image"),
    "bundle commit": ("bundle", "write what a container has changed to an OCI layout, as an image"),
    "bundle prune": ("bundle", "remove the layers that no bundle uses, and what a killed unpack has left"),
}


def load(command: str) -> "ModuleType":
    """The module of a command. KeyError for an unknown one."""
    return __import__(f"runtime.commands.{COMMANDS[command][0]}", fromlist=("main",))


def options_of(module: "ModuleType", command: str) -> "tuple[tuple[Option, ...], Operands]":
    """A command's OPTIONS and OPERANDS. A module that serves several verbs has dicts by verb."""
    options, operands = module.OPTIONS, module.OPERANDS
    return (options[command], operands[command]) if isinstance(options, dict) else (options, operands)
