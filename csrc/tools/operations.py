"""Generates C and Python from the table of operations in runtime/plan/operations.

    csrc/operations.h      codes, steps and flags: the wire
    csrc/arguments.h       the place of each argument in its operation, and the functions of init
    csrc/dispatch.c        code → function, of the operations that init performs
    runtime/plan/ops.py    the same for Python, and a constructor for each operation

The table is read, not imported: it imports runtime/plan/ops.py, which may be what is broken.

Usage: operations.py [DIRECTORY]   (in place of the tree, for a test)
"""

import ast
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

TREE = pathlib.Path(__file__).resolve().parents[2]
TABLE = TREE / "runtime/plan/operations"
# In the order of the codes on the wire.
SUBJECTS = ("entering", "filesystem", "process")
MADE = "generated from runtime/plan/operations by csrc/tools/operations.py (make generate); do not edit"
NUMBERS, STRINGS = 6, 4  # of a record: PLAN_NUMBERS and PLAN_STRINGS of plan.h
KINDS = ("int", "bool", "str", "bytes", "Sequence[str]")
FLAG = re.compile(r"([A-Z_]+) = (\d+)(?:  # (.*))?")


@dataclass
class Operation:
    """A function of the table. ``origin`` is the Python expression for it, ``header`` the constructor's parameters."""

    name: str
    side: str
    origin: str
    header: str
    docstring: str
    numbers: list[tuple[str, bool]]
    strings: list[str]

    @property
    def code(self) -> str:
        return f"OP_{self.name.upper()}"

    def index(self, argument: str) -> str:
        """C's name for the place of the argument."""
        return f"{self.name}_{argument}".upper()


# --- reading


def syntax(module: str) -> ast.Module:
    return ast.parse((TABLE / f"{module}.py").read_text(encoding="utf-8"), module)


def parameter(argument: ast.arg, default: ast.expr | None) -> str:
    """As the constructor has it: what the hot module does not import is quoted."""
    kind = ast.unparse(argument.annotation or ast.Constant(None))
    kind = f'"{kind}"' if "Sequence" in kind else kind
    return f"{argument.arg}: {kind}" + (f" = {ast.unparse(default)}" if default else "")


def operation(function: ast.FunctionDef, decorator: ast.Call) -> Operation:
    """A row of the table. SystemExit for one that no record can hold."""
    arguments = function.args.args
    defaults = [None] * (len(arguments) - len(function.args.defaults)) + function.args.defaults
    kinds = {one.arg: ast.unparse(one.annotation or ast.Constant(None)) for one in arguments}
    origin = "origin" if kinds.pop("origin", None) else "None"
    side = "side" if kinds.pop("side", None) else ast.unparse(decorator.func).upper()
    if decorator.args:
        origin = ast.unparse(decorator.args[0])
    found = Operation(
        function.name,
        side,
        origin,
        ", ".join(map(parameter, arguments, defaults)),
        ast.get_docstring(function, clean=False) or "",
        [(name, kind == "bool") for name, kind in kinds.items() if kind in ("int", "bool")],
        [name for name, kind in kinds.items() if kind not in ("int", "bool")],
    )
    if len(found.numbers) > NUMBERS or len(found.strings) > STRINGS or not found.docstring:
        raise SystemExit(f"{function.name}: {NUMBERS} numbers and {STRINGS} strings at most, and a docstring")
    if unknown := [kind for kind in kinds.values() if kind.removesuffix(" | None") not in KINDS]:
        raise SystemExit(f"{function.name}: {', '.join(unknown)} is none of {', '.join(KINDS)}")
    return found


def operations() -> Iterator[Operation]:
    """In the order of their codes."""
    for subject in SUBJECTS:
        for node in syntax(subject).body:
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                decorator = node.decorator_list[0]
                assert isinstance(decorator, ast.Call)
                yield operation(node, decorator)


def steps() -> list[str]:
    """The names of what init may be trying."""
    calls = (node for node in syntax("steps").body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call))
    return [ast.unparse(node.targets[0]) for node in calls]


def flags() -> str:
    """The lines of flags.py after its docstring."""
    return (TABLE / "flags.py").read_text(encoding="utf-8").rpartition('"""\n')[2].strip()


# --- writing


