"""No mount option is silently ignored: it changes the plan, or a warning or an error names it."""

from __future__ import annotations

from typing import Any

import pytest

from oci_spec.default import default
from runtime.errors import InvalidConfig
from runtime.plan import mounts, ops
from tests.runtime.plan import machines

_ATTRIBUTES = (
    "ro rw nosuid suid nodev dev noexec exec noatime atime nodiratime diratime relatime norelatime strictatime nostrictatime"
    " nosymfollow symfollow"
).split()
_FILE_SYSTEM = (
    "sync async dirsync lazytime nolazytime mand nomand iversion noiversion silent loud"
    " rsync rasync rdirsync rmand rnomand"
).split()
_PROPAGATION = "private shared slave unbindable rprivate rshared rslave runbindable".split()
# The tables of runc and crun and mount(8), and what belongs to a file system or is misspelt.
OPTIONS = [
    *_ATTRIBUTES,
    *(f"r{name}" for name in _ATTRIBUTES),
    *_FILE_SYSTEM,
    *_PROPAGATION,
    *"tmpcopyup idmap ridmap copy-symlink src-nofollow dest-nofollow bind rbind remount".split(),
    *"user users owner group X-mount.subdir=a X-mount.owner=1 X-mount.mode=700 X-mount.idmap=/proc/1/ns/user".split(),
    *"size=64k mode=700 loop offset=1 context=a ro=recursive nsdelegate readonly rprivte Ro idmap=uids=0-1-2".split(),
]
# What asks for nothing: notes to other programs, and what mounting by hand is in any case.
NOTHING = "defaults auto noauto nofail _netdev nouser nousers noowner nogroup x-systemd.automount comment=a X-mount.mkdir".split()
# What a new mount is without being asked.
NEW_ALREADY = {
    *"rw suid dev exec atime diratime relatime norelatime nostrictatime symfollow".split(),
    *"async nolazytime nomand noiversion loud rasync rnomand".split(),
}
# The kernel's choice stands.
NEVER = {"norelatime"}
KINDS = {
    "new": {"destination": "/x", "type": "tmpfs", "source": "tmpfs"},
    "proc": {"destination": "/x", "type": "proc", "source": "proc"},
    "cgroup": {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"},
    "bind": {"destination": "/x", "source": "/source", "options": ["bind"]},
    "rbind": {"destination": "/x", "source": "/source", "options": ["rbind"]},
    "remount": {"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": ["remount"]},
    "remount,bind": {"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": ["remount", "bind"]},
}


def planned(kind: str, *options: str, user: bool = False) -> tuple[Any, str]:
    """The operations and warnings of a config with one mount, or the error."""
    spec = default()
    entry = {**KINDS[kind], "options": [*KINDS[kind].get("options", []), *options]}
    spec["mounts"] = [entry]
    facts = machines.facts(spec, new_user_namespace=user)
    facts["links"] = {"/mounts/0": "target"} if "copy-symlink" in options else {}
    warnings: list[tuple[str, str]] = []
    try:
        operations = mounts.operations(spec, facts, warnings) + mounts.read_only_operations(spec)
        return operations, "\n".join(message for _, message in warnings)
    except InvalidConfig as error:
        return [], error.message


@pytest.mark.parametrize("user", [False, True], ids=["root", "user namespace"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", OPTIONS)
def test_no_option_is_lost(option: str, kind: str, user: bool) -> None:
    """With the option the operations differ, or a message has its name."""
    present: Any = KINDS[kind].get("options", ())
    if option in present or (option in ("bind", "rbind") and kind in ("rbind", "remount,bind")) or option in NEVER:
        return
    if kind in ("new", "proc", "cgroup") and option in NEW_ALREADY:
        return
    if kind == "cgroup" and option[0] == "r" and option[1:] in NEW_ALREADY:
        return
    if kind == "cgroup" and option in ("ro", "rro") and user:  # the host's are, in a user namespace
        return
    without, _ = planned(kind, user=user)
    operations, message = planned(kind, option, user=user)
    assert operations != without or f'"{option}"' in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", NOTHING)
def test_what_asks_for_nothing(option: str, kind: str) -> None:
    """Notes to other programs change nothing and need no message."""
    assert planned(kind, option) == planned(kind)


@pytest.mark.parametrize("option", ["copy", "nocopy"])
def test_words_of_a_manager(option: str) -> None:
    """Podman leaves copy and nocopy in a volume's bind; on another mount they are the file system's."""
    assert planned("rbind", option) == planned("rbind")
    assert planned("new", option) != planned("new")


@pytest.mark.parametrize("option", ["hidepid=2", "sync"])
def test_what_a_copy_of_the_hosts_would_lose(option: str) -> None:
    """A file system with its own options is never replaced by a bind of the host's, which lacks them."""
    flags = [planned("proc", *options, user=True)[0][0][3][4] for options in ((), (option,))]
    assert flags[0] & ops.MOUNT_HOST_COPY
    assert not flags[1] & ops.MOUNT_HOST_COPY
