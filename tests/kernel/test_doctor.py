"""`ocirun doctor` on a second kernel, with pure cgroup v2 and without systemd."""

import json
import subprocess
from pathlib import Path

import pytest

from runtime.host import cgroups

pytestmark = [pytest.mark.kernel, pytest.mark.no_runtime]


def test_what_doctor_says_is_so(ocirun: Path) -> None:
    """Root can run containers; the cgroups are those of the kernel; each row that is not ok has a remedy."""
    done = subprocess.run([ocirun, "doctor", "--format", "json"], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    rows = {row["subject"]: row for row in json.loads(done.stdout)["rows"]}
    assert all(row["remedy"] and row["means"] for row in rows.values() if row["status"] != "ok")
    assert rows["cgroups"]["found"].startswith(cgroups.read()["mode"])
    assert ("device filters (eBPF)" in rows) == (cgroups.read()["mode"] == "v2")
    for subject in (
        "mount namespace",
        "pid namespace",
        "mounting",
        "mounting proc",
        "seccomp filters",
        "cgroups of the caller",
    ):
        assert rows[subject]["status"] == "ok", rows[subject]