def operations_header(table: list[Operation]) -> str:
    codes = [*(one.code for one in table), "OP_COUNT"]
    tried = [f"STEP_{name}" for name in [*steps(), "COUNT"]]
    lines = [f"/* The operations of a plan: {MADE}.", " * cffi reads this file verbatim, as it does plan.h. */", ""]
    lines += [f"enum plan_code {{ {', '.join(codes)} }};", "", "/* What init tried when an operation failed. */"]
    lines += [f"enum plan_step {{ {', '.join(tried)} }};", ""]
    for line in flags().splitlines():
        if found := FLAG.fullmatch(line):
            name, value, words = found.groups()
            lines.append(f"#define {name} {value}" + (f" /* {words} */" if words else ""))
        else:
            lines.append(f"/* {line.removeprefix('# ')} */" if line else "")
    return "\n".join(lines) + "\n"


def arguments_header(table: list[Operation]) -> str:
    """A list of numbers and one of strings for each operation that init performs, with its function."""
    lines = [f"/* The arguments of init's operations, and its functions: {MADE}. */", "#pragma once", ""]
    lines += ["struct context;", "struct plan_op;"]
    for one in table:
        lines.append("")
        for kind, names in (("number", [name for name, _ in one.numbers]), ("string", one.strings)):
            if names:
                lines.append(f"enum {one.name}_{kind} {{ {', '.join(map(one.index, names))} }};")
        lines.append(f"int op_{one.name}(struct context *ctx, const struct plan_op *op);")
    return "\n".join(lines) + "\n"


def dispatch(table: list[Operation]) -> str:
    lines = [f"/* Init's functions by code: {MADE}. */", '#include "init.h"', ""]
    lines.append("const operation OPERATIONS[OP_COUNT] = {")
    lines += [f"\t[{one.code}] = op_{one.name}," for one in table]
    return "\n".join([*lines, "};"]) + "\n"


HOT = '''"""The operations of a plan: their codes, the names of their arguments, and a constructor for each.

An operation is a tuple ``(code, side, origin, numbers, strings)``: ``code`` is ``OP_*``, ``side`` is ``HOST`` or ``CONTAINER``,
``origin`` the RFC 6901 pointer into config.json that asked for it (None: the runtime's own doing), ``numbers`` up to 6
unsigned integers (negative ones wrap to 64 bits on the wire), ``strings`` up to 4 of str, bytes or list[str] (None: absent).

It is {MADE}.
Hot: it imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    String = str | bytes | Sequence[str] | None
    Operation = tuple[int, int, str | None, tuple[int, ...], tuple["String", ...]]

HOST, CONTAINER = 0, 1

'''


def joined(names: list[str]) -> str:
    """A tuple's source."""
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"


def constructor(one: Operation) -> str:
    numbers = joined([f"int({name})" if boolean else name for name, boolean in one.numbers])
    body = f"return {one.code}, {one.side}, {one.origin}, {numbers}, {joined(one.strings)}"
    return f'def {one.name}({one.header}) -> "Operation":\n    """{one.docstring}"""\n    {body}\n'


def hot_module(table: list[Operation]) -> str:
    rows = [
        f"({one.name!r}, {joined([repr(name) for name, _ in one.numbers])}, {joined([*map(repr, one.strings)])}),"
        for one in table
    ]
    parts = [
        HOT.replace("{MADE}", MADE) + flags(),
        "\n# By code: name, names of its numbers, names of its strings.",
        'TABLE: "tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]" = (',
        *rows,
        ")\n",
        f"({', '.join(one.code for one in table)}) = range({len(table)})",
        *map(constructor, table),
    ]
    return "\n".join(parts)


def formatted(name: str, text: str) -> str:
    """As `make format` would leave it."""
    tool = ["ruff", "format", "--quiet", "-"] if name.endswith(".py") else ["clang-format"]
    command = [str(pathlib.Path(sys.executable).with_name(tool[0])), *tool[1:]]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=TREE).stdout


def generated() -> dict[str, str]:
    """File → text."""
    table = list(operations())
    performed = [one for one in table if one.side != "HOST"]
    names = [one.index(name) for one in performed for name in [*(name for name, _ in one.numbers), *one.strings]]
    names += [found[1] for line in flags().splitlines() if (found := FLAG.fullmatch(line))]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SystemExit(f"two meanings in C: {', '.join(twice)}")
    texts = {
        "csrc/operations.h": operations_header(table),
        "csrc/arguments.h": arguments_header(performed),
        "csrc/dispatch.c": dispatch(performed),
        "runtime/plan/ops.py": hot_module(table),
    }
    return {name: formatted(name, text) for name, text in texts.items()}


if __name__ == "__main__":
    place = pathlib.Path(sys.argv[1]) if sys.argv[1:] else TREE
    for name, text in generated().items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
