"""`features`: each thing that it claims is tried. What is claimed and does not work, or works and is not claimed, fails.

Its seccomp section is tried in test_seccomp_properties.py and tests/runtime/commands/test_features.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oci_spec import check
from runtime.plan import mount_options
from tests.integration.bundle import Config
from tests.integration.caller import Caller
from tests.integration.test_hooks import KINDS, Hooks
from tests.integration.test_mounts import bind, mount
from tests.integration.test_namespaces import IDS, add, inode
from tests.oci_spec import reference

pytestmark = pytest.mark.not_on("runc", "crun", reason="it is this runtime's document")

HEADER = Path("/usr/include/linux/capability.h")


@pytest.fixture
def features(runtime: Caller) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(runtime.call("features").ok().out)
    return document


def test_the_document(runtime: Caller, features: dict[str, Any]) -> None:
    """It follows the schemas, says something about every property of ours, and no list names a thing twice."""
    data = json.dumps(features).encode()
    # features-linux.md has them, the schema of 1.3 does not yet.
    later = {"/linux/memoryPolicy", "/linux/intelRdt/schemata", "/linux/intelRdt/monitoring"}
    assert {problem.pointer for problem in check(data, "features")} <= later
    if (reference.REFERENCE / "config-schema.json").exists():
        assert list(reference.official_validator("features").iter_errors(features)) == []
    schema = json.loads((Path(__file__).parents[2] / "oci_spec/schema/features.json").read_text())
    pairs = [(schema, features, "")]
    while pairs:
        node, value, at = pairs.pop()
        for name, below in node.get("properties", {}).items():
            assert name in value, f"{at}/{name}"
            pairs.append((below, value[name], f"{at}/{name}"))
        if isinstance(value, list):
            assert len(set(value)) == len(value), at


def test_versions(runtime: Caller, features: dict[str, Any]) -> None:
    """The oldest and the newest version run without a word; whatever is newer is warned about."""
    for version in (features["ociVersionMin"], features["ociVersionMax"]):
        assert runtime.run(runtime.bundle({"ociVersion": version})).ok().err == ""
    major, minor, patch = features["ociVersionMax"].split(".")
    assert runtime.run(runtime.bundle({"ociVersion": f"{major}.{int(minor) + 1}.{patch}"})).err != ""


def test_hooks(runtime: Caller, features: dict[str, Any]) -> None:
    """The hooks that are claimed are the six of the spec, and run."""
    hooks = Hooks(runtime)
    for kind in features["hooks"]:
        hooks.add(kind)
    runtime.run(hooks.bundle.save()).ok()
    assert hooks.kinds() == features["hooks"] == list(KINDS)


# Mount options: where each shows itself. Kernels ignore mand, iversion and silent for a tmpfs: they are only taken.

SHOWN = ("ro", "rw", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "nosymfollow")
HIDES = {
    "suid": "nosuid",
    "dev": "nodev",
    "exec": "noexec",
    "atime": "noatime",
    "diratime": "nodiratime",
    "symfollow": "nosymfollow",
    "strictatime": "relatime",
    "norelatime": "noatime",
}
SUPER = ("sync", "dirsync", "lazytime")
TAKEN = ("mand", "nomand", "iversion", "noiversion", "silent", "loud", "async", "nolazytime", "defaults")
PROPAGATION = {"shared": "shared:", "slave": "", "private": "", "unbindable": "unbindable"}
WORDS = ("bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap", *mount_options.LINKS)


class Mountinfo:
    """A container's mount table: flags, propagation and options of the file system of the last mount on a path."""

    def __init__(self, text: str) -> None:
        self.rows = [line.split() for line in text.splitlines() if " - " in line]

    def _row(self, path: str) -> list[str]:
        return [row for row in self.rows if row[4] == path][-1]

    def flags(self, path: str) -> set[str]:
        return set(self._row(path)[5].split(","))

    def propagation(self, path: str) -> str:
        row = self._row(path)
        return " ".join(row[6 : row.index("-")])

    def super_options(self, path: str) -> set[str]:
        return set(self._row(path)[-1].split(","))


def wrong_flag(option: str, table: Mountinfo, path: str) -> bool:
    name = "relatime" if option == "nostrictatime" else option
    if name in SHOWN:
        return name not in table.flags(path)
    return HIDES[name] in table.flags(path)


