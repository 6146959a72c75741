"""`ocirun explain`: every property has an explanation, every word an entry, every example is a config."""

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from oci_spec import check
from oci_spec.default import default
from oci_spec.places import find, places
from oci_spec.rules.process import CAPABILITIES
from runtime.commands.features import document
from runtime.errors import OcirunError
from runtime.plan import ops, properties_table
from runtime.plan.identity import RLIMITS
from runtime.plan.mount_options import OPTIONS
from runtime.reference import kernel_needs, lookup, peers, vocabulary
from runtime.reference.sources import operations
from runtime.reference.text import text
from tests.oci_spec import rules_page
from tests.runtime.plan import properties_page

OTHER_PLATFORMS = ("/windows", "/solaris", "/vm", "/zos", "/freebsd")
WORDS = [word for word in lookup.vocabulary_of_all() if "*" not in word and "SIZE" not in word]


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    result = dict(one)
    for name, value in other.items():
        here = result.get(name)
        result[name] = merged(here, value) if isinstance(here, dict) and isinstance(value, dict) else value
    return result


def errors_of(example: dict[str, Any]) -> list[str]:
    """What is wrong with the default config once it has the example."""
    base = default(cgroup_namespace=True)
    if "capabilities" in example.get("process", {}):
        del base["process"]["capabilities"]
    spec = merged(base, example)
    given = example.get("linux", {}).get("namespaces", [])
    types = {entry["type"] for entry in given}
    if given:
        spec["linux"]["namespaces"] = [*given, *(e for e in base["linux"]["namespaces"] if e["type"] not in types)]
    if "user" in types:
        maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        spec["linux"] = {"uidMappings": maps, "gidMappings": maps, **spec["linux"]}
    if any("idmap" in option for mount in spec["mounts"] for option in mount.get("options", ())):
        for mount in spec["mounts"]:
            mount.setdefault("uidMappings", [{"containerID": 0, "hostID": 100000, "size": 65536}])
            mount.setdefault("gidMappings", mount["uidMappings"])
    return [
        f"{problem.pointer}: {problem.message}"
        for problem in check(json.dumps(spec).encode())
        if problem.severity == "error"
    ]


@pytest.mark.parametrize("pointer", properties_table.TABLE)
def test_every_property_is_explained(pointer: str) -> None:
    """By its pointer: what it means, its type, since when, what the kernel and the peers do. One that works has an example."""
    (entry,) = lookup.find(pointer)
    assert entry["name"] == pointer
    assert entry["description"]
    assert entry["type"]
    assert entry["since"].count(".") == 2
    assert entry["runc"]
    assert entry["crun"]
    if entry["example"] is None:
        assert entry["ocirun"][0] == "warned"
        return
    value = entry["example"]
    for name in pointer.split("/")[1:]:
        value = value[0] if isinstance(value, list) else value[next(iter(value)) if name == "*" else name]
    assert errors_of(entry["example"]) == []
    assert pointer in text([entry])


def test_every_property_of_linux_is_a_place() -> None:
    """The places are those that docs/properties.md lists."""
    assert set(properties_page.of_linux()) <= set(places())


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_found(word: str) -> None:
    """Each word that a suggestion may name has an entry, and its example is a config."""
    entries = lookup.find(word)
    assert all(entry["name"] in text(entries) for entry in entries)
    for entry in entries:
        assert entry["description"], entry
        if entry["kind"] not in ("property", "cgroup file") and entry["example"]:
            assert errors_of(entry["example"]) == []


def test_the_vocabulary_is_complete() -> None:
    """Capabilities, options, limits, namespace types and enumerated values: none has no words, none is unknown."""
    assert set(vocabulary.CAPABILITIES) == {f"CAP_{name}" for name in CAPABILITIES}
    assert set(vocabulary.RLIMITS) == set(RLIMITS.values() if isinstance(RLIMITS, dict) else RLIMITS)
    assert set(vocabulary.MOUNT_OPTIONS) <= set(OPTIONS)
    values = {str(value) for place in places().values() for value in place.node.get("enum", ())}
    assert set(vocabulary.VALUES) <= values
    of_linux = [place for pointer, place in places().items() if not pointer.startswith(OTHER_PLATFORMS)]
    silent = {value for place in of_linux for value in place.node.get("enum", ())}
    silent -= {*vocabulary.VALUES, *OPTIONS, *vocabulary.NAMESPACES}
    assert {value for value in silent if not value.startswith("SCMP_ARCH_")} == {"c", "b", "u", "p"}


def test_annotations_that_the_features_document_names() -> None:
    """Each has words."""
    named = document()["potentiallyUnsafeConfigAnnotations"]
    assert set(named) <= set(lookup.annotations())


def test_operations_are_those_of_the_plan() -> None:
    """Each has a sentence."""
    assert set(operations()) == {name[3:].lower() for name in vars(ops) if name.startswith("OP_")}
    assert all(operations().values())


