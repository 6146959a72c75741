"""What the tests for both kernels share: the runtime of the integration tests, and bundles of real configs."""

from collections.abc import Callable

import pytest

from tests.integration import adapt
from tests.integration.bundle import BUSYBOX, Bundle
from tests.integration.caller import Caller
from tests.integration.conftest import busybox, driver, runtime, runtime_program, token, workplace
from tests.integration.prepared import finish_rootfs

__all__ = ["busybox", "driver", "runtime", "runtime_program", "token", "workplace"]


@pytest.fixture(autouse=True)
def needs_busybox(needs_root: None, ocirun: object) -> None:
    if not BUSYBOX.exists():
        pytest.skip(f"{BUSYBOX} is not installed")


@pytest.fixture
def real(runtime: Caller) -> Callable[[str, str], Bundle]:
    """Makes a bundle of a kept config, which joins no namespace and has no hooks, that runs a script."""

    def make(name: str, script: str) -> Bundle:
        around = adapt.Surroundings(
            sources=runtime.directory / "sources",
            sandbox_pid=0,
            cgroup=runtime.token,
            netns=lambda: pytest.fail(f"{name} joins a network namespace"),
            recorder=runtime.directory,
        )
        bundle = runtime.bundle(
            {"process": {"args": ["sh", "-c", script]}}, config=adapt.adapt(adapt.load(name), around)
        )
        # Not below the parent that the config names: whoever tests at the same time may remove it.
        bundle.linux["cgroupsPath"] = f"/{runtime.token}/{runtime.token}-box"
        finish_rootfs(bundle)
        return bundle.save()

    return make
