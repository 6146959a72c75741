"""The image and the launcher are one command: byte for byte the same output and exit status for the same command line.

The launcher's process is an ordinary interpreter, so what it does is right, and the image must do likewise.
"""

import copy
import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from runtime.commands import COMMANDS
from tests.integration import adapt
from tests.integration.bundle import default_config, merge

Words = Sequence[str | bytes]
Shown = tuple[int, bytes, bytes]

GLOBAL = [
    "",
    "--help",
    "help",
    "help exec",
    "help nothing",
    "--version --nothing",
    "nothing",
    "--root",
    "--log-format=xml state a",
    "--systemd-cgroup --cgroup-manager cgroupfs list",
    "--debug --nothing",
    "--debug state nobody",
    "--log /nowhere/log state nobody",
    "--log log state nobody",
    "--log log --log-format json kill nobody",
    "--root /dev/null list",
]
WRONG = [
    "create",
    "create a b",
    "create --bundle /nowhere a",
    "create --bundle broken a",
    "create --nothing a",
    "create --bundle plain ..",
    "run --bundle /nowhere a",
    "run --bundle terminal --detach a",
    "start",
    "start nobody",
    "start a b",
    "exec nobody",
    "exec nobody true",
    "exec --process /nowhere nobody",
    "exec --tty=perhaps nobody true",
    "kill",
    "kill nobody KILL",
    "kill nobody NOTHING",
    "delete nobody",
    "delete --force nobody",
    "delete --force=2 nobody",
    "state",
    "state nobody",
    "state a/b",
    "ps nobody",
    "pause nobody",
    "resume nobody",
    "update nobody",
    "update --memory many nobody",
    "update --resources - nobody",
    "events nobody",
    "checkpoint nobody",
]
RIGHT = [
    "list",
    "list --format json",
    "list --quiet",
    "features",
    "validate plain",
    "validate --format json plain",
    "validate --no-host plain",
    "plan plain",
    "plan --format json plain",
    "spec --bundle fresh",
    "spec --bundle fresh --rootless",
    "spec --bundle plain",
]
BROKEN = [
    "",
    "{",
    "[]",
    "null",
    '{"ociVersion": "1.0.2",}',
    '{"ociVersion": "9.0.0"}',
    '{"ociVersion": 1, "root": {"path": 3}}',
    '{"a": 1, "a": 2}',
    '{"ociVersion": "1.0.2", "process": {"cwd": "\\ud800"}}',
    '{"ociVersion": "1.0.2", "root": {"path": "\\u0000"}}',
    '{"ociVersion": "1.0.2", "hostname": "\x1b[31m"}',
    '{"ociVersion": "1.0.2", "linux": {"resources": {"cpu": {"shares": 1e3}}}}',
    '{"ociVersion": "1.0.2", "linux": {"resources": {"cpu": {"shares": 99999999999999999999999}}}}',
    '{"ociVersion": "1.0.2", "linux": {"resources": {"cpu": {"shares": ' + "9" * 5000 + "}}}}",
    '{"ociVersion": "1.0.2", "annotations": {"é": "ß", "a": NaN}}',
    "[" * 300 + "]" * 300,
    '{"ociVersion": "1.0.2", "hooks": {"poststart": [{"path": "relative"}]}}',
]
ODD = (None, True, -1, 1.5, 1 << 70, "", "\n", "../x", "\ud800", [], [1, {}], {}, {"a": "b"})
BENT, SEED = 30, 3
"""Documents with two values replaced by odd ones."""


