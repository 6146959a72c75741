#!/usr/bin/env python3
"""`make managers`: every row of tests/integration/managers.toml with ocirun, crun and runc, as docs/managers.md.

Each manager is started once for each runtime, on private directories and sockets. Whatever ends the command, SIGTERM too,
nothing of it remains. Exits 1 if a row fails with ocirun and not with both peers.

    conformance/managers.py [--runtimes A,B] [--managers A,B] [--rows WORD] [--output FILE]
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TREE))

from conformance.bench import places  # noqa: E402 - the tree is no installed package
from conformance.coverage import one_line  # noqa: E402
from conformance.runtime_tools import go_program  # noqa: E402
from tests.integration import managers  # noqa: E402

PAGE = TREE / "docs/managers.md"
NAMES = ("ocirun", "crun", "runc")
OK, ABSENT = "ok", "n/a"
Row = dict[str, Any]
Cells = dict[str, list[str]]
"""runtime -> the cell of each chosen row"""

TOP = """# Managers

What real managers do with each runtime, in one run of `make managers`. They are started on private directories and
sockets, with the files of [contrib/](../contrib/). The rows are in tests/integration/managers.toml, with their commands;
`make test` runs nearly all of them with ocirun, and `make test-vm-managers` some with systemd's cgroups.

A cell is **ok**, **failed** with the first line of the reason, or **n/a** with what this machine lacks.
"""


def build_buildkit() -> None:
    """buildkitd and buildctl, which Debian does not have, if Go is there: from the modules of conformance/buildkit."""
    program, source = go_program(), TREE / "conformance/buildkit"
    if program is None or (managers.BUILT / "buildkitd").exists():
        return
    print("managers: building BuildKit, which takes some minutes", file=sys.stderr)
    module = "github.com/moby/buildkit"
    number = re.search(rf"{module} (v[\d.]+)", (source / "go.mod").read_text())
    flags = f"-X {module}/version.Version={number[1] if number else ''}"
    managers.BUILT.mkdir(parents=True, exist_ok=True)
    command = [program, "build", "-ldflags", flags, "-o", f"{managers.BUILT}/"]
    subprocess.run(
        [*command, f"{module}/cmd/buildctl", f"{module}/cmd/buildkitd"], cwd=source, check=False, timeout=1800
    )


def chosen_rows(options: argparse.Namespace) -> list[Row]:
    names = options.managers.split(",") if options.managers else list(managers.TABLE["manager"])
    return [row for name in names for row in managers.ROWS if row["manager"] == name and options.rows in row["name"]]


def lacking(row: Row) -> str | None:
    """What the machine does not have for the row."""
    missing = managers.missing_program(row["manager"]) or managers.missing_need(row)
    if missing:
        return f"{missing} is not installed"
    if "check" in row:
        done = subprocess.run(shlex.split(row["check"]), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"{row['check']}: {one_line((done.stderr or done.stdout).strip() or f'exit {done.returncode}')}"
    return None


def run(place: places.Place, runtime: str, rows: list[Row], rootfs: Path) -> Iterator[str]:
    """The cell of each row. A manager that does not start fails all its rows."""
    broken: dict[str, str] = {}
    with managers.starter(place.programs[runtime], place.directory, rootfs, strict=False) as start:
        for row in rows:
            name = row["manager"]
            places.progress(f"{runtime}: {name}: {row['name']}")
            if reason := lacking(row):
                yield f"{ABSENT}: {reason}"
                continue
            try:
                # Once more, since on a busy machine a row may take too long.
                wrong = broken.get(name) or (start(name).try_row(row) and start(name).try_row(row))
            except AssertionError as error:
                wrong = broken[name] = str(error)
            except subprocess.TimeoutExpired as error:
                wrong = f"no answer in {error.timeout:g} s"
            yield f"failed: {reason_of(wrong)}" if wrong else OK


def reason_of(wrong: str) -> str:
    """The first line of what was printed on standard error, or what was different."""
    for pattern, word in (
        (rf"{TREE}/build/ocirun", "ocirun"),
        (r"/tmp/ocirun-bench-\S+", "DIR"),
        (r"\bm[0-9a-f]{8}[\w-]*", "ID"),
        (r"\b[0-9a-f]{64}\b", "ID"),
    ):
        wrong = re.sub(pattern, word, wrong)
    said = wrong.partition("\nstderr: ")[2]
    lines = [line for line in said.splitlines() if line.strip() and "level=warning" not in line]
    # BuildKit's progress, but for an error.
    lines = [line for line in lines if not re.match(r"#\d+ (?!.*unrecognized)", line)] or lines
    summary = wrong.splitlines()[0]
    text = one_line(f"stderr: {lines[0]}" if lines else summary)
    return text if summary.split(",")[0] in text or not lines else f"{summary.split(', ')[0]}; {text}"


# The page


def version(name: str) -> str:
    """The version of the manager's first program: the first number that it prints."""
    program = managers.manager_table(name)["programs"][0]
    path = f"{managers.BUILT}:{os.environ['PATH']}"
    if managers.missing_program(name):
        return ""
    said = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    found = re.search(r"\d+\.\d+[\w.]*", said.stdout)
    return found[0] if found else ""


