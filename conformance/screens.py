"""docs/screen-*.svg: what `validate`, `plan` and `verify` print on a terminal. `python -m conformance.screens`, as root.

Each command really runs, on a terminal of its own, in the directory of a bundle.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BUSYBOX = Path("/bin/busybox")
COLUMNS, ROWS = 132, 40
WIDTH, HEIGHT, MARGIN = 7.8, 18, 16  # of a character, of a line, around the text
BACKGROUND, FOREGROUND = "#1b1f27", "#d7dae0"
# SGR parameter → attributes of the text that follows.
STYLES = {
    "1": 'font-weight="bold"',
    "2": 'fill="#8a92a0"',
    "31": 'fill="#ff7b72"',
    "32": 'fill="#7ee787"',
    "33": 'fill="#e3b341"',
}
SLEEPER = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


def printed(command: list[str | Path], directory: Path) -> str:
    """What a command prints on a terminal."""
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, cwd=directory, stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)
    text = b""
    try:
        while piece := os.read(parent, 1 << 16):
            text += piece
    except OSError:
        pass  # EIO: the other end is closed
    finally:
        os.close(parent)
        process.wait(timeout=60)
    return text.decode().replace("\r\n", "\n")


def runs(line: str) -> Iterator[tuple[str, str]]:
    """(attributes, text) of a line, by its SGR sequences."""
    style = ""
    for index, part in enumerate(re.split(r"\x1b\[(\d*)m", line)):
        if index % 2:
            style = STYLES.get(part, "")
        elif part:
            yield style, part


def cut(line: str) -> str:
    """At most COLUMNS characters, sequences not counted."""
    shown = 0
    kept = []
    for part in re.split(r"(\x1b\[\d*m)", line):
        if not part.startswith("\x1b"):
            room = COLUMNS - shown
            part = part if len(part) <= room else f"{part[: max(room - 1, 0)]}{'…' * (room > 0)}"
            shown += len(part)
        kept.append(part)
    return "".join(kept)


def picture(title: str, text: str) -> str:
    """An SVG of a terminal."""
    lines = text.rstrip("\n").split("\n")
    lines = [f"# {title}", *map(cut, lines if len(lines) < ROWS else [*lines[: ROWS - 2], "…"])]
    width, height = COLUMNS * WIDTH + 2 * MARGIN, len(lines) * HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" aria-label="{escape(title)}">',
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
        f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" fill="{FOREGROUND}" xml:space="preserve">',
    ]
    for number, line in enumerate(lines):
        column = 0
        for style, words in runs(line):
            x, y = MARGIN + column * WIDTH, MARGIN + number * HEIGHT + 13
            column += len(words)
            if words.strip():
                length = f'textLength="{len(words) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
                attributes = f"{style} {length}".strip()
                parts.append(f'<text x="{x:.1f}" y="{y}" {attributes}>{escape(words, quote=False)}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def bundle(ocirun: Path, directory: Path, args: list[str]) -> Path:
    """What `ocirun spec` writes, with a root file system."""
    (directory / "rootfs/bin").mkdir(parents=True)
    for name in ("sh", "sleep"):
        (directory / "rootfs/bin" / name).write_bytes(BUSYBOX.read_bytes())
        (directory / "rootfs/bin" / name).chmod(0o755)
    subprocess.run([ocirun, "spec"], cwd=directory, check=True, timeout=60)
    change(directory, lambda config: config["process"].update(args=args, terminal=False))
    return directory


def change(directory: Path, how: Any) -> None:
    file = directory / "config.json"
    config = json.loads(file.read_text())
    how(config)
    file.write_text(json.dumps(config, indent=2))


def breaks(config: dict[str, Any]) -> None:
    """Two errors and two surprises."""
    config["process"]["user"] = {"uid": 1000, "gid": 1000, "umask": 22}
    config["process"]["noNewPrivilege"] = True
    config["linux"]["namespaces"][0]["type"] = "pdi"
    config["mounts"][1]["options"][3] = "size=64MB"


def validate_screen(ocirun: Path, directory: Path) -> str:
    change(bundle(ocirun, directory, ["sh"]), breaks)
    return picture("ocirun validate", printed([ocirun, "validate"], directory))


def plan_screen(ocirun: Path, directory: Path) -> str:
    bundle(ocirun, directory, ["sh"])
    text = printed([ocirun, "plan", "."], directory).replace(str(directory), "/bundle")
    for line in Path("/proc/self/cgroup").read_text().split():
        own = line.rpartition(":")[2]
        text = text.replace(f"{own}/", "/") if own != "/" else text
    return picture("ocirun plan .", text)


def verify_screen(ocirun: Path, directory: Path) -> str:
    """A container whose host name and limits somebody changed."""
    bundle(ocirun, directory, SLEEPER)
    base = [ocirun, "--root", directory / "state"]
    name = f"hello-{os.getpid()}"
    with open(directory / "log", "wb") as log:
        subprocess.run([*base, "run", "--detach", name], cwd=directory, stdin=log, stdout=log, stderr=log, check=True)
    try:
        pid = json.loads(subprocess.run([*base, "state", name], capture_output=True, check=True).stdout)["pid"]
        time.sleep(0.2)
        subprocess.run(["nsenter", "-t", str(pid), "-u", "hostname", "elsewhere"], check=True)
        subprocess.run(["prlimit", "--pid", str(pid), "--nofile=512:1024"], check=True)
        text = printed([*base, "verify", name], directory)
    finally:
        subprocess.run([*base, "delete", "--force", name], check=True)
    text = text.replace(f"{directory}/state", "/run/ocirun").replace(name, "hello").replace(str(pid), "4711")
    return picture("ocirun verify hello", text)


SCREENS = {"validate": validate_screen, "plan": plan_screen, "verify": verify_screen}


def main() -> int:
    for name, screen in SCREENS.items():
        with tempfile.TemporaryDirectory() as directory:
            Path(directory).chmod(0o755)
            (DOCS / f"screen-{name}.svg").write_text(screen(ROOT / "build/ocirun", Path(directory)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
