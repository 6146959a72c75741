"""runtime.plan.plan: what every kept config becomes, and the order that the kernel requires (the goldens show the rest).

`pytest tests/runtime/plan/test_plan.py --write-goldens` writes tests/golden anew; git shows what changed.
"""

import itertools
from pathlib import Path

import pytest

from oci_spec.default import default
from runtime.errors import InvalidConfig
from runtime.plan import join, ops, plan
from tests.integration import adapt
from tests.runtime.plan import golden, machines

GOLDEN = Path(__file__).parents[2] / "golden"
CLONE_NEWPID, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWCGROUP = 0x20000000, 0x20000, 0x10000000, 0x2000000
MOUNTS = {"mount", "bind", "remount", "symlink", "device", "device_bind"}
NAMES = adapt.names()
HOSTS = sorted(machines.HOSTS)


def compare(name, text, write):
    file = GOLDEN / f"{name}.txt"
    if write:
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text)
    assert file.read_text() == text


@pytest.fixture
def write(request):
    return request.config.getoption("--write-goldens")


def spec_named(name):
    return default() if name == "spec" else adapt.load(name)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", [*NAMES, "spec"])
def test_golden(name, host, write):
    """The operations of a config on a host, to the byte."""
    spec = spec_named(name)
    compare(f"{name}.{host}", golden.text(*plan(spec, machines.facts(spec, host), machines.options(spec))), write)


def test_golden_of_exec(write):
    """The operations of exec, as Podman calls it."""
    process = adapt.load("podman-exec-process")
    facts = {"privileged": True, "capabilities": machines.ALL_CAPABILITIES, "deny_setgroups": False}
    facts |= {"placement": ["/sys/fs/cgroup/one/cgroup.procs"], "join": CLONE_NEWPID | CLONE_NEWNS}
    options = {"id": "one", "no_new_keyring": True, "preserve_fds": 0}
    compare("podman-exec-process", golden.text(*join.plan(process, facts, options)), write)
    waited = join.plan(process, {**facts, "admitted": True}, options)[0]
    codes = [operation[0] for operation in waited]
    assert codes.index(ops.OP_CGROUPS) < codes.index(ops.OP_OPEN_CGROUP)  # the host's side has moved it by then