def test_the_tables_name_what_there_is() -> None:
    """No row for a property or word that does not exist."""
    known = {*places()}
    assert {*kernel_needs.NEEDS, *peers.PROPERTIES} - known == set()
    words = {word for word in (*kernel_needs.WORDS, *peers.WORDS) if not lookup.find(word)}
    assert words == set()


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("/linux/resources/memory/limit", "/linux/resources/memory/limit"),
        ("linux.resources.memory.limit", "/linux/resources/memory/limit"),
        ("linux/resources/memory/limit", "/linux/resources/memory/limit"),
        ("/mounts/0/options", "/mounts/*/options"),
        ("mounts.0.options", "/mounts/*/options"),
        ("/mounts/0/options/", "/mounts/*/options"),
        ("/process/capabilities/bounding/3", "/process/capabilities/bounding/*"),
        ("linux.sysctl.net.ipv4.ip_forward", "/linux/sysctl/*"),
        ("/linux/resources/rdma/mlx5_1/hcaHandles", "/linux/resources/rdma/*/hcaHandles"),
        ("swappiness", "/linux/resources/memory/swappiness"),
        ("cpuset.cpus", "cpuset.cpus"),
        ("hugetlb.1GB.max", "hugetlb.1GB.max"),
        ("blkio.throttle.read_bps_device", "blkio.throttle.read_bps_device"),
        ("chown", "CAP_CHOWN"),
        ("nofile", "RLIMIT_NOFILE"),
        ("size=64m", "size="),
        ("ro", "ro"),
        ("sigterm", "SIGTERM"),
        ("mounts[0].options[1]", "/mounts/*/options/*"),
        ("hugetlb.2MB.rsvd.max", "hugetlb.2MB.rsvd.max"),
        ("memory.high", "memory.high"),
        ("CONFIG_MEMCG", "CONFIG_MEMCG"),
        ("org.systemd.property.TimeoutStopUSec", "org.systemd.property."),
        ("enum", "schema:enum"),
        ("host:cwd", "host:cwd"),
    ],
)
def test_ways_to_ask(asked: str, name: str) -> None:
    """With slashes or dots, with or without the first one; words in any case, with or without their prefix."""
    assert name in [entry["name"] for entry in lookup.find(asked)]


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("/linux/resources/memory/limt", "/linux/resources/memory/limit"),
        ("linux.resource.memory.limit", "/linux/resources/memory/limit"),
        ("capabilites", "capabilities"),
        ("CAP_SYS_ADMN", "CAP_SYS_ADMIN"),
        ("memory.maxx", "memory.max"),
    ],
)
def test_a_misspelt_word_has_suggestions(asked: str, near: str) -> None:
    """The nearest known ones."""
    with pytest.raises(OcirunError, match="near: ") as caught:
        lookup.find(asked)
    assert near in caught.value.message.partition("near: ")[2].split(", ")


@pytest.mark.parametrize("asked", ["qqqqqq", "/qqqqqq", "*", "", "/", ".", "\x1b[31m", "/windows/qqqqqq/qqqq", "~"])
def test_nothing_is_guessed(asked: str) -> None:
    """A word that resembles none gets no suggestion."""
    with pytest.raises(OcirunError, match="neither a property of") as caught:
        lookup.find(asked)
    assert "near" not in caught.value.message


@pytest.mark.parametrize("asked", ["/mounts/-1", "/mounts//options", "/mounts/x/options", "CONFIG_", "CONFIG_NOTHING"])
def test_what_is_nearly_right_is_not_taken(asked: str) -> None:
    """An item of a list has a number."""
    with pytest.raises(OcirunError, match="near"):
        lookup.find(asked)


def test_places_know_what_their_schema_says() -> None:
    """Since the newest version on the way down; an item of a list is at ``*``."""
    options = find("/mounts/3/uidMappings/0/size")
    assert options
    assert (options.pointer, options.since, options.required) == ("/mounts/*/uidMappings/*/size", "1.1.0", True)
    assert find("/mounts/3/nothing") is None


def test_every_rule_is_found() -> None:
    """Each that docs/rules.md lists."""
    names = {line.split("`")[1] for line in rules_page.page().splitlines() if line.startswith("| `")}
    assert names
    for name in names:
        assert "rule of validate" in [entry["kind"] for entry in lookup.find(name)]


def test_every_cgroup_file_of_the_table_is_found() -> None:
    """A file leads to the properties that write it."""
    for pointer, files in lookup.cgroup_files().items():
        for file in files:
            asked = file.replace("SIZE", "2MB").replace("*", "limit")
            entries = [entry for entry in lookup.find(asked) if entry["kind"] == "cgroup file"]
            assert any(fnmatchcase(pointer, place) for entry in entries for place in entry["where"])
