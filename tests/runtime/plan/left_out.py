"""Each property given, and left out, in each situation: what becomes of it. `python -m tests.runtime.plan.left_out` writes docs/left-out.md.

A property is honoured where the operations, the cgroup files, the unit, the record or the plan of an exec differ with it.
Otherwise an error or a warning has to name it. Pure: the situations are facts of hosts.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from oci_spec import load_checked
from runtime import resctrl
from runtime.cgroups import disabled, layout, resources
from runtime.cgroups.systemd import annotations, units
from runtime.cgroups.systemd import properties as unit_properties
from runtime.errors import OcirunError
from runtime.host.facts import absolute
from runtime.lifecycle import planning
from runtime.plan import join, plan, rootless
from tests.integration import option_trials
from tests.integration.bundle import merge
from tests.runtime.cgroups import hosts
from tests.runtime.plan import left_out_samples as samples
from tests.runtime.plan import machines, properties_page
from tests.runtime.plan.left_out_samples import Config

PAGE = properties_page.TREE / "docs" / "left-out.md"
OWN_IDS = [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 65536}]
JOINED = {"mount": "mnt", "network": "net"}
HONOURED, REFUSED, WARNED, SILENT = "honoured", "refused", "warned", "silent"


@dataclass
class Situation:
    """``change`` fits a config to the situation; ``facts``: what differs from root on a cgroup v2 host."""

    name: str
    change: Callable[[Config], None] = lambda config: None
    facts: dict[str, Any] = field(default_factory=dict)
    cgroup: Any = None
    manager: str = "cgroupfs"


def with_user(config: Config) -> None:
    linux = config["linux"]
    if not any(entry["type"] == "user" for entry in linux["namespaces"]):
        linux["namespaces"] = [*linux["namespaces"], {"type": "user"}]
        linux.update(samples.MAPS)


def without(kinds: tuple[str, ...]) -> Callable[[Config], None]:
    def change(config: Config) -> None:
        linux = config["linux"]
        linux["namespaces"] = [entry for entry in linux["namespaces"] if entry["type"] not in kinds]

    return change


def joined(config: Config) -> None:
    for entry in config["linux"]["namespaces"]:
        entry.setdefault("path", f"/proc/7/ns/{JOINED.get(entry['type'], entry['type'])}")


USER = {"privileged": False, "capable": False, "deny_setgroups": False, "capabilities": ~0}
INSIDE = {"privileged": False, "in_user_namespace": True, "own_uid_map": OWN_IDS, "own_gid_map": OWN_IDS}
SITUATIONS = [
    Situation("cgroup v2"),
    Situation("cgroup v1", cgroup=hosts.v1()),
    Situation("hybrid", cgroup=hosts.hybrid()),
    Situation("systemd", manager="systemd"),
    Situation("cgroups disabled", manager="disabled"),
    Situation("v2 with pids alone", cgroup=hosts.v2("pids")),
    Situation("a user namespace", with_user),
    Situation("an ordinary user", with_user, USER),
    Situation("root of a user namespace", facts=INSIDE),
    Situation("no mount namespace", without(("mount",))),
    Situation("a mount namespace alone", without(("pid", "network", "ipc", "uts", "cgroup", "user", "time"))),
    Situation("namespaces joined by path", joined),
]


@dataclass
class Outcome:
    """``problem``: (pointer, message) of the first error. ``warnings``: pointer → message. ``effect``: everything that would be done."""

    problem: tuple[str, str] | None
    warnings: dict[str, str]
    effect: list[Any]


def outcome(config: Config, situation: Situation) -> Outcome:
    spec, problems = load_checked(json.dumps(config).encode())
    warnings = {problem.pointer: problem.message for problem in problems if problem.severity == "warning"}
    errors = [(problem.pointer, problem.message) for problem in problems if problem.severity == "error"]
    if errors:
        return Outcome(errors[0], warnings, [])
    for section in ("linux", "root"):
        if section not in spec:
            return Outcome((f"/{section}", f"a container cannot be made without {section}"), warnings, [])
    try:
        effect, more = done(spec, situation)
    except OcirunError as error:
        return Outcome((error.pointer or "", error.message), warnings, [])
    return Outcome(None, {**warnings, **dict(more)}, effect)


def done(spec: Config, situation: Situation) -> tuple[list[Any], list[tuple[str, str]]]:
    """Everything that the config makes create, start, exec and delete do, and the warnings."""
    cgroup = situation.cgroup or hosts.v2(own="/system.slice/manager.service")
    facts = machines.facts(spec, "v2", cgroup=cgroup, **situation.facts)
    facts["rootfs"] = absolute(spec["root"]["path"], "/bundle")
    linux, wanted = spec["linux"], spec["linux"].get("resources") or {}
    unit: list[Any] = []
    locations = (
        [] if situation.manager == "disabled" else layout.locations(linux.get("cgroupsPath"), machines.ID, cgroup)
    )
    if situation.manager == "systemd":
        slice, name = units.names(linux.get("cgroupsPath"), machines.ID, False)
        unit = [slice, name, *unit_properties.of_unit(slice, name, machines.ID, wanted, True, 999, False)]
        unit += annotations.properties(spec.get("annotations") or {})
        locations = [units.location(units.cgroup(slice, name), hierarchy) for hierarchy in cgroup["hierarchies"]]
    facts.update(cgroup_locations=locations, placement=planning.placement(locations))
    if not facts["privileged"]:
        rootless.check(spec, facts)
    if linux.get("intelRdt"):
        unit.append(resctrl.survey(linux["intelRdt"], machines.ID, "/sys/fs/resctrl"))
        unit.append(resctrl.lines(linux["intelRdt"]))
        facts["resctrl"] = unit[-2]["tasks"]
    seccomp = planning.program_of(spec)
    operations, warnings = plan(spec, facts, {"id": machines.ID, "wait_start": True, "seccomp": seccomp})
    writes: Any = None
    if situation.manager == "disabled":
        warnings += disabled.warnings(linux)
    else:
        settings, device_filter = resources.writes(wanted, locations)
        rows = [
            (location["path"], setting.file, setting.value, setting.is_default, setting.fallback)
            for location, setting in settings
        ]
        writes = rows, device_filter
    record = [spec.get("annotations"), {kind: (spec.get("hooks") or {}).get(kind) for kind in KINDS}]
    return [
        [bare(operation) for operation in operations],
        writes,
        unit,
        record,
        execution(spec, facts, seccomp),
    ], warnings


# Whose hooks the host's side finds in the config, by the name that the operation has, or in the record.
KINDS = ("prestart", "createRuntime", "poststart", "poststop")


def bare(operation: Any) -> Any:
    """An operation without its origin."""
    return (*operation[:2], *operation[3:])


def execution(spec: Config, facts: dict[str, Any], seccomp: Any) -> list[Any]:
    if not spec.get("process"):
        return []
    facts = {**facts, "join": 0x20000}
    options = {
        "id": machines.ID,
        "no_new_keyring": False,
        "preserve_fds": 0,
        "linux": spec["linux"],
        "seccomp": seccomp,
    }
    return [bare(operation) for operation in join.plan(spec["process"], facts, options)[0]]


# A property in a config


def steps(config: Config, path: str) -> list[Any] | None:
    """The keys and indices of a schema path in a config; None if the config does not have it."""
    node: Any = config
    keys: list[Any] = []
    for name in path.split("/")[1:]:
        step: Any = name
        if name == "*" and node:
            step = samples.ITEM.get(path, 0) % len(node) if isinstance(node, list) else next(iter(node))
        if (isinstance(node, dict) and step not in node) or (isinstance(node, list) and not node):
            return None
        node = node[step]
        keys.append(step)
    return keys


def part_of(path: str) -> Config:
    """The base config with the first part that has the property."""
    for part in (*samples.PARTS, samples.BASE):
        if steps(part, path) is not None:
            return merge(copy.deepcopy(samples.BASE), copy.deepcopy(part))
    raise KeyError(f"{path}: no sample in left_out_samples.py")


def changed(config: Config, way: list[Any], value: Any = ...) -> Config:
    """A copy without the value there, or with another one."""
    config = copy.deepcopy(config)
    node: Any = config
    for name in way[:-1]:
        node = node[name]
    if value is ...:
        del node[way[-1]]
    else:
        node[way[-1]] = value
    return config


def otherwise(path: str, value: Any) -> Any:
    if path in samples.OTHERWISE:
        return samples.OTHERWISE[path]
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else f"{value}x"


def names(pointer: str, subject: str) -> bool:
    """Whether a problem at ``pointer`` is about ``subject``: itself, or something inside or around it."""
    return (
        pointer == subject or pointer.startswith(f"{subject}/") or (subject.startswith(f"{pointer}/") and pointer != "")
    )


def told(pointer: str, message: str, subject: str) -> str:
    return message if pointer == subject else f"{pointer}: {message}"


def verdict(path: str, situation: Situation) -> tuple[str, str]:
    """(what becomes of the property there, the message)."""
    given = part_of(path)
    situation.change(given)
    way = steps(given, path)
    if way is None:
        return REFUSED, "has no meaning here"
    subject = "/" + "/".join(str(name).replace("~", "~0").replace("/", "~1") for name in way)
    node: Any = given
    for name in way:
        node = node[name]
    with_it, without_it = outcome(given, situation), outcome(changed(given, way), situation)
    if with_it.problem:
        pointer, message = with_it.problem
        # Nothing but the tried part can be the reason.
        return SILENT if steps(samples.BASE, pointer) else REFUSED, told(pointer, message, subject)
    said = [told(at, message, subject) for at, message in with_it.warnings.items() if names(at, subject)]
    if without_it.problem and (value := otherwise(path, node)) is not None:
        without_it = outcome(changed(given, way, value), situation)
        if without_it.problem:
            return HONOURED, ""  # another value is refused: this one is looked at
    if with_it.effect != without_it.effect:
        return HONOURED, said[0] if said else ""
    return (WARNED, said[0]) if said else (SILENT, "")


def everything() -> dict[str, dict[str, tuple[str, str]]]:
    """path → situation → verdict."""
    return {
        path: {situation.name: verdict(path, situation) for situation in SITUATIONS}
        for path in properties_page.of_linux()
    }


# The page

TOP = """# Is anything ignored silently?

