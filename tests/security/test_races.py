"""Somebody who shares a volume or the root itself with the container exchanges names while it is set up."""

from __future__ import annotations

from pathlib import Path

from tests.integration.bundle import Bundle
from tests.security.attack import Target, attack, names, swapping
from tests.security.test_symlinked_paths import volume


def shared_volume(target: Target, script: str, link: str | Path) -> tuple[Bundle, Path]:
    """A bundle with the volume /shared, in which `place` is a directory, and `other` a symlink to swap it with."""
    bundle = target.caller.shell(script)
    shared = volume(bundle, "/shared", "rw", name="shared")
    (shared / "place").mkdir()
    (shared / "other").symlink_to(link)
    return bundle, shared


@attack(
    "CVE-2024-45310",
    "a parent directory of a missing mount target is swapped for a symlink: directories are created on the host",
    stops="missing directories are made by mkdirat in an open directory, found by openat2(RESOLVE_IN_ROOT)",
    bites=("runc",),
)
def test_mkdir_race(target: Target) -> None:
    """The host's directory gets an entry that no container was to make."""
    bundle, shared = shared_volume(target, "true", target.caller.directory / "outside")
    outside = target.caller.directory / "outside"
    outside.mkdir()
    mounts = bundle.config["mounts"]
    with swapping(shared / "place", shared / "other"):
        for turn in target.rounds():
            bundle.config["mounts"] = list(mounts)
            for number in range(100):
                volume(bundle, f"/shared/place/made{turn}-{number}/below")
            target.caller.run(bundle.save())
            if names(outside):
                break
    target.judge(names(outside))


# Runs when all is mounted, in the container's mount namespace, with the host's root: what lies outside of ours?
LOOK = """#!/bin/sh
exec grep {token} /proc/self/mountinfo > {file}
"""


@attack(
    "CVE-2021-30465",
    "a mount target in a shared volume is swapped for a symlink between check and mount: the mount lands on a host"
    " path",
    stops="move_mount attaches to the target's descriptor; no path is looked up again",
)
def test_mount_race(target: Target) -> None:
    """A hook looks at the mounts before the root is entered; each must be at root.path or below. (Both peers have been
    cured of it; that the swaps are seen is shown by test_mkdir_race.)"""
    outside = target.caller.directory / "outside"
    outside.mkdir()
    bundle, shared = shared_volume(target, "true", outside)
    table = bundle.directory / "table"
    look = bundle.directory / "look"
    look.write_text(LOOK.format(token=target.caller.token, file=table))
    look.chmod(0o755)
    for number in range(20):
        volume(bundle, "/shared/place", name=f"source{number}")
    bundle.config["hooks"] = {"createContainer": [{"path": str(look)}]}
    bundle.save()
    root = str(bundle.rootfs)
    hits: list[str] = []
    with swapping(shared / "place", shared / "other"):
        for _ in target.rounds():
            target.caller.run(bundle)
            if table.exists():
                places = [line.split()[4] for line in table.read_text().splitlines()]
                hits += [place for place in places if place != root and not place.startswith(f"{root}/")]
            if hits:
                break
    target.judge(hits)


@attack(
    "own find",
    "somebody who can write to the root swaps /proc for another directory once procfs is mounted: masks miss it",
    stops="paths below /proc, /sys and /dev are looked up from the descriptor of the mount there",
    bites=("runc", "crun"),
)
def test_proc_moved_away(target: Target) -> None:
    """Renaming a mount point is allowed in every mount namespace but its own; the mount goes with it. Then /proc is a
    directory of the attacker's and procfs stands, unmasked and writable, under another name."""
    script = (
        "for p in /proc /other; do test -e $p/self/status || continue; cat $p/keys > /dev/null 2>&1 && "
        "test -s $p/keys && echo unmasked; ( : >> $p/sys/kernel/shmmni ) 2> /dev/null && echo writable; done; true"
    )
    bundle = target.caller.shell(script)
    (bundle.rootfs / "other").mkdir()
    bundle.save()
    found = ""
    with swapping(bundle.rootfs / "proc", bundle.rootfs / "other"):
        for _ in target.rounds():
            result = target.caller.run(bundle)
            if result.out:
                found = result.out
                break
    target.judge(found)
