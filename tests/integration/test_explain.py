"""`ocirun explain` as a command: with a bundle, as JSON, and what it says of a mistake. It needs no root."""

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.no_runtime
CONFIG = """{
  "ociVersion": "1.3.0",
  "mounts": [
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=64m"]},
    {"destination": "/x", "source": "/", "options": ["rbind",
      "rro"]}
  ],
  "linux": {"sysctl": {"net.ipv4.ip_forward": "1"}, "resources": {"memory": {
    "limit": 1048576}}}
}
"""


def explain(ocirun: Path, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ocirun, "explain", *arguments], capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(CONFIG)
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ("/linux/resources/memory/limit", [("/linux/resources/memory/limit", 9, 1048576)]),
        ("memory.max", [("/linux/resources/memory/limit", 9, 1048576)]),
        ("/mounts/1/source", [("/mounts/1/source", 5, "/")]),
        ("mounts.1.source", [("/mounts/1/source", 5, "/")]),
        ("/mounts/7/source", []),
        ("source", [("/mounts/0/source", 4, "tmpfs"), ("/mounts/1/source", 5, "/")]),
        ("rro", [("/mounts/1/options/1", 6, "rro")]),
        ("size=", [("/mounts/0/options/1", 4, "size=64m")]),
        ("linux.sysctl.net.ipv4.ip_forward", [("/linux/sysctl/net.ipv4.ip_forward", 8, "1")]),
    ],
)
def test_what_a_bundle_has_there(ocirun: Path, bundle: Path, asked: str, rows: list[tuple[str, int, object]]) -> None:
    """Each value with its line, from the directory or from the file."""
    for given in (bundle, bundle / "config.json"):
        done = explain(ocirun, "--format", "json", "--bundle", given, asked)
        document = json.loads(done.stdout)
        assert document["asked"] == asked
        found = [(row["pointer"], row["line"], row["value"]) for entry in document["found"] for row in entry["here"]]
        assert found == rows


def test_text(ocirun: Path, bundle: Path) -> None:
    """For people: what it is, how it is limited, and the value of the bundle."""
    text = explain(ocirun, "-b", ".", "/linux/resources/memory/limit", cwd=bundle).stdout
    for part in ("Bytes of memory", "integer", "runtime-spec 1.0.0", "CONFIG_MEMCG", "memory.max", "line 9: "):
        assert part in text


def test_a_rule_of_validate(ocirun: Path) -> None:
    """The word in brackets, also in the image, whose code has no docstrings."""
    assert "unknown capability" in explain(ocirun, "capability_known").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing-like-it"], 'error: "nothing-like-it" is neither a property'),
        (["limit", "--format", "xml"], "must be text or json"),
        (["limit", "--bundle", "/nonexistent"], "open /nonexistent/config.json: no such file or directory"),
        ([], "explain needs POINTER|WORD"),
        (["\x1b[2J"], r'error: "\x1b[2J" is neither'),
    ],
)
def test_mistakes(ocirun: Path, arguments: list[str], message: str) -> None:
    """One line that says what is wrong, and exit status 1."""
    done = explain(ocirun, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_broken_config(ocirun: Path, bundle: Path) -> None:
    """The place where it stops being JSON."""
    (bundle / "config.json").write_text('{\n  "mounts": [,]\n}')
    done = explain(ocirun, "-b", bundle, "mounts")
    assert done.returncode == 1
    assert "config.json:2" in done.stderr


def test_a_hostile_config(ocirun: Path, bundle: Path) -> None:
    """No escape sequence of the config reaches the terminal."""
    (bundle / "config.json").write_text(
        json.dumps({"hostname": "\x1b[2J\u202e"}, ensure_ascii=False).replace("\x1b", "\\u001b")
    )
    done = explain(ocirun, "-b", bundle, "hostname")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
