"""All problems of a document, described. Cold: loaded when a document is refused, and by `ocirun validate`.

Schema errors come from `jsonschema` and are described here. The refused parts are then removed and the rules run on the
rest, so that one report has every problem.
"""

from oci_spec import foreign
from oci_spec.document import NULLABLE, BadDocument, load
from oci_spec.mistakes import size_of
from oci_spec.positions import explain, read
from oci_spec.problem import Problem, located, ordered
from oci_spec.rules import escape, rules_for
from oci_spec.shape import elsewhere, shape_of, verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oci_spec.problem import More, Row
    from oci_spec.rules import Rule
    from oci_spec.types import Json

# How much of a refused value is quoted, in characters.
QUOTED = 60

# What a check may raise when a required part is missing.
INCOMPLETE = (KeyError, TypeError, AttributeError, ValueError, IndexError)

_ARTICLES = {
    "array": "an array",
    "boolean": "true or false",
    "integer": "an integer",
    "object": "an object",
    "string": "a string",
}


def check(data: bytes, kind: str = "config", more: "More | None" = None) -> "list[Problem]":
    """Every problem of a "config", "process", "state" or "features" document, errors first."""
    try:
        value = load(data)
    except BadDocument:
        message, hint, line, column = explain(data)
        return [Problem("", line, column, "error", message, hint, "json")]
    other = foreign.name(value, kind)
    if other:
        return [Problem("", 1, 1, "error", *other, "document")]
    rows = list(null_rows(value, kind)) if b"null" in data and kind in NULLABLE else []
    rows += [] if verify(value, kind) else list(schema_rows(value, kind))
    refused = [row[0] for row in rows if row[1] == "error"]
    sound, moved = prune(value, [*refused, *crippled(value, kind, refused)])
    if type(sound) is dict:
        findings = [restore(row, moved) for row in finding_rows(sound, kind)] + list(tolerant_rows(value, kind))
        known = Wrong(refused)
        rows += [row for row in findings if not known.explains(row)]
        wrong = Wrong(row[0] for row in rows if row[1] == "error")
        rows += [row for row in (restore(row, moved) for row in further_rows(sound, more)) if not wrong.explains(row)]
    return ordered(located(data, rows) + repeated(data))


def null_rows(document: "Json", kind: str) -> "Iterator[Row]":
    """A warning for each null property; removes them from the document."""
    from oci_spec.nulls import remove

    for pointer in remove(document, kind):
        yield pointer, "warning", "null is taken as if the property were not there", "leave it out", "null"


def repeated(data: bytes) -> "list[Problem]":
    """A warning for each repeated key of an object."""
    positions = read(data)[1]
    message = "the key is repeated, only the last one counts"
    return [
        Problem(pointer, *positions.line_column(offset), "warning", message, "remove one of them", "json")
        for pointer, offset in positions.repeated
    ]


def finding_rows(document: "Json", kind: str) -> "Iterator[Row]":
    """The findings of rules and advice on a document that may lack parts."""
    whole = {"process": document} if kind == "process" else document
    for rule in rules_for(whole, kind) + extra_rules(whole, kind):
        try:
            for finding in rule(whole):
                pointer = finding[0].removeprefix("/process") if kind == "process" else finding[0]
                yield pointer, *finding[1:], rule.__name__
        except INCOMPLETE:
            # The schema reports the missing property; the rule's findings so far stand.
            continue


def extra_rules(document: "Json", kind: str) -> "tuple[Rule, ...]":
    """The rules for `validate` alone."""
    from oci_spec.rules import advice, profile, surprises

    if kind == "process":
        return advice.PROCESS + surprises.PROCESS
    if kind != "config":
        return advice.DOCUMENT
    linux = document.get("linux")
    filtered = type(linux) is dict and "seccomp" in linux
    return advice.CONFIG + surprises.CONFIG + (profile.RULES if filtered else ())


def further_rows(document: "Json", more: "More | None") -> "Iterator[Row]":
    try:
        yield from more(document) if more else ()
    except INCOMPLETE:
        return


