"""What `validate` says of the configs of real managers: nothing that is not true of them, and of use."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runtime import seccomp
from runtime.commands.validate import validate
from runtime.shim import lib
from tests import bpf

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.json"))
X86_64, ALLOW = 0xC000003E, 0x7FFF0000
# Podman's profile allows setns in one rule and refuses it in a later one, which so has no effect.
TOLD = ["this rule for setns has no effect, that of item 1 has no conditions and wins"]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_managers_configs_are_right(file: Path) -> None:
    """No problem, but for the two rules for setns in Podman's profile."""
    text = file.read_text()
    kind = "process" if "ociVersion" not in json.loads(text) else "config"
    found = json.loads(validate(str(file), "json", no_host=True, kind=kind)[0])["problems"]
    twice = json.loads(text).get("linux", {}).get("seccomp", {}).get("syscalls", [])
    podmans = sum("setns" in entry["names"] and not entry.get("args") for entry in twice) > 1
    assert [one["message"] for one in found] == (TOLD if podmans else [])


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tables of numbers here are x86's")
def test_podmans_profile_allows_setns() -> None:
    """The compiled profile lets it through, as the warning says."""
    profile = json.loads((CONFIGS[0].parent / "podman.json").read_text())["linux"]["seccomp"]
    rules = [entry["action"] for entry in profile["syscalls"] if "setns" in entry["names"]]
    assert rules == ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"]
    program = bpf.decode(seccomp.compile_profile(profile)[0])
    number = lib.shim_seccomp_number(X86_64, b"setns")
    assert bpf.run(program, bpf.data(X86_64, number))[0] == ALLOW
