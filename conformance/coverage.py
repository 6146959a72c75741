#!/usr/bin/env python3
"""Every property of the schema, the tests that prove it in a real container, and what ocirun, runc and crun make of them.

Runs the tests marked `proves` with each runtime that is installed, prints the table and writes docs/coverage.md.
Arguments are names of runtimes; none means all. Exits 1 when a property has no proof, or a proof fails with ocirun.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE))

from tests import proofs  # noqa: E402 - the tree is no installed package

PAGE = TREE / "docs/coverage.md"
RESULTS = TREE / "build/conformance"
PEERS = ("runc", "crun")
Results = dict[str, dict[str, proofs.Row]]

TOP = """# Coverage

Every property of `config.json` for Linux, the tests that prove it in a real container, and what the runtimes make of these
tests. A section is proved by what is below it. Made by `make conformance`, which runs them; `make test` fails when a
property has no test.

- **passes**, **fails**: the test does.
- **differs**: the test is about something that this runtime is known to do in another way; the reason is below.
- **n/a**: it cannot run with this runtime or on this machine; the reason is below.
- **kernel**, **vm**: this machine cannot run it; `make test-kernel` or `make test-vm` does.
"""


def run(name: str) -> dict[str, proofs.Row]:
    """The rows of the marked tests after a run with this runtime, by test."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.proofs", "-p", "no:cacheprovider", "--proofs-only"]
    environment = dict(os.environ)
    if name != "ocirun":
        environment["OCIRUN_RUNTIME"] = name
    with open(RESULTS / f"{name}.log", "w") as log:
        subprocess.run(
            [*command, "--proofs", str(file), "--tb=short", "tests"],
            cwd=TREE,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    rows: list[proofs.Row] = json.loads(file.read_text())
    return {row["id"]: row for row in rows}


def versions(names: list[str]) -> list[str]:
    lines = []
    for name in names:
        program = str(TREE / "build/ocirun") if name == "ocirun" else name
        text = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        lines.append(text.splitlines()[0] if name != "ocirun" else "ocirun of this tree")
    return lines


# Words


def one_line(reason: str, limit: int = 200) -> str:
    """The telling line of a failure or a skip, without what changes from run to run."""
    said = [line.partition("stderr:")[2].strip() for line in reason.splitlines() if "stderr:" in line]
    text = next((line for line in said if line), "") or reason.strip().splitlines()[0]
    if text.startswith(("time=", "{")):  # the peers' log lines
        text = (re.search(r'msg="((?:[^"\\]|\\.)*)"', text) or re.search(r"()(.*)", text)).group(1) or text
    for pattern, word in (
        (r"/tmp/ocirun-tests-\w+", "DIR"),
        (r"\bt[0-9a-f]{8}\b", "ID"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z:?", ""),
        (r"/proc/\d+", "/proc/PID"),
        (r"\b\d+\.\d{2,}\b", "N"),
    ):
        text = re.sub(pattern, word, text)
    text = text.strip().replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def outcome(row: proofs.Row, name: str) -> tuple[str, str]:
    """(word, reason) of one test with one runtime."""
    if row["outcome"] == "passed":
        return "passes", ""
    if row["outcome"] == "failed":
        return "fails", one_line(row["reason"])
    if row["reason"].startswith(f"{name}: "):
        return "differs", one_line(row["reason"].removeprefix(f"{name}: "))
    if row["marks"]:
        return str(row["marks"][-1]), one_line(row["reason"])
    return "n/a", one_line(row["reason"])


def function(row: proofs.Row) -> str:
    """The test without its parameters and without the directory that all share."""
    return str(row["id"]).partition("[")[0].removeprefix("tests/")


WORST = ("fails", "differs", "n/a", "kernel", "vm", "passes")


def cells(rows: list[proofs.Row], results: Results) -> list[tuple[str, list[str]]]:
    """(test, word of each runtime) of each test function among the rows; of its parameters the worst word counts."""
    grouped: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        words = grouped.setdefault(function(row), {name: set() for name in results})
        for name, run_rows in results.items():
            words[name].add(outcome(run_rows[row["id"]], name)[0] if row["id"] in run_rows else "n/a")
    return [
        (test, [next(word for word in WORST if word in words[name]) for name in results])
        for test, words in sorted(grouped.items())
    ]


def table(proved: dict[str, list[proofs.Row]], results: Results) -> list[str]:
    lines = [f"| property | proved by | {' | '.join(results)} |", "|---|---|" + "---|" * len(results)]
    paths = proofs.schema_paths()
    for path in paths:
        if path not in proved:
            where = "what is below" if path in proofs.sections(paths) else "**nothing**"
            lines.append(f"| `{path}` | {where} |" + " |" * len(results))
            continue
        found = cells(proved[path], results)
        columns = ["<br>".join(f"`{test}`" for test, _ in found)]
        columns += ["<br>".join(words[index] for _, words in found) for index in range(len(results))]
        lines.append(f"| `{path}` | {' | '.join(columns)} |")
    return lines


def reasons(results: Results) -> list[str]:
    """Why a test does not pass, by test and runtime."""
    found: dict[tuple[str, str, str, str], None] = {}
    for name, rows in results.items():
        for row in rows.values():
            word, why = outcome(row, name)
            if word != "passes" and row["container"]:
                found[function(row), name, word, why] = None
    lines = ["| test | runtime | | why |", "|---|---|---|---|"]
    return lines + [f"| `{test}` | {name} | {word} | {why} |" for test, name, word, why in sorted(found)]


def page(results: Results) -> str:
    proved = proofs.proofs(list(next(iter(results.values())).values()))
    paths = proofs.schema_paths()
    count = sum(1 for path in paths if path in proved)
    lines = [
        TOP,
        f"Compared: {', '.join(versions(list(results)))}.\n",
        f"{count} properties have tests of their own.\n",
    ]
    lines += table(proved, results)
    lines += ["\n## Where a test does not pass\n", *reasons(results)]
    return "\n".join(lines) + "\n"


def main() -> int:
    chosen = sys.argv[1:] or ["ocirun", *(name for name in PEERS if shutil.which(name))]
    results: Results = {}
    for name in chosen:
        print(f"coverage: the tests with {name}", file=sys.stderr, flush=True)
        results[name] = run(name)
    text = page(results)
    print(text)
    if set(chosen) >= {"ocirun", *PEERS}:
        PAGE.write_text(text)
    missing = proofs.unproven(list(next(iter(results.values())).values()))
    broken = [row["id"] for row in results.get("ocirun", {}).values() if row["outcome"] == "failed"]
    for path in missing:
        print(f"coverage: {path}: no test proves it", file=sys.stderr)
    for test in broken:
        print(f"coverage: {test} fails", file=sys.stderr)
    return 1 if missing or broken else 0


if __name__ == "__main__":
    sys.exit(main())