def test_plain_mount_options(runtime: Caller, features: dict[str, Any]) -> None:
    """Each flag is set or cleared on a mount of its own, each option of a superblock is the file system's."""
    names = [name for name in features["mountOptions"] if name not in WORDS and not is_recursive(name)]
    bundle = runtime.shell("cat /proc/self/mountinfo")
    for name in names:
        # What an option clears is set before it, so that clearing shows.
        before = [HIDES[name]] if HIDES.get(name) in ("nosuid", "nodev", "noexec", "nodiratime", "nosymfollow") else []
        bundle.config["mounts"].append(mount(f"/m/{name}", "tmpfs", "tmpfs", *before, name))
    result = runtime.run(bundle.save()).ok()
    assert result.err == ""
    table, wrong = Mountinfo(result.out), []
    for name in names:
        path = f"/m/{name}"
        if name in PROPAGATION:
            bad = not table.propagation(path).startswith(PROPAGATION[name])
            bad |= not PROPAGATION[name] and table.propagation(path) != ""
        elif name.removeprefix("r") in SUPER:
            bad = name.removeprefix("r") not in table.super_options(path)
        elif name in TAKEN or name[1:] in TAKEN:
            bad = path not in [row[4] for row in table.rows]
        else:
            bad = wrong_flag(name, table, path)
        wrong += [name] if bad else []
    assert wrong == []


def is_recursive(name: str) -> bool:
    """Whether it is the form of another option for a whole tree of mounts. A file system has one form of its own."""
    kind = mount_options.OPTIONS.get(name[1:], (None,))[0]
    return name[0] == "r" and kind in (mount_options.ATTRIBUTE, mount_options.PROPAGATION)


@contextmanager
def tree_of_mounts(path: Path) -> Iterator[Path]:
    """A directory with a tmpfs mounted below it, on the host."""
    (path / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path / "below"], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path / "below"], check=True)


def test_recursive_mount_options(runtime: Caller, features: dict[str, Any]) -> None:
    """Each flag for a whole tree is there on what is mounted below as well."""
    names = [name for name in features["mountOptions"] if is_recursive(name)]
    assert names
    bundle = runtime.shell("cat /proc/self/mountinfo")
    with tree_of_mounts(runtime.directory / "tree") as source:
        for name in names:
            before = [f"r{HIDES[name[1:]]}"] if name[1:] in ("suid", "dev", "exec", "diratime", "symfollow") else []
            options = {"options": ["rbind", *before, name]}
            bundle.config["mounts"].append({**bind(f"/m/{name}", source), **options})
        result = runtime.run(bundle.save()).ok()
    assert result.err == ""
    table, wrong = Mountinfo(result.out), []
    for name in names:
        for path in (f"/m/{name}", f"/m/{name}/below"):
            kind = PROPAGATION.get(name[1:])
            bad = wrong_flag(name[1:], table, path) if kind is None else not table.propagation(path).startswith(kind)
            wrong += [path] if bad else []
    assert wrong == []


def test_words_among_mount_options(runtime: Caller, features: dict[str, Any]) -> None:
    """bind and rbind bring a directory without and with what is mounted in it, remount changes a mount, tmpcopyup copies."""
    assert {"bind", "rbind", "remount", "tmpcopyup", *mount_options.LINKS} <= set(features["mountOptions"])
    bundle = runtime.shell("ls /bind/below /rbind/below; touch /bind/new || echo ro; cat /copied/file")
    bundle.write("/copied/file", "copied\n")
    with tree_of_mounts(runtime.directory / "tree") as source:
        (source / "below/file").touch()
        bundle.config["mounts"] += [
            bind("/bind", source),
            {**bind("/rbind", source), "options": ["rbind"]},
            {**bind("/bind", source), "options": ["bind", "remount", "ro"]},
            mount("/copied", "tmpfs", "tmpfs", "tmpcopyup"),
        ]
        out = runtime.run(bundle.save()).ok().out
    assert out.split() == ["/bind/below:", "/rbind/below:", "file", "ro", "copied"]