@pytest.fixture
def both(image: Path, tree: Path, place: Path) -> Callable[..., Shown]:
    """Runs a command line with each command, in the same directory. Returns what both do; fails if they differ."""

    site = tree / "build/site"

    def run(*words: str | bytes, **more: Any) -> Shown:
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "cwd": place, "timeout": 60}
        found = []
        for program in (tree / "build/launcher/ocirun", image):
            shutil.rmtree(place / "fresh", ignore_errors=True)
            (place / "fresh").mkdir()
            done = subprocess.run([program, *words], check=False, **{**options, **more})
            made = b"".join(file.read_bytes() for file in sorted((place / "fresh").iterdir()))
            # The launcher's files have directories.
            found.append((done.returncode, done.stdout + made, done.stderr.replace(b"%b/" % bytes(site), b"ocirun:")))
        launcher, told = found
        assert told == launcher
        assert b"internal error" not in told[2]
        return told

    return run


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with some bundles."""
    for name, change in {
        "plain": {},
        "terminal": {"process": {"terminal": True}},
        "broken": {"process": {"cwd": "relative", "args": []}, "linux": {"namespaces": [{"type": "odd"}]}},
    }.items():
        write(tmp_path / name, json.dumps(merge(default_config(), change), indent=1))
    return tmp_path


def write(bundle: Path, text: str) -> None:
    (bundle / "rootfs").mkdir(parents=True, exist_ok=True)
    (bundle / "config.json").write_text(text)


@pytest.mark.parametrize("line", [*GLOBAL, *(f"{verb} --help" for verb in COMMANDS), *WRONG, *RIGHT])
def test_command_lines(both: Callable[..., Shown], place: Path, line: str):
    """Help of each verb, wrong usage, and the verbs that need no container."""
    both("--root", str(place / "state"), *line.split()) if line not in GLOBAL else both(*line.split())


def test_the_version(both: Callable[..., Shown], image: Path, tree: Path):
    """`--version` differs in the word in brackets alone."""
    image_says, launcher_says = (
        subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        for program in (image, tree / "build/launcher/ocirun")
    )
    assert image_says.replace("(image)", "(interpreter)") == launcher_says
    assert image_says != launcher_says


def bent(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Managers' configs, each with two values anywhere in it replaced."""
    chance = random.Random(seed)
    for _ in range(count):
        config = copy.deepcopy(adapt.load(chance.choice(adapt.names())))
        for _ in range(2):
            at: Any = config
            while True:
                key = chance.choice(list(at) if isinstance(at, dict) else range(len(at)))
                if not at[key] or not isinstance(at[key], dict | list) or chance.random() < 0.2:
                    break
                at = at[key]
            at[key] = chance.choice(ODD)
        yield config


@pytest.mark.parametrize("form", ["text", "json"])
def test_broken_bundles(both: Callable[..., Shown], place: Path, form: str):
    """`validate` of many broken documents, and `create`, say the same."""
    texts = [*BROKEN, *(json.dumps(config) for config in bent(BENT, SEED))]
    for text in texts:
        write(place / "one", text)
        both("validate", "--format", form, "one")
        if form == "text":
            both("--root", str(place / "state"), "create", "--bundle", "one", "--console-socket", "/nowhere", "a")


def test_bytes_that_are_not_utf8(both: Callable[..., Shown], place: Path):
    """Arguments, file names and documents that are not UTF-8, in any locale."""
    (place / os.fsdecode(b"na\xefve")).mkdir()
    (place / "plain/config.json").write_bytes(b'{"ociVersion": "1.0.2", "hostname": "\xff"}')
    for locale in ({}, {"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"LANG": "de_DE.ISO-8859-1"}):
        for words in ((b"state", b"\xff\xfe"), (b"validate", b"na\xefve"), (b"--\xe9",), (b"validate", b"plain")):
            both(*words, env=locale)


@pytest.mark.parametrize("name", adapt.names())
def test_plans_of_real_configs(both: Callable[..., Shown], place: Path, name: str):
    """`plan` and `validate` of the managers' configs."""
    around = adapt.Surroundings(place / "sources", os.getpid(), "both", lambda: "/proc/self/ns/net", Path("/bin/true"))
    write(place / "one", json.dumps(adapt.adapt(adapt.load(name), around)))
    for words in (("plan", "one"), ("plan", "--format", "json", "one"), ("validate", "one")):
        both(*words)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TZ": "Pacific/Kiritimati"},
        {"XDG_RUNTIME_DIR": "/nowhere", "HOME": "/nowhere"},
        {"PYTHONPATH": "evil", "PYTHONHOME": "evil", "PYTHONSTARTUP": "evil/json.py", "PYTHONVERBOSE": "1"},
        {"PYTHONMALLOC": "debug", "PYTHONMALLOCSTATS": "1", "PYTHONHASHSEED": "7", "PYTHONDEVMODE": "1"},
        {"MALLOC_PERTURB_": "165", "GLIBC_TUNABLES": "glibc.malloc.check=3", "LD_BIND_NOW": "1"},
        {"odd": "\udcff", " ": "=", "empty": ""},
    ],
)
def test_environments(both: Callable[..., Shown], place: Path, environment: dict[str, str]):
    """Variables of the caller change both or neither. The interpreter's change nothing."""
    (place / "evil").mkdir()
    (place / "evil/json.py").write_text("raise SystemExit('evil')\n")
    for line in ("validate plain", "state nobody", "validate broken", "--log log state nobody"):
        told = both(*line.split(), env=environment)
        assert b"evil" not in told[1] + told[2]


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_descriptors(both: Callable[..., Shown], closed: tuple[int, ...]):
    """A closed standard descriptor is no error, and no file takes its place."""

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    for line in ("validate broken", "validate plain", "spec --bundle fresh"):
        both(*line.split(), preexec_fn=close)


