"""For each rule, a document that breaks it and the pointer of the problem."""

import copy
import importlib
import json

import pytest

import oci_spec
from oci_spec.rules import cpu_list
from oci_spec.rules.config import semver

MAPPING = {"containerID": 0, "hostID": 1000, "size": 10}
BIND = {"destination": "/a", "source": "/b", "options": ["bind"]}
IDMAP = {"destination": "/a", "source": "/b", "options": ["bind", "idmap"]}
THROTTLE = {"major": 8, "minor": 0}
NOTIFY = {"names": ["mount"], "action": "SCMP_ACT_NOTIFY"}
ALLOW = {"defaultAction": "SCMP_ACT_ALLOW"}
FIFO = {"policy": "SCHED_FIFO"}
CAPS = ["CAP_KILL"]
PROGRAM = ["execve", "exit_group", "brk", "mprotect", "munmap", "read", "write", "close"]
BOTH_FLAGS = ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]


def base():
    """A config that satisfies every rule."""
    return {
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "process": {
            "cwd": "/",
            "args": ["sh"],
            "env": ["PATH=/bin", "EMPTY="],
            "user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [5]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}],
            "capabilities": {name: list(CAPS) for name in ("bounding", "permitted", "effective")},
        },
        "hostname": "box",
        "domainname": "net",
        "mounts": [
            {"destination": path, "type": "tmpfs", "source": "none", "options": ["nosuid"]}
            for path in ("/proc", "/sys", "/dev", "/dev/pts", "/dev/shm")
        ],
        "hooks": {"prestart": [{"path": "/bin/true", "env": ["A=b"]}]},
        "annotations": {"com.example.key": "", "org.opencontainers.image.stopSignal": "SIGRTMIN+3"},
        "linux": {
            "namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 8630}],
            "maskedPaths": ["/proc/kcore"],
            "sysctl": {"net.ipv4.ip_forward": "1", "kernel.shmmax": "1", "fs/mqueue/msg_max": "2"},
            "resources": {
                "devices": [{"allow": False, "access": "rwm"}],
                "memory": {"limit": 1 << 20, "swap": -1, "swappiness": 100},
                "cpu": {"cpus": "0-1,3", "quota": 100, "burst": 100, "idle": 1},
                "pids": {"limit": 0},
                "unified": {"memory.high": "max"},
            },
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO",
                "defaultErrnoRet": 38,
                "syscalls": [
                    {
                        "names": ["mmap"],
                        "action": "SCMP_ACT_ALLOW",
                        "args": [{"index": 5, "value": 0, "op": "SCMP_CMP_EQ"}],
                    },
                    {"names": PROGRAM, "action": "SCMP_ACT_ALLOW"},
                ],
            },
        },
    }


