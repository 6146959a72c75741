"""The command line: what is understood, what is refused, and how a failure is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oci_spec import check
from runtime import cli
from runtime.commands import COMMANDS
from runtime.errors import InvalidConfig, OcirunError

TREE = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

# The whole surface: each flag that a caller may send, by verb.
SURFACE = {
    "create": "-b --bundle --console-socket --pid-file --pidfd-socket --no-pivot --no-new-keyring --preserve-fds -f "
    "--config --no-subreaper --trace",
    "run": "-b --bundle --console-socket --pid-file --pidfd-socket --no-pivot --no-new-keyring --preserve-fds -f --config "
    "-d --detach --keep --no-subreaper --seccomp-explain --trace",
    "exec": "--console-socket --pidfd-socket --cwd -e --env -t --tty -u --user -g --additional-gids -p --process -d "
    "--detach --pid-file --process-label --apparmor --no-new-privs -c --cap --preserve-fds --cgroup --ignore-paused "
    "--seccomp-explain",
    "start": "",
    "state": "",
    "kill": "-a --all -r --regex",
    "delete": "-f --force -r --regex",
    "list": "-f --format -q --quiet",
    "spec": "-b --bundle --rootless -f --file",
    "features": "",
    "explain": "--format -b --bundle",
    "doctor": "--format",
    "plan": "--format --json --diff",
    "validate": "--format --kind --no-host --host-independent",
    "verify": "-b --bundle --pid -a --all --format",
    "ps": "-f --format",
    "pause": "",
    "resume": "",
    "mounts": "",
    "events": "--stats --interval",
    "update": "-r --resources --blkio-weight --cpu-period --cpu-quota --cpu-burst --cpu-share --cpu-rt-period "
    "--cpu-rt-runtime --cpu-idle --cpuset-cpus --cpuset-mems --memory --memory-reservation --memory-swap --kernel-memory "
    "--kernel-memory-tcp --pids-limit --l3-cache-schema --mem-bw-schema",
    "checkpoint": "--image-path --work-path --parent-path --leave-running --tcp-established --tcp-skip-in-flight "
    "--link-remap --ext-unix-sk --shell-job --lazy-pages --status-fd --page-server --file-locks --pre-dump "
    "--manage-cgroups-mode --empty-ns --auto-dedup --network-lock --criu",
    "restore": "-b --bundle --image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks "
    "--manage-cgroups-mode -d --detach --pid-file --console-socket --no-subreaper --no-pivot --empty-ns --auto-dedup "
    "--lazy-pages --lsm-profile --lsm-mount-context --network-lock --tcp-close --criu",
    "bundle unpack": "--store --platform --copy --max-size",
    "bundle prune": "--store",
    "bundle diff": "--format",
    "bundle commit": "--base --compress --timestamp --author -m --message",
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run("--root", ..., "state", "x"): the program as the launcher starts it, with a state root of the test's own."""

    def call(*arguments: str, root: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        own = ["--root", str(tmp_path / "root")] if root else []
        command = [sys.executable, "-I", "-S", str(TREE / "runtime" / "__main__.py"), *own, *arguments]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | more
        return subprocess.run(command, text=True, timeout=60, check=False, cwd=tmp_path, **options)

    return call


def parsed(command: str, *arguments: str) -> cli.Call:
    """What the parser makes of arguments."""
    call = cli.Call()
    call.command = command
    options, operands = cli.options_of(cli.load(command), command)
    cli.parse(call, options, operands[1] is not None, list(arguments))
    return call


@pytest.mark.parametrize("command", SURFACE)
def test_every_flag_is_understood(command: str) -> None:
    """With two dashes or one, with = or a space, before or behind the operand."""
    options, _ = cli.options_of(cli.load(command), command)
    assert {name for option in options for name in option[0]} == set(SURFACE[command].split())
    for names, metavar, key, *_ in options:
        value = "3" if metavar == "N" else "value"
        wanted: Any = True if metavar is None else int(value) if metavar == "N" else value
        wanted = [wanted] if (metavar or "").endswith("...") else wanted
        for name in names:
            for spelled in (name, name.replace("--", "-")):
                words = [spelled] if metavar is None else [spelled, value]
                assert parsed(command, *words, "id").options == {key: wanted}
                joined = f"{spelled}={'true' if metavar is None else value}"
                assert parsed(command, joined, "id").options == {key: wanted}
                if command not in ("exec", "ps"):
                    assert parsed(command, "id", *words).options == {key: wanted}


@pytest.mark.parametrize(
    "words",
    [
        ["--root", "/r", "--log=/l", "--log-format", "json", "--debug", "state", "x"],
        ["state", "--root", "/r", "x", "-log", "/l", "-debug", "--log-format=json"],
        ["-root=/r", "-log=/l", "state", "-log-format=json", "--debug=true", "x"],
    ],
)
def test_global_options_on_both_sides(words: list[str]) -> None:
    """Before the command, behind it, and behind its operands."""
    call = cli.Call()
    rest = cli._parse_globals(call, words)
    assert rest[0] == "state"
    cli.parse(call, (), True, rest[1:])
    assert call.settings == {"root": "/r", "log": "/l", "log_format": "json", "debug": True}
    assert call.operands == ["x"]


def test_exec_leaves_the_command_alone() -> None:
    """What follows the container's id is the program's, also where it looks like ours."""
    call = parsed("exec", "-d", "--env", "A=1", "-e=B=2", "id", "ls", "-t", "--debug", "--", "x")
    assert call.options == {"detach": True, "env": ["A=1", "B=2"]}
    assert call.operands == ["id", "ls", "-t", "--debug", "--", "x"]
    assert parsed("exec", "id", "--", "ls", "--", "x").operands == ["id", "ls", "--", "x"]


def test_switches_together() -> None:
    """-td is -t -d, as crun has it; a word that is not all switches is unknown."""
    assert parsed("exec", "-td", "id").options == {"tty": True, "detach": True}
    with pytest.raises(cli.UsageError, match="unknown option -tx"):
        parsed("exec", "-tx", "id")


def test_own_option_hides_a_global_one() -> None:
    """`spec --rootless` is a switch, `--rootless true spec` a global option with a value."""
    assert parsed("spec", "--rootless").options == {"rootless": True}
    assert parsed("state", "--rootless", "true", "id").settings == {"rootless": "true"}


def test_two_dashes_end_the_options() -> None:
    """An id may look like an option."""
    assert parsed("create", "--", "--bundle").operands == ["--bundle"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["create", "--nope", "x"], "unknown option --nope"),
        (["create", "x", "--bundle"], "--bundle: flag needs an argument"),
        (["create", "--preserve-fds", "-1", "x"], "must be an unsigned number"),
        (["create", "--preserve-fds=x", "x"], "must be an unsigned number"),
        (["create", "--no-pivot=maybe", "x"], "must be true or false"),
        (["create"], "create needs CONTAINER"),
        (["create", "a", "b"], "create takes CONTAINER, not a b"),
        (["list", "a"], "list takes no operands"),
        (["list", "-f", "yaml"], "must be table or json"),
        (["exec", "x"], "exec needs a command or --process"),
        (["exec", "-p", "f", "x", "sh"], "cannot both be given"),
        (["--log-format", "xml", "state", "x"], "one of text, json"),
        (["--cgroup-manager", "other", "state", "x"], "one of cgroupfs, systemd, disabled"),
        (["--systemd-cgroup", "--cgroup-manager", "cgroupfs", "state", "x"], "--systemd-cgroup contradicts"),
        (["nope"], 'there is no command "nope"'),
        (["creat"], 'there is no command "creat"; did you mean create?'),
        (["create", "--bundel", "x"], "unknown option --bundel; did you mean --bundle?"),
        (["--rot", "/r", "list"], "unknown option --rot; did you mean --root?"),
        (["--nope"], "unknown option --nope"),
        (["help", "nope"], 'there is no command "nope"'),
        (["bundle"], "bundle needs one of unpack, diff, commit, prune"),
        (["bundle", "nope"], "bundle needs one of unpack, diff, commit, prune"),
        (["bundle", "unpack", "x"], "bundle unpack needs LAYOUT[:TAG] BUNDLE"),
        (["bundle", "prune", "x"], "bundle prune takes no operands"),
    ],
)
def test_wrong_usage(run: Run, words: list[str], message: str) -> None:
    """One line that names what is wrong and where help is, exit status 1, nothing on standard output."""
    result = run(*words)
    assert result.returncode == 1
    assert result.stdout == ""
    assert message in result.stderr
    assert re.fullmatch(r"ocirun: error: [^\n]*; see 'ocirun [^\n]*--help'\n", result.stderr)


