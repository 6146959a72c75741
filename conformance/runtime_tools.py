#!/usr/bin/env python3
"""The validation of OCI runtime-tools as an outside judge of ocirun, and of runc and crun under the same.

Builds its programs with Go from the versions that conformance/runtime-tools/go.mod pins, runs each with RUNTIME set to
the runtime, prints the table and writes docs/conformance.md. Arguments are names of the judge's programs, whose rows are written
anew; none means all.
conformance/runtime-tools/reasons.toml says why a program fails with a runtime. Exits 1 when one fails with ocirun for
which it has no reason, and when it has a reason that is not needed. Without Go or root nothing runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from v1_cgroups import on_v1, stand_alone

TREE = Path(__file__).resolve().parent.parent
PINNED = TREE / "conformance/runtime-tools"
BUILD = TREE / "build/runtime-tools"
PAGE = TREE / "docs/conformance.md"
MODULE = "github.com/opencontainers/runtime-tools"
GO_PLACES = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go")
TIMEOUT_S = 60

TOP = """# Conformance

What the validation of OCI runtime-tools {version} finds, an outside judge that was written for runtime-spec 1.0 and
says 1.3 in its configs. Each of its programs makes containers and prints a line for each check. Made by `make conformance`.
Where the judge is wrong, or this machine, the reason is below.

The judge is as it was published, and each runtime is given the same, but for three things. Its `runtimetest` is built so that Go does not
raise RLIMIT_NOFILE before it looks. It knows no cgroup v2: for the programs about hugetlb, net_cls and net_prio these are mounted
as v1 where this host has them on v2, or nowhere. And crun is shown version 1.0.2, and no v2 hierarchy beside v1, since it refuses both.

Judged: {versions}.
"""


FAILURES = "## Failures, and why\n"


@dataclass
class Verdict:
    """What one of the judge's programs said of one runtime."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def word(self) -> str:
        if self.failed:
            return f"fails {len(self.failed)} of {self.passed + len(self.failed)}"
        if self.passed:
            return "passes" + (f", {len(self.skipped)} skipped" if self.skipped else "")
        return "skips"


# The judge


def go_program() -> str | None:
    return shutil.which("go") or next((place for place in GO_PLACES if os.access(place, os.X_OK)), None)


def go(program: str, *arguments: str) -> str:
    command = [program, *arguments]
    return subprocess.run(command, cwd=BUILD, check=True, stdout=subprocess.PIPE, text=True, timeout=900).stdout


def overlay(program: str) -> Path:
    """For go build: without the start-up code with which a Go program raises its own soft RLIMIT_NOFILE, since Go 1.19."""
    source = Path(go(program, "env", "GOROOT").strip()) / "src/syscall/rlimit.go"
    quiet = BUILD / "rlimit.go"
    quiet.write_text(source.read_text().replace("func init() {", "func raise() {"))
    file = BUILD / "overlay.json"
    file.write_text(json.dumps({"Replace": {str(source): str(quiet)}}))
    return file


def build(program: str) -> tuple[list[str], str]:
    """(the judge's programs, its version); they are in BUILD/bin, and what they want to find beside them in BUILD."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in ("go.mod", "go.sum"):
        shutil.copy(PINNED / name, BUILD / name)
    module = json.loads(go(program, "mod", "download", "-json", MODULE))
    source = Path(module["Dir"])
    names = sorted(entry.name for entry in (source / "validation").iterdir() if entry.is_dir() and entry.name != "util")
    packages = [f"{MODULE}/validation/{name}" for name in names]
    (BUILD / "bin").mkdir(exist_ok=True)
    go(program, "build", "-mod=mod", "-o", f"{BUILD}/bin/", *packages)
    os.environ["CGO_ENABLED"] = "0"  # it runs in the container
    package = f"{MODULE}/cmd/runtimetest"
    go(program, "build", "-mod=mod", f"-overlay={overlay(program)}", "-o", f"{BUILD}/runtimetest", package)
    for archive in source.glob("rootfs-*.tar.gz"):
        shutil.copyfile(archive, BUILD / archive.name)
    return names, str(module["Version"])


# A run


# crun takes no config whose version it does not know, so the judge's say 1.0.2 to it.
VERSION = r"""for word; do
  [ "$before" = --bundle ] && [ -e "$word/config.json" ] &&
    sed -i 's/"ociVersion": *"[^"]*"/"ociVersion":"1.0.2"/' "$word/config.json"
  before=$word
