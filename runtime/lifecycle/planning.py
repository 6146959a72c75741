"""What `create` would do with a bundle, as text or JSON. Cold; makes nothing and needs no privilege."""

import posix

from oci_spec import load_accepted, load_checked, located
from oci_spec.positions import read as read_positions
from oci_spec.problem import Problem
from runtime.cgroups import layout, resources
from runtime.cgroups.device_program import INSTRUCTION_SIZE
from runtime.errors import InvalidConfig, OcirunError
from runtime.host import checks
from runtime.host import facts as host
from runtime.lifecycle import config
from runtime.plan import explain, ops, plan, rootless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.plan.identity import Filter
    from runtime.plan.ops import Operation, String
    from runtime.shapes import Facts, PlanOptions

S_IFMT, S_IFREG = 0o170000, 0o100000
NEWEST = 1 << 16  # a version of systemd that has every property
ID = "CONTAINER-ID"  # the id is not known before create


def program_of(spec: "dict[str, Any]") -> "Filter | None":
    """The filter, when libseccomp is here to compile it; else an empty one stands in its place."""
    profile = spec["linux"].get("seccomp")
    if not profile:
        return None
    from runtime.plan.seccomp import filter_flags
    from runtime.process.seccomp import compile_profile

    try:
        code = compile_profile(profile)[0]
    except InvalidConfig:
        raise
    except OcirunError:
        code = b""
    return code, filter_flags(profile), profile.get("listenerPath", ""), profile.get("listenerMetadata", "")


def plain(value: "String") -> "Any":
    """A string argument for JSON; a filter as the number of its instructions."""
    if isinstance(value, bytes):
        return f"{len(value) // 8} instructions"
    return value if value is None or isinstance(value, str) else list(value)


def placement(places: "list[layout.Place]") -> "list[str]":
    """The files by which a process enters each of the cgroups, were they made."""
    names = {1: "tasks", 2: "cgroup.procs"}
    return [f"{path}/{names[hierarchy['version']]}" for path, _, hierarchy in places]


def cgroup_writes(spec: "dict[str, Any]", places: "list[layout.Place]") -> "dict[str, Any]":
    """What the runtime's part of `cgroups` makes and writes; the wire does not have it, since init does not need it.

    Raises OcirunError for a limit that this host cannot set.
    """
    writes, device_filter = resources.writes(spec["linux"].get("resources"), places)
    rows = [
        {"file": f"{places[index][0]}/{file}", "value": value, "pointer": pointer}
        for index, file, value, pointer, _ in writes
    ]
    length = len(device_filter[1]) // INSTRUCTION_SIZE if device_filter else 0
    return {"directories": [path for path, _, _ in places], "writes": rows, "device_filter": length}


