"""runtime.plan.paths: what is masked and protected, and in which order."""

import pytest

from runtime.errors import InvalidConfig
from runtime.plan import ops, paths


def test_order_and_origins() -> None:
    """Late read-only mounts, then read-only paths, then masks, which may lie below one."""
    spec = {
        "mounts": [{"destination": "/run", "type": "tmpfs", "options": ["ro"]}],
        "linux": {"maskedPaths": ["/proc/kcore", "/sys/firmware"], "readonlyPaths": ["/proc/sys"]},
    }
    rows = paths.operations(spec, {}, [])
    assert [(ops.TABLE[row[0]][0], row[4][0], row[2]) for row in rows] == [
        ("remount", "/run", "/mounts/0"),
        ("readonly", "/proc/sys", "/linux/readonlyPaths/0"),
        ("mask", "/proc/kcore", "/linux/maskedPaths/0"),
        ("mask", "/sys/firmware", "/linux/maskedPaths/1"),
    ]


def test_privileged_configs_have_none() -> None:
    """Absent and empty both mean none; null (as Go writes it) is taken out when the config is read."""
    assert paths.operations({}, {}, []) == []
    assert paths.operations({"linux": {"maskedPaths": [], "readonlyPaths": []}}, {}, []) == []


@pytest.mark.parametrize("path", ["/", "//", "/etc/..", "/."])
def test_a_mask_of_the_root_is_refused(path: str) -> None:
    """A mask of / is refused, as a mount on it is; / may be read-only."""
    with pytest.raises(InvalidConfig) as caught:
        paths.operations({"linux": {"maskedPaths": ["/etc", path]}}, {}, [])
    assert caught.value.pointer == "/linux/maskedPaths/1"
    assert len(paths.operations({"linux": {"readonlyPaths": [path]}}, {}, [])) == 1