SYSCALLS = "/linux/seccomp/syscalls"
LOG = {"names": ["read"], "action": "SCMP_ACT_LOG"}
RANGE = {"index": 5, "value": 9, "op": "SCMP_CMP_LE"}
ERROR, WARNING = "error", "warning"
# rule, place to set, value (... to remove), severity, pointer of the problem where it is not the place
CASES = [
    ("capabilities_lost", "/process/user/uid", 1000, WARNING, "/process/capabilities/permitted"),
    ("capabilities_gained", "/process/capabilities/bounding", [*CAPS, "CAP_BPF"], WARNING, None),
    (
        "inheritable_bounding",
        "/process/capabilities/inheritable",
        ["CAP_BPF"],
        ERROR,
        "/process/capabilities/inheritable/0",
    ),
    ("umask_octal", "/process/user/umask", 22, WARNING, None),
    ("console_size_used", "/process/consoleSize", {"height": 1, "width": 1}, WARNING, None),
    ("hook_program_name", "/hooks/prestart/0/args", ["-x"], WARNING, "/hooks/prestart/0/args/0"),
    ("mount_hidden", "/mounts/4/destination", "/dev", WARNING, "/mounts/2/destination"),
    ("mount_masked", "/linux/maskedPaths", ["/dev"], WARNING, "/mounts/2/destination"),
    ("path_masked_before", "/linux/readonlyPaths", ["/proc/kcore/"], WARNING, "/linux/readonlyPaths/0"),
    ("device_mode_octal", "/linux/devices/0/fileMode", 440, WARNING, None),
    ("joined_namespace_kept", "/linux/namespaces/3/path", "/run/uts", WARNING, "/hostname"),
    ("joined_namespace_kept", "/linux/namespaces/1/path", "/n", WARNING, "/linux/sysctl/net.ipv4.ip_forward"),
    ("unified_once", "/linux/resources/unified", {"memory.max": "1"}, WARNING, "/linux/resources/unified/memory.max"),
    ("seccomp_program_runs", f"{SYSCALLS}/1/names", ["read"], WARNING, "/linux/seccomp/defaultAction"),
    ("seccomp_rule_counts", f"{SYSCALLS}/0", LOG, WARNING, f"{SYSCALLS}/1/names/5"),
    ("seccomp_conditions_hold", f"{SYSCALLS}/0/names", ["read"], WARNING, f"{SYSCALLS}/0/args/0/index"),
    ("seccomp_conditions_together", f"{SYSCALLS}/0/args/1", RANGE, WARNING, f"{SYSCALLS}/0/args"),
    ("oci_version_semver", "/ociVersion", "1.3", ERROR, None),
    ("oci_version_semver", "/ociVersion", "1.03.0", ERROR, None),
    ("oci_version_supported", "/ociVersion", "2.0.0", ERROR, None),
    ("oci_version_supported", "/ociVersion", "0.5.0-dev", WARNING, None),
    ("oci_version_supported", "/ociVersion", "1.0.0-rc5", WARNING, None),
    ("oci_version_supported", "/ociVersion", "1.4.0", WARNING, None),
    ("platform_section", "/solaris", {}, WARNING, None),
    ("root_required", "/root", ..., ERROR, None),
    ("root_path_not_empty", "/root/path", "", ERROR, None),
    ("root_path_custom", "/root/path", "fs", WARNING, None),
    ("process_to_start", "/process", ..., WARNING, None),
    ("mount_destination_absolute", "/mounts/0/destination", "proc", WARNING, None),
    ("mount_destination_absolute", "/mounts/0/destination", "", ERROR, None),
    ("mount_bind_source", "/mounts/0", {"destination": "/a", "options": ["rbind"]}, ERROR, "/mounts/0/source"),
    ("mount_type_bind", "/mounts/0/type", "bind", WARNING, None),
    ("mount_mappings_paired", "/mounts/0", IDMAP | {"uidMappings": [MAPPING]}, ERROR, "/mounts/0/gidMappings"),
    ("mount_mappings_idmap", "/mounts/0", BIND | {"uidMappings": [MAPPING], "gidMappings": [MAPPING]}, WARNING, "/mounts/0/options"),
    ("mount_idmap_source_of_ids", "/mounts/0", IDMAP, ERROR, "/mounts/0/options/1"),
    ("hook_path_absolute", "/hooks/prestart/0/path", "true", ERROR, None),
    ("hook_environment", "/hooks/prestart/0/env", ["A"], ERROR, "/hooks/prestart/0/env/0"),
    ("annotation_key_empty", "/annotations/", "x", ERROR, None),
    ("annotation_key_domain", "/annotations/key", "x", WARNING, None),
    ("annotation_reserved", "/annotations/org.opencontainers.x", "x", WARNING, None),
    ("annotation_reserved", "/annotations/org.opencontainers.image.x", "x", WARNING, None),
    ("annotation_stop_signal", "/annotations/org.opencontainers.image.stopSignal", "SIGFOO", WARNING, None),
    ("cwd_absolute", "/process/cwd", "tmp", ERROR, None),
    ("args_not_empty", "/process/args", [], ERROR, None),
    ("args_not_empty", "/process/args", ..., ERROR, None),
    ("args_not_empty", "/process/args", [""], ERROR, "/process/args/0"),
    ("env_entries", "/process/env/1", "NAME", ERROR, None),
    ("env_entries", "/process/env/1", "=x", ERROR, None),
    ("rlimit_known", "/process/rlimits/0/type", "RLIMIT_FOO", ERROR, None),
    ("rlimit_once", "/process/rlimits/1", {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}, ERROR, "/process/rlimits/1/type"),
    ("rlimit_soft_within_hard", "/process/rlimits/0/soft", 2, ERROR, None),
    ("user_ids_required", "/process/user/gid", ..., WARNING, None),
    ("user_ids_valid", "/process/user/uid", 2**32 - 1, ERROR, None),
    ("user_ids_valid", "/process/user/additionalGids/0", 2**32 - 1, ERROR, None),
    ("umask_bits", "/process/user/umask", 1022, WARNING, None),
    ("oom_score_range", "/process/oomScoreAdj", -1001, ERROR, None),
    ("capability_known", "/process/capabilities/bounding/0", "CAP_FOO", WARNING, None),
    ("effective_permitted", "/process/capabilities/permitted", [], ERROR, "/process/capabilities/effective/0"),
    ("ambient_supported", "/process/capabilities/ambient", ["CAP_BPF"], WARNING, None),
    ("nul_in_string", "/process/args/0", "sh\0x", ERROR, None),
    ("default_filesystems", "/mounts", [], WARNING, None),
    ("device_once", "/linux/devices/1", {"path": "/x", "type": "c", "major": 10, "minor": 229}, WARNING, None),
    ("unknown_property", "/process/user/userName", "x", WARNING, None),
    ("namespace_once", "/linux/namespaces/6", {"type": "pid"}, ERROR, "/linux/namespaces/6/type"),
    ("namespace_path_absolute", "/linux/namespaces/0/path", "ns", ERROR, None),
    ("hostname_own_namespace", "/linux/namespaces/3/type", "user", ERROR, "/hostname"),
    ("hostname_length", "/domainname", "x" * 65, ERROR, None),
    ("domainname_once", "/linux/sysctl/kernel.domainname", "x", ERROR, None),
    ("mounts_own_namespace", "/linux/namespaces/4/type", "time", ERROR, "/mounts"),
    ("mappings_need_user_namespace", "/linux/uidMappings", [MAPPING], ERROR, None),
    ("user_namespace_needs_mappings", "/linux/namespaces/5/type", "user", ERROR, "/linux/gidMappings"),
    ("mapping_ranges", "/linux/uidMappings", [MAPPING | {"size": 0}], ERROR, "/linux/uidMappings/0/size"),
    ("mapping_ranges", "/linux/uidMappings", [MAPPING | {"hostID": 2**32 - 9}], ERROR, "/linux/uidMappings/0/size"),
    ("mapping_ranges", "/linux/uidMappings", [MAPPING, MAPPING | {"hostID": 1}], ERROR, "/linux/uidMappings/1/containerID"),
    ("mapping_ranges", "/linux/uidMappings", [MAPPING] * 341, ERROR, "/linux/uidMappings"),
    ("device_numbers", "/linux/devices/0/minor", ..., ERROR, None),
    ("device_numbers", "/linux/devices/0/minor", -1, ERROR, None),
    ("device_path_absolute", "/linux/devices/0/path", "fuse", ERROR, None),
    ("device_mode", "/linux/devices/0/fileMode", 0o4755, ERROR, None),
    ("device_mode", "/linux/devices/0/fileMode", 0o100644, ERROR, None),
    ("device_path_once", "/linux/devices/1", {"path": "/dev/fuse", "type": "c", "major": 1, "minor": 2}, ERROR, "/linux/devices/1/path"),
    ("masked_paths_absolute", "/linux/readonlyPaths", ["sys"], ERROR, "/linux/readonlyPaths/0"),
    ("sysctl_own_namespace", "/linux/sysctl/kernel.panic", "1", ERROR, None),
    ("sysctl_own_namespace", "/linux/sysctl/kernel.hostname", "x", ERROR, None),
    ("sysctl_own_namespace", "/linux/sysctl/user.max_user_namespaces", "1", ERROR, None),
    ("device_rule_type", "/linux/resources/devices/0/type", "p", ERROR, None),
    ("device_rule_access", "/linux/resources/devices/0/access", "rx", ERROR, None),
    ("memory_limits", "/linux/resources/memory/limit", -2, ERROR, None),
    ("memory_swap", "/linux/resources/memory/swap", 1, ERROR, None),
    ("memory_swappiness", "/linux/resources/memory/swappiness", 101, ERROR, None),
    ("memory_kernel_discouraged", "/linux/resources/memory/kernel", 1, WARNING, None),
    ("cpu_burst", "/linux/resources/cpu/burst", 101, ERROR, None),
    ("cpu_idle", "/linux/resources/cpu/idle", 2, ERROR, None),
    ("cpu_lists", "/linux/resources/cpu/cpus", "3-1", ERROR, None),
    ("pids_limit", "/linux/resources/pids/limit", -2, WARNING, None),
    ("weight_device_weights", "/linux/resources/blockIO", {"weightDevice": [THROTTLE]}, ERROR, "/linux/resources/blockIO/weightDevice/0/weight"),
    ("throttle_rate", "/linux/resources/blockIO/throttleReadBpsDevice", [THROTTLE], ERROR, "/linux/resources/blockIO/throttleReadBpsDevice/0/rate"),
    ("rdma_limits", "/linux/resources/rdma", {"a/b": {}}, ERROR, "/linux/resources/rdma/a~1b/hcaHandles"),
    ("unified_file_names", "/linux/resources/unified", {"../x": "1"}, ERROR, "/linux/resources/unified/..~1x"),
    (
        "unified_file_names",
        "/linux/resources/unified",
        {"cgroup.procs": "1"},
        ERROR,
        "/linux/resources/unified/cgroup.procs",
    ),
    ("seccomp_errno_used", "/linux/seccomp/syscalls/0/errnoRet", 1, ERROR, None),
    ("seccomp_errno_used", "/linux/seccomp/defaultAction", "SCMP_ACT_KILL", ERROR, "/linux/seccomp/defaultErrnoRet"),
    ("seccomp_argument_index", "/linux/seccomp/syscalls/0/args/0/index", 6, ERROR, None),
    ("seccomp_metadata_listener", "/linux/seccomp", ALLOW | {"listenerMetadata": "x"}, ERROR, "/linux/seccomp/listenerPath"),
    ("seccomp_notify_listener", "/linux/seccomp", ALLOW | {"syscalls": [NOTIFY]}, ERROR, "/linux/seccomp/syscalls/0/action"),
    ("seccomp_notify_listener", "/linux/seccomp", {"defaultAction": "SCMP_ACT_NOTIFY"}, ERROR, "/linux/seccomp/defaultAction"),
    ("seccomp_flag_of_notify", "/linux/seccomp", ALLOW | {"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}, WARNING, "/linux/seccomp/flags/0"),
    ("scheduler_nice", "/process/scheduler", {"policy": "SCHED_OTHER", "nice": 20}, ERROR, "/process/scheduler/nice"),
    ("scheduler_nice", "/process/scheduler", {"policy": "SCHED_IDLE", "nice": 2}, WARNING, "/process/scheduler/nice"),
    ("cgroups_path_inside", "/linux/cgroupsPath", "a/../../b", ERROR, None),
    ("cgroups_path_inside", "/linux/cgroupsPath", "//.", ERROR, None),
    ("scheduler_priority", "/process/scheduler", FIFO, ERROR, "/process/scheduler/priority"),
    ("scheduler_priority", "/process/scheduler", {"policy": "SCHED_IDLE", "priority": 1}, ERROR, "/process/scheduler/priority"),
    ("scheduler_deadline", "/process/scheduler", {"policy": "SCHED_DEADLINE", "deadline": 1}, ERROR, "/process/scheduler/runtime"),
    ("scheduler_deadline", "/process/scheduler", FIFO | {"priority": 1, "period": 1}, ERROR, "/process/scheduler/period"),
    ("io_priority_level", "/process/ioPriority", {"class": "IOPRIO_CLASS_BE"}, ERROR, "/process/ioPriority/priority"),
    ("io_priority_level", "/process/ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 8}, ERROR, "/process/ioPriority/priority"),
    ("exec_affinity_lists", "/process/execCPUAffinity", {"initial": "1-"}, ERROR, "/process/execCPUAffinity/initial"),
    ("rdt_clos_name", "/linux/intelRdt", {"closID": "../x"}, ERROR, "/linux/intelRdt/closID"),
    ("rdt_clos_name", "/linux/intelRdt", {"closID": "info"}, ERROR, "/linux/intelRdt/closID"),
    ("rdt_cache_prefix", "/linux/intelRdt", {"l3CacheSchema": "0=f"}, WARNING, "/linux/intelRdt/l3CacheSchema"),
    ("rdt_single_lines", "/linux/intelRdt", {"schemata": ["L3:0=f", "a\nb"]}, ERROR, "/linux/intelRdt/schemata/1"),
    ("memory_policy_mode", "/linux/memoryPolicy", {}, ERROR, "/linux/memoryPolicy/mode"),
    ("memory_policy_nodes", "/linux/memoryPolicy", {"mode": "MPOL_BIND"}, ERROR, "/linux/memoryPolicy/nodes"),
    ("memory_policy_nodes", "/linux/memoryPolicy", {"mode": "MPOL_LOCAL", "nodes": "0"}, ERROR, "/linux/memoryPolicy/nodes"),
    ("memory_policy_nodes", "/linux/memoryPolicy", {"mode": "MPOL_BIND", "nodes": "a"}, ERROR, "/linux/memoryPolicy/nodes"),
    ("memory_policy_flags", "/linux/memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0", "flags": BOTH_FLAGS}, ERROR, "/linux/memoryPolicy/flags"),
    ("net_devices_namespace", "/linux", {"netDevices": {"eth0": {}}}, WARNING, "/linux/netDevices"),
    ("net_device_names", "/linux/netDevices", {"eth0": {"name": "a b"}}, ERROR, "/linux/netDevices/eth0/name"),
    ("net_device_names", "/linux/netDevices", {"a/b": {}}, ERROR, "/linux/netDevices/a~1b"),
    ("net_device_names", "/linux/netDevices", {"eth0": {"name": "x"}, "eth1": {"name": "x"}}, ERROR, "/linux/netDevices/eth1"),
    ("personality_domain", "/linux/personality", {}, ERROR, "/linux/personality/domain"),
    ("personality_flags", "/linux/personality", {"domain": "LINUX", "flags": ["x"]}, WARNING, "/linux/personality/flags"),
    ("time_offsets_namespace", "/linux/timeOffsets", {"boottime": {"secs": 1}}, ERROR, None),
    ("time_offset_nanoseconds", "/linux/timeOffsets", {"boottime": {"nanosecs": 10**9}}, ERROR, "/linux/timeOffsets/boottime/nanosecs"),
]  # fmt: skip
STATE = {"ociVersion": "1.3.0", "id": "a", "status": "running", "pid": 1, "bundle": "/b"}
FEATURES = {"ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0"}
FLAGS = {"knownFlags": [], "supportedFlags": ["SECCOMP_FILTER_FLAG_LOG"]}
DOCUMENT_CASES = [
    ("state", "state_id_not_empty", "/id", "", ERROR, None),
    ("state", "state_pid_required", "/pid", ..., ERROR, None),
    ("state", "state_bundle_absolute", "/bundle", "b", ERROR, None),
    ("features", "features_versions_semver", "/ociVersionMin", "1", ERROR, None),
    ("features", "features_versions_order", "/ociVersionMax", "0.9.0", ERROR, None),
    ("features", "features_flags_known", "/linux", {"seccomp": FLAGS}, ERROR, "/linux/seccomp/supportedFlags/0"),
]
MODULES = (
    "config",
    "process",
    "linux",
    "resources",
    "seccomp",
    "scheduling",
    "hardware",
    "namespace_contents",
    "documents",
    "advice",
    "unknown",
    "text",
    "surprises",
    "profile",
)


def changed(document, place, value):
    """A copy with a value at a pointer; ... removes the one there."""
    document = copy.deepcopy(document)
    *names, last = place.split("/")[1:]
    node = document
    for name in names:
        node = node[int(name)] if isinstance(node, list) else node.setdefault(name, {})
    if value is ...:
        del node[last]
    elif isinstance(node, list):
        node[int(last) : int(last) + 1] = [value]
    else:
        node[last] = value
    return document


def problems(document, kind="config"):
    return oci_spec.check(json.dumps(document).encode(), kind)


@pytest.mark.parametrize(("rule", "place", "value", "severity", "pointer"), CASES, ids=lambda value: str(value)[:30])
def test_rule_reports(rule, place, value, severity, pointer):
    """Breaking a rule is reported with the rule's name, at the pointer."""
    found = [p for p in problems(changed(base(), place, value)) if p.rule == rule]
    assert (found[0].pointer, found[0].severity) == (pointer or place, severity)


@pytest.mark.parametrize(
    ("kind", "rule", "place", "value", "severity", "pointer"), DOCUMENT_CASES, ids=lambda v: str(v)[:30]
)
def test_document_rule_reports(kind, rule, place, value, severity, pointer):
    """The same for states and features."""
    good = {"state": STATE, "features": FEATURES}[kind]
    assert problems(good, kind) == []
    found = [p for p in problems(changed(good, place, value), kind) if p.rule == rule]
    assert (found[0].pointer, found[0].severity) == (pointer or place, severity)


def test_good_config_has_no_problem():
    """A document that satisfies every rule gets no problem, not even a warning."""
    assert problems(base()) == []


@pytest.mark.parametrize("name", ["kernel.domainname", "kernel/domainname"])
def test_domainname_as_its_sysctl_has_it(name):
    """The sysctl may have the same value as domainname."""
    assert problems(changed(base(), "/linux/sysctl", {name: "net"})) == []


@pytest.mark.parametrize("pids", [{}, {"limit": None}])
def test_pids_without_a_limit(pids):
    """config-linux.md#pids: the limit is optional."""
    found = problems(changed(base(), "/linux/resources/pids", pids))
    assert [problem.rule for problem in found] == ["null"] * len(pids)  # the advice not to write null


DEADLINES = [
    ({"deadline": 3000}, "runtime", "SCHED_DEADLINE needs a runtime"),
    ({"runtime": 2000}, "deadline", "SCHED_DEADLINE needs a deadline"),
    ({"runtime": 3000, "deadline": 2000}, "runtime", "3000 is above the deadline 2000"),
    ({"runtime": 2000, "deadline": 3000, "period": 2500}, "deadline", "3000 is above the period 2500"),
    ({"runtime": 1023, "deadline": 2000}, "runtime", "1023 is below 1024 ns, the kernel's shortest runtime"),
    (
        {"runtime": 2000, "deadline": 3000, "period": 1 << 63},
        "period",
        "9223372036854775808 is above 2^63 - 1, the kernel's longest time",
    ),
]


@pytest.mark.parametrize(("times", "name", "message"), DEADLINES)
def test_times_of_a_deadline(times, name, message):
    """Each error in the times of SCHED_DEADLINE has its own message, at that time's pointer."""
    found = problems(changed(base(), "/process/scheduler", {"policy": "SCHED_DEADLINE", **times}))
    assert [(problem.pointer, problem.message) for problem in found] == [(f"/process/scheduler/{name}", message)]


@pytest.mark.parametrize("period", [0, 2000, (1 << 63) - 1])
def test_good_times_of_a_deadline(period):
    """The shortest runtime, a deadline as long, and any period from there on are valid; a missing period is the deadline."""
    times = {"runtime": 1024, "deadline": 1024, "period": period}
    assert problems(changed(base(), "/process/scheduler", {"policy": "SCHED_DEADLINE", **times})) == []


def test_every_rule_is_tested():
    """Every rule has a document that breaks it."""
    rules = set()
    for name in MODULES:
        module = importlib.import_module(f"oci_spec.rules.{name}")
        rules |= {
            function.__name__
            for function in vars(module).values()
            if getattr(function, "__module__", "") == module.__name__
            and (function.__doc__ or "").split(":")[0].count(".md#")
        }
    assert rules == {case[0] for case in CASES} | {case[1] for case in DOCUMENT_CASES}


def test_all_problems_at_once():
    """Schema errors do not hide what the rules find elsewhere, and indices stay the document's."""
    document = base()
    document["process"]["env"] = [1, "PATH=/bin", "BAD"]
    document["mounts"].insert(0, {"source": "x", "options": ["bind"]})
    document["mounts"][1]["destination"] = "proc"
    found = {(p.pointer, p.rule) for p in problems(document)}
    assert ("/process/env/0", "schema:type") in found
    assert ("/process/env/2", "env_entries") in found
    assert ("/mounts/0/destination", "schema:required") in found
    assert ("/mounts/1/destination", "mount_destination_absolute") in found


def test_refused_value_is_told_once():
    """The rules do not see a value that the schema refuses."""
    found = problems(changed(base(), "/process/cwd", 7))
    assert [(p.pointer, p.rule) for p in found] == [("/process/cwd", "schema:type")]


def test_unknown_property_at_its_key_with_the_nearest_name():
    """An unknown property is a warning at its key, with the name that was probably meant."""
    data = b'{"ociVersion": "1.3.0", "root": {"path": "rootfs", "readOnly": true}}'
    (problem,) = [problem for problem in oci_spec.check(data) if problem.rule == "unknown_property"]
    assert (problem.pointer, problem.severity, problem.column) == ("/root/readOnly", "warning", 52)
    assert problem.hint == "did you mean readonly?"


def test_missing_property_at_its_parent():
    """A missing property has the pointer it would have, at its parent's position."""
    data = b'{"ociVersion": "1.3.0", "root": {"path": "rootfs"},\n "process": {"args": ["sh"], "user": {"uid": 0, "gid": 0}}}'
    (problem,) = oci_spec.check(data)
    assert (problem.pointer, problem.rule) == ("/process/cwd", "schema:required")
    assert (problem.line, problem.column) == (2, 13)


def test_process_document():
    """The process file of exec is checked by the process's rules, with pointers from its own root."""
    process = base()["process"]
    assert problems(process, "process") == []
    found = problems(process | {"cwd": "x", "args": []}, "process")
    assert [(p.pointer, p.rule) for p in found] == [("/cwd", "cwd_absolute"), ("/args", "args_not_empty")]


def test_rules_of_linux_leave_other_platforms_alone():
    """A config for another platform need not satisfy Linux's rules."""
    config = {
        "ociVersion": "1.3.0",
        "process": {"cwd": "C:\\", "commandLine": "cmd"},
        "windows": {"layerFolders": ["x"], "hyperv": {}},
    }
    assert [(p.rule, p.severity) for p in problems(config)] == [("platform_section", "warning")]


@pytest.mark.parametrize(
    "text", ["1.0.0", "0.0.0", "1.0.2-dev", "1.0.0-rc.1+build.5", "10.20.30", "1.0.0--x", "1.0.0+001"]
)
def test_semver_accepts(text):
    """What SemVer 2.0.0 allows."""
    assert semver(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.0",
        "1.0.0.0",
        "v1.0.0",
        "1.0.0-",
        "1.0.0+",
        "1.0.0-01",
        "1.0.0-a..b",
        " 1.0.0",
        "1.0.0\n",
        "1.\u0660.0",
    ],
)
def test_semver_refuses(text):
    """What it does not."""
    assert semver(text) is None


def test_cpu_lists():
    """Lists of CPUs as cpuset(7) has them."""
    assert all(map(cpu_list, ["", "0", "0-3", "0-3,7", " 0, 2 "]))
    assert not any(map(cpu_list, ["a", "-1", "3-1", "0,,1", "0-", "\u0663"]))
