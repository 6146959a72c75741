"""docs/failures.md is up to date in what ocirun says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.broken import failures
from tests.broken.failures import FAILURES, PAGE, RECORD, Failure

ANSWERS = json.loads(RECORD.read_text())
# What `run` says of these depends on the host's cgroups, and on the caller's rights.
VARIES = ("A memory limit that is too low", "More open files than the host allows")

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the page is x86's")


def title(failure: Failure) -> str:
    return failure.title


def test_the_page_is_what_was_recorded() -> None:
    """The page has ten failures, and is made of the recorded answers."""
    assert len(FAILURES) == len(ANSWERS) == 10
    assert PAGE.read_text() == failures.page(ANSWERS)


@pytest.mark.parametrize("failure", FAILURES, ids=title)
def test_validate_still_says_so(failure: Failure) -> None:
    """The report on the bundle is that of the page, where the host has the kernel's default for fs.nr_open."""
    if failure.title in VARIES and Path("/proc/sys/fs/nr_open").read_text() != "1048576\n":
        pytest.skip("fs.nr_open is not the kernel's default")
    assert failures.in_bundle(failure, failures.report) == ANSWERS[failure.title]["validate"]


@pytest.mark.parametrize("failure", [one for one in FAILURES if one.title not in VARIES], ids=title)
@pytest.mark.usefixtures("needs_root")
def test_run_still_says_so(failure: Failure, ocirun: Path) -> None:
    """The message of `run` is that of the page."""
    said = failures.in_bundle(failure, lambda directory: failures.answer(ocirun, directory))
    assert said == ANSWERS[failure.title]["ocirun"]