def tolerant_rows(document: "Json", kind: str) -> "Iterator[Row]":
    """Findings that do not depend on the schema's verdict."""
    from oci_spec.rules.text import nul_in_string
    from oci_spec.rules.unknown import unknown_property

    for finding in unknown_property(document, kind):
        yield *finding, "unknown_property"
    for finding in nul_in_string(document):
        yield *finding, "nul_in_string"


def schema_rows(value: "Json", kind: str) -> "Iterator[Row]":
    """The schema's errors, each with the pointer of the refused value or of the missing property."""
    from oci_spec.schemas import validator

    for error in validator(kind).iter_errors(value):
        pointer = "".join(f"/{escape(str(name))}" for name in error.absolute_path)
        keyword = str(error.validator)
        if keyword == "required":
            for name in error.validator_value:
                if name not in error.instance:
                    yield f"{pointer}/{escape(name)}", "error", f"{name} is missing", f"add {name}", "schema:required"
        else:
            message, hint = described(keyword, error.validator_value, error.instance)
            yield pointer, "error", message, hint, f"schema:{keyword}"


def described(keyword: str, wanted: "Json", value: "Json") -> "tuple[str, str | None]":
    """Message and hint for a value that a keyword of the schema refuses."""
    shown = quoted(value)
    if keyword == "type":
        return f"expected {_ARTICLES[wanted]}, not {shown}", type_hint(wanted, value)
    if keyword == "enum":
        return f"{shown} is not one of the known values", enum_hint(value, wanted)
    if keyword == "minimum":
        return f"{shown} is below {wanted}", f"write {wanted} or more"
    if keyword == "maximum":
        return f"{shown} is above {wanted}", f"write {wanted} or less"
    if keyword == "minItems":
        return "the list is empty", "add an item, or leave the property out"
    if keyword == "pattern":
        return f"{shown} is not of the form {wanted.removesuffix('(?!' + chr(92) + 'n)')}", pattern_hint(wanted)
    return f"{shown} does not satisfy {keyword} {wanted}", None


EXAMPLES = {
    "array": "a list in brackets: [ ]",
    "boolean": "true or false",
    "integer": "a number without fraction and exponent",
    "object": "an object in braces: { }",
    "string": "a text in double quotes",
}


def type_hint(wanted: str, value: "Json") -> str:
    """What a value of the wrong type probably meant."""
    if wanted == "integer" and type(value) is str and value.strip().lstrip("-").isdigit():
        return f"write {value.strip()} without quotes"
    if wanted == "integer" and type(value) is str and (size := size_of(value)) is not None:
        return f"write {size}"
    if wanted == "integer" and type(value) is float and value.is_integer():
        return f"write {int(value)}, without fraction or exponent"
    if wanted == "boolean" and value in ("true", "false"):
        return f"write {value} without quotes"
    if wanted == "array" and type(value) is str:
        return f"write [{quoted(value)}]"
    if wanted == "string" and type(value) in (int, float):
        return f'write "{quoted(value)}", in double quotes'
    return f"write {EXAMPLES[wanted]}"


PATTERNS = {"RLIMIT_": "RLIMIT_NOFILE", "[0-9, -]": "0-3,7", "[KMG]B": "2MB", "CAP_": "CAP_KILL", "MB:": "MB:0=20;1=50"}


def pattern_hint(pattern: str) -> "str | None":
    """An example of a pattern."""
    return next((f"write it like {example}" for part, example in PATTERNS.items() if part in pattern), None)


def enum_hint(value: "Json", known: "list[str]") -> str:
    from oci_spec.nearest import nearest

    near = nearest(value, known) if isinstance(value, str) else ""
    if near:
        return f"did you mean {near}?"
    return (
        f"known values are {', '.join(known)}"
        if len(known) < 12
        else f"known values are {', '.join(known[:10])} and more"
    )


def quoted(value: "Json") -> str:
    """A value as JSON, cut to QUOTED characters."""
    import json

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= QUOTED else text[: QUOTED - 1] + "…"


