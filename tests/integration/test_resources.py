"""linux.resources where nothing shows what a limit does: by the kernel's own word for it in the container's cgroup.

What can be seen in the container's processes is in tests/integration/resources.
"""

from __future__ import annotations

import pytest

from tests.integration.caller import Caller
from tests.integration.resources.readings import limited, on_v1
from tests.integration.test_limits import value

MEGABYTE = 1 << 20


@pytest.mark.proves("/linux/resources/memory/reservation")
@pytest.mark.proves("/linux/resources/memory/swap")
def test_memory_values(runtime: Caller) -> None:
    """The reservation is the kernel's soft limit, and swap what is left of it above the memory."""
    memory = {"limit": 64 * MEGABYTE, "reservation": 32 * MEGABYTE, "swap": 96 * MEGABYTE}
    id = runtime.create(limited(runtime, "true", memory=memory))
    assert value(runtime, id, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 * MEGABYTE)
    swap = value(runtime, id, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    assert swap == str((96 if on_v1("memory") else 32) * MEGABYTE)


@pytest.mark.proves("/linux/resources/memory/kernel")
@pytest.mark.not_on("runc", "crun", reason="leaves the limit out without a word")
def test_kernel_memory(runtime: Caller) -> None:
    """Linux 5.16 took the limit of kernel memory away: it holds, or one line names it, as a warning or as an error."""
    bundle = limited(runtime, "true", memory={"kernel": 32 * MEGABYTE})
    result = runtime.try_create(bundle)
    assert "/linux/resources/memory/kernel: " in result.err
    if result.code == 0:
        found = value(runtime, runtime.known_ids()[0], "memory", "memory.kmem.limit_in_bytes", "")
        assert found == str(32 * MEGABYTE) or "new kernels ignore it" in result.err


@pytest.mark.proves("/linux/resources/memory/useHierarchy")
@pytest.mark.not_on("runc", "crun", reason="ignores it without a word")
def test_use_hierarchy(runtime: Caller) -> None:
    """cgroups always form a hierarchy: true is what there is, false gets one warning and has no effect."""
    assert runtime.run(limited(runtime, "true", memory={"useHierarchy": True})).ok().err == ""
    err = runtime.run(limited(runtime, "true", memory={"useHierarchy": False})).ok().err
    assert len(err.splitlines()) == 1
    assert "/linux/resources/memory/useHierarchy" in err


# Both were CFQ's, which Linux 5.0 removed: no machine has them any more.
@pytest.mark.not_on("crun", reason="leaves the cgroups of a container that it could not make")
@pytest.mark.proves("/linux/resources/blockIO/leafWeight")
@pytest.mark.proves("/linux/resources/blockIO/weightDevice/*/leafWeight")
def test_leaf_weight(runtime: Caller) -> None:
    """No kernel has leaf weights any more: they are refused by name."""
    pointers = {
        "leafWeight": {"leafWeight": 77},
        "weightDevice/0/leafWeight": {"weightDevice": [{"major": 1, "minor": 0, "leafWeight": 77}]},
    }
    for pointer, section in pointers.items():
        result = runtime.try_create(limited(runtime, "true", blockIO=section)).failed(1)
        assert runtime.name != "ocirun" or f"/linux/resources/blockIO/{pointer}" in result.err
