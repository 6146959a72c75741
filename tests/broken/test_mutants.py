"""Ten configs, with each property dropped, misspelt, or given another type: `validate` names the place each time.

A pattern is a pointer with * for the index of a list, and for a name that the config chooses. Of the items of a list that
have the same pattern, the first and the last are tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from oci_spec.rules import escape
from oci_spec.shape import elsewhere, shape_of
from runtime.commands.validate import validate
from tests.broken.bundles import GONE, base, changed, in_user_namespace

CONFIGS = Path(__file__).parents[1] / "configs"
REAL = (
    "buildah buildkit containerd-limits containerd-seccomp cri-container cri-sandbox docker-limits podman-userns "
    "podman-podmember podman-limits"
).split()
OWN = {"base": base, "user": in_user_namespace}

Config = dict[str, Any]

# What a value of another type is replaced with, by the type that it has.
WRONG: dict[type, Any] = {str: 7, int: "seven", bool: "maybe", list: {"a": 1}, dict: ["a"]}

# Patterns of optional properties, and what their absence means. Without a word, they may be dropped.
ABSENT = {
    "/annotations*": "no annotation",
    "/domainname": "the kernel's, (none)",
    "/hostname": "the host's name",
    "/hooks*": "no hook",
    "/hooks/*/*/args": "the path alone",
    "/hooks/*/*/env": "an empty environment",
    "/hooks/*/*/timeout": "no time limit",
    "/mounts": "no mount",
    "/mounts/*/options": "the kernel's defaults",
    "/mounts/*/source": "none, which most file systems ignore",
    "/mounts/*/type": "none, as for a bind",
    "/mounts/*/[ug]idMappings": "as on the host",
    "/root/readonly": "false",
    "/process/apparmorProfile": "the caller's",
    "/process/selinuxLabel": "the caller's",
    "/process/capabilities*": "none",
    "/process/consoleSize": "set later by the caller",
    "/process/env": "an empty environment",
    "/process/noNewPrivileges": "false",
    "/process/oomScoreAdj": "the caller's",
    "/process/rlimits": "the caller's",
    "/process/terminal": "false",
    "/process/user/additionalGids": "no group",
    "/process/user/umask": "0022",
    "/linux/[ug]idMappings": "no mapping",
    "/linux/cgroupsPath": "named after the container",
    "/linux/devices": "the default devices",
    "/linux/devices/*/fileMode": "0666",
    "/linux/devices/*/[ug]id": "0",
    "/linux/maskedPaths": "no mask",
    "/linux/mountLabel": "no label",
    "/linux/namespaces/*/path": "a new namespace",
    "/linux/readonlyPaths": "no path",
    "/linux/resources": "no limit",
    "/linux/resources/*": "no limit, or the kernel's default",
    "/linux/rootfsPropagation": "rslave",
    "/linux/seccomp": "no filter",
    "/linux/seccomp/architectures": "the machine's own",
    "/linux/seccomp/defaultErrnoRet": "EPERM",
    "/linux/seccomp/flags": "no flag",
    "/linux/seccomp/syscalls": "the default action for all",
    "/linux/seccomp/syscalls/*/args": "no condition",
    "/linux/seccomp/syscalls/*/args/*/valueTwo": "0",
    "/linux/seccomp/syscalls/*/errnoRet": "EPERM",
    "/linux/sysctl": "the kernel's values",
}

# Where an error shows that is due to something dropped elsewhere: pattern of what is gone → patterns of the errors.
NEEDS = {
    "/linux/namespaces": ("/hostname", "/mounts", "/root/readonly", "/process/terminal", "/linux/*"),
    "/linux": ("/hostname",),
    "/linux/[ug]idMappings": ("/process/user/*", "/mounts/*/options/*"),
    "/linux/resources/memory/limit": ("/linux/resources/memory/swap",),
    "/process/capabilities/permitted": ("/process/capabilities/effective/*",),
    "/process/capabilities/bounding": ("/process/capabilities/inheritable/*",),
    "/linux/seccomp/listenerPath": ("/linux/seccomp/*",),
}


class Spot(NamedTuple):
    """A value of a config. ``required``: by the schema. ``named``: the schema knows its name."""

    pointer: str
    pattern: str
    value: Any
    required: bool
    named: bool


def spots(value: Any, shape: Any, pointer: str = "", pattern: str = "") -> Iterator[Spot]:
    """The members of all objects, and of lists the first and the last item."""
    shape = elsewhere(shape.decode()) if isinstance(shape, bytes) else shape
    if isinstance(value, dict) and isinstance(shape, dict):
        for name, inner in value.items():
            named = name in shape
            below, like = f"{pointer}/{escape(name)}", f"{pattern}/{escape(name) if named else '*'}"
            yield Spot(below, like, inner, name in shape.get(None, ()), named)
            yield from spots(inner, shape.get(name, shape.get(0)), below, like)
    elif isinstance(value, list) and isinstance(shape, list):
        for index in sorted({0, len(value) - 1} if value else ()):
            yield Spot(f"{pointer}/{index}", f"{pattern}/*", value[index], False, False)
            yield from spots(value[index], shape[0], f"{pointer}/{index}", f"{pattern}/*")


def config_of(name: str) -> Config:
    if name in OWN:
        return OWN[name]()
    config: Config = json.loads((CONFIGS / f"{name}.json").read_text())
    if "seccomp" in config["linux"]:  # the lists of hundreds of names have nothing more to try
        for entry in config["linux"]["seccomp"].get("syscalls", ()):
            entry["names"] = entry["names"][:3]
    return config


class Checker:
    """`validate --host-independent` of changed configs, less what it says of the config itself."""

    def __init__(self, file: Path, config: Config) -> None:
        self.file = file
        self.config = config
        self.known: set[tuple[str, str]] = set()
        self.known = {(one["rule"], one["message"]) for one in self.problems(config)}

    def problems(self, config: Config) -> list[dict[str, Any]]:
        self.file.write_text(json.dumps(config, indent=1))
        found = json.loads(validate(str(self.file), "json", no_host=True)[0])["problems"]
        return [one for one in found if (one["rule"], one["message"]) not in self.known]


@pytest.fixture(params=[*REAL, *OWN])
def checker(request: pytest.FixtureRequest, tmp_path: Path) -> Checker:
    return Checker(tmp_path / "config.json", config_of(request.param))


def errors(problems: list[dict[str, Any]]) -> set[str]:
    return {one["pointer"] for one in problems if one["severity"] == "error"}


def near(pointer: str, place: str) -> bool:
    """Whether a pointer is at a place, or directly above it."""
    return pointer in (place, place.rpartition("/")[0])


def excused(pointer: str, pattern: str) -> bool:
    """Whether an error elsewhere is the consequence of what is gone."""
    return any(
        fnmatch(pattern, gone) and any(fnmatch(pointer, one) for one in places) for gone, places in NEEDS.items()
    )


def slips(name: str) -> tuple[str, str, str]:
    """A letter too few, one too many, and another case."""
    return name[:-2] + name[-1], name[:1] + name[1:].replace(name[1], name[1] * 2, 1), name.capitalize()


def test_another_type_is_an_error_there(checker: Checker) -> None:
    """A value of another type is one error, exactly at its pointer."""
    for spot in spots(checker.config, shape_of("config")):
        wrong = WRONG[type(spot.value)]
        found = errors(checker.problems(changed(checker.config, spot.pointer, wrong)))
        assert found == {spot.pointer}, (spot.pointer, wrong, found)


def test_a_misspelt_name_is_told(checker: Checker) -> None:
    """A name with a slip is a warning with the right one; if it is required, it is also missing."""
    named = [spot for spot in spots(checker.config, shape_of("config")) if spot.named]
    for number, spot in enumerate(named):
        above, _, name = spot.pointer.rpartition("/")
        wrong = f"{above}/{slips(name)[number % 3]}"
        found = checker.problems(changed(changed(checker.config, spot.pointer, GONE), wrong, spot.value))
        told = [one["hint"] for one in found if one["pointer"] == wrong and one["rule"] == "unknown_property"]
        assert told == [f"did you mean {name}?"], (wrong, told)
        elsewhere = {one for one in errors(found) if not near(one, spot.pointer) and not excused(one, spot.pattern)}
        assert not elsewhere, (wrong, elsewhere)
        assert not spot.required or spot.pointer in errors(found), spot.pointer


def test_what_is_missing_is_told(checker: Checker) -> None:
    """A property that is required is missing; another may be dropped in silence only where ABSENT says what that means."""
    for spot in spots(checker.config, shape_of("config")):
        if not spot.named:
            continue
        found = checker.problems(changed(checker.config, spot.pointer, GONE))
        elsewhere = {one for one in errors(found) if not near(one, spot.pointer) and not excused(one, spot.pattern)}
        assert not elsewhere, (spot.pointer, elsewhere)
        if spot.required:
            assert spot.pointer in errors(found), spot.pointer
        elif not found:
            assert any(fnmatch(spot.pattern, pattern) for pattern in ABSENT), spot.pattern