def crippled(value: "Json", kind: str, refused: "list[str]") -> "Iterator[str]":
    """Pointers of array items that lose a required property: the rules cannot check the rest of them."""
    for pointer in refused:
        names = [name.replace("~1", "/").replace("~0", "~") for name in pointer.split("/")[1:]]
        shape, item, parent = shape_of(kind), value, None
        for name in names[:-1]:
            shape = shape[0] if type(shape) is list else shape.get(name, shape.get(0))
            shape = elsewhere(shape.decode()) if type(shape) is bytes else shape
            item, parent = item[int(name)] if type(item) is list else item.get(name), item
        if names and type(parent) is list and type(shape) is dict and names[-1] in shape.get(None, ()):
            yield pointer.rpartition("/")[0]


# Pointer of an array that lost items → the old index of each remaining item.
Moved = dict[str, list[int]]


def prune(value: "Json", refused: "list[str]") -> "tuple[Json, Moved]":
    """A copy without the refused values (None if all of it is refused), and how array indices moved."""
    if not refused:
        return value, {}
    gone = set(refused)
    moved: Moved = {}

    def copy(item: "Json", pointer: str) -> "Json":
        if type(item) is dict:
            members = ((name, inner, f"{pointer}/{escape(name)}") for name, inner in item.items())
            return {name: copy(inner, below) for name, inner, below in members if below not in gone}
        if type(item) is list:
            kept_indices = [index for index in range(len(item)) if f"{pointer}/{index}" not in gone]
            if len(kept_indices) < len(item):
                moved[pointer] = kept_indices
            return [copy(item[index], f"{pointer}/{index}") for index in kept_indices]
        return item

    return (None if "" in gone else copy(value, "")), moved


def restore(row: "Row", moved: Moved) -> "Row":
    """A row on the pruned document, with its pointer in the whole one."""
    if not moved:
        return row
    pointer = ""
    for name in row[0].split("/")[1:]:
        if pointer in moved and name.isdigit():
            name = str(moved[pointer][int(name)])
        pointer += f"/{name}"
    return (pointer, *row[1:])


# What some findings look at, besides their own pointer.
DEPENDS = {
    "mounts_own_namespace": ("/linux/namespaces",),
    "hostname_own_namespace": ("/linux/namespaces",),
    "mappings_need_user_namespace": ("/linux/namespaces",),
    "sysctl_own_namespace": ("/linux/namespaces",),
    "net_devices_namespace": ("/linux/namespaces",),
    "time_offsets_namespace": ("/linux/namespaces",),
    "effective_permitted": ("/process/capabilities/permitted",),
    "capabilities_lost": ("/process/user", "/process/capabilities"),
    "capabilities_gained": ("/process/user", "/process/capabilities", "/process/noNewPrivileges"),
    "inheritable_bounding": ("/process/capabilities",),
    "console_size_used": ("/process/terminal",),
    "mount_masked": ("/linux/maskedPaths",),
    "path_masked_before": ("/linux/maskedPaths",),
    "joined_namespace_kept": ("/linux/namespaces",),
    "seccomp_program_runs": ("/linux/seccomp",),
    "seccomp_rule_counts": ("/linux/seccomp",),
    "kernel:device_rules": ("/linux/resources/devices",),
    "kernel:swap_limit": ("/linux/resources/memory",),
    "host:ids_mapped": ("/linux/uidMappings", "/linux/gidMappings", "/linux/namespaces"),
    "host:sysctl": ("/linux/gidMappings",),
    "host:program": ("/root",),
    "host:cwd": ("/root",),
    "host:cwd_made": ("/root", "/mounts"),
    "host:hostname": ("/linux/namespaces",),
    "host:program_file": ("/root", "/mounts"),
    "host:mount_target": ("/root",),
}


class Wrong:
    """The places of errors, to tell what may be no more than a consequence of them."""

    def __init__(self, pointers: "Iterable[str]") -> None:
        self.pointers = set(pointers)
        self.above = {above for pointer in self.pointers for above in parents(pointer)}

    def explains(self, row: "Row") -> bool:
        """Whether one of the errors is at the finding's place, above it, below it, or where else it looks."""
        return any(
            place in self.above or any(above in self.pointers for above in (place, *parents(place)))
            for place in (row[0], *DEPENDS.get(row[4], ()))
        )


def parents(pointer: str) -> "Iterator[str]":
    """The pointers of the values that contain a value."""
    while pointer:
        pointer = pointer.rpartition("/")[0]
        yield pointer
