"""Any config that our schema allows, for hypothesis: made by walking oci_spec/schema, so that a new property is in it too.

The values know the schema alone. What the rules then refuse is taken out again (`repaired`), so that most of what is
drawn becomes a plan.
"""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from oci_spec.default import default
from oci_spec.rules.text import nul_in_string
from oci_spec.shape import verify
from oci_spec.verdict import rule_rows
from runtime.plan.capabilities import NAMES
from runtime.plan.mount_options import OPTIONS

SCHEMA = Path(__file__).resolve().parents[3] / "oci_spec" / "schema"
Value = st.SearchStrategy[Any]
Config = dict[str, Any]

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
PATHS = ["/", "/a", "/a/b c/é", "/dev", "/dev/x", "/proc", "/proc/sys", "/sys/fs/cgroup", "/a/../b/.", "relative/x", ""]
PATHS += ["/x" * 200, "/proc/1/ns/net", "//x//", "/dev/pts", "/tmp"]
PATH = st.sampled_from(PATHS) | TEXT
LIST = st.sampled_from(["", "0", "0-3,7", "5, 2-2", "1023", "0-1023", "7-3", ","])
TYPES = ["tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "bind", "overlay", "none", "nfs", "fuse.x"]
OPTION = st.sampled_from(sorted(OPTIONS)) | st.sampled_from(
    ["size=64k", "mode=755", "gid=5", "uid=70000", "=", "a=b=c"]
)
SYSCTLS = ["net.ipv4.ip_forward", "kernel.msgmax", "kernel.domainname", "fs.mqueue.msg_max", "net/ipv4/conf/eth0.1/x"]

# By the name of a property, or of the property and the one it is an item of: words that mean something there.
STRINGS: dict[str, Value] = {
    **dict.fromkeys(("path", "source", "destination", "cwd", "cgroupsPath", "listenerPath"), PATH),
    **dict.fromkeys(("maskedPaths", "readonlyPaths"), PATH),
    **dict.fromkeys(("cpus", "mems", "nodes", "initial", "final"), LIST),
    "mounts/type": st.sampled_from(TYPES) | TEXT,
    "devices/type": st.sampled_from("abcup"),
    "access": st.text("rwm", max_size=4),
    "options": OPTION | TEXT,
    **dict.fromkeys(
        ("bounding", "effective", "permitted", "inheritable", "ambient"), st.sampled_from([*sorted(NAMES), "CAP_X"])
    ),
    "rlimits/type": st.sampled_from(["RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_X"]),
    "env": st.sampled_from(["PATH=/bin:", "HOME=/x", "A=b=c", "=", ""]) | TEXT,
    "sysctl": st.sampled_from(SYSCTLS) | TEXT,
    "unified": st.sampled_from(["memory.high", "pids.max", "cpu.weight", "x.y", "a/b.c"]) | TEXT,
    "names": st.sampled_from(["read", "socket", "clone", "no_such_call"]) | TEXT,
    "rootfsPropagation": st.sampled_from(["shared", "slave", "rprivate", "unbindable", ""]),
    "closID": st.sampled_from(["", "class", "/", "a/b"]),
    "netDevices": st.sampled_from(["eth0", "lo", "x" * 15]) | TEXT,
    "name": st.sampled_from(["eth1", "eth%d", "x" * 16, ""]) | TEXT,
}


@cache
def schema(file: str) -> Config:
    value: Config = json.loads((SCHEMA / file).read_text())
    return value


def behind(part: Config, file: str) -> tuple[Config, str]:
    """A schema with its reference resolved, and the file that its own references are relative to."""
    while "$ref" in part:
        target, _, way = part["$ref"].partition("#")
        file = target or file
        part = schema(file)
        for name in way.split("/")[1:]:
            part = part[name]
    return part, file


def strings(path: tuple[str, ...]) -> Value:
    """Strings for a property, by its name or that of the list it is in."""
    return STRINGS.get("/".join(path[-2:]), STRINGS.get(path[-1], TEXT))


def integers(low: int, high: int) -> Value:
    edges = [n for n in (low, high, 0, 1, -1, 5, 1000) if low <= n <= high]
    return st.sampled_from(edges) | st.integers(low, high)


def values(part: Config, file: str, path: tuple[str, ...]) -> Value:
    """Anything that the schema allows. ``path``: the property names leading here, without list indices."""
    part, file = behind(part, file)
    if "enum" in part:
        return st.sampled_from(part["enum"])
    kind = part["type"]
    if kind == "string":
        if "pattern" in part:
            pattern = st.from_regex(
                part["pattern"].removesuffix("(?!\\n)"), fullmatch=True, alphabet=st.characters(max_codepoint=126)
            )
            return pattern | strings(path).filter(lambda text: verified(part["pattern"], text))
        return strings(path)
    if kind == "integer":
        return integers(part.get("minimum", -(2**63)), part.get("maximum", 2**64 - 1))
    if kind == "boolean":
        return st.booleans()
    if kind == "array":
        return st.lists(values(part["items"], file, path), min_size=part.get("minItems", 0), max_size=3)
    return objects(part, file, path)


def verified(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def objects(part: Config, file: str, path: tuple[str, ...]) -> Value:
    if isinstance(others := part.get("additionalProperties"), dict):
        return st.dictionaries(strings(path), values(others, file, path), max_size=3)
    needed = part.get("required", ())
    made = {name: values(inner, file, (*path, name)) for name, inner in part.get("properties", {}).items()}
    return st.fixed_dictionaries(
        {name: made[name] for name in needed}, optional={k: v for k, v in made.items() if k not in needed}
    )


def sections() -> dict[tuple[str, ...], Value]:
    """The path of a property -> its values, for the top level and the three largest sections."""
    found: dict[tuple[str, ...], Value] = {}
    for way in ((), ("process",), ("linux",), ("linux", "resources")):
        part, file = schema("config.json"), "config.json"
        for name in way:
            part, file = behind(part["properties"][name], file)
        for name, inner in part["properties"].items():
            if (*way, name) not in (("process",), ("linux",), ("linux", "resources")):
                found[(*way, name)] = values(inner, file, (*way, name))
    return found


SECTIONS = sections()
OTHER_PLATFORMS = {("windows",), ("solaris",), ("freebsd",), ("zos",), ("vm",)}


def put(config: Config, way: tuple[str, ...], value: Any) -> None:
    for name in way[:-1]:
        config = config.setdefault(name, {})
    config[way[-1]] = value


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """The default config with some properties redrawn; it satisfies the schema, and perhaps the rules."""
    config = copy.deepcopy(default())
    config["process"]["terminal"] = False
    if draw(st.booleans()):  # what rootless callers need, and what changes the plan most
        config["linux"]["namespaces"] += [{"type": "user"}, {"type": "time"}]
        for kind in ("uid", "gid"):
            config["linux"][f"{kind}Mappings"] = [{"containerID": 0, "hostID": 1, "size": 60000}]
    ways = st.sampled_from(sorted(set(SECTIONS) - OTHER_PLATFORMS))
    for way in draw(st.lists(ways, min_size=1, max_size=5, unique=True)):
        put(config, way, draw(SECTIONS[way]))
    return config


def processes() -> Value:
    """Documents of `exec --process`."""
    part, file = behind(schema("config.json")["properties"]["process"], "config.json")
    return values(part, file, ("process",))


def repaired(config: Config, kind: str = "config") -> Config | None:
    """The config without what the rules refuse; None if it cannot do without that."""
    for _ in range(40):
        rows = [*rule_rows(config, kind), *nul_in_string(config)]
        pointers = [row[0] for row in rows if row[1] == "error"]
        if not pointers:
            return config
        if not removed(config, pointers[0].split("/")[1:], kind):
            return None
    return None


def removed(config: Config, way: list[str], kind: str) -> bool:
    """Remove the value at the pointer, or the nearest one around it that the schema does not require."""
    names = [name.replace("~1", "/").replace("~0", "~") for name in way]
    while names:
        holder: Any = config
        for name in names[:-1]:
            holder = holder[int(name)] if isinstance(holder, list) else holder.get(name, {})
        key: Any = int(names[-1]) if isinstance(holder, list) else names[-1]
        before = copy.deepcopy(holder)
        if key in (range(len(holder)) if isinstance(holder, list) else holder):
            del holder[key]
            if verify(config, kind) and all(
                config.get(name) for name in ("process", "linux", "root") if kind == "config"
            ):
                return True
            if isinstance(holder, list):
                holder[:] = before
            else:
                holder.clear()
                holder.update(before)
        names.pop()
    return False