def test_idmapped_mounts(runtime: Caller, features: dict[str, Any]) -> None:
    """idmap and ridmap show a file as owned by whom the mappings say, where they are claimed; else they are refused."""
    claimed = features["linux"]["mountExtensions"]["idmap"]["enabled"]
    assert ({"idmap", "ridmap"} <= set(features["mountOptions"])) is claimed
    source = runtime.directory / "source"
    source.mkdir()
    (source / "file").touch()
    os.chown(source / "file", 5, 6)
    for option in ("idmap", "ridmap"):
        bundle = add(runtime.shell("stat -c '%u %g' /x/file"), "user")
        (bundle.rootfs / "x").mkdir()  # the mapped root may not make it in the host root's directory
        bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
        row = {**bind("/x", source), "options": ["rbind", option], "uidMappings": IDS, "gidMappings": IDS}
        bundle.config["mounts"].append(row)
        result = runtime.run(bundle.save())
        if claimed:
            assert result.ok().out == "5 6\n"
        else:
            assert "not supported" in result.failed(1).err


# Namespaces and capabilities


def test_namespaces(runtime: Caller, features: dict[str, Any]) -> None:
    """Each that is claimed can be made: the container's differs from the host's. They are all that the spec has."""
    kinds = features["linux"]["namespaces"]
    assert set(kinds) == {"pid", "network", "ipc", "uts", "mount", "user", "cgroup", "time"}
    bundle = runtime.bundle()
    for kind in kinds:
        add(bundle, kind)
    bundle.linux.update(uidMappings=IDS, gidMappings=IDS)
    pid = runtime.pid(runtime.create(bundle.save()))
    assert [kind for kind in kinds if inode(pid, kind) == inode("self", kind)] == []


def test_capabilities(runtime: Caller, features: dict[str, Any]) -> None:
    """The names are the kernel's, and each that this machine can grant is granted as its own bit."""
    names = features["linux"]["capabilities"]
    if HEADER.exists():
        pairs = re.findall(r"^#define\s+(CAP_[A-Z_]+)\s+(\d+)$", HEADER.read_text(), re.M)
        numbers = {name: int(number) for name, number in pairs}
        assert numbers == {name: names.index(name) for name in names}
    assert len(names) > int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    available = int(Path("/proc/self/status").read_text().split("CapBnd:\t")[1].split()[0], 16)
    granted = [name for bit, name in enumerate(names) if available >> bit & 1]
    sets = {"bounding": granted, "permitted": granted[:1], "effective": granted[:1]}
    bundle = runtime.bundle({"process": {"capabilities": sets}})
    status = Path(f"/proc/{runtime.pid(runtime.create(bundle))}/status").read_text()
    assert int(status.split("CapBnd:\t")[1].split()[0], 16) == available
    assert int(status.split("CapPrm:\t")[1].split()[0], 16) == 1 << names.index(granted[0])


# cgroups and the rest


def test_cgroups(runtime: Caller, features: dict[str, Any]) -> None:
    """A limit works on the versions that this machine has; systemd is claimed where --systemd-cgroup is taken."""
    claimed = features["linux"]["cgroup"]
    id = runtime.create(runtime.bundle({"linux": {"resources": {"pids": {"limit": 7}}}}))
    lines = Path(f"/proc/{runtime.pid(id)}/cgroup").read_text().splitlines()
    with_pids = next(
        (line for line in lines if "pids" in line.split(":")[1]),
        next((line for line in lines if line[:3] == "0::"), ""),
    )
    assert claimed["v2" if with_pids.startswith("0::") else "v1"] is True
    bundle = runtime.bundle({"linux": {"cgroupsPath": f"system.slice:features:{runtime.token}"}})
    id = runtime.new_id()
    done = runtime.call("--systemd-cgroup", "create", "--bundle", bundle.directory, id)
    assert (done.code == 0 or "reach systemd through" in done.err) is claimed["systemd"]
    runtime.remove(id)
    assert claimed["systemd"] or not claimed["systemdUser"]


# How numa_maps shows a policy.
POLICIES = {
    "MPOL_DEFAULT": "default",
    "MPOL_BIND": "bind:0",
    "MPOL_INTERLEAVE": "interleave:0",
    "MPOL_WEIGHTED_INTERLEAVE": "weighted interleave:0",
    "MPOL_PREFERRED": "prefer:0",
    "MPOL_PREFERRED_MANY": "prefer (many):0",
    "MPOL_LOCAL": "local",
    "MPOL_F_NUMA_BALANCING": "bind=balancing:0",
    "MPOL_F_RELATIVE_NODES": "bind=relative:0",
    "MPOL_F_STATIC_NODES": "bind=static:0",
}


