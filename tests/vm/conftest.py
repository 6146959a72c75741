"""Tests for the machine of `make test-vm`: what they need of its kernel, and a reason to skip where that is missing."""

import pytest

from tests.integration.bundle import BUSYBOX
from tests.integration.conftest import busybox, runtime, runtime_program, token, workplace

__all__ = ["busybox", "runtime", "runtime_program", "token", "workplace"]


@pytest.fixture(autouse=True)
def needs_busybox(needs_root: None, ocirun: object) -> None:
    if not BUSYBOX.exists():
        pytest.skip(f"{BUSYBOX} is not installed")