@pytest.mark.parametrize("command", SURFACE)
@pytest.mark.parametrize("form", [["--help"], ["-h"], ["x", "-help"]])
def test_help_of_a_command(run: Run, command: str, form: list[str]) -> None:
    """Every option is told, whatever else is given."""
    if form[0] == "x" and command in ("exec", "ps"):
        form = ["-help"]
    result = run(*command.split(), *form)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"usage: ocirun [OPTIONS] {command}" in result.stdout
    for name in SURFACE[command].split():
        assert re.search(rf"(^|\s|,){re.escape(name)}\b", result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= 110


def test_the_surface_has_every_verb() -> None:
    """A new verb is written into SURFACE with its options, so that the tests of this file cover it."""
    assert sorted(SURFACE) == sorted(COMMANDS)


@pytest.mark.parametrize("words", [[], ["--help"], ["help"], ["-h"]])
def test_help(run: Run, words: list[str]) -> None:
    """All commands and all global options."""
    result = run(*words)
    assert result.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout
    for option in cli.GLOBAL_OPTIONS:
        assert option[0][0] in result.stdout


@pytest.mark.parametrize("words", [["bundle", "--help"], ["bundle", "-h"], ["help", "bundle"]])
def test_help_of_the_first_of_two_words(run: Run, words: list[str]) -> None:
    """The commands that begin with it."""
    result = run(*words)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.findall(r"^  (bundle \w+) ", result.stdout, re.MULTILINE) == [
        name for name in COMMANDS if name.startswith("bundle ")
    ]


@pytest.mark.parametrize("flag", ["--version", "-v", "-version"])
def test_version(ocirun: Path, flag: str) -> None:
    """Five lines, each for one reader."""
    result = subprocess.run([ocirun, flag], capture_output=True, text=True, timeout=60, check=True)
    names = [re.split(r" (?=\d|[0-9a-f]{12}|unknown)", line)[0] for line in result.stdout.splitlines()]
    assert names == ["ocirun version", "commit:", "spec:", "python:", "libseccomp:"]


def test_features(ocirun: Path) -> None:
    """The document is the spec's, without globals, and claims nothing that is refused."""
    result = subprocess.run([ocirun, "features"], capture_output=True, text=True, timeout=60, check=True)
    assert [problem for problem in check(result.stdout.encode(), "features") if problem.severity == "error"] == []
    document = json.loads(result.stdout)
    assert document["ociVersionMax"] == "1.3.0"
    assert {"ro", "rbind", "tmpcopyup", "rnosuid", "idmap"} <= set(document["mountOptions"])
    assert len(document["linux"]["namespaces"]) == 8
    assert [document["linux"][name]["enabled"] for name in ("apparmor", "selinux", "intelRdt")] == [True] * 3
    assert "MPOL_WEIGHTED_INTERLEAVE" in document["linux"]["memoryPolicy"]["modes"]
    assert len(document["linux"]["memoryPolicy"]["flags"]) == 3


@pytest.mark.parametrize("words", [[], ["--rootless"]])
def test_spec(run: Run, tmp_path: Path, words: list[str]) -> None:
    """A config without a problem, written once and not over another."""
    assert run("spec", *words).returncode == 0
    data = (tmp_path / "config.json").read_bytes()
    assert check(data, "config") == []
    again = run("spec", *words)
    assert again.returncode == 1
    assert "config.json exists" in again.stderr
    assert (tmp_path / "config.json").read_bytes() == data
    assert run("spec", *words, "-f", "-").stdout.encode() == data
    (tmp_path / "other").mkdir()
    assert run("spec", *words, "-b", "other").returncode == 0
    assert (tmp_path / "other" / "config.json").read_bytes() == data
    assert "no such file or directory" in run("spec", "-b", "absent").stderr


def test_failure_without_a_log(run: Run) -> None:
    """The message on standard error, one line."""
    result = run("state", "x")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == 'ocirun: error: container "x" does not exist\n'


def test_json_log(run: Run, tmp_path: Path) -> None:
    """Exactly one line for a failure, appended; the message on standard error too. None for a success."""
    log = tmp_path / "log"
    words = ["--log", str(log), "--log-format", "json"]
    assert run(*words, "delete", "--force", "x").returncode == 0
    assert log.read_text() == ""
    result = run(*words, "state", "x")
    assert 'container "x" does not exist' in result.stderr
    entry = json.loads(log.read_text())
    assert set(entry) == {"level", "msg", "time", "id", "verb", "code"}
    assert entry["code"] == "not-found"
    assert (entry["level"], entry["msg"]) == ("error", 'container "x" does not exist')
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["time"])
    run(*words, "kill", "--bad", "x")
    assert [json.loads(line)["level"] for line in log.read_text().splitlines()] == ["error", "error"]


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["nope"], {"code": "usage"}),
        (["state", "x"], {"code": "not-found"}),
        (["create", "--bundle", "{bundle}", "x"], {"code": "invalid-config", "pointer": "/process/cwd", "line": 1}),
        (["create", "--bundle", "/no/such/bundle", "x"], {"code": "system", "errno": "ENOENT"}),
    ],
)
def test_fields_of_an_error(run: Run, tmp_path: Path, words: list[str], fields: dict[str, Any]) -> None:
    """Its class, place and errno are in the log line, for programs."""
    (tmp_path / "config.json").write_text(
        '{"ociVersion": "1.0.2", "root": {"path": "/"}, "process": {"args": ["x"], "cwd": "y"}}'
    )
    log = tmp_path / "log"
    run("--log", str(log), "--log-format", "json", *(word.format(bundle=tmp_path) for word in words))
    entry = json.loads(log.read_text().splitlines()[-1])
    assert {key: entry[key] for key in entry if key in ("code", "pointer", "line", "errno")} == fields


