"""runtime.plan.attributes: the operations that few configs need, and their order in the plan."""

import pytest

from runtime.errors import InvalidConfig
from runtime.plan import attributes, join, ops, plan
from runtime.plan.explain import sentence
from runtime.plan.failures import failure
from tests.runtime.plan import machines

LABEL = "system_u:system_r:container_t:s0:c1,c2"
CONTEXT = "system_u:object_r:container_file_t:s0:c1,c2"
EPERM, ENOENT, EBUSY, EINVAL, EOPNOTSUPP = 1, 2, 16, 22, 95
LABELLED = {"/dev", "/dev/pts", "/dev/shm", "/cgroup", "/sys/fs/cgroup"}
USER = {"containerID": 0, "hostID": 1000, "size": 10}


def spec(process=None, **linux):
    spec = machines.spec_with(**linux)
    spec["process"].update(process or {})
    return spec


def of(operations, *codes):
    return [operation for operation in operations if operation[0] in codes]


def joined(process, facts=None, **options):
    facts = {
        "privileged": True,
        "capabilities": 0,
        "deny_setgroups": False,
        "placement": ["/c/tasks"],
        "join": 0x20000,
    } | (facts or {})
    base = {"cwd": "/", "args": ["a"], "user": {"uid": 0, "gid": 0}}
    return join.plan(base | process, facts, {"id": "one", "preserve_fds": 0} | options)[0]


@pytest.mark.parametrize(
    ("text", "expanded"),
    [("", []), (" ", []), ("0", ["0"]), ("0-2,7", ["0", "1", "2", "7"]), ("3, 1-1", ["3", "1"]), ("007", ["7"])],
)
def test_numbers(text, expanded):
    """A list is expanded in order."""
    assert attributes.numbers(text, 8, "cpu", "/x") == expanded


@pytest.mark.parametrize("text", ["8", "0-8", "2-1", "a", "1-", "-1", ",", "1,,2", "0-99999999999", "٣"])
def test_numbers_that_are_none(text):
    """A malformed list, or one beyond the kernel's limits, is an error with its pointer; no huge range is expanded."""
    with pytest.raises(InvalidConfig) as caught:
        attributes.numbers(text, 8, "cpu", "/x")
    assert caught.value.pointer == "/x"


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"policy": "SCHED_OTHER", "nice": -5}, (0, 0, -5, 0, 0, 0)),
        ({"policy": "SCHED_FIFO", "priority": 9, "nice": 3}, (1, 0, 9, 0, 0, 0)),
        ({"policy": "SCHED_RR", "priority": 1, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, (2, 1, 1, 0, 0, 0)),
        ({"policy": "SCHED_BATCH"}, (3, 0, 0, 0, 0, 0)),
        ({"policy": "SCHED_ISO"}, (4, 0, 0, 0, 0, 0)),
        ({"policy": "SCHED_IDLE", "flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_RECLAIM"]}, (5, 2, 0, 0, 0, 0)),
        ({"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3}, (6, 0, 0, 1, 2, 3)),
        ({"policy": "SCHED_OTHER", "flags": sorted(attributes.SCHEDULER_FLAGS)}, (0, 127, 0, 0, 0, 0)),
    ],
)
def test_scheduler(wanted, numbers):
    """Policy, flags, the nice value or priority, and the times, as sched_setattr(2) takes them."""
    assert attributes.scheduler(wanted, ops.HOST) == ops.scheduler(*numbers, ops.HOST)


@pytest.mark.parametrize(("name", "value"), [("IOPRIO_CLASS_RT", 8195), ("IOPRIO_CLASS_BE", 16387)])
def test_io_priority(name, value):
    """The class is in the bits above the level."""
    operations = machines.planned(spec({"ioPriority": {"class": name, "priority": 3}}))
    assert of(operations, ops.OP_IO_PRIORITY) == [ops.io_priority(value, ops.CONTAINER)]