def attributes():
    """A config with every rare attribute of a process."""
    spec = machines.spec_with(
        personality={"domain": "LINUX32"},
        memoryPolicy={"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]},
        intelRdt={"closID": "class", "l3CacheSchema": "L3:0=ff", "enableMonitoring": True},
        mountLabel="system_u:object_r:container_file_t:s0:c1,c2",
    )
    spec["process"] |= {
        "apparmorProfile": "box",
        "selinuxLabel": "system_u:system_r:container_t:s0:c1,c2",
        "scheduler": {"policy": "SCHED_RR", "priority": 9, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6},
        "execCPUAffinity": {"initial": "0", "final": "0-1"},
    }
    return spec


@pytest.mark.proves("/process/apparmorProfile")
@pytest.mark.proves("/process/selinuxLabel")
@pytest.mark.proves("/linux/mountLabel")
@pytest.mark.proves("/linux/intelRdt")
@pytest.mark.parametrize("host", HOSTS)
def test_golden_of_attributes(host, write):
    """Labels, scheduling, NUMA policy, personality, resctrl."""
    spec = attributes()
    compare(f"attributes.{host}", golden.text(*plan(spec, machines.facts(spec, host), machines.options(spec))), write)


def test_golden_of_exec_with_attributes(write):
    """The same for exec, in the same container."""
    spec = attributes()
    facts = {"privileged": True, "capabilities": machines.ALL_CAPABILITIES, "deny_setgroups": False}
    facts |= {"placement": ["/sys/fs/cgroup/one/cgroup.procs"], "join": CLONE_NEWPID | CLONE_NEWNS}
    facts["resctrl"] = machines.facts(spec)["resctrl"]
    options = {"id": "one", "no_new_keyring": False, "preserve_fds": 0, "linux": spec["linux"]}
    compare("attributes-exec", golden.text(*join.plan(spec["process"], facts, options)), write)


def test_no_golden_is_left_over():
    """tests/golden holds a file for each plan above and no other."""
    names = {f"{name}.{host}" for name in [*NAMES, "spec", "attributes"] for host in HOSTS}
    names |= {"podman-exec-process", "attributes-exec"}
    assert {file.stem for file in GOLDEN.iterdir()} == names


@pytest.fixture(params=[(name, host) for name in [*NAMES, "spec", "everything"] for host in HOSTS], ids="-".join)
def operations(request):
    """The plan of every config on every host."""
    name, host = request.param
    return machines.planned(everything() if name == "everything" else spec_named(name), host)


def everything():
    """A config with every namespace new and every kind of hook, filter and setting."""
    spec = machines.spec_with(
        namespaces=[{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup", "time", "user")],
        uidMappings=[{"containerID": 0, "hostID": 1000, "size": 10}],
        gidMappings=[{"containerID": 0, "hostID": 1000, "size": 10}],
        timeOffsets={"monotonic": {"secs": 1}},
        sysctl={"net.ipv4.ip_forward": "1"},
        seccomp={"defaultAction": "SCMP_ACT_ALLOW"},
        rootfsPropagation="rslave",
        devices=[{"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229}],
    )
    hooks = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    spec["hooks"] = {kind: [{"path": "/bin/hook"}] for kind in hooks}
    spec["process"]["oomScoreAdj"] = 100
    spec["mounts"].append({"destination": "/m", "source": "/src", "options": ["bind"]})
    return spec


def positions(operations, *wanted):
    return [i for i, name in enumerate(machines.names(operations)) if name in wanted]


def ordered(operations, *groups):
    """All operations of a group come before those of the next; a group is one or several names."""
    at = [positions(operations, *((group,) if isinstance(group, str) else group)) for group in groups]
    at = [group for group in at if group]
    return all(max(before) < min(after) for before, after in itertools.pairwise(at))


def test_hooks_run_when_every_mount_is_in_place(operations):
    """prestart and createRuntime, then createContainer, after the mounts and before the root is entered."""
    assert ordered(operations, MOUNTS - {"remount"}, "hooks", "state_document", "pivot")
    kinds = [op[4][0] for op in operations if op[0] == ops.OP_HOOKS]
    assert kinds == sorted(kinds, key=["prestart", "createRuntime"].index)


def test_init_runs_createcontainer_before_the_pivot_and_startcontainer_after_the_go():
    """Each hook of init runs at its point of the lifecycle, after init has the state."""
    plan = machines.planned(everything())
    create, start = positions(plan, "run_hook")
    (state,) = positions(plan, "state_document")
    (pivot,) = positions(plan, "pivot")
    (wait,) = positions(plan, "wait_start")
    assert state < create < pivot < wait < start


def test_names_and_sysctls_come_after_the_hooks_that_make_the_interfaces(operations):
    """Masks come after everything that is made below the root."""
    assert ordered(operations, "hooks", ("hostname", "domainname", "sysctl"), "pivot")
    assert ordered(operations, MOUNTS - {"remount"}, ("mask", "readonly"))


def test_the_root_is_attached_before_anything_is_mounted_on_it(operations):
    """The root is attached before other mounts (Linux 6.1 cannot mount on a detached one), after propagation is cut."""
    assert ordered(operations, "propagation", "root", MOUNTS, "pivot")
    assert ordered(operations, "root", "proc_handle", "sysctl", "pivot")


def test_the_root_becomes_read_only_last(operations):
    """The root becomes read-only after the working directory is made."""
    assert ordered(operations, "pivot", "cwd", "root_readonly", "program")


def test_no_pivot_moves():
    """--no-pivot moves the root; without a mount namespace there is only chroot, and nothing is mounted."""
    spec = machines.spec_with()
    moved, _ = plan(spec, machines.facts(spec), machines.options(spec, no_pivot=True))
    assert [op[3] for op in moved if op[0] == ops.OP_PIVOT] == [(1,)]
    spec["linux"]["namespaces"] = []
    chroot = machines.planned(spec)
    assert [op[3] for op in chroot if op[0] == ops.OP_PIVOT] == [(2,)]
    assert positions(chroot, *MOUNTS, "mask", "readonly", "fork", "unshare", "propagation", "root_propagation") == []


def test_run_does_not_wait_for_start():
    """run has the same plan without the wait and without keeping its listener."""
    spec = machines.spec_with()
    create, _ = plan(spec, machines.facts(spec), machines.options(spec))
    run, _ = plan(spec, machines.facts(spec), machines.options(spec, wait_start=False))
    kept = ops.OP_KEEP_DESCRIPTORS
    assert [op for op in create if op[0] not in (ops.OP_WAIT_START, kept)] == [op for op in run if op[0] != kept]


def test_a_plan_leaves_its_config_alone(operations):
    """Planning twice gives the same plan: it does not change the config."""
    spec = everything()
    before = repr(spec)
    assert machines.planned(spec) == machines.planned(spec)
    assert repr(spec) == before


@pytest.mark.parametrize("destination", ["/proc/sys", "/./proc//self", "/a/../proc/kcore", "/proc/../proc/net"])
def test_nothing_is_mounted_inside_proc(destination):
    """A mount inside /proc is refused however the path is written (CVE-2019-16884, CVE-2019-19921)."""
    spec = machines.spec_with()
    spec["mounts"].append({"destination": destination, "source": "/src", "options": ["bind"]})
    with pytest.raises(InvalidConfig, match="inside /proc") as caught:
        machines.planned(spec)
    assert caught.value.pointer == f"/mounts/{len(spec['mounts']) - 1}/destination"


@pytest.mark.parametrize("destination", ["/proc", "/proc/cpuinfo", "/process", "/proc/a/../uptime", "/proc/.."])
def test_what_may_be_mounted_near_proc(destination):
    """/proc itself, files that emulations replace, and names that only look like it are allowed; the root, later, is not."""
    spec = machines.spec_with()
    spec["mounts"].append({"destination": destination, "source": "/src", "options": ["bind"]})
    if destination == "/proc/..":
        with pytest.raises(InvalidConfig, match="cover the container's root"):
            machines.planned(spec)
    else:
        assert machines.planned(spec)
