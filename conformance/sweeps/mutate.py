#!/usr/bin/env python3
"""Leave out one operation of a plan at a time, and see that a test notices: `make mutate`.

In a copy of the tree each entry of init's OPERATIONS (csrc/dispatch.c) becomes a stub that does nothing and says that it has succeeded,
and each operation of the host's side is skipped by the parent; then the tests run that prove it. These are the tests
marked `proves_operation`, and those marked `proves` for a property that runtime/plan/properties_table.py says the
operation is for. A mutant that no test fails for is a survivor: the tests cannot tell whether the operation is done.

Only tests that pass without a mutation count, so these run first. All run in namespaces of their own, with the machine's
files read-only, since an init that leaves out `unshare` does the rest to whoever started it. An operation that only a
virtual machine shows (a security module) is said to be so, with its test; --vm runs that too, some minutes for each.
build/mutate.json keeps what was found, and a call after an interruption goes on from there until a source changes.

Usage: mutate.py [--vm] [--again] [OPERATION...]   Exits 1 with survivors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE))

from runtime.plan.operations import ROWS  # noqa: E402 - the tree is no installed package
from tests import proofs  # noqa: E402

KEPT = TREE / "build/mutate.json"
TIME_LIMIT = 300
BASELINE_LIMIT = 3600
"""Seconds, of the tests of one mutant and of all."""
HOST = " (host)"
# What the parent does inline. `cgroups` are made elsewhere; `created` ends the handshake: without it nothing returns.
PARENTS = [function.__name__ for function, side, _ in ROWS if side != "container"]
HOST_OPERATIONS = [name for name in PARENTS if name not in ("cgroups", "created")]
# The tests' namespaces. $1 is the copy of the tree; the rest is the command. The shell stays, as pid 1.
SANDBOX = """
ip link set lo up
for directory in /tmp /run /var/tmp /root/.cache "$1"; do
    [ ! -d "$directory" ] || mount --rbind "$directory" "$directory"
done
mount -o remount,bind,ro /
shift
cd "$PWD" && "$@"
status=$?
exit $status
"""
NAMESPACES = ["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]

STUB = """
static int op_left_out(struct context *ctx, const struct plan_op *op)
{
	(void)ctx;
	(void)op;
	return 0;
}

const operation OPERATIONS[OP_COUNT] = {"""


@dataclass
class Mutant:
    """``change`` edits the copy's file; the copy is put right again afterwards."""

    name: str
    operation: str
    file: str
    change: Callable[[str], str]


def replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise SystemExit(f"mutate: {old!r} is {text.count(old)} times in the source, not once")
    return text.replace(old, new)


def stubbed(name: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        code = f"OP_{name.upper()}"
        text = replaced(text, f"[{code}] = op_{name},", f"[{code}] = op_left_out,")
        return replaced(text, "\nconst operation OPERATIONS[OP_COUNT] = {", STUB)

    return change


def skipped(name: str) -> Callable[[str], str]:
    call = "                perform(self, operation)\n"
    condition = f"                if operation[0] != ops.OP_{name.upper()}:\n    "
    return lambda text: replaced(text, call, condition + call)


def no_cgroups(text: str) -> str:
    return re.sub(r"(\ndef make_cgroups\(.*\n)", r"\1    return\n", text, count=1)


def mutants() -> list[Mutant]:
    source = (TREE / "csrc/dispatch.c").read_text()
    names = re.findall(r"\t\[OP_\w+\] = op_(\w+),", source)
    found = [Mutant(name, name, "csrc/dispatch.c", stubbed(name)) for name in names]
    found += [Mutant(name + HOST, name, "runtime/process/handshake.py", skipped(name)) for name in HOST_OPERATIONS]
    found.append(Mutant("cgroups" + HOST, "cgroups", "runtime/lifecycle/create.py", no_cgroups))
    return found


# The copy of the tree


def sources() -> list[str]:
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in listed if (TREE / name).is_file())


def fingerprint(names: list[str]) -> str:
    """Changes when a result may: with the product, the tests and this program, not with the pages."""
    digest = hashlib.sha256()
    for name in names:
        if name.startswith(("csrc/", "runtime/", "oci_spec/", "tests/", "conformance/sweeps/mutate", "Makefile")):
            digest.update(f"{name}\0".encode() + hashlib.sha256((TREE / name).read_bytes()).digest())
    return digest.hexdigest()


def build(tree: Path, target: str) -> None:
    """With the launcher, which runs the copy's init: an image has its own inside, and takes seconds to build."""
    command = ["make", "-s", "-C", str(tree), "IMAGE=no", target]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def copy_tree(names: list[str], to: Path) -> None:
    to.chmod(0o755)
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TREE / name, to / name, follow_symlinks=False)
    (to / ".venv").symlink_to(TREE / ".venv")
    build(to, "all")


