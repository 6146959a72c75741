"""The options of the runc and crun that are installed: each is known here, or left out for a reason that is told."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.runtime.test_peers_options import CRUN, LEFT_OUT, RUNC, known

pytestmark = pytest.mark.no_runtime

PEERS = {"runc": RUNC, "crun": CRUN}
OPTION = re.compile(r"(?:^|[ ,])(-[a-zA-Z?]|--[a-z][a-z0-9-]+)(?=[ =,\[\n]|$)", re.M)


@pytest.mark.parametrize("peer", PEERS)
def test_every_option_of_its_help(peer: str) -> None:
    """What `PEER VERB --help` lists, for each verb that this release of it has."""
    if not shutil.which(peer):
        pytest.skip(f"{peer} is not installed")
    found = 0
    for verb in PEERS[peer]:
        words = [peer, *([verb] if verb else []), "--help"]
        said = subprocess.run(words, capture_output=True, text=True, check=False)
        if said.returncode:  # an older release
            continue
        lines = [line.strip() for line in said.stdout.splitlines() if line.lstrip().startswith("-")]
        listed = set(OPTION.findall("\n".join(lines)))
        found += len(listed)
        left_out = {name for at, name in LEFT_OUT if at in ("", verb)}
        assert listed - known(verb) - left_out == set(), verb
    assert found > 50