def is_file(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & S_IFMT == S_IFREG
    except OSError:
        return False  # said when the config is opened


class Plan:
    """The operations for one bundle, or for a config file in the place of a bundle's, with what is needed to tell of them.

    ``refusal`` is why `create` would refuse the bundle for what this host lacks: a plan there is all the same. Raises
    InvalidConfig for a config that is wrong anywhere, or asks for what is not built; ``problems`` has then what was found before.
    """

    def __init__(self, bundle: str, manager: str = "cgroupfs", problems: "list[Problem] | None" = None) -> None:
        self.bundle = host.absolute(bundle, posix.getcwd())
        file = f"{self.bundle}/config.json"
        if is_file(self.bundle):
            file, self.bundle = self.bundle, self.bundle.rpartition("/")[0] or "/"
        self.data = config.read(file, ordinary=True)
        self.problems: list[Problem] = [] if problems is None else problems
        self.refusal: OcirunError | None = None
        self.unit: list[str] = []  # of the systemd cgroup manager: its name and its properties
        spec = self.read()
        self.positions = read_positions(self.data)[1]
        facts = host.read(spec, self.bundle)
        if not facts["privileged"]:
            self.check_rights(spec, facts)
        places = self.places(spec, facts, manager)
        facts["cgroup_places"] = places
        facts["placement"] = placement(places)
        if spec["linux"].get("intelRdt"):
            from runtime import resctrl
            from runtime.host.confinement import resctrl_mount

            mount = resctrl_mount() or "/sys/fs/resctrl"  # where there is none, `refusal` says so
            facts["resctrl"] = resctrl.survey(spec["linux"]["intelRdt"], ID, mount)["tasks"]
        options: PlanOptions = {"id": ID, "wait_start": True, "seccomp": program_of(spec)}
        self.operations, warnings = plan(spec, facts, options)
        for pointer, message in warnings:
            self.add(pointer, "warning", message)
        self.cgroups: dict[str, Any] = {}
        if manager == "disabled":
            from runtime.cgroups import disabled

            for pointer, message in disabled.warnings(spec["linux"]):
                self.add(pointer, "warning", message)
            return
        for pointer, message in layout.unplaced(spec["linux"].get("cgroupsPath"), places):
            self.add(pointer, "warning", message)
        try:
            self.cgroups = cgroup_writes(spec, places)
        except OcirunError as error:
            self.refuse(error)
            self.add(error.pointer or "", "error", error.message)

    def places(self, spec: "dict[str, Any]", facts: "Facts", manager: str) -> "list[layout.Place]":
        """Where the cgroups would be. systemd is not asked: it is taken to be the newest, and at the hierarchies' roots."""
        path = spec["linux"].get("cgroupsPath")
        if manager == "disabled":
            return []
        if manager != "systemd":
            return layout.places(path, ID, facts["cgroup"])
        from runtime.cgroups.systemd import annotations, units
        from runtime.cgroups.systemd import properties as table

        user = not facts["privileged"]
        slice, name = units.names(path, ID, user)
        resources = spec["linux"].get("resources") or {}
        v2 = facts["cgroup"]["mode"] == "v2"
        properties = table.of_unit(slice, name, ID, resources, v2, NEWEST, user)
        properties += annotations.properties(spec.get("annotations") or {})
        self.unit = [name, *table.text(properties)]
        uid = posix.geteuid()
        below = f"/user.slice/user-{uid}.slice/user@{uid}.service" if user else ""
        return [units.place(below + units.cgroup(slice, name), one) for one in facts["cgroup"]["hierarchies"]]

    def read(self) -> "dict[str, Any]":
        """The checked config. What only the host can find fault with becomes problems, and the refusal."""
        try:
            return config.checked(self.data, self.bundle, self.problems.append)
        except InvalidConfig as error:
            spec: dict[str, Any]
            spec, found = load_checked(self.data)
            faulty = any(problem.severity == "error" for problem in found)
            if faulty or not all(spec.get(section) for section in ("linux", "root")):
                raise
            self.refuse(error)
            rows = [row for row in checks.rows(spec, self.bundle) if row[1] == "error"]
            self.problems += located(self.data, rows)
            return spec

    def check_rights(self, spec: "dict[str, Any]", facts: "Facts") -> None:
        """Who asks for the plan may not be who makes the container: what only root can have is a warning."""
        try:
            rootless.check(spec, facts)
        except InvalidConfig as error:
            self.add(error.pointer or "", "warning", error.message)

    def refuse(self, error: OcirunError) -> None:
        config.locate(error, self.data)
        self.refusal = self.refusal or error

    def add(self, pointer: str, severity: str, message: str) -> None:
        line, column = self.positions.find(pointer)
        self.problems.append(Problem(pointer, line, column, severity, message, None, "plan"))

    def line(self, pointer: "str | None") -> "int | None":
        return self.positions.find(pointer)[0] if pointer else None

    def row(self, index: int, operation: "Operation") -> "dict[str, Any]":
        code, side, pointer, numbers, strings = operation
        name, number_names, string_names = ops.TABLE[code]
        args = dict(zip(number_names, numbers, strict=False)) | dict(
            zip(string_names, map(plain, strings), strict=False)
        )
        if code == ops.OP_CGROUPS:
            args = {**self.cgroups, "unit": self.unit} if self.unit else self.cgroups
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


def text(plan: Plan) -> str:
    """A line an operation: its number, who does it, what it does, the place in config.json that asks for it."""
    document = plan.document()
    lines = [f"# what create would do with {plan.bundle}: number, side, operation [line and pointer in config.json]"]
    for row in document["operations"]:
        place = f"  [{row['line']} {row['pointer']}]" if row["line"] else ""
        lines.append(f"{row['index']:3}  {row['side']:9}  {row['text']}{place}")
        if row["op"] == "cgroups":
            lines += [f"{'':16}{line}" for line in limits(plan)]
    for problem in document["warnings"]:
        lines.append(
            f"{problem['severity']}: config.json:{problem['line']}: {problem['pointer']}: {problem['message']}"
        )
    return "\n".join(lines) + "\n"


def limits(plan: Plan) -> "list[str]":
    """The limits of a plan: a line a file, with all that is written to it in a row."""
    rows: list[tuple[str, str, list[str]]] = []
    for write in plan.cgroups.get("writes", ()):
        name = write["file"].rpartition("/")[2]
        if not rows or rows[-1][0] != name:
            rows.append((name, write["pointer"], []))
        rows[-1][2].append(write["value"])
    lines = [f"the systemd unit {plan.unit[0]}", *plan.unit[1:]] if plan.unit else []
    for name, pointer, values in rows:
        line = plan.line(pointer)
        lines.append(f"{name}: {', '.join(values)}" + (f"  [{line} {pointer}]" if line else ""))
    if plan.cgroups.get("device_filter"):
        lines.append(f"a device filter ({plan.cgroups['device_filter']} instructions)")
    return lines


def findings(file: str, data: bytes, manager: str = "cgroupfs") -> "list[Problem]":
    """What only the plan says of a config whose schema and rules are in order: the rule is "plan".

    Nothing of one that `create` would refuse for a whole section that it lacks, which is no fault of the config.
    """
    if not all(load_accepted(data).get(section) for section in ("linux", "root")):
        return []
    problems: list[Problem] = []
    try:
        Plan(file, manager, problems)
    except OcirunError as error:
        line, column = read_positions(data)[1].find(error.pointer or "")
        problems.append(Problem(error.pointer or "", line, column, "error", error.message, None, "plan"))
    return [problem for problem in problems if problem.rule == "plan"]


def report(bundle: str, form: str, manager: str = "cgroupfs") -> "tuple[str, OcirunError | None]":
    """What `ocirun plan` prints, and why `create` would refuse; ``form`` is text or json."""
    plan = Plan(bundle, manager)
    if form == "text":
        return text(plan), plan.refusal
    import json

    return json.dumps(plan.document(), indent=2, ensure_ascii=False) + "\n", plan.refusal
