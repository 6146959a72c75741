"""What `create` would do with a bundle, as text or JSON. Cold; makes nothing and needs no privilege."""

import posix

from oci_spec.positions import read as read_positions
from oci_spec.problem import Problem
from runtime.cgroups import layout
from runtime.errors import InvalidConfig, OcirunError
from runtime.host import facts as host
from runtime.lifecycle import create as creating
from runtime.plan import explain, ops, plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.plan.ops import Operation, String

ID = "CONTAINER-ID"  # the id is not known before create


def program_of(spec: "dict[str, Any]") -> "tuple[bytes, int] | None":
    """The filter, when libseccomp is here to compile it; else an empty one stands in its place."""
    profile = spec["linux"].get("seccomp")
    if not profile:
        return None
    from runtime.plan.seccomp import filter_flags
    from runtime.process.seccomp import compile_profile

    try:
        return compile_profile(profile)[0], filter_flags(profile)
    except InvalidConfig:
        raise
    except OcirunError:
        return b"", filter_flags(profile)


def plain(value: "String") -> "Any":
    """A string argument for JSON; a filter as the number of its instructions."""
    if isinstance(value, bytes):
        return f"{len(value) // 8} instructions"
    return value if value is None or isinstance(value, str) else list(value)


def placement(places: "list[layout.Place]") -> "list[str]":
    """The files by which a process enters each of the cgroups, were they made."""
    names = {1: "tasks", 2: "cgroup.procs"}
    return [f"{path}/{names[hierarchy['version']]}" for path, _, hierarchy in places]


class Plan:
    """The operations for one bundle, with what is needed to tell of them."""

    def __init__(self, bundle: str) -> None:
        self.bundle = host.absolute(bundle, posix.getcwd())
        data = creating.read_config(f"{self.bundle}/config.json")
        self.problems: list[Problem] = []
        self.positions = None
        spec = creating.checked(data, self.bundle, self.problems.append)
        self.positions = read_positions(data)[1]
        facts = host.read(spec, self.bundle)
        places = layout.places(spec["linux"].get("cgroupsPath"), ID, facts["cgroup"])
        facts["cgroup_places"] = places
        facts["placement"] = placement(places)
        options = {"id": ID, "wait_start": True, "seccomp": program_of(spec)}
        self.operations, warnings = plan(spec, facts, options)
        for pointer, message in warnings:
            line, column = self.positions.find(pointer)
            self.problems.append(Problem(pointer, line, column, "warning", message, None, "plan"))

    def line(self, pointer: "str | None") -> "int | None":
        return self.positions.find(pointer)[0] if pointer and self.positions else None

    def row(self, index: int, operation: "Operation") -> "dict[str, Any]":
        code, side, pointer, numbers, strings = operation
        name, number_names, string_names = ops.TABLE[code]
        args = dict(zip(number_names, numbers, strict=False)) | dict(
            zip(string_names, map(plain, strings), strict=False)
        )
        return {
            "index": index,
            "op": name,
            "side": "host" if side == ops.HOST else "container",
            "pointer": pointer,
            "line": self.line(pointer),
            "text": explain.sentence(operation),
            "args": args,
        }

    def document(self) -> "dict[str, Any]":
        rows = [self.row(i, operation) for i, operation in enumerate(self.operations)]
        return {"version": 1, "operations": rows, "warnings": [problem.as_dict() for problem in self.problems]}


def text(document: "dict[str, Any]") -> str:
    """A line an operation: its number, who does it, what it does, the place in config.json that asks for it."""
    lines = []
    for row in document["operations"]:
        place = f"  [config.json:{row['line']} {row['pointer']}]" if row["line"] else ""
        lines.append(f"{row['index']:3}  {row['side']:9}  {row['text']}{place}")
    for problem in document["warnings"]:
        lines.append(f"warning: config.json:{problem['line']}: {problem['pointer']}: {problem['message']}")
    return "\n".join(lines) + "\n"


def report(bundle: str, form: str) -> str:
    """What `ocirun plan` prints; ``form`` is text or json."""
    document = Plan(bundle).document()
    if form == "text":
        return text(document)
    import json

    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
