"""runtime.resctrl on directories prepared as the kernel has them, and on cgroups where it fills a new directory.

No machine of ours has resctrl. A group that is there is a directory with its two files, which serves to see what is
compared and written; what makes, enters and removes a group is tried on v1 cgroups, where a new directory has `tasks` too.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime import resctrl
from runtime.errors import OcirunError
from runtime.host import cgroups

SCHEMATA = "    L3:0=fffff;1=00ff0\n    MB:0= 100;1=  50\n"


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    """A root with the group `class`."""
    (tmp_path / "info").mkdir()
    (tmp_path / "info/last_cmd_status").write_text("ok\n")
    for group in (tmp_path, tmp_path / "class"):
        (group / "mon_groups").mkdir(parents=True)
        (group / "schemata").write_text(SCHEMATA)
        (group / "tasks").write_text("")
    return tmp_path


def make(wanted: dict[str, Any], mount: Path) -> None:
    resctrl.make(wanted, "one", str(mount))


@pytest.mark.parametrize(
    ("wanted", "tasks", "made"),
    [
        ({}, ["one/tasks"], ["one"]),
        ({"closID": "class"}, ["class/tasks"], []),
        ({"closID": "new", "l3CacheSchema": "L3:0=f"}, ["new/tasks"], []),
        ({"closID": "/"}, ["tasks"], []),
        ({"enableMonitoring": True}, ["one/tasks", "one/mon_groups/one/tasks"], ["one/mon_groups/one", "one"]),
        (
            {"closID": "class", "enableMBM": True},
            ["class/tasks", "class/mon_groups/one/tasks"],
            ["class/mon_groups/one"],
        ),
        ({"closID": "/", "enableCMT": True}, ["tasks", "mon_groups/one/tasks"], ["mon_groups/one"]),
        ({"closID": "class", "enableMonitoring": False}, ["class/tasks"], []),
    ],
)
def test_survey(mount: Path, wanted: dict[str, Any], tasks: list[str], made: list[str]) -> None:
    """What a container will be in, and what of it goes with it: never a group that the config names."""
    row = resctrl.survey(wanted, "one", str(mount))
    assert row == {"tasks": [f"{mount}/{path}" for path in tasks], "made": [f"{mount}/{path}" for path in made]}


def test_a_group_that_is_there_is_not_ours(mount: Path) -> None:
    """One with the container's id that somebody else made is used and stays."""
    (mount / "one").mkdir()
    assert resctrl.survey({}, "one", str(mount))["made"] == []


@pytest.mark.parametrize("name", resctrl.RESERVED)
def test_names_of_the_kernels_own(mount: Path, name: str) -> None:
    """A container may not be called like a directory that resctrl has for itself."""
    with pytest.raises(OcirunError, match="reserved by resctrl"):
        resctrl.survey({}, name, str(mount))


def test_what_is_written(mount: Path) -> None:
    """l3CacheSchema, memBwSchema and then schemata, a line a write; the file is that of the group."""
    wanted = {
        "closID": "class",
        "memBwSchema": "MB:1=50",
        "l3CacheSchema": "L3:1=ff0",
        "schemata": ["L2:0=1", "L2:1=2"],
    }
    (mount / "class/schemata").unlink()
    assert [line for line, _ in resctrl.lines(wanted)] == [
        "L3:1=ff0",
        "MB:1=50",
        "L2:0=1",
        "L2:1=2",
    ]
    pipe = mount / "class/schemata"
    pipe.write_text(SCHEMATA)
    make(wanted, mount)
    assert pipe.read_text().startswith("L2:1=2\n")  # a plain file keeps the last of what begins at its start
    assert (mount / "schemata").read_text() == SCHEMATA


@pytest.mark.parametrize(
    "wanted",
    [
        {"l3CacheSchema": "L3:0=fffff"},
        {"l3CacheSchema": "L3:1=FF0;0=fffff", "memBwSchema": "MB:0=100;1=50"},
        {"memBwSchema": "MB:1=050"},
        {},
    ],
)
def test_a_group_that_is_as_the_config_says(mount: Path, wanted: dict[str, Any]) -> None:
    """Masks are compared without leading zeros and in either case; what the config leaves out may be anything."""
    make({"closID": "class"} | wanted, mount)