def run_tests(tree: Path, tests: list[str], *flags: str, limit: int = TIME_LIMIT) -> tuple[list[proofs.Row], str]:
    """The rows of these tests and pytest's output; no row where the run broke down."""
    # Leftovers of the tests go with it, since a crashed run cleans up nothing. A short path, since it holds sockets.
    with tempfile.TemporaryDirectory(prefix="om-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        file = Path(directory) / "rows.json"
        pytest = [str(tree / ".venv/bin/python"), "-m", "pytest", "-v", "-p", "tests.proofs", "-p", "no:cacheprovider"]
        command = ["unshare", *NAMESPACES, "sh", "-c", SANDBOX, "sandbox", str(tree), *pytest]
        try:
            done = subprocess.run(
                [*command, "--proofs", str(file), "--tb=line", *flags, *tests],
                cwd=tree,
                env={**os.environ, "TMPDIR": directory},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired as hung:
            output = hung.stdout or b""
            return [], output.decode(errors="replace") if isinstance(output, bytes) else output
        rows: list[proofs.Row] = json.loads(file.read_text()) if file.exists() else []
    return rows, done.stdout


# One mutant


def short(test: str) -> str:
    return test.removeprefix("tests/")


def last_test(output: str) -> str:
    """The test that was running when the run broke down."""
    found = re.findall(r"^(tests/\S+::.*?)(?: (?:PASSED|FAILED|ERROR|SKIPPED).*)?$", output, re.MULTILINE)
    return found[-1].strip() if found else "the tests could not start"


def verdict(rows: list[proofs.Row], output: str) -> tuple[str, str]:
    """(killed or survived, by what)."""
    for row in rows:
        if row["outcome"] == "failed":
            return "killed", short(row["id"])
    if rows and all(row["outcome"] == "passed" for row in rows):
        return "survived", f"{len(rows)} tests pass"
    return "killed", f"{short(last_test(output))} (the run ended there)"


def attempt(tree: Path, mutant: Mutant, tests: list[str]) -> tuple[str, str]:
    file = tree / mutant.file
    original = file.read_text()
    try:
        file.write_text(mutant.change(original))
        build(tree, "runtime/init" if mutant.file.endswith(".c") else "site")
        return verdict(*run_tests(tree, tests, "-x"))
    finally:
        file.write_text(original)


def vm_results(tree: Path) -> list[tuple[str, bool]]:
    """(test, whether it failed) of what ran in the machine."""
    try:
        cases = list(ElementTree.parse(tree / "build/test-vm.xml").iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return []
    return [
        (
            f"{case.get('classname')}::{case.get('name')}",
            case.find("failure") is not None or case.find("error") is not None,
        )
        for case in cases
        if case.find("skipped") is None
    ]


def attempt_vm(tree: Path, mutant: Mutant, tests: list[proofs.Row]) -> tuple[str, str]:
    """The same in the virtual machine, where the copy's wheel is installed."""
    file = tree / mutant.file
    original = file.read_text()
    names = sorted({row["id"].rpartition("::")[2].partition("[")[0] for row in tests})
    try:
        file.write_text(mutant.change(original))
        build(tree, "all")
        passed = []
        for lsm in (name for name in ("apparmor", "selinux") if any(f"_{name}.py" in row["id"] for row in tests)):
            script = [
                sys.executable,
                str(tree / "conformance/machines/vm.py"),
                f"--lsm={lsm}",
                "-k",
                " or ".join(names),
            ]
            subprocess.run(script, cwd=tree, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            for name, failed in vm_results(tree):
                if failed:
                    return "killed", f"{name} ({lsm})"
                passed.append(name)
        return ("survived", f"{', '.join(passed)} pass") if passed else ("vm", "nothing ran in the virtual machine")
    finally:
        file.write_text(original)


def judge(tree: Path, mutant: Mutant, proved: dict[str, list[proofs.Row]], vm: bool) -> tuple[str, str]:
    rows = proved[mutant.operation]
    if able := [row["id"] for row in rows if row["outcome"] == "passed"]:
        found, by = attempt(tree, mutant, able)
        if found == "killed":
            return found, by
    elsewhere = [row for row in rows if "vm" in row["marks"] and row["outcome"] == "skipped"]
    if elsewhere and vm:
        return attempt_vm(tree, mutant, elsewhere)
    if elsewhere:
        return "vm", ", ".join(sorted({short(row["id"]).partition("[")[0] for row in elsewhere}))
    return ("survived", by) if able else ("survived", "no test proves it")


# All of them


def remembered(mark: str, again: bool) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(KEPT.read_text())
    except (OSError, ValueError):
        kept = {}
    return kept if kept.get("fingerprint") == mark and not again else {"fingerprint": mark, "results": {}}


def keep(kept: dict[str, Any]) -> None:
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(kept, indent=1))


def baseline(tree: Path) -> list[proofs.Row]:
    marked = [row["id"] for row in proofs.collect()]
    print(f"mutate: the {len(marked)} marked tests without a mutation", file=sys.stderr, flush=True)
    rows, output = run_tests(tree, marked, limit=BASELINE_LIMIT)
    if not rows:
        raise SystemExit(f"mutate: the tests cannot run:\n{output[-4000:]}")
    for row in rows:
        if row["outcome"] == "failed":
            print(f"mutate: left out, since it fails as things are: {row['id']}: {row['reason']}", file=sys.stderr)
    return rows


def report(results: dict[str, list[str]], chosen: list[Mutant]) -> int:
    width = max(len(mutant.name) for mutant in chosen)
    for mutant in chosen:
        found, by = results[mutant.name]
        print(f"{mutant.name:{width}}  {found:8}  {by}")
    counts = {word: sum(1 for m in chosen if results[m.name][0] == word) for word in ("killed", "vm")}
    survivors = [mutant.name for mutant in chosen if results[mutant.name][0] == "survived"]
    print(f"{len(chosen)} mutants, {', '.join(f'{n} {word}' for word, n in counts.items())}, {len(survivors)} survived")
    return 1 if survivors else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Leave out one operation at a time, and see that a test notices.")
    parser.add_argument("operations", nargs="*", metavar="OPERATION", help="by name; all without one")
    parser.add_argument("--vm", action="store_true", help="run the virtual machine for those that need it")
    parser.add_argument("--again", action="store_true", help="forget what build/mutate.json has")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("mutate: needs root, as the tests of containers do", file=sys.stderr)
        return 2
    chosen = [one for one in mutants() if not arguments.operations or one.operation in arguments.operations]
    names = sources()
    kept = remembered(fingerprint(names), arguments.again)
    results = kept["results"]
    with tempfile.TemporaryDirectory(prefix="ocirun-mutate-") as directory:
        tree = Path(directory)
        copy_tree(names, tree)
        if "baseline" not in kept:
            kept["baseline"] = baseline(tree)
            keep(kept)
        proved = proofs.operation_proofs(kept["baseline"])
        for mutant in chosen:
            before = results.get(mutant.name, [""])[0]
            if before != "killed" and not (before == "vm" and not arguments.vm):
                results[mutant.name] = list(judge(tree, mutant, proved, arguments.vm))
                keep(kept)
                print(f"mutate: {mutant.name}: {': '.join(results[mutant.name])}", file=sys.stderr, flush=True)
    return report(results, chosen)


if __name__ == "__main__":
    sys.exit(main())
