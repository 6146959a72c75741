"""`ocirun doctor`: what is decided from texts, and the form of the report."""

import gzip
import re

import pytest

from runtime.doctor import cgroups, kernel, namespaces, report
from runtime.doctor.row import limited, missing, ok
from runtime.plan.properties_table import TABLE

CGROUPS = (
    "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nmemory\t0\t1\t0\nblkio\t5\t1\t1\nnet_cls\t0\t1\t1\n"
)
ROWS = {
    "one": [ok("good", "there"), limited("half", "a little", "/linux/resources", "sysctl -w a=1")],
    "two": [missing("bad", "word " * 60, "nothing works", "apt install x", True)],
}


def test_options_of_a_config() -> None:
    """y and m are set; n, a comment and a value are not."""
    text = "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=m\nCONFIG_D=n\nCONFIG_E=64\nX=y\n"
    assert kernel.set_options(text) == {"B", "C"}
    assert kernel.unpacked(gzip.compress(text.encode())).decode() == text


@pytest.mark.parametrize(
    ("name", "v2", "part"),
    [
        ("memory", False, "cgroup_disable=memory"),
        ("memory", True, "cgroup_disable=memory"),
        ("io", True, "umount the v1 hierarchy that has blkio"),
        ("net_cls", False, "mount -t cgroup -o net_cls"),
        ("rdma", False, "CONFIG_CGROUP_RDMA=y"),
        ("rdma", True, "cgroup.subtree_control"),
    ],
)
def test_remedy_for_a_controller(name: str, v2: bool, part: str) -> None:
    """Disabled at boot, mounted on v1, not mounted, or not in the kernel."""
    assert part in cgroups.controller_remedy(name, v2, f"CONFIG_CGROUP_{name.upper()}", CGROUPS)


@pytest.mark.parametrize("kind", namespaces.MEANS)
@pytest.mark.parametrize("error", [1, 2, 22, 28, 87, 38])
def test_every_error_of_a_namespace_has_a_remedy(kind: str, error: int) -> None:
    """Also one that nobody expects."""
    assert namespaces.remedy(error, kind)


def test_text() -> None:
    """Aligned, wrapped, with the meaning and the remedy below; colour around the status alone."""
    text = report.text(ROWS, False, 80)
    assert "  ok       good                            there\n" in text
    assert "           means:  /linux/resources\n           remedy: sysctl -w a=1\n" in text
    assert "1 ok, 1 limited, 1 missing\ncontainers cannot be run by this caller\n" in text
    assert max(map(len, text.splitlines())) <= 80
    coloured = report.text(ROWS, True, 80)
    assert "\x1b[31mmissing  \x1b[0m" in coloured
    assert re.sub("\x1b\\[[0-9]*m", "", coloured) == text


def test_usable() -> None:
    """One needed row that is missing is enough; a limited one is not."""
    assert not report.usable(ROWS)
    assert report.usable({"one": ROWS["one"], "two": [missing("bad", "x", "y", "z")]})
    assert report.document(ROWS)["usable"] is False


def test_the_properties_that_are_named_exist() -> None:
    """What a row says does not work is a property of config.json."""
    said = [*kernel.OPTIONS.values()] + [means for _, _, means in kernel.CALLS.values()]
    said += [*namespaces.MEANS.values(), *(means for _, means in namespaces.FILE_SYSTEMS.values())]
    said += [means for _, means, _ in cgroups.CONTROLLERS.values()] + [means for means, _ in cgroups.V1_ONLY.values()]
    pointers = {
        name for means in said for name in re.findall(r"/(?:linux|mounts|process|hostname|domainname)[\w/*]*", means)
    }
    assert pointers
    known = {*TABLE, *(f"{pointer}/*" for pointer in TABLE)}
    assert {
        name for name in pointers if name.rstrip("*") not in {one[: len(name.rstrip("*"))] for one in known}
    } == set()
