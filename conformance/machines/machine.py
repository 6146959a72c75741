"""Shared by the virtual machines of `make test-kernel` and `make test-vm`: qemu, and how results come back.

A machine's first serial port is its console, shown on our standard output. On the second it writes, for each run of
pytest, a line "status N" and then the JUnit file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

TREE = Path(__file__).resolve().parents[2]
VENV = TREE / ".venv"
MEMORY_MB = 2048
# kvm may be present and still not work; emulation always does.
QEMU = ("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", str(MEMORY_MB))
NO_TESTS = 5
"""pytest's exit status when its arguments select nothing."""


class Unavailable(Exception):
    """The machine cannot run; the message is the reason."""


def cache_directory(name: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "ocirun" / name


def require(*programs: str) -> None:
    """Raise Unavailable where one of these, or qemu, or its processor is missing."""
    if os.uname().machine != "x86_64":
        raise Unavailable(f"needs x86-64, not {os.uname().machine}")
    if missing := [name for name in (QEMU[0], *programs) if not shutil.which(name)]:
        raise Unavailable(f"needs {' and '.join(missing)}")


def marked_files(mark: str) -> Iterator[str]:
    """The test files that have a test with this mark: importing the others takes the guest a minute."""
    for path in sorted((TREE / "tests").rglob("test_*.py")):
        if re.search(rf"mark\.{mark}\b", path.read_text()):
            yield str(path.relative_to(TREE))


def machine(kernel: Path, initrd: Path, disks: Sequence[Path], processors: int) -> list[str]:
    """The command that runs a machine with these disks, with its console on standard input and output."""
    command = [*QEMU, "-smp", str(processors), "-kernel", str(kernel), "-initrd", str(initrd)]
    command += ["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]
    for disk in disks:
        command += ["-drive", f"file={disk},format=raw,if=virtio,snapshot=on,cache=unsafe"]
    return command


def shell(kernel: Path, initrd: Path, words: str, disks: Sequence[Path]) -> int:
    """Run a machine whose console is our terminal."""
    append = ["-serial", "null", "-append", f"console=ttyS0 quiet {words}"]
    return subprocess.run([*machine(kernel, initrd, disks, 2), *append], check=False).returncode


def boot(
    kernel: Path, initrd: Path, command_lines: Mapping[Path, str], timeout: float, disks: Sequence[Path] = ()
) -> None:
    """Run a machine for each of the files of results, with its kernel's command line, to their ends.

    They see the disks as /dev/vda and so on; what they write there is forgotten.
    """
    # A machine whose processors compete for the host's is slower than one with a single processor.
    processors = 2 if 2 * len(command_lines) <= len(os.sched_getaffinity(0)) else 1
    common = machine(kernel, initrd, disks, processors)
    machines, readers = [], []
    deadline = time.monotonic() + timeout
    try:
        for number, (results, words) in enumerate(command_lines.items(), 1):
            command = [*common, "-serial", f"file:{results}", "-append", f"console=ttyS0 quiet {words}"]
            machines.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
            label = f"{number}| " if len(command_lines) > 1 else ""
            readers.append(threading.Thread(target=show, args=(machines[-1].stdout, label)))
            readers[-1].start()
        for one in machines:
            one.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        print(f"the machine did not end within {timeout:.0f} s", file=sys.stderr)
    finally:
        for one in machines:
            one.kill()
            one.wait()
        for reader in readers:
            reader.join()


def show(console: BinaryIO, label: str) -> None:
    """What a machine says, line by line."""
    with console:
        for line in console:
            print(label + line.decode(errors="replace").rstrip(), flush=True)


def collect(files: Iterable[Path], report: Path, runs: int = 1) -> int:
    """Make one JUnit file of all that the machines returned. The first bad exit status of pytest; 1 when a run is missing."""
    statuses: list[int] = []
    suites = ElementTree.Element("testsuites")
    missing = False
    for results in files:
        text = results.read_text(errors="replace").replace("\r", "") if results.exists() else ""
        pieces = re.split(r"^status (\d+)\n", text, flags=re.MULTILINE)[1:]
        statuses += map(int, pieces[::2])
        for document in pieces[1::2]:
            if document.strip():
                suites.extend(ElementTree.fromstring(document.strip()))
        if len(pieces) != 2 * runs:
            print(f"a machine returned {len(pieces) // 2} results, not {runs}", file=sys.stderr)
            missing = True
    report.parent.mkdir(exist_ok=True)
    ElementTree.ElementTree(suites).write(report, encoding="utf-8", xml_declaration=True)
    if missing:
        return 1
    if set(statuses) <= {0, NO_TESTS}:
        return min(statuses)
    return next(status for status in statuses if status not in (0, NO_TESTS))