@pytest.mark.parametrize(
    ("wanted", "pointer", "words"),
    [
        ({"l3CacheSchema": "L3:0=ff"}, "/linux/intelRdt/l3CacheSchema", "which has L3:0=fffff"),
        ({"memBwSchema": "MB:0=100;2=50"}, "/linux/intelRdt/memBwSchema", "which has MB:2=nothing"),
    ],
)
def test_a_group_that_differs(mount: Path, wanted: dict[str, Any], pointer: str, words: str) -> None:
    """An error that says what the group has; nothing is written."""
    with pytest.raises(OcirunError, match=words) as caught:
        make({"closID": "class"} | wanted, mount)
    assert caught.value.pointer == pointer
    assert (mount / "class/schemata").read_text() == SCHEMATA


def test_a_missing_group_without_a_schema(mount: Path) -> None:
    """config-linux.md#intelrdt: then it must be there."""
    with pytest.raises(OcirunError, match=r"no group .*/new, and no schema") as caught:
        make({"closID": "new", "enableMonitoring": True}, mount)
    assert caught.value.pointer == "/linux/intelRdt/closID"
    assert not (mount / "new").exists()


def test_a_line_that_is_refused(mount: Path) -> None:
    """The kernel's own words are added; a directory in place of the file refuses here."""
    (mount / "class/schemata").unlink()
    (mount / "class/schemata").mkdir()
    (mount / "info/last_cmd_status").write_text("Mask out of range\n")
    with pytest.raises(OcirunError, match=r"is a directory \(Mask out of range\)") as caught:
        make({"closID": "class", "schemata": ["L3:0=0"]}, mount)
    assert caught.value.pointer == "/linux/intelRdt/schemata/0"


def test_a_change_and_back(mount: Path) -> None:
    """update writes both lines, and knows what undoes it: the group's lines as they were."""
    file = mount / "class/schemata"
    undo = resctrl.change({"l3CacheSchema": "L3:0=3;1=3"}, str(mount / "class"), str(mount))
    assert file.read_text().startswith("L3:0=3;1=3\n")
    assert undo == ["L3:0=fffff;1=00ff0"]
    resctrl.restore(undo, str(mount / "class"))
    assert file.read_text().startswith("L3:0=fffff;1=00ff0\n")
    assert resctrl.change({"memBwSchema": "MB:0=10"}, str(mount / "class"), str(mount)) == ["MB:0= 100;1=  50"]


def test_a_change_that_is_refused(mount: Path) -> None:
    """Here since there is no group any more; the error names the file."""
    with pytest.raises(OcirunError, match=r"gone/schemata: no such file"):
        resctrl.change({"l3CacheSchema": "L3:0=3"}, str(mount / "gone"), str(mount))


def test_monitoring(mount: Path) -> None:
    """A directory of the container's below mon_groups of the group, which is made and removed."""
    groups = resctrl.survey({"closID": "class", "enableMonitoring": True}, "one", str(mount))
    make({"closID": "class", "enableMonitoring": True}, mount)
    assert (mount / "class/mon_groups/one").is_dir()
    resctrl.remove(groups["made"])
    resctrl.remove(groups["made"])  # again, as after a kill
    assert list((mount / "class/mon_groups").iterdir()) == []
    assert (mount / "class/tasks").exists()


def test_monitoring_that_cannot_be_had(mount: Path) -> None:
    """A failure is an error at its property."""
    (mount / "class/mon_groups").rmdir()
    with pytest.raises(OcirunError, match="no such file") as caught:
        make({"closID": "class", "enableMonitoring": True}, mount)
    assert caught.value.pointer == "/linux/intelRdt/enableMonitoring"


def test_a_group_of_its_own(
    name: str, sleeper: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made, entered by the pid of a process, and removed once that has ended; on v1 cgroups, which work alike."""
    from runtime.plan import ops
    from runtime.process.attributes import resctrl as enter

    hierarchies = cgroups.read()["hierarchies"]
    v1 = [one for one in hierarchies if one["version"] == 1 and "pids" in one["controllers"]]
    if not v1:
        pytest.skip("no v1 hierarchy is mounted")
    mount = f"{v1[0]['mountpoint']}/{name}"
    Path(mount).mkdir()
    groups = resctrl.survey({}, "one", mount)
    resctrl.make({}, "one", mount)
    process = sleeper([])

    class Started:
        pid = process.pid

    enter(Started(), ops.resctrl(groups["tasks"]))  # type: ignore[arg-type]
    assert Path(f"{mount}/one/tasks").read_text() == f"{process.pid}\n"
    with pytest.raises(OcirunError, match="busy"):
        resctrl.remove(groups["made"])
    process.kill()
    process.wait()
    resctrl.remove(groups["made"])
    assert not Path(f"{mount}/one").exists()
    Path(mount).rmdir()