def test_text_log(run: Run, tmp_path: Path) -> None:
    """logrus's form; a relative name is from where the caller is."""
    run("--log", "log", "state", "x")
    line = (tmp_path / "log").read_text()
    assert re.fullmatch(
        r'time="[^"]+" level=error msg="container \\"x\\" does not exist" id="x" verb="state" code="not-found"\n', line
    )


def test_a_log_that_cannot_be_made(run: Run) -> None:
    """It is the error, before the command does anything."""
    result = run("--log", "/no/such/log", "state", "x")
    assert result.returncode == 1
    assert result.stderr == "ocirun: error: open the log /no/such/log: no such file or directory\n"


def test_a_log_that_takes_no_more(run: Run) -> None:
    """It is told, and the failure itself is too."""
    result = run("--log", "/dev/full", "state", "x")
    assert result.returncode == 1
    expected = 'ocirun: error: container "x" does not exist\nocirun: warning: log /dev/full: no space left on device\n'
    assert result.stderr == expected


def test_traceback_only_with_debug(run: Run) -> None:
    """Whoever asks gets it; the last line is the message in both cases."""
    quiet, loud = run("state", "x").stderr, run("--debug", "state", "x").stderr
    assert "Traceback" not in quiet
    assert "Traceback" in loud
    assert loud.endswith(quiet)


