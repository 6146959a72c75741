"""runtime.plan.identity and capabilities: from entering the root to execve."""

import pytest
from hypothesis import HealthCheck, given, settings

from runtime.plan import capabilities, identity, join, ops, plan, rootfs
from tests.runtime.plan import configs, machines
from tests.runtime.plan.test_plan import ordered, positions

QUICK = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
ORDER = (
    "pivot",
    ("stdio", "keyring", "cwd", "umask"),
    "keep_descriptors",
    "no_new_privs",
    "bounding",
    "user",
    "capabilities",
    "program",
    "created",
    "wait_start",
    "place_descriptors",
    "seccomp",
    "exec",
)
SYS_ADMIN = 1 << 21
CHOWN, KILL = 1, 1 << 5


def made(facts=None, options=None, seccomp=False, **process):
    spec = machines.spec_with(**({"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}} if seccomp else {}))
    spec["process"].update(process)
    return plan(spec, machines.facts(spec, **(facts or {})), machines.options(spec, **(options or {})))


def row(operations, name):
    """The only operation of a name."""
    (operation,) = [op for op in operations if ops.TABLE[op[0]][0] == name]
    return operation


@QUICK
@given(configs.CONFIGS, configs.FACTS)
def test_order_for_any_config(spec, facts):
    """The kernel's order of identity changes holds, and nothing comes between the filter and execve."""
    operations = machines.planned(spec, **facts)
    assert ordered(operations, *ORDER)
    names = machines.names(operations)
    ending = ["place_descriptors", *(["seccomp"] if "seccomp" in names else []), "exec"]
    assert names[-len(ending) :] == ending
    assert ordered(operations, "rlimit", "user")


@QUICK
@given(configs.process(), configs.FACTS)
def test_order_of_exec_for_any_process(process, facts):
    """exec has the same order, without hooks or a wait for start."""
    everything = {"capabilities": machines.ALL_CAPABILITIES, "placement": ["/c/tasks"], "join": 0x20000000, **facts}
    operations, _ = join.plan(process, everything, {"id": "one", "preserve_fds": 2, "seccomp": (bytes(8), 0, "", "")})
    assert ordered(
        operations, "open_cgroup", "join_process", "fork", "enter_cgroups", "setsid", "enter_root", *ORDER[1:]
    )
    assert positions(operations, "wait_start", "pivot", "run_hook", "cgroups") == []
    assert row(operations, "keep_descriptors")[3] == (2, 0)


def test_starthooks_run_between_the_go_and_the_descriptors():
    """Init loads its own filter after the hooks, so that a profile need not allow starting one."""
    spec = machines.spec_with(seccomp={"defaultAction": "SCMP_ACT_ALLOW"})
    spec["hooks"] = {"startContainer": [{"path": "/bin/hook"}]}
    assert ordered(machines.planned(spec), "wait_start", "run_hook", "place_descriptors", "seccomp", "exec")


@pytest.mark.parametrize("filter", [None, (b"\0" * 8, 0, "", ""), (b"\0" * 8, identity.NEW_LISTENER, "/agent", "")])
def test_start_hooks_are_filtered_as_the_program_is(filter):
    """Under a notifying filter, a warning says what becomes of the hooks' notifications."""
    warnings = []
    operations = rootfs.start_hooks({"startContainer": [{"path": "/bin/hook"}]}, filter, warnings)
    assert [bool(operation[3][3]) for operation in operations] == [filter is not None]
    assert [pointer for pointer, _ in warnings] == ["/hooks/startContainer"] * bool(filter and filter[1])
    assert rootfs.start_hooks({}, filter, []) == []


@pytest.mark.parametrize("no_new_privs", [True, False])
def test_sys_admin_stays_for_the_filter(no_new_privs):
    """Without noNewPrivileges, CAP_SYS_ADMIN stays permitted and effective until the load; execve recomputes both."""
    operations, _ = made(seccomp=True, noNewPrivileges=no_new_privs, capabilities={})
    assert row(operations, "capabilities")[3] == (0 if no_new_privs else SYS_ADMIN,) * 2 + (0, 0)
    assert (positions(operations, "no_new_privs") != []) == no_new_privs
    plain, _ = made(noNewPrivileges=no_new_privs, capabilities={})
    assert row(plain, "capabilities")[3] == (0, 0, 0, 0)


def test_what_cannot_be_granted_is_left_out_with_one_warning():
    """Unknown capabilities, and those the runtime lacks, are left out of every set and named once."""
    sets = {kind: ["CAP_CHOWN", "CAP_NEW", "CAP_SYS_RESOURCE"] for kind in capabilities.SETS}
    operations, warnings = made(facts={"capabilities": ~machines.SYS_RESOURCE}, capabilities=sets)
    assert warnings == [("/process/capabilities", "cannot be granted, left out: CAP_NEW, CAP_SYS_RESOURCE")]
    assert row(operations, "bounding")[3] == (CHOWN,)
    assert row(operations, "capabilities")[3] == (CHOWN,) * 4


def test_sets_that_the_kernel_would_refuse_are_cut():
    """Effective lies within permitted; ambient within permitted and inheritable."""
    sets = {"effective": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]}
    assert row(made(capabilities=sets)[0], "capabilities")[3] == (CHOWN, CHOWN, 0, 0)
    sets["inheritable"] = ["CAP_CHOWN", "CAP_KILL"]
    assert row(made(capabilities=sets)[0], "capabilities")[3] == (CHOWN, CHOWN, CHOWN | KILL, CHOWN)


def test_capability_bits():
    """The names are in the kernel's order."""
    assert capabilities.BITS["CAP_CHOWN"] == 1
    assert capabilities.BITS["CAP_SYS_ADMIN"] == SYS_ADMIN
    assert capabilities.BITS["CAP_CHECKPOINT_RESTORE"] == 1 << 40
    assert len(capabilities.NAMES) == 41


def test_rlimit_numbers():
    """RLIMITS is in the order of the kernel's numbers."""
    import resource

    for number, name in enumerate(identity.RLIMITS):
        assert getattr(resource, name, number) == number


@pytest.mark.parametrize(("user", "privileged", "side"), [(False, True, 1), (True, True, 0), (True, False, 1)])
def test_who_sets_limits(user, privileged, side):
    """Raising a hard limit fails inside a user namespace, so a privileged parent does it."""
    maps = [{"containerID": 0, "hostID": 1000, "size": 10}]
    linux = {"namespaces": [{"type": "user"}], "uidMappings": maps, "gidMappings": maps} if user else {}
    spec = machines.spec_with(**linux)
    operation = row(machines.planned(spec, privileged=privileged), "rlimit")
    assert (operation[1], operation[2], operation[3]) == (side, "/process/rlimits/0", (7, 1024, 1024))


@pytest.mark.parametrize(
    ("wanted", "denied", "groups", "set_groups"), [([], False, [], 1), ([], True, None, 0), ([3], True, ["3"], 1)]
)
def test_groups(wanted, denied, groups, set_groups):
    """Supplementary groups are the config's; if setgroups is denied and none are given, it is not called."""
    operations, _ = made(facts={"deny_setgroups": denied}, user={"uid": 1, "gid": 2, "additionalGids": wanted})
    assert row(operations, "user")[3:] == ((1, 2, set_groups), (groups,))


@pytest.mark.parametrize(
    ("env", "path", "home"),
    [
        ([], identity.DEFAULT_PATH, 1),
        (["PATH=/a", "HOME=/h", "PATH=/b"], "/b", 0),
        (["PATH="], "", 1),
        (["HOME="], identity.DEFAULT_PATH, 1),
        (["HOME=/h", "HOME="], identity.DEFAULT_PATH, 1),
    ],
)
def test_environment(env, path, home):
    """The last PATH is searched, even an empty one; a missing or empty HOME comes from the container's passwd."""
    operation = row(made(env=env)[0], "program")
    assert (operation[4][2], operation[3][1]) == (path, home)


def test_variables_that_are_given_twice():
    """A repeated variable is kept once, with its last value."""
    operation = row(made(env=["A=1", "B=1", "A=2", "HOME=", "B=", "A=3=4"])[0], "program")
    assert sorted(operation[4][1]) == ["A=3=4", "B="]


def test_what_the_runtime_adds_to_the_environment():
    """The runtime's environment comes after the config's."""
    operations, _ = made(options={"environment": ["LISTEN_PID=1"]}, env=["A=b"])
    assert row(operations, "program")[4][1] == ["A=b", "LISTEN_PID=1"]


def test_umask_is_022_unless_given():
    """The default umask is runc's; the origin is the config only if it sets one."""
    assert row(made()[0], "umask")[2:4] == (None, (0o022,))
    user = {"uid": 0, "gid": 0, "umask": 0}
    assert row(made(user=user)[0], "umask")[2:4] == ("/process/user/umask", (0,))


def test_capabilities_that_are_not_given_are_none():
    """Without the section every set is empty, with no origin in the config."""
    spec = machines.spec_with()
    del spec["process"]["capabilities"]
    operations = machines.planned(spec)
    assert row(operations, "bounding")[2:4] == (None, (0,))
    assert row(operations, "capabilities")[2:4] == (None, (0, 0, 0, 0))


def test_a_terminal_takes_the_place_of_standard_streams():
    """With a terminal, the caller's streams keep their owner."""
    operations, _ = made(terminal=True, consoleSize={"height": 24, "width": 80}, user={"uid": 7, "gid": 0})
    assert positions(operations, "stdio") == []
    assert row(operations, "console")[3] == (80, 24, 1, 7)


def test_descriptors():
    """The requested descriptors reach the program; the start channel is kept until then."""
    operations, _ = made(options={"preserve_fds": 3})
    assert row(operations, "keep_descriptors")[3] == (3, 1)
    assert row(operations, "place_descriptors")[3] == (3,)


def test_no_new_keyring():
    """--no-new-keyring leaves the caller's session keyring."""
    assert row(made()[0], "keyring")[4] == ("_ses.one",)
    assert positions(made(options={"no_new_keyring": True})[0], "keyring") == []


def test_the_filter_is_loaded_as_compiled():
    """The filter is loaded with its flags, right before execve; without a profile there is none."""
    operations, _ = made(options={"seccomp": (b"12345678", 2, "", "")})
    assert row(operations, "seccomp")[2:] == ("/linux/seccomp", (2,), (b"12345678",))
    assert machines.names(operations)[-2:] == ["seccomp", "exec"]
    assert positions(made()[0], "seccomp") == []
    operations, _ = made(options={"seccomp": (b"12345678", 8 | 2, "/run/agent", "words")})
    assert row(operations, "seccomp_notify")[2:] == ("/linux/seccomp", (10,), (b"12345678", "/run/agent", "words"))
    assert machines.names(operations)[-2:] == ["seccomp_notify", "exec"]
