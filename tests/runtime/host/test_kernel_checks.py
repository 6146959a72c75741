"""What the caller's own rights forbid, as `validate` tells it before the kernel does."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[3]
CODE = """
import json, resource, sys
from runtime.host import kernel_checks
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
spec = json.loads(sys.argv[1])
print(json.dumps([row[:3] for row in kernel_checks.rows(spec, "/")]))
"""


@pytest.mark.usefixtures("needs_root")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.parametrize(
    ("process", "pointer", "words"),
    [
        (
            {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 101}]},
            "/process/rlimits/0/hard",
            "101 is above the caller's own limit, 100",
        ),
        ({"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 100}]}, "", ""),
        ({"oomScoreAdj": -999}, "/process/oomScoreAdj", "-999 is below the caller's own score"),
        ({"oomScoreAdj": 1000}, "", ""),
    ],
)
def test_limits_of_the_caller(process: dict[str, object], pointer: str, words: str) -> None:
    """Without CAP_SYS_RESOURCE a hard limit above the own one, and a lower score than the own, are errors."""
    drop = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]
    command = [*drop, sys.executable, "-c", CODE, json.dumps({"process": process})]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(TREE)})
    found = json.loads(done.stdout)
    assert [row[0] for row in found] == ([pointer] if pointer else [])
    assert all(row[1] == "error" and words in row[2] for row in found)
