"""What `create` would do with a bundle, as text or JSON. Makes nothing and needs no privilege. Cold."""

import posix

from oci_spec import load_accepted, load_checked, located
from oci_spec.positions import read as read_positions
from oci_spec.problem import Problem
from runtime.cgroups import intent, layout, resources
from runtime.cgroups.device_program import INSTRUCTION_SIZE
from runtime.errors import InvalidConfig, OcirunError
from runtime.host import checks
from runtime.host import facts as host
from runtime.kernel import S_IFMT, S_IFREG
from runtime.lifecycle import assembly, config, plan_text
from runtime.plan import explain, ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Config, Json, JsonObject
    from runtime.plan.ops import Operation, String
    from runtime.shapes import Facts, Filter, Location

NEWEST = 1 << 16  # stands for a systemd that has every property
ID = "CONTAINER-ID"  # the id is not known before create


def program_of(spec: "Config") -> "Filter | None":
    """The seccomp filter, or an empty one where libseccomp is not installed.

    As `assembly.seccomp_filter`, but without writing to the cache. InvalidConfig for a bad profile.
    """
    profile = assembly.seccomp_profile(spec)
    if not profile:
        return None
    from runtime.plan.seccomp import filter_flags
    from runtime.seccomp import compile_profile, refuse_unknown

    try:
        code, _, warnings = compile_profile(profile)
        for warning in warnings:
            refuse_unknown(spec, warning)
    except InvalidConfig:
        raise
    except OcirunError:
        code = b""
    return code, filter_flags(profile), profile.get("listenerPath", ""), profile.get("listenerMetadata", "")


def plain(value: "String") -> "Json":
    """A string argument as JSON; a filter as the number of its instructions."""
    if isinstance(value, bytes):
        return f"{len(value) // 8} instructions"
    return value if value is None or isinstance(value, str) else list(value)


def placement(locations: "list[Location]") -> "list[str]":
    """The files by which a process would enter each of the cgroups."""
    names = {1: "tasks", 2: "cgroup.procs"}
    return [f"{location['path']}/{names[location['hierarchy']['version']]}" for location in locations]


def cgroup_writes(spec: "Config", locations: "list[Location]") -> "JsonObject":
    """What the host's side of `cgroups` makes and writes. Init does not need it, so the wire does not carry it.

    Raises OcirunError for a limit that this host cannot set.
    """
    writes, device_filter = resources.writes(spec["linux"].get("resources"), locations)
    rows = [
        {"file": f"{location['path']}/{setting.file}", "value": setting.value, "pointer": setting.pointer}
        for location, setting in writes
    ]
    length = len(device_filter[1]) // INSTRUCTION_SIZE if device_filter else 0
    return {"directories": [location["path"] for location in locations], "writes": rows, "device_filter": length}


def resctrl_tasks(spec: "Config") -> "list[str]":
    """The files by which a process would enter the resctrl groups of linux.intelRdt."""
    from runtime import resctrl
    from runtime.host.confinement import resctrl_mount

    mount = resctrl_mount() or "/sys/fs/resctrl"  # without a mount, `refusal` says so
    tasks: list[str] = resctrl.survey(spec["linux"]["intelRdt"], ID, mount)["tasks"]
    return tasks


def is_file(path: str) -> bool:
    """Whether the path is a regular file, or a link to one."""
    try:
        return posix.stat(path).st_mode & S_IFMT == S_IFREG
    except OSError:
        return False  # reported when the config is opened