Each property of `config.json` was tried with and without a value in each of these situations:
{situations}.
**Honoured**: the property changes what is done: the operations of init, the cgroup files, the unit, the record or the plan of
`exec`. Elsewhere an error or a warning names it, as quoted. The tests of docs/coverage.md show the effect itself. What depends
on the host alone, such as AppArmor or permission to write a cgroup, is refused there by name. Generated by
`python -m tests.runtime.plan.left_out`.

| property | honoured | elsewhere |
|---|---|---|
"""


def cells_of(row: dict[str, tuple[str, str]], path: str) -> tuple[str, str]:
    honoured = [name for name, (result, _) in row.items() if result == HONOURED]
    if path in samples.ELSEWHERE:
        return samples.ELSEWHERE[path], ""
    first = "everywhere" if len(honoured) == len(row) else ", ".join(honoured) or "nowhere"
    if len(honoured) > len(row) // 2:
        others = [name for name in row if name not in honoured]
        first = f"everywhere but {', '.join(others)}" if others else "everywhere"
    said: dict[str, list[str]] = {}
    for name, (result, message) in row.items():
        if message:
            said.setdefault(f"{result if result != HONOURED else 'warned'}: {message}", []).append(name)
    rest = [f"{text} ({', '.join(where) if len(where) < len(row) else 'everywhere'})" for text, where in said.items()]
    return first, "; ".join(rest).replace("|", "\\|")


def page(rows: dict[str, dict[str, tuple[str, str]]]) -> str:
    lines = [TOP.format(situations=", ".join(situation.name for situation in SITUATIONS))]
    for path, row in rows.items():
        first, rest = cells_of(row, path)
        lines.append(f"| `{path}` | {first} | {rest} |\n")
    return "".join(lines) + option_trials.table()


if __name__ == "__main__":
    PAGE.write_text(page(everything()))