def test_memory_policies(runtime: Caller, features: dict[str, Any]) -> None:
    """Each mode, and each flag with MPOL_BIND, is the policy of the program, unless the kernel is older than it."""
    claimed = features["linux"]["memoryPolicy"]
    assert {*claimed["modes"], *claimed["flags"]} == set(POLICIES)
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("the kernel has no memory policies")
    for name in (*claimed["modes"], *claimed["flags"]):
        mode = {"mode": "MPOL_BIND", "flags": [name]} if name in claimed["flags"] else {"mode": name}
        nodes = {} if name in ("MPOL_DEFAULT", "MPOL_LOCAL") else {"nodes": "0"}
        result = runtime.run(
            runtime.shell("head -n 1 /proc/self/numa_maps", {"linux": {"memoryPolicy": {**mode, **nodes}}})
        )
        if result.code and name == "MPOL_WEIGHTED_INTERLEAVE" and "set_mempolicy: invalid argument" in result.err:
            continue  # Linux 6.9
        assert f" {POLICIES[name]} " in result.ok().out, name


RARE: tuple[tuple[str, Config], ...] = (
    ("apparmor", {"process": {"apparmorProfile": "no-such-profile"}}),
    ("selinux", {"process": {"selinuxLabel": "system_u:system_r:container_t:s0"}}),
    ("intelRdt", {"linux": {"intelRdt": {"closID": "one"}}}),
    ("netDevices", {"linux": {"netDevices": {"no-such-device": {}}}}),
)


@pytest.mark.parametrize(("name", "change"), RARE, ids=[name for name, _ in RARE])
def test_enabled(runtime: Caller, features: dict[str, Any], name: str, change: Config) -> None:
    """What is claimed fails here for the machine's reasons only, what is not is refused as not supported."""
    result = runtime.run(runtime.bundle(change))
    refused = result.code != 0 and "not supported by this version" in result.err
    assert refused is not features["linux"][name]["enabled"], result.err


# Annotations of a config that this or another runtime knows. What each would do here is seen in test_annotations.
KNOWN_ANNOTATIONS = {
    "run.oci.hooks.stdout": "{log}",
    "run.oci.hooks.stderr": "{log}",
    "run.oci.seccomp.receiver": "{log}",
    "run.oci.keep_original_groups": "1",
    "run.oci.seccomp_fail_unknown_syscall": "1",
    "run.oci.seccomp.plugins": "{log}",
    "run.oci.seccomp_bpf_data": "AAAA",
    "run.oci.pidfd_receiver": "{log}",
    "run.oci.mount_context_type": "othercontext",
    "run.oci.systemd.force_cgroup_v1": "/proc",
    "run.oci.delegate-cgroup": "payload",
    "run.oci.timens_offset": "monotonic 1 0",
    "run.oci.handler": "wasm",
    "module.wasm.image/variant": "compat",
    "org.criu.config": "{log}",
    "bundle": "/elsewhere",
}
# Of checkpoint and restore: tests/integration/test_checkpoint_flags.py::test_the_configuration_file.
OF_CRIU = {"org.criu.config"}


def test_the_build(features: dict[str, Any]) -> None:
    """The build is named."""
    for name in ("io.github.ocirun.version", "io.github.seccomp.libseccomp.version"):
        assert re.fullmatch(r"\d+\.\d+.*", features["annotations"][name])
    assert features["annotations"]["run.oci.crun.wasm"] == "false"


@pytest.mark.parametrize("key", KNOWN_ANNOTATIONS)
def test_annotations(runtime: Caller, features: dict[str, Any], key: str) -> None:
    """An annotation of a config is listed as unsafe when it changes anything, and only then."""
    log = runtime.directory / "annotated"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "cat >/dev/null; echo from hook"], "env": ["PATH=/bin:/usr/bin"]}
    unknown = {"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}
    change = {
        "annotations": {key: KNOWN_ANNOTATIONS[key].format(log=log)},
        "hooks": {"createRuntime": [hook]},
        "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [unknown]}},
    }
    script = "ls -d /proc/self >/dev/null; id -G"
    result = runtime.run(runtime.shell(script, change), preexec_fn=lambda: os.setgroups([4242]))
    noticed = "/annotations/" in result.err or "/proc" in result.err
    seen = (result.code, result.out.splitlines()[-1:], log.exists(), noticed)
    as_without = seen == (0, ["0"], False, False)
    assert (as_without and key not in OF_CRIU) is not (key in features["potentiallyUnsafeConfigAnnotations"])