def test_memory_policy():
    """Mode and flags are one number, nodes a list."""
    wanted = {"mode": "MPOL_INTERLEAVE", "nodes": "0-1,4", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING"]}
    operations = machines.planned(spec(memoryPolicy=wanted))
    assert of(operations, ops.OP_MEMORY_POLICY) == [ops.memory_policy(3 | 1 << 15 | 1 << 13, ["0", "1", "4"])]


def test_personality():
    operations = machines.planned(spec(personality={"domain": "LINUX32"}))
    assert of(operations, ops.OP_PERSONALITY) == [ops.personality(8)]


@pytest.mark.parametrize(
    ("privileged", "user", "side"), [(True, False, ops.CONTAINER), (True, True, ops.HOST), (False, True, ops.CONTAINER)]
)
def test_who_schedules(privileged, user, side):
    """The parent does it if it may and init in its user namespace may not; an unprivileged parent leaves it to init."""
    config = spec({"scheduler": {"policy": "SCHED_BATCH"}, "ioPriority": {"class": "IOPRIO_CLASS_RT"}})
    if user:
        config["linux"] |= {"namespaces": [{"type": "user"}, {"type": "mount"}], "uidMappings": [USER]}
        config["linux"]["gidMappings"] = [USER]
    operations = machines.planned(config, privileged=privileged)
    assert [operation[1] for operation in of(operations, ops.OP_SCHEDULER, ops.OP_IO_PRIORITY)] == [side, side]


def test_labels_are_set_through_a_procfs_from_before_the_pivot():
    """The procfs is opened before the pivot: inside, masked parts of the container's own may make the kernel refuse one."""
    config = spec({"apparmorProfile": "box", "selinuxLabel": LABEL})
    operations = machines.planned(config)
    codes = [operation[0] for operation in operations]
    assert codes.count(ops.OP_PROC_HANDLE) == 1
    assert codes.index(ops.OP_PROC_HANDLE) < codes.index(ops.OP_PIVOT) < codes.index(ops.OP_LABEL)
    exec_paths = ["thread-self/attr/apparmor/exec", "thread-self/attr/exec", "exec box"]
    assert [list(operation[4]) for operation in of(operations, ops.OP_LABEL)] == [
        ["thread-self/attr/keycreate", None, LABEL],
        ["thread-self/attr/keycreate", None, None],
        exec_paths,
        ["thread-self/attr/exec", None, LABEL],
    ]
    last = len(codes) - 1 - codes[::-1].index(ops.OP_LABEL)
    assert last < codes.index(ops.OP_KEEP_DESCRIPTORS) < codes.index(ops.OP_NO_NEW_PRIVS)


def test_the_keyring_has_the_label_of_the_process():
    """The keyring is made between the two label writes; without a keyring there are none."""
    config = spec({"selinuxLabel": LABEL})
    codes = [operation[0] for operation in machines.planned(config)]
    at = codes.index(ops.OP_KEYRING)
    assert (codes[at - 1], codes[at + 1]) == (ops.OP_LABEL, ops.OP_LABEL)
    without, _ = plan(config, machines.facts(config), machines.options(config, no_new_keyring=True))
    assert len(of(without, ops.OP_LABEL)) == 1


def test_the_mount_label():
    """New file systems get the label, kernel ones and binds do not; mqueue gets it once it is mounted."""
    config = spec(mountLabel=CONTEXT)
    config["mounts"] += [
        {"destination": "/b", "source": "/b", "options": ["bind"]},
        {"destination": "/own", "type": "tmpfs", "source": "t", "options": ["context=a:b:c:s0"]},
        {"destination": "/cgroup", "type": "cgroup", "source": "cgroup"},
    ]
    operations = machines.planned(config, "hybrid")
    given = {op[4][0]: [word for word in op[4][3] if "context=" in word] for op in of(operations, ops.OP_MOUNT)}
    context = [f"context={CONTEXT}"]
    assert {path for path, words in given.items() if words == context} == LABELLED
    assert given["/own"] == ["context=a:b:c:s0"]
    assert [given[path] for path in ("/proc", "/sys", "/dev/mqueue")] == [[], [], []]
    assert of(operations, ops.OP_FILE_LABEL) == [ops.file_label("/dev/mqueue", CONTEXT, "/linux/mountLabel")]
    assert {operation[4][1] for operation in of(operations, ops.OP_MASK)} == {CONTEXT}
    config["linux"].pop("mountLabel")
    assert {operation[4][1] for operation in of(machines.planned(config), ops.OP_MASK)} == {None}


@pytest.mark.parametrize("kind", ["context", "fscontext", "defcontext", "rootcontext"])
def test_the_kind_of_the_mount_label(kind):
    """run.oci.mount_context_type: the option of each new file system that has the label, unless it has one of its own."""
    config = spec(mountLabel=CONTEXT)
    config["annotations"] = {"run.oci.mount_context_type": kind}
    config["mounts"] += [
        {"destination": "/own", "type": "tmpfs", "source": "t", "options": [f"{kind}=a:b:c:s0"]},
        {"destination": "/cgroup", "type": "cgroup", "source": "cgroup"},
    ]
    operations = machines.planned(config, "hybrid")
    given = {op[4][0]: [word for word in op[4][3] if "context=" in word] for op in of(operations, ops.OP_MOUNT)}
    assert {path for path, words in given.items() if words == [f"{kind}={CONTEXT}"]} == LABELLED
    assert given["/own"] == [f"{kind}=a:b:c:s0"]


def test_resctrl_is_entered_before_anything_is_mounted():
    """The process that continues writes nothing itself: the parent does, for the current init."""
    operations = machines.planned(spec(intelRdt={"closID": "class"}))
    codes = [operation[0] for operation in operations]
    assert codes.index(ops.OP_FORK) < codes.index(ops.OP_RESCTRL) < codes.index(ops.OP_ROOT)
    assert of(operations, ops.OP_RESCTRL) == [ops.resctrl(["/sys/fs/resctrl/class/tasks"])]


def test_create_takes_no_notice_of_the_affinity_of_exec():
    """config.md: execCPUAffinity never applies to the first process."""
    config = spec({"execCPUAffinity": {"initial": "0", "final": "1"}})
    assert of(machines.planned(config), ops.OP_AFFINITY) == [ops.affinity()]


def test_exec_is_bound_before_and_after_the_cgroup():
    """`initial` is the very first operation, `final` follows the cgroup."""
    operations = joined({"execCPUAffinity": {"initial": "0", "final": "1-2"}})
    codes = [operation[0] for operation in operations]
    assert operations[0] == ops.affinity(["0"], "/process/execCPUAffinity/initial")
    after = codes.index(ops.OP_ENTER_CGROUPS) + 1
    assert operations[after] == ops.affinity(["1", "2"], "/process/execCPUAffinity/final")
    assert of(joined({"execCPUAffinity": {"initial": " ", "final": ""}}), ops.OP_AFFINITY) == []


@pytest.mark.parametrize("privileged", [True, False])
def test_exec_reaches_procfs(privileged):
    """exec opens the container's procfs once inside: a descriptor of the host's would leak in."""
    operations = joined({"apparmorProfile": "box"}, {"privileged": privileged, "join": 0x20020000})
    codes = [operation[0] for operation in operations]
    assert of(operations, ops.OP_PROC_HANDLE) == [ops.proc_handle(False)]
    assert codes.index(ops.OP_FORK) < codes.index(ops.OP_ENTER_ROOT) < codes.index(ops.OP_PROC_HANDLE)
    assert codes.index(ops.OP_ENTER_ROOT) < codes.index(ops.OP_LABEL) < codes.index(ops.OP_KEEP_DESCRIPTORS)


def test_exec_takes_what_is_the_containers():
    """personality, memoryPolicy and the resctrl group come from the config's linux section, not from the process."""
    linux = {"personality": {"domain": "LINUX32"}, "memoryPolicy": {"mode": "MPOL_LOCAL"}}
    operations = joined({}, {"resctrl": ["/r/tasks"]}, linux=linux)
    assert of(operations, ops.OP_PERSONALITY, ops.OP_MEMORY_POLICY, ops.OP_RESCTRL) == [
        ops.resctrl(["/r/tasks"]),
        ops.personality(8),
        ops.memory_policy(4, []),
    ]


SCHEDULE = attributes.scheduler
WORDS = [
    (ops.affinity(["0", "1", "2", "5"], "/x"), "run on the cpus 0-2, 5"),
    (ops.resctrl(["/r/a/tasks", "/r/b/tasks"]), "write init's pid to /r/a/tasks and /r/b/tasks"),
    (ops.file_label("/q", "a:b", "/x"), "give /q the SELinux label a:b"),
    (ops.label("a/exec", None, "exec p", "/x"), "write 'exec p' to /proc/a/exec"),
    (ops.label("a/exec", None, None, "/x"), "take back what was written to /proc/a/exec"),
    (SCHEDULE({"policy": "SCHED_OTHER", "nice": 4}, 1), "schedule by SCHED_OTHER, nice 4"),
    (SCHEDULE({"policy": "SCHED_RR", "priority": 4}, 1), "schedule by SCHED_RR, priority 4"),
    (
        SCHEDULE(
            {
                "policy": "SCHED_DEADLINE",
                "runtime": 1,
                "deadline": 2,
                "period": 3,
                "flags": ["SCHED_FLAG_RECLAIM"],
            },
            1,
        ),
        "schedule by SCHED_DEADLINE, 1 ns of each 3 ns within 2 ns, SCHED_FLAG_RECLAIM",
    ),
    (ops.io_priority(16387, 1), "set the I/O priority to IOPRIO_CLASS_BE, level 3"),
    (ops.personality(8), "set the personality to LINUX32"),
    (
        ops.memory_policy(2 | 1 << 14, ["0", "1"]),
        "take memory by MPOL_BIND on the nodes 0-1, MPOL_F_RELATIVE_NODES",
    ),
    (ops.memory_policy(4, []), "take memory by MPOL_LOCAL"),
]


@pytest.mark.parametrize(("operation", "text"), WORDS)
def test_sentences(operation, text):
    assert sentence(operation) == text


REMEDIES = [
    (SCHEDULE({"policy": "SCHED_FIFO"}, 1), EPERM, "realtimeRuntime"),
    (SCHEDULE({"policy": "SCHED_DEADLINE"}, 1), EPERM, "a cpuset with every cpu"),
    (SCHEDULE({"policy": "SCHED_OTHER"}, 1), EPERM, "lower nice value"),
    (SCHEDULE({"policy": "SCHED_DEADLINE"}, 1), EBUSY, "that much time left"),
    (SCHEDULE({"policy": "SCHED_ISO"}, 1), EINVAL, "no such policy"),
    (SCHEDULE({"policy": "SCHED_OTHER"}, 1), EOPNOTSUPP, "utilisation"),
    (ops.io_priority(8192, 1), EPERM, "CAP_SYS_NICE"),
    (ops.memory_policy(2, ["9"]), EINVAL, "node/online"),
    (ops.affinity(["9"], "/x"), EINVAL, "cpu/online"),
    (ops.label("a", None, "exec p", "/x"), ENOENT, "profile loaded"),
    (ops.label("a", None, "exec p", "/x"), EINVAL, "AppArmor enabled"),
    (ops.label("a", None, "a:b:c", "/x"), EINVAL, "policy know"),
]


@pytest.mark.parametrize(("operation", "error", "remedy"), REMEDIES)
def test_remedies(operation, error, remedy):
    """A failure says what to do, if known."""
    assert remedy in failure(operation, error, 0).message