done
"""


def wrapper(directory: Path, runtime: str) -> Path:
    """A program that is the runtime with a state directory of its own."""
    path = directory / Path(runtime).name
    before = VERSION if runtime == "crun" else ""
    path.write_text(f'#!/bin/sh\n{before}exec {shutil.which(runtime)} --root {directory}/state "$@"\n')
    path.chmod(0o755)
    return path


def parse(text: str) -> Verdict:
    """The lines of the Test Anything Protocol; what a program says before it ends in another way is a failure."""
    verdict = Verdict()
    for line in text.splitlines():
        found = re.match(r"\s*(not )?ok \d+ *-? *(.*)", line)
        if not found:
            continue
        failed, words = found.groups()
        if "# skip" in words.lower():
            verdict.skipped.append(words)
        elif failed:
            verdict.failed.append(words)
        else:
            verdict.passed += 1
    return verdict


# What the judge looks for on cgroup v1 alone, by the end of a program's name.
ON_V1 = {"_hugetlb": ("hugetlb",), "_network": ("net_cls", "net_prio")}

# In a mount namespace of its own: some programs make containers without one, whose mounts go with it. crun refuses a
# hybrid host whose v2 hierarchy has controllers, so that one is hidden from it.
ALONE = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
HIDING = "[ -e /sys/fs/cgroup/unified/cgroup.controllers ] && umount -l /sys/fs/cgroup/unified; "


def without_checks(text: str, verdict: Verdict) -> None:
    """Some programs print no line for a check: those only explain what is wrong, if anything is."""
    explained = re.findall(r'"error": "((?:[^"\\]|\\.)+)"', text)
    verdict.failed = [words.partition("\\n")[0] for words in explained]
    verdict.passed = 0 if explained else 1


def remove_cgroups() -> None:
    """Those that the judge names in its configs, which runtimes leave when they were there before; only empty ones go."""
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        for directory, _, _ in os.walk(hierarchy, topdown=False):
            if {"cgrouptest", "testdir"} & set(Path(directory).parts):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)


def judge(name: str, runtime: str, log: Path) -> Verdict:
    """Run one program; what its containers leave is removed."""
    with tempfile.TemporaryDirectory(prefix="ocirun-judge-") as scratch:
        directory = Path(scratch)
        (directory / "state").mkdir()
        (directory / "tmp").mkdir()
        os.chmod(scratch, 0o755)
        os.chmod(directory / "tmp", 0o755)
        program = wrapper(directory, runtime)
        environment = {**os.environ, "RUNTIME": str(program), "TMPDIR": str(directory / "tmp")}
        code: int | str
        command = [*ALONE, f"{HIDING if runtime == 'crun' else ''}exec {BUILD}/bin/{name}"]
        with open(directory / "out", "w+") as out:
            try:
                done = subprocess.run(
                    command, cwd=BUILD, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                    stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False,
                )  # fmt: skip
                code = done.returncode
            except subprocess.TimeoutExpired:
                code = f"more than {TIMEOUT_S} s"
            out.seek(0)
            text = out.read()
        log.write_text(text)
        held = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if scratch in line]
        if held:  # what is behind a mount is not ours to remove
            raise RuntimeError(f"{name} left mounts behind: {held}")
        for entry in (directory / "state").iterdir():
            if entry.is_dir() and not entry.name.startswith("."):
                subprocess.run([program, "delete", "--force", entry.name], stderr=subprocess.DEVNULL, check=False)
        remove_cgroups()
    verdict = parse(text)
    if code == 0 and not (verdict.passed or verdict.failed or verdict.skipped):
        without_checks(text, verdict)
    if code != 0 and not verdict.failed:
        last = [line for line in text.splitlines() if line.strip()][-1:]
        verdict.failed.append(f"the program ends with {code}: {' '.join(last)}")
    return verdict


# The page


def cell(text: str, directories: str = r"/tmp/\S*ocitest\d+|/tmp/ocirun-judge-\w+") -> str:
    text = re.sub(directories, "DIR", text)
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID", text)
    text = re.sub(r"\d{4}[-/]\d\d[-/]\d\d[T ][\d:.]+Z? ?", "", text)
    return text.strip().replace("|", "\\|").replace("<", "&lt;")[:200]


def versions(runtimes: dict[str, str]) -> str:
    words = []
    for name, program in runtimes.items():
        text = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        words.append("ocirun of this tree" if name == "ocirun" else text.splitlines()[0])
    return ", ".join(words)


def page(verdicts: dict[str, dict[str, Verdict]], reasons: dict[str, dict[str, str]], top: str) -> str:
    runtimes = list(next(iter(verdicts.values())))
    lines = [top, f"| program | {' | '.join(runtimes)} |", "|---|" + "---|" * len(runtimes)]
    for name, found in verdicts.items():
        lines.append(f"| `{name}` | {' | '.join(found[runtime].word() for runtime in runtimes)} |")
    lines += [f"\n{FAILURES}", "| program | runtimes | check that fails | why |", "|---|---|---|---|"]
    for name, found in verdicts.items():
        checks: dict[str, list[str]] = {}
        for runtime in runtimes:
            for words in dict.fromkeys(map(cell, found[runtime].failed)):
                checks.setdefault(words, []).append(runtime)
        for words, failing in checks.items():
            why = reasons.get(name, {}).get("ocirun" if "ocirun" in failing else "peers", "")
            lines.append(f"| `{name}` | {', '.join(failing)} | {words} | {why} |")
    return "\n".join(lines) + "\n"


def spliced(old: str, new: str, names: list[str]) -> str:
    """The old page, with the rows of these programs as the new one has them."""
    parts = []
    for before, after in zip(old.split(FAILURES), new.split(FAILURES), strict=True):
        rows = [line for line in before.splitlines() if line.startswith("| `") and line.split("`")[1] not in names]
        rows += [line for line in after.splitlines() if line.startswith("| `")]
        head = after.partition("\n| `")[0].rstrip("\n")
        parts.append("\n".join([head, *sorted(rows, key=lambda row: row.split("`")[1])]))
    return f"{parts[0]}\n{FAILURES}{parts[1]}\n"


def main() -> int:
    program = go_program()
    if program is None or os.geteuid() != 0:
        print("runtime-tools: needs root and Go (Debian: golang-go)", file=sys.stderr)
        return 0
    names, version = build(program)
    stand_alone()
    chosen = sys.argv[1:] or names
    runtimes = {"ocirun": str(TREE / "build/ocirun"), **{name: name for name in ("runc", "crun") if shutil.which(name)}}
    logs = TREE / "build/conformance/runtime-tools"
    logs.mkdir(parents=True, exist_ok=True)
    verdicts: dict[str, dict[str, Verdict]] = {}
    for name in chosen:
        with on_v1(next((controllers for end, controllers in ON_V1.items() if name.endswith(end)), ())):
            verdicts[name] = {one: judge(name, path, logs / f"{name}.{one}") for one, path in runtimes.items()}
        print(f"{name}: " + ", ".join(f"{one} {found.word()}" for one, found in verdicts[name].items()), flush=True)
    reasons = tomllib.loads((PINNED / "reasons.toml").read_text())
    if len(runtimes) == 3:
        text = page(verdicts, reasons, TOP.format(version=version, versions=versions(runtimes)))
        PAGE.write_text(text if chosen == names else spliced(PAGE.read_text(), text, chosen))
    failing = {name for name, found in verdicts.items() if found["ocirun"].failed}
    known = {name for name, why in reasons.items() if "ocirun" in why and name in chosen}
    for name in sorted(failing ^ known):
        words = verdicts[name]["ocirun"].failed if name in failing else "passes, and a reason for its failure is given"
        print(f"runtime-tools: {name}: {words}", file=sys.stderr)
    return 1 if failing ^ known else 0


if __name__ == "__main__":
    sys.exit(main())
