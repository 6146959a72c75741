"""Configs for hypothesis: whatever a plan reads, in every combination, without rules that tie parts together."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from runtime.kernel import CLONE_FLAGS
from runtime.plan import attributes
from runtime.plan.capabilities import NAMES
from runtime.plan.identity import RLIMITS
from runtime.plan.mount_options import BINDS, LINKS, OPTIONS
from runtime.plan.mounts import clean

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20)
PATH = st.lists(st.sampled_from(["a", "b c", "é", ".", "dev", "proc"]), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)
TARGET = PATH.filter(lambda path: clean(path) != "/" and not clean(path).startswith("/proc/"))
ID = st.integers(0, 2**32 - 2)
LIST = st.sampled_from(["", "0", "0-3,7", "5, 2-2", "1023"])
WORDS = sorted(set(OPTIONS) - {"idmap", "ridmap", "remount", "tmpcopyup"} - BINDS - LINKS)
MAPPING = st.fixed_dictionaries({"containerID": ID, "hostID": ID, "size": st.integers(1, 100)})
PROPAGATIONS = ["", "shared", "slave", "private", "rshared", "rslave", "rprivate", "unbindable"]


def either(**values: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=values)


def mounts() -> st.SearchStrategy[list[dict[str, Any]]]:
    words = st.lists(st.sampled_from(WORDS), max_size=4)
    options = st.lists(st.sampled_from(WORDS) | st.sampled_from(["size=64k", "mode=755", "gid=5"]), max_size=4)
    bind = st.fixed_dictionaries(
        {"destination": TARGET, "source": PATH, "options": words.map(lambda found: ["rbind", *found])}
    )
    fresh = st.fixed_dictionaries(
        {
            "destination": TARGET,
            "type": st.sampled_from(["tmpfs", "proc", "sysfs", "devpts", "mqueue", "overlay", "fuse.x"]),
            "source": TEXT,
            "options": options,
        }
    )
    cgroup = st.fixed_dictionaries({"destination": TARGET, "type": st.just("cgroup"), "source": TEXT, "options": words})
    return st.lists(bind | fresh | cgroup, max_size=5)


def hooks() -> st.SearchStrategy[dict[str, Any]]:
    hook = st.fixed_dictionaries(
        {"path": PATH}, optional={"args": st.lists(TEXT), "env": st.lists(TEXT), "timeout": st.integers(1, 100)}
    )
    kinds = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    return either(**{kind: st.lists(hook, max_size=2) for kind in kinds})


def process() -> st.SearchStrategy[dict[str, Any]]:
    sets = st.lists(st.sampled_from([*NAMES, "CAP_UNKNOWN"]), max_size=4)
    limit = st.fixed_dictionaries(
        {"type": st.sampled_from(RLIMITS), "soft": st.integers(0, 2**64 - 1), "hard": st.integers(0, 2**64 - 1)}
    )
    user = st.fixed_dictionaries(
        {"uid": ID, "gid": ID}, optional={"umask": st.integers(0, 0o777), "additionalGids": st.lists(ID, max_size=3)}
    )
    return st.fixed_dictionaries(
        {"cwd": PATH, "args": st.lists(TEXT, min_size=1, max_size=3), "user": user},
        optional={
            "env": st.lists(TEXT, max_size=4),
            "terminal": st.booleans(),
            "consoleSize": st.fixed_dictionaries({"height": ID, "width": ID}),
            "capabilities": either(
                **dict.fromkeys(("bounding", "effective", "permitted", "inheritable", "ambient"), sets)
            ),
            "rlimits": st.lists(limit, max_size=2),
            "noNewPrivileges": st.booleans(),
            "oomScoreAdj": st.integers(-1000, 1000),
            "apparmorProfile": TEXT,
            "selinuxLabel": TEXT,
            "scheduler": scheduler(),
            "ioPriority": st.fixed_dictionaries(
                {"class": st.sampled_from(sorted(attributes.IO_CLASSES)), "priority": st.integers(0, 7)}
            ),
            "execCPUAffinity": either(initial=LIST, final=LIST),
        },
    )


def scheduler() -> st.SearchStrategy[dict[str, Any]]:
    flags = st.lists(st.sampled_from(sorted(attributes.SCHEDULER_FLAGS)), max_size=3)
    numbers = {name: st.integers(0, 2**64 - 1) for name in ("runtime", "deadline", "period")}
    return st.fixed_dictionaries(
        {"policy": st.sampled_from(sorted(attributes.POLICIES))},
        optional={"nice": st.integers(-20, 19), "priority": st.integers(0, 99), "flags": flags, **numbers},
    )


def memory_policy() -> st.SearchStrategy[dict[str, Any]]:
    flags = st.lists(st.sampled_from(sorted(attributes.MEMORY_FLAGS)), max_size=2)
    return st.fixed_dictionaries(
        {"mode": st.sampled_from(sorted(attributes.MEMORY_MODES))}, optional={"nodes": LIST, "flags": flags}
    )


def namespaces() -> st.SearchStrategy[list[dict[str, str]]]:
    entry = st.fixed_dictionaries({"type": st.sampled_from(sorted(CLONE_FLAGS))}, optional={"path": PATH})
    return st.lists(entry, unique_by=lambda one: one["type"], max_size=8)


def linux() -> st.SearchStrategy[dict[str, Any]]:
    device = st.fixed_dictionaries(
        {"type": st.sampled_from("cubp"), "path": TARGET, "major": st.integers(0, 511), "minor": st.integers(0, 255)},
        optional={"fileMode": st.integers(0, 0o777), "uid": ID, "gid": ID},
    )
    seconds = either(secs=st.integers(-(2**40), 2**40), nanosecs=st.integers(0, 999999999))
    return st.fixed_dictionaries(
        {"namespaces": namespaces()},
        optional={
            "uidMappings": st.lists(MAPPING, max_size=2),
            "gidMappings": st.lists(MAPPING, max_size=2),
            "timeOffsets": either(monotonic=seconds, boottime=seconds),
            "devices": st.lists(device, max_size=3),
            "cgroupsPath": st.sampled_from(["", "/a/b", "a"]),
            "rootfsPropagation": st.sampled_from(PROPAGATIONS),
            "seccomp": st.just({"defaultAction": "SCMP_ACT_ALLOW"}),
            "sysctl": st.dictionaries(TEXT, TEXT, max_size=2),
            "maskedPaths": st.lists(PATH.filter(lambda path: clean(path) != "/"), max_size=2),
            "readonlyPaths": st.lists(PATH, max_size=2),
            "mountLabel": TEXT,
            "personality": st.fixed_dictionaries({"domain": st.sampled_from(sorted(attributes.DOMAINS))}),
            "memoryPolicy": memory_policy(),
            "intelRdt": either(closID=st.sampled_from(["", "/", "class"]), enableMonitoring=st.booleans()),
        },
    )


CONFIGS = st.fixed_dictionaries(
    {
        "ociVersion": st.just("1.3.0"),
        "root": st.fixed_dictionaries({"path": st.just("rootfs")}, optional={"readonly": st.booleans()}),
        "process": process(),
        "linux": linux(),
    },
    optional={"mounts": mounts(), "hooks": hooks(), "hostname": TEXT, "domainname": TEXT},
)
FACTS = st.fixed_dictionaries(
    {"privileged": st.booleans(), "in_user_namespace": st.booleans(), "deny_setgroups": st.booleans()}
)
