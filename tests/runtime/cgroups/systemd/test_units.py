"""cgroupsPath as systemd's names."""

import pytest

from runtime.cgroups.systemd import units
from runtime.errors import InvalidConfig


@pytest.mark.parametrize(
    ("path", "user", "expected"),
    [
        (None, False, ("system.slice", "ocirun-box.scope")),
        ("", True, ("user.slice", "ocirun-box.scope")),
        ("machine.slice:libpod:0123", False, ("machine.slice", "libpod-0123.scope")),
        ("kubepods-pod1.slice:cri-containerd:0123", False, ("kubepods-pod1.slice", "cri-containerd-0123.scope")),
        (":docker:0123", False, ("system.slice", "docker-0123.scope")),
        (":docker:0123", True, ("user.slice", "docker-0123.scope")),
        ("a.slice::one", False, ("a.slice", "one.scope")),
        ("a.slice:x:", False, ("a.slice", "x-box.scope")),
        ("::", False, ("system.slice", "box.scope")),
        ("a.slice:ignored:a-b.slice", False, ("a.slice", "a-b.slice")),
        ("-.slice:x:y", False, ("-.slice", "x-y.scope")),
    ],
)
def test_names(path: str | None, user: bool, expected: tuple[str, str]) -> None:
    """Slice and unit, with the defaults for what is empty."""
    assert units.names(path, "box", user) == expected


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/a/b", 'the form "slice:prefix:name"'),
        ("a.slice", 'the form "slice:prefix:name"'),
        ("a.slice:b", 'the form "slice:prefix:name"'),
        ("a.slice:b:c:d", 'the form "slice:prefix:name"'),
        ("a:b:c", "is no slice"),
        ("a--b.slice:b:c", "is no slice"),
        ("a-.slice:b:c", "is no slice"),
        ("-a.slice:b:c", "is no slice"),
        ("a/b.slice:b:c", "is no slice"),
        (".slice:b:c", "is no slice"),
        ("a.slice:b:-.slice", "no slice of its own"),
        ("a.slice:b:a--b.slice", "no slice of its own"),
        ("a.slice:b:c/d", "no unit's name"),
        ("a.slice:b:c d", "no unit's name"),
        ("a.slice:b:" + "c" * 250, "longer than 255"),
    ],
)
def test_wrong_paths(path: str, words: str) -> None:
    """An error that names the place and what is wrong."""
    with pytest.raises(InvalidConfig, match=words) as caught:
        units.names(path, "box", False)
    assert caught.value.pointer == "/linux/cgroupsPath"


def test_an_id_that_no_unit_can_have() -> None:
    """A container's id may have a plus sign, which is escaped; a long id is an error, but not the config's."""
    assert units.names(None, "a+b", False)[1] == "ocirun-a\\x2bb.scope"
    with pytest.raises(InvalidConfig) as caught:
        units.names(None, "c" * 255, False)
    assert caught.value.pointer is None


@pytest.mark.parametrize(
    ("slice", "unit", "expected"),
    [
        ("system.slice", "a.scope", "/system.slice/a.scope"),
        ("a-b-c.slice", "x.scope", "/a.slice/a-b.slice/a-b-c.slice/x.scope"),
        ("-.slice", "x.scope", "/x.scope"),
        ("a.slice", "a-b.slice", "/a.slice/a-b.slice"),
        ("system.slice", "memory.scope", "/system.slice/_memory.scope"),
        ("system.slice", "_x.scope", "/system.slice/__x.scope"),
        ("system.slice", ".x.scope", "/system.slice/_.x.scope"),
        ("system.slice", "memory-x.scope", "/system.slice/memory-x.scope"),
        ("cpu-x.slice", "y.scope", "/_cpu.slice/cpu-x.slice/y.scope"),
    ],
)
def test_cgroup(slice: str, unit: str, expected: str) -> None:
    """Where systemd puts it; a name that a cgroup's file could have is escaped."""
    assert units.cgroup(slice, unit) == expected


def test_object_path() -> None:
    """Every byte but letters and digits is escaped, and a digit at the beginning."""
    assert units.object_path("1a-b.scope") == "/org/freedesktop/systemd1/unit/_31a_2db_2escope"