def test_a_reader_that_has_gone(image: Path, tree: Path):
    """Output to a closed pipe ends both silently, although the caller may ignore SIGPIPE."""
    for ignored in (signal.SIG_DFL, signal.SIG_IGN):
        statuses = []
        for program in (image, tree / "build/launcher/ocirun"):
            reading, writing = os.pipe()
            os.close(reading)
            child = subprocess.run(
                [program, "--help"],
                stdout=writing,
                stderr=subprocess.PIPE,
                preexec_fn=lambda action=ignored: signal.signal(signal.SIGPIPE, action) and None,
                restore_signals=False,
                check=False,
            )
            os.close(writing)
            statuses.append((child.returncode, child.stderr))
        assert statuses[0] == statuses[1]


def test_a_working_directory_that_is_gone(both: Callable[..., Shown], tmp_path: Path):
    """Relative paths in a removed directory are the same error."""

    def enter() -> None:
        gone = tmp_path / str(os.getpid())
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()

    for line in ("validate", "list --root state", "spec"):
        both(*line.split(), preexec_fn=enter)


# What a process is, seen from outside

FIELDS = ("SigBlk", "SigIgn", "SigCgt", "Umask", "Threads", "NoNewPrivs", "Seccomp", "CapEff", "CapAmb")
READ = 0  # the number of the call on x86-64, where alone an image can be built


def seen(program: Path, place: Path, prepare: Callable[[], None]) -> dict[str, object]:
    """A process that waits for its standard input, before it looks for the container that it shall change."""
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [program, "--root", place / "state", "update", "--resources", "-", "nobody"],
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=place,
        preexec_fn=prepare,
        restore_signals=False,
    )
    os.close(reading)
    process = Path(f"/proc/{child.pid}")
    try:
        while not (process / "syscall").read_text().startswith(f"{READ} "):
            assert child.poll() is None
        status = dict(line.split(":\t") for line in (process / "status").read_text().splitlines())
        return {
            **{name: status[name] for name in FIELDS},
            "cwd": os.readlink(process / "cwd"),
            "descriptors": sorted(os.listdir(process / "fd")),
            "variables": (process / "environ").read_bytes(),
            "limits": (process / "limits").read_text(),
            "personality": (process / "personality").read_text(),
        }
    finally:
        os.close(writing)
        child.communicate(timeout=20)


def ignoring(*numbers: int) -> Callable[[], None]:
    def prepare() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    return prepare


@pytest.mark.parametrize(
    "prepare",
    [
        ignoring(),
        ignoring(signal.SIGINT),
        ignoring(signal.SIGHUP, signal.SIGTERM),
        ignoring(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGQUIT),
        ignoring(signal.SIGRTMIN, signal.SIGRTMAX),
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGINT}) and None,
        lambda: os.umask(0o077) and None,
    ],
    ids=["nothing", "SIGINT", "SIGHUP", "SIGPIPE", "real-time", "blocked", "umask"],
)
def test_what_the_caller_gives(image: Path, tree: Path, place: Path, prepare: Callable[[], None]):
    """Signals that the caller ignores or blocks, its umask, limits, variables and descriptors: both processes are alike."""
    assert seen(image, place, prepare) == seen(tree / "build/launcher/ocirun", place, prepare)


@pytest.mark.parametrize("prepare", [ignoring(), ignoring(signal.SIGINT)], ids=["SIGINT", "ignored"])
def test_an_interrupt(image: Path, tree: Path, place: Path, prepare: Callable[[], None]):
    """SIGINT ends both with 130 and a word, or does nothing if the caller ignores it."""
    found = []
    for program in (image, tree / "build/launcher/ocirun"):
        child = subprocess.Popen(
            [program, "--root", place / "state", "update", "--resources", "-", "nobody"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=prepare,
        )
        while not Path(f"/proc/{child.pid}/syscall").read_text().startswith(f"{READ} "):
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        found.append((child.communicate(b"{}", timeout=20), child.returncode))
    assert found[0] == found[1]