def page(rows: list[Row], cells: Cells, programs: dict[str, str], before: str = "") -> str:
    """The page of these rows; those of `before`, an older page, stay where they were not run."""
    used = ", ".join(f"{name} {version}" for name, version in places.versions(programs).items() if name != "python")
    lines = known_lines(before)
    for index, row in enumerate(rows):
        cell = " | ".join(cells[name][index] for name in cells)
        lines[managers.manager_table(row["manager"])["title"], row["name"]] = f"| {row['name']} | {cell} |"
    sections = []
    for manager in managers.TABLE["manager"]:
        title = managers.manager_table(manager)["title"]
        keys = [(title, row["name"]) for row in managers.ROWS if row["manager"] == manager]
        if found := [lines[key] for key in keys if key in lines]:
            head = [f"| | {' | '.join(cells)} |", "|---" * (len(cells) + 1) + "|"]
            sections += ["", f"## {title} {version(manager)}".rstrip(), "", *head, *found]
    top = f"{time.strftime('%Y-%m-%d', time.gmtime())}; {used}; cgroups {cgroups()}.\n"
    return "\n".join([TOP, top, summary(sections, list(cells)), *sections]) + "\n"


def known_lines(text: str) -> dict[tuple[str, str], str]:
    """(the manager's title, the row's name) -> the line of a page."""
    found, title = {}, ""
    for line in text.splitlines():
        if line.startswith("## "):
            title = re.sub(r" [\d.]+\S*$", "", line[3:])
        elif match := re.match(r"\| ([^|]+) \| ", line):
            found[title, match[1]] = line
    return found


def summary(lines: list[str], names: list[str]) -> str:
    table = [line.strip("| ").split(" | ") for line in lines if re.match(r"\| [^|]", line)]
    counts = [f"{name} {sum(row[number] == OK for row in table)}" for number, name in enumerate(names, 1)]
    return f"{len(table)} rows. Ok: {', '.join(counts)}."


def cgroups() -> str:
    kinds = {line.split(" - ")[1].split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return "v1" if "cgroup" in kinds else "v2"


def defects(rows: list[Row], cells: Cells) -> list[str]:
    """The rows that fail with ocirun though a peer, if any ran, does not."""
    peers = [column for name, column in cells.items() if name != "ocirun"]
    found = []
    for index, row in enumerate(rows):
        cell = cells.get("ocirun", [OK] * len(rows))[index]
        if cell.startswith("failed") and (not peers or any(column[index] == OK for column in peers)):
            found.append(f"{row['manager']}: {row['name']}: {cell}")
    return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="managers", description="managers with each runtime")
    parser.add_argument("--runtimes", default=",".join(NAMES), help="comma-separated (default: all three)")
    parser.add_argument("--managers", default="", help="comma-separated (default: all)")
    parser.add_argument("--rows", default="", metavar="WORD", help="only the rows with this in their name")
    parser.add_argument(
        "--output", type=Path, help="the page (default: docs/managers.md, if all three run); its other rows stay"
    )
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("managers: needs root", file=sys.stderr)
        return 2
    rows, programs = chosen_rows(options), places.find_programs(options.runtimes.split(","))
    if any(row["manager"] == "buildkit" for row in rows):
        build_buildkit()
    cells: Cells = {}
    with places.place(programs) as place:
        rootfs = place.make_rootfs("managers-image") / "rootfs"
        for runtime in programs:
            cells[runtime] = list(run(place, runtime, rows, rootfs))
    places.progress("")
    print(page(rows, cells, programs))
    if options.output or set(programs) == set(NAMES):
        output = options.output or PAGE
        output.write_text(page(rows, cells, programs, output.read_text() if output.exists() else ""))
    found = defects(rows, cells)
    for line in found:
        print(f"managers: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
