"""What runc's and crun's callers may write on the command line is known here, or left out for a reason that is told.

The options are those of runc 1.5.0-rc.1 and crun 1.29.1, from their sources, with those of earlier ones that managers
still send. tests/integration/test_peers_options.py asks the installed programs.
"""

from __future__ import annotations

import pytest

from runtime import cli
from runtime.commands import COMMANDS

RUNC = {
    "": "--debug --log --log-format --root --criu --systemd-cgroup --rootless --help -h --version -v",
    "create": "--bundle -b --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds",
    "run": "--bundle -b --console-socket --pidfd-socket --detach -d --keep --pid-file --no-subreaper --no-pivot --no-new-keyring "
    "--preserve-fds",
    "exec": "--console-socket --pidfd-socket --cwd --env -e --tty -t --user -u --additional-gids -g --process -p --detach -d --pid-file "
    "--process-label --apparmor --no-new-privs --cap -c --preserve-fds --cgroup --ignore-paused",
    "kill": "--all -a",
    "delete": "--force -f",
    "list": "--format -f --quiet -q",
    "ps": "--format -f",
    "spec": "--bundle -b --rootless",
    "state": "",
    "start": "",
    "update": "--resources -r --blkio-weight --cpu-period --cpu-quota --cpu-burst --cpu-share --cpu-rt-period --cpu-rt-runtime "
    "--cpuset-cpus --cpuset-mems --kernel-memory --kernel-memory-tcp --memory --cpu-idle --memory-reservation --memory-swap "
    "--pids-limit --l3-cache-schema --mem-bw-schema",
    "checkpoint": "--image-path --work-path --parent-path --leave-running --tcp-established --tcp-skip-in-flight --link-remap "
    "--ext-unix-sk --shell-job --lazy-pages --status-fd --page-server --file-locks --pre-dump --manage-cgroups-mode --empty-ns "
    "--auto-dedup",
    "restore": "--console-socket --image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks "
    "--manage-cgroups-mode --bundle -b --detach -d --pid-file --no-subreaper --no-pivot --empty-ns --auto-dedup --lazy-pages "
    "--lsm-profile --lsm-mount-context",
    "pause": "",
    "resume": "",
    "events": "--interval --stats",
    "features": "",
}
CRUN = {
    "": "--debug --cgroup-manager --systemd-cgroup --log --log-format --log-level --root --rootless --version -V --help -? --usage",
    "create": "--bundle -b --config -f --console-socket --preserve-fds --no-pivot --pid-file --no-subreaper --no-new-keyring",
    "run": "--bundle -b --config -f --detach -d --console-socket --preserve-fds --pid-file --keep --no-subreaper --no-new-keyring "
    "--no-pivot",
    "exec": "--console-socket --tty -t --process -p --cwd --cgroup --detach -d --user -u --env -e --cap -c --pid-file --preserve-fds "
    "--no-new-privs --process-label --apparmor",
    "kill": "--all -a --regex -r",
    "delete": "--force -f --regex -r",
    "list": "--quiet -q --format -f",
    "ps": "--format -f",
    "spec": "--bundle -b --file -f --rootless",
    "state": "",
    "start": "",
    "update": "--resources -r --blkio-weight --cpu-period --cpu-quota --cpu-share --cpu-rt-period --cpu-rt-runtime --cpuset-cpus "
    "--cpuset-mems --kernel-memory --kernel-memory-tcp --memory --memory-reservation --memory-swap --pids-limit --l3-cache-schema "
    "--mem-bw-schema",
    "checkpoint": "--image-path --work-path --leave-running --tcp-established --ext-unix-sk --shell-job --file-locks --network-lock "
    "--parent-path --pre-dump --manage-cgroups-mode",
    "restore": "--bundle -b --image-path --work-path --tcp-established --tcp-close --ext-unix-sk --shell-job --detach -d --pid-file "
    "--console-socket --file-locks --manage-cgroups-mode --network-lock --lsm-profile --lsm-mount-context",
    "pause": "",
    "resume": "",
    "features": "",
    "mounts": "",
}
# (verb or "", option): why.
LEFT_OUT = {
    ("", "--usage"): "crun's argument parser adds it: a shorter form of --help, which no program sends",
}


def known(verb: str) -> set[str]:
    """Every spelling that ocirun takes for the verb, global options included."""
    tables = [cli.GLOBAL_OPTIONS, cli.options_of(cli.load(verb), verb)[0] if verb else ()]
    return {name for table in tables for option in table for name in option[0]}


@pytest.mark.parametrize("peer", [RUNC, CRUN], ids=["runc", "crun"])
def test_every_option_of_a_peer(peer: dict[str, str]) -> None:
    """The verb is there, and takes it; no reason is given for one that is taken."""
    assert set(peer) - {""} - set(COMMANDS) == set()
    missing = {(verb, name) for verb, names in peer.items() for name in names.split() if name not in known(verb)}
    assert missing <= set(LEFT_OUT)
    assert [one for one in LEFT_OUT if one[1] in known(one[0])] == []