class Plan:
    """The operations for one bundle, or for a single config file, and what is needed to describe them.

    ``refusal``: why `create` would refuse the bundle on this host, which does not prevent a plan. Raises InvalidConfig for
    a config that is wrong on any host, or not supported; ``problems`` then holds the problems found before.
    """

    def __init__(self, bundle: str, manager: str = "cgroupfs", problems: "list[Problem] | None" = None) -> None:
        self.bundle = host.absolute(bundle, posix.getcwd())
        file = f"{self.bundle}/config.json"
        if is_file(self.bundle):
            file, self.bundle = self.bundle, self.bundle.rpartition("/")[0] or "/"
        self.data = config.read(file, ordinary=True)
        self.problems: list[Problem] = [] if problems is None else problems
        self.refusal: OcirunError | None = None
        self.unit: list[str] = []  # with the systemd cgroup manager: its name and its properties
        spec = self.read()
        self.positions = read_positions(self.data)[1]
        facts = host.read(spec, self.bundle)
        try:
            assembly.check_rights(spec, facts)
        except InvalidConfig as error:  # another user may make the container
            self.warn_at(error.pointer or "", error.message)
        by_systemd = manager == "systemd"
        locations = (
            self.systemd_locations(spec, facts) if by_systemd else assembly.cgroup_locations(spec, ID, facts, manager)
        )
        if spec["linux"].get("intelRdt"):
            facts["resctrl"] = resctrl_tasks(spec)
        options = assembly.plan_options(ID, {}, (), program_of(spec), wait_start=True)
        self.operations = assembly.operations(spec, facts, (placement(locations), locations), options, self.warn_at)
        self.cgroups: JsonObject = {}
        if manager == "disabled":
            from runtime.cgroups import disabled

            for pointer, message in disabled.warnings(spec["linux"]):
                self.warn_at(pointer, message)
            return
        if layout.is_ignored(spec["linux"].get("cgroupsPath"), locations):
            self.warn_at(intent.POINTER, layout.INVISIBLE)
        try:
            self.cgroups = cgroup_writes(spec, locations)
        except OcirunError as error:
            self.refuse(error)
            self.add(error.pointer or "", "error", error.message)

    def systemd_locations(self, spec: "Config", facts: "Facts") -> "list[Location]":
        """Where systemd would make the cgroups. Also sets ``unit``.

        systemd is not asked: it is assumed to be the newest, at the roots of the hierarchies. InvalidConfig for an
        impossible unit name.
        """
        from runtime.cgroups.systemd import annotations, units
        from runtime.cgroups.systemd import properties as table

        user = not facts["privileged"]
        slice, name = units.names(spec["linux"].get("cgroupsPath"), ID, user)
        resources = spec["linux"].get("resources", {})
        v2 = facts["cgroup"]["mode"] == "v2"
        properties = table.of_unit(slice, name, ID, resources, v2, NEWEST, user)
        properties += annotations.properties(spec.get("annotations", {}))
        self.unit = [name, *table.text(properties)]
        uid = posix.geteuid()
        below = f"/user.slice/user-{uid}.slice/user@{uid}.service" if user else ""
        path = below + units.cgroup(slice, name)
        return [units.location(path, hierarchy) for hierarchy in facts["cgroup"]["hierarchies"]]

    def read(self) -> "Config":
        """The checked config. An error of this host's checks alone becomes problems and the refusal."""
        try:
            return config.checked(self.data, self.bundle, self.problems.append)
        except InvalidConfig as error:
            spec: Config
            spec, problems = load_checked(self.data)
            faulty = any(problem.severity == "error" for problem in problems)
            if faulty or not all(spec.get(section) for section in ("linux", "root")):
                raise
            self.refuse(error)
            rows = [row for row in checks.rows(spec, self.bundle) if row[1] == "error"]
            self.problems += located(self.data, rows)
            return spec

    def refuse(self, error: OcirunError) -> None:
        """Note why `create` would refuse the bundle. The first reason counts."""
        config.locate(error, self.data)
        self.refusal = self.refusal or error

    def warn_at(self, pointer: str, message: str) -> None:
        """Note a warning of `create`."""
        self.add(pointer, "warning", message)

    def add(self, pointer: str, severity: str, message: str) -> None:
        """Note a problem, with its line and column."""
        line, column = self.positions.find(pointer)
        self.problems.append(Problem(pointer, line, column, severity, message, None, "plan"))

    def line(self, pointer: "str | None") -> "int | None":
        """The line of the config that the pointer names."""
        return self.positions.find(pointer)[0] if pointer else None

    def row(self, index: int, operation: "Operation") -> "JsonObject":
        """One operation as JSON: index, op, side, pointer, line, text, args."""
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

    def document(self) -> "JsonObject":
        """The plan as JSON: version, operations, warnings."""
        rows = [self.row(i, operation) for i, operation in enumerate(self.operations)]
        return {"version": 1, "operations": rows, "warnings": [problem.as_dict() for problem in self.problems]}


def findings(file: str, data: bytes, manager: str = "cgroupfs") -> "list[Problem]":
    """The problems that only planning finds, in a config that passes schema and rules. Their rule is "plan".

    [] if a section is missing without which `create` refuses: the spec allows that.
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
    """The output of `ocirun plan`, and why `create` would refuse. ``form``: text or json."""
    plan = Plan(bundle, manager)
    if form == "text":
        return plan_text.text(plan), plan.refusal
    import json

    return json.dumps(plan.document(), indent=2, ensure_ascii=False) + "\n", plan.refusal


def difference(bundle: str, other: str, manager: str = "cgroupfs") -> str:
    """What differs between the plans for two bundles, "" if nothing does."""
    return plan_text.difference(Plan(bundle, manager), Plan(other, manager))
