"""``--help`` and ``--version``, from the parser's tables. Cold."""

from runtime.commands import COMMANDS, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from runtime.commands import Option

WIDTH = 100  # columns of a line
INDENT = 32  # columns before an option's text


def overview(options: "Iterable[Option]") -> str:
    """The text of ``ocirun --help``. ``options``: the global ones."""
    lines = ["usage: ocirun [OPTIONS] COMMAND [OPTIONS] [OPERANDS]", "", "Run OCI containers.", ""]
    lines += [*_commands(COMMANDS), "", "options, before or after the command:", *_rows(options)]
    lines += ["", "'ocirun COMMAND --help' lists the options of a command."]
    return "\n".join(lines) + "\n"


def _commands(names: "Iterable[str]") -> "list[str]":
    width = max(map(len, names)) + 3
    return ["commands:", *(f"  {name:{width}}{COMMANDS[name][1]}" for name in names)]


def parts(first: str) -> "list[str]":
    """The verbs of two words that begin with this one."""
    return [name for name in COMMANDS if first and name.startswith(f"{first} ")]


def group(first: str, names: "list[str]") -> str:
    """The text of ``ocirun FIRST --help``, of these verbs."""
    lines = [f"usage: ocirun [OPTIONS] {first} COMMAND [OPTIONS] [OPERANDS]", "", *_commands(names)]
    lines += ["", f"'ocirun {first} COMMAND --help' lists the options of a command."]
    return "\n".join(lines) + "\n"


def first_page(command: str, options: "Iterable[Option]") -> str:
    """What leads to a command's page: the overview without one, or the group of which ``command`` is the first word; else ""."""
    names = parts(command)
    return group(command, names) if names else "" if command else overview(options)


def page(command: str, module: "ModuleType") -> str:
    """The text of ``ocirun COMMAND --help``."""
    options, (_, _, operands) = options_of(module, command)
    summary = COMMANDS[command][1]
    usage = ["usage: ocirun [OPTIONS]", command, "[OPTIONS]" if options else "", operands]
    lines = [" ".join(filter(None, usage)), "", f"{summary[0].upper()}{summary[1:]}."]
    if options:
        lines += ["", "options:", *_rows(options)]
    lines += ["", "'ocirun --help' lists the options of every command."]
    return "\n".join(lines) + "\n"


def _rows(options: "Iterable[Option]") -> "list[str]":
    lines = []
    for names, metavar, _, sentence in options:
        value = f" {metavar}" if metavar else ""
        head = f"  {', '.join(sorted(names, key=len))}{value}"
        lines += _wrapped(head, sentence)
    return lines


def _wrapped(head: str, sentence: str) -> "list[str]":
    """The text in a column beside ``head``, or below it if that is too long."""
    import textwrap

    body = textwrap.wrap(sentence, WIDTH - INDENT)
    first = [head] if len(head) > INDENT - 2 or not body else [f"{head:{INDENT}}{body.pop(0)}"]
    return first + [" " * INDENT + line for line in body]


def unknown(command: str) -> str:
    """What is wrong with a verb that there is not, or with the first of two words."""
    if names := parts(command):
        return f"{command} needs one of {', '.join(name.partition(' ')[2] for name in names)} after it"
    return f'there is no command "{command}"{guess(command, COMMANDS)}'


def guess(word: str, known: "Iterable[str]") -> str:
    """The known word that was probably meant, as the end of an error."""
    from oci_spec.nearest import nearest

    near = nearest(word, known, 0.7)
    return f"; did you mean {near}?" if near else ""


def versions() -> str:
    """The five lines of ``ocirun --version``."""
    import sys

    from runtime.lifecycle.state import VERSION

    version, commit = build()
    python = sys.version.partition(" ")[0] + (" (image)" if hasattr(sys, "image") else " (interpreter)")
    lines = [f"ocirun version {version}", f"commit: {commit}", f"spec: {VERSION}", f"python: {python}"]
    return "\n".join([*lines, f"libseccomp: {libseccomp() or 'not found'}"]) + "\n"


def build() -> "tuple[str, str]":
    """Version and commit of this build."""
    try:
        from runtime import _build
    except ImportError:  # the sources without a build
        return "unknown", "unknown"
    return _build.VERSION, _build.COMMIT


def libseccomp() -> str:
    """The version of the libseccomp that compiles profiles; "" if it is not installed."""
    from runtime.shim import ffi, lib

    result = ffi.new("struct seccomp_result *")
    if lib.shim_seccomp_version(result) < 0:
        return ""
    return ".".join(str(part) for part in result.version)
