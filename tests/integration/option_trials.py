"""Each option of each verb: how it is tried with and without, or which test shows it, or why it does nothing."""

from __future__ import annotations

from dataclasses import dataclass

from runtime import cli
from runtime.commands import COMMANDS


@dataclass
class Trial:
    """``words``: the option as it is given, {directory} and {id} filled in. ``scene``: what is done with it and without."""

    words: tuple[str, ...]
    scene: str
    shows: str


def trial(words: str, scene: str, shows: str) -> Trial:
    return Trial(tuple(words.split()), scene, shows)


SHARED = {
    "--bundle": trial("--bundle {directory}/other", "make", "the program of another bundle runs"),
    "--config": trial("--config {directory}/other/config.json", "make", "another program runs"),
    "--console-socket": trial(
        "--console-socket {directory}/absent", "make", "refused, since the process has no terminal"
    ),
    "--pid-file": trial("--pid-file {directory}/new", "make", "the file"),
    "--pidfd-socket": trial("--pidfd-socket {directory}/absent", "make", "the socket is connected to"),
    "--preserve-fds": trial("--preserve-fds 1", "make", "refused, since descriptor 3 is not open"),
    "--trace": trial("--trace {directory}/new", "make", "the file"),
}
NO_PIVOT = "tests/integration/test_mounts.py::test_no_pivot"
TRIALS: dict[tuple[str, str], Trial] = {
    **{(verb, option): one for verb in ("create", "run") for option, one in SHARED.items()},
    ("run", "--detach"): trial("--detach", "make", "the container is there afterwards"),
    ("run", "--keep"): trial("--keep", "make", "the container is there afterwards"),
    ("run", "--seccomp-explain"): trial("--seccomp-explain", "make", "refused, since there is no profile"),
    ("exec", "--detach"): trial("--detach", "exec", "the exit status is not the program's"),
    ("exec", "--seccomp-explain"): trial("--seccomp-explain", "exec", "refused, since there is no profile"),
    ("exec", "--tty"): trial("--tty", "exec", "the program's terminal"),
    ("exec", "--console-socket"): trial(
        "--tty --console-socket {directory}/absent", "exec", "the socket is connected to"
    ),
    ("exec", "--process"): trial("--process {directory}/process.json", "exec", "a command beside it is refused"),
    ("exec", "--pid-file"): trial("--pid-file {directory}/new", "exec", "the file"),
    ("exec", "--pidfd-socket"): trial("--pidfd-socket {directory}/absent", "exec", "the socket is connected to"),
    ("exec", "--cwd"): trial("--cwd /etc", "exec", "the working directory"),
    ("exec", "--env"): trial("--env NEW=1", "exec", "the environment"),
    ("exec", "--user"): trial("--user 5:6", "exec", "the ids"),
    ("exec", "--additional-gids"): trial("--additional-gids 7", "exec", "the groups"),
    ("exec", "--cap"): trial("--cap CAP_SYS_TIME", "exec", "the capabilities"),
    ("exec", "--no-new-privs"): trial("--no-new-privs", "exec", "NoNewPrivs in /proc/self/status"),
    ("exec", "--process-label"): trial("--process-label a_u:a_r:a_t:s0", "exec", "refused without SELinux"),
    ("exec", "--apparmor"): trial("--apparmor nosuch", "exec", "refused without AppArmor or the profile"),
    ("exec", "--preserve-fds"): trial("--preserve-fds 1", "exec", "refused, since descriptor 3 is not open"),
    ("exec", "--cgroup"): trial("--cgroup /absent", "exec", "the cgroup is looked for"),
    ("kill", "--all"): trial("--all", "kill", "the other process gets the signal too"),
    ("kill", "--regex"): trial("--regex", "match_kill", "the containers that match"),
    ("delete", "--force"): trial("--force", "delete", "a container that runs"),
    ("delete", "--regex"): trial("--regex --force", "match_delete", "the containers that match"),
    ("list", "--format"): trial("--format json", "list", "the output"),
    ("list", "--quiet"): trial("--quiet", "list", "the output"),
    ("ps", "--format"): trial("--format json", "ps", "the output"),
    ("spec", "--bundle"): trial("--bundle {directory}/other", "spec", "refused: there is one"),
    ("spec", "--rootless"): trial("--rootless", "spec", "the config"),
    ("spec", "--file"): trial("--file {directory}/new", "spec", "the file"),
    ("validate", "--format"): trial("--format json", "validate", "the output"),
    ("validate", "--host-independent"): trial("--no-host", "validate", "a rootfs that is not there is not looked for"),
    ("validate", "--kind"): trial("--kind process", "validate", "the rules for another document"),
    ("explain", "--format"): trial("--format json", "explain", "the output"),
    ("explain", "--bundle"): trial("--bundle .", "explain", "the config's value"),
    ("doctor", "--format"): trial("--format json", "doctor", "the output"),
    ("verify", "--format"): trial("--format json", "verify", "the output"),
    ("verify", "--all"): trial("--all", "verify", "what is as the config says"),
    ("plan", "--format"): trial("--format json", "plan", "the output"),
    ("plan", "--json"): trial("--json", "plan", "the output"),
    ("plan", "--diff"): trial("--diff {directory}/other", "plan", "the output"),
    ("", "--root"): trial("--root {directory}/empty", "failing", "another directory of containers"),
    ("", "--log"): trial("--log {directory}/new", "failing", "the file"),
    ("", "--log-format"): trial("--log {directory}/log --log-format json", "logged", "the line's form"),
    ("", "--log-level"): trial("--log-level debug", "failing", "what is told of a failure"),
    ("", "--debug"): trial("--debug", "failing", "what is told of a failure"),
    ("", "--cgroup-manager"): trial("--cgroup-manager disabled", "make", "the program's cgroups"),
    ("", "--systemd-cgroup"): trial("--systemd-cgroup", "make", "refused: another form of cgroupsPath"),
    ("", "--version"): trial("--version", "failing", "the versions"),
    ("", "--help"): trial("--help", "failing", "the help"),
}
_UPDATE = "tests/integration/test_update.py"
PROVED: dict[tuple[str, str], str] = {
    **{(verb, "--no-pivot"): NO_PIVOT for verb in ("create", "run")},
    **{
        (verb, "--no-new-keyring"): "tests/integration/test_identity.py::test_session_keyring"
        for verb in ("create", "run")
    },
    ("verify", "--bundle"): "tests/integration/test_verify.py::test_container_of_another_config",
    ("verify", "--pid"): "tests/integration/test_verify.py::test_container_of_another_config",
    ("events", "--stats"): "tests/integration/test_events.py::test_a_stream",
    ("events", "--interval"): "tests/integration/test_events.py::test_a_stream",
    ("exec", "--ignore-paused"): "tests/integration/test_pause.py::test_exec_in_a_paused_container",
    ("", "--rootless"): "tests/integration/test_rootless.py::test_the_option_rootless",
    ("update", "--resources"): f"{_UPDATE}::test_a_document",
    ("update", "--cpu-burst"): f"{_UPDATE}::test_burst_of_nothing",
    **{
        ("update", f"--{name}"): f"{_UPDATE}::test_shares_of_the_cache" for name in ("l3-cache-schema", "mem-bw-schema")
    },
    **{
        ("update", f"--{name}"): f"{_UPDATE}::test_option_of_v1"
        for name in ("kernel-memory-tcp", "cpu-rt-period", "cpu-rt-runtime")
    },
}
# On hosts that lack what an option is for it is refused: the kernel's file, SELinux, AppArmor, resctrl.
UPDATES = {
    "--memory": "64m",
    "--memory-reservation": "32m",
    "--memory-swap": "1g",
    "--kernel-memory": "32m",
    "--cpu-share": "333",
    "--cpu-quota": "20000",
    "--cpu-period": "50000",
    "--cpu-idle": "1",
    "--cpuset-cpus": "0",
    "--cpuset-mems": "0",
    "--pids-limit": "33",
    "--blkio-weight": "333",
}
TRIALS.update(
    {
        ("update", option): trial(f"{option} {given}", "update", "the cgroup's file, or refused")
        for option, given in UPDATES.items()
    }
)
_COMMIT = "tests/integration/test_commit.py"
_UNPACK = "tests/integration/test_unpack.py"
PROVED.update(
    {
        ("bundle unpack", "--store"): f"{_UNPACK}::test_the_bundle",
        ("bundle unpack", "--platform"): f"{_UNPACK}::test_which_image",
        ("bundle unpack", "--copy"): f"{_UNPACK}::test_an_image_runs",
        ("bundle unpack", "--max-size"): f"{_UNPACK}::test_limits",
        ("bundle diff", "--format"): f"{_COMMIT}::test_diff_as_json",
        ("bundle commit", "--base"): f"{_COMMIT}::test_where_the_layers_below_come_from",
        ("bundle commit", "--compress"): f"{_COMMIT}::test_compression",
        ("bundle commit", "--timestamp"): f"{_COMMIT}::test_the_same_changes_give_the_same_image",
        ("bundle commit", "--author"): f"{_COMMIT}::test_what_was_committed_is_unpacked",
        ("bundle commit", "--message"): f"{_COMMIT}::test_what_was_committed_is_unpacked",
        ("bundle prune", "--store"): f"{_UNPACK}::test_layers_are_shared",
    }
)
_FLAGS = "tests/integration/test_checkpoint_flags.py"
_TAKEN: dict[str, dict[str, str]] = {
    "checkpoint": {
        "--image-path": f"{_FLAGS}::test_what_a_dump_is_told",
        "--work-path": f"{_FLAGS}::test_what_a_dump_is_told",
        "--status-fd": f"{_FLAGS}::test_the_status_descriptor",
        "--pre-dump": f"{_FLAGS}::test_flags_of_checkpoint",
        "--criu": f"{_FLAGS}::test_a_bad_flag_changes_nothing",
    },
    "restore": {
        "--image-path": f"{_FLAGS}::test_hostile_descriptors",
        "--work-path": f"{_FLAGS}::test_directories_that_are_not_trusted",
        "--bundle": f"{_FLAGS}::test_flags_of_restore",
        "--detach": "tests/integration/test_checkpoint.py::test_in_the_foreground",
        "--pid-file": "tests/integration/test_checkpoint.py::test_a_program_goes_on",
        "--console-socket": "tests/integration/test_checkpoint.py::test_a_terminal",
        "--criu": f"{_FLAGS}::test_hostile_descriptors",
        "--no-pivot": f"{_FLAGS}::test_an_id_that_is_taken",
    },
}
PROVED.update({(verb, option): test for verb, rows in _TAKEN.items() for option, test in rows.items()})
NO_OPS = {
    **{(verb, "--no-subreaper"): "ocirun never becomes a subreaper" for verb in ("create", "run", "restore")},
    ("checkpoint", "--empty-ns"): "CRIU always leaves the network namespace empty; another value is refused",
    ("restore", "--empty-ns"): "CRIU always leaves the network namespace empty; another value is refused",
}
for _verb in _TAKEN:
    for _row in cli.options_of(cli.load(_verb), _verb)[0]:
        _key = (_verb, max(_row[0], key=len))
        if _key not in NO_OPS:
            PROVED.setdefault(_key, f"{_FLAGS}::test_flags_of_{_verb}")
PROVED["", "--criu"] = f"{_FLAGS}::test_a_checkpoint_ends_the_container"


def options() -> list[tuple[str, str]]:
    """(verb or "", the option's longest name) of the whole command line."""
    found = [("", max(option[0], key=len)) for option in cli.GLOBAL_OPTIONS]
    for verb in COMMANDS:
        table = cli.options_of(cli.load(verb), verb)[0]
        found += [(verb, max(option[0], key=len)) for option in table]
    return found


TOP = """
## Options

Each option was tried with and without (tests/integration/test_options.py), with a different outcome, unless another test or a reason is named.

| verb | option | what differs |
|---|---|---|
"""


def table() -> str:
    lines = [TOP]
    for key in options():
        verb, option = key
        shows = (
            TRIALS[key].shows if key in TRIALS else f"`{PROVED[key]}`" if key in PROVED else f"nothing: {NO_OPS[key]}"
        )
        lines.append(f"| {f'`{verb}`' if verb else 'every'} | `{option}` | {shows} |\n")
    return "".join(lines)