def test_unexpected_system_error(run: Run, tmp_path: Path) -> None:
    """Words with the file's name, not a traceback."""
    (tmp_path / "root").write_text("")
    result = run("list")
    assert result.returncode == 1
    assert result.stderr == f"ocirun: error: read {tmp_path}/root: not a directory\n"


def test_warnings(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One line on standard error, or in the log where there is one; none with --log-level error."""
    call = cli.Call()
    call.warn("careful")
    assert capfd.readouterr().err == "ocirun: warning: careful\n"
    call.settings = {"log": str(tmp_path / "log"), "log_format": "json"}
    call.warn("careful")
    assert json.loads((tmp_path / "log").read_text())["level"] == "warning"
    call.settings["log_level"] = "error"
    call.warn("careful")
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    call.settings = {"log": "/dev/full"}
    call.warn("careful")
    assert capfd.readouterr().err == "ocirun: warning: careful\n"


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_descriptors(run: Run, tmp_path: Path, closed: tuple[int, ...]) -> None:
    """A file of ours never becomes descriptor 0, 1 or 2: the log line is whole and nothing else is in it."""

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    result = run("--log", "log", "state", "x", preexec_fn=close)
    assert result.returncode == 1
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_a_reader_that_goes_away(run: Run) -> None:
    """A closed pipe on standard output is no error worth words."""
    end, other = os.pipe()
    os.close(end)
    result = run("--help", stdout=other)
    os.close(other)
    assert (result.returncode, result.stderr) == (0, "")


def test_names_that_are_not_unicode(run: Run, tmp_path: Path) -> None:
    """Bytes of the caller's go through: a root directory of any name works."""
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(name)
    assert run("--root", name, "list", root=False).stdout.startswith("ID")
    assert run("--root", name, "list", "-q", root=False).stdout == ""


def test_place_of_an_error() -> None:
    """An error says where in config.json, then what."""
    assert str(OcirunError("message")) == "message"
    assert str(InvalidConfig("message", "/a/0")) == "config.json: /a/0: message"
    assert str(InvalidConfig("message", "/a/0", 44)) == "config.json:44: /a/0: message"
    assert str(InvalidConfig("message", None, 3)) == "config.json:3: message"


def test_status_of_exec(run: Run) -> None:
    """255 once the command line was understood, 1 before."""
    assert run("exec", "--bad", "x", "true").returncode == 1
