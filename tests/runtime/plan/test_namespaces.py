"""runtime.plan.namespaces: the order of namespaces, maps and cgroups, as the kernel requires it."""

import pytest
from hypothesis import HealthCheck, given, settings

from runtime import kernel
from runtime.plan import namespaces, ops
from tests.runtime.plan import configs, machines
from tests.runtime.plan.test_plan import ordered, positions

FLAGS = kernel.CLONE_FLAGS
QUICK = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
MAPS = {
    "uidMappings": [{"containerID": 5, "hostID": 1000, "size": 1}, {"containerID": 0, "hostID": 2000, "size": 3}],
    "gidMappings": [{"containerID": 7, "hostID": 1000, "size": 2}],
}


def made(*listed, host="v2", facts=None, **linux):
    """The operations up to setsid; a listed namespace is its type, with "=path" if it is joined."""
    entries = [dict(zip(("type", "path"), text.split("="), strict=False)) for text in listed]
    spec = machines.spec_with(namespaces=entries, **linux)
    return namespaces.operations(spec, machines.facts(spec, host, **(facts or {})))


def rows(operations, name):
    return [operation for operation in operations if ops.TABLE[operation[0]][0] == name]


def unshared(operations):
    """The bits of every unshare, in order."""
    return [operation[3][0] for operation in rows(operations, "unshare")]


@QUICK
@given(configs.CONFIGS, configs.FACTS)
def test_order_for_any_config(spec, facts):
    """Whatever namespaces a config combines, the kernel's order holds."""
    plan = namespaces.operations(spec, machines.facts(spec, **facts))
    listed = namespaces.kinds(spec)
    kinds = [machines.names([op])[0] for op in plan]
    assert kinds[-1] == "setsid"
    assert ordered(plan, "oom_score_adj", "dumpable")
    assert ordered(plan, "open_namespace", "join_namespace")
    assert ordered(plan, "cgroups", "open_cgroup", "fork" if "fork" in kinds else "enter_cgroups")
    made = 0
    for op in plan:
        if op[0] == ops.OP_UNSHARE:
            assert not op[3][0] & made
            made |= op[3][0]
    assert made == sum(FLAGS[kind] for kind, (_, path) in listed.items() if path is None)
    assert ("fork" in kinds) == ("pid" in listed or "time" in listed)


def test_everything_is_joined_before_anything_is_made():
    """Namespaces are joined with the caller's credentials: a new user namespace has no right to the host's."""
    plan = made("user", "network=/net", "ipc", "mount", **MAPS)
    assert ordered(plan, "open_namespace", "join_namespace", "unshare")


def test_a_mount_namespace_is_joined_last():
    """Joining a mount namespace changes what paths mean: all, and the cgroups' files, are opened before."""
    plan = made("mount=/mnt", "network=/net", "pid=/pid", "ipc=/ipc")
    assert [op[3][0] for op in rows(plan, "join_namespace")][-1] == FLAGS["mount"]
    assert ordered(plan, "cgroups", "open_cgroup", "open_namespace", "join_namespace", "fork")


@pytest.mark.parametrize("privileged", [True, False])
def test_when_a_user_namespace_is_joined(privileged):
    """Root joins a user namespace last, to keep its rights; an unprivileged caller first, to get some. Then init becomes root."""
    plan = made("network=/net", "user=/user", "pid", facts={"privileged": privileged})
    joined = [op[3][0] for op in rows(plan, "join_namespace")]
    assert joined.index(FLAGS["user"]) == (len(joined) - 1 if privileged else 0)
    assert [op[3] for op in rows(plan, "become")] == [(0, 0)]
    assert ordered(plan, "join_namespace", "become", "unshare")
    assert unshared(plan) == [FLAGS["pid"]]


def test_a_slot_is_opened_and_joined_as_one_kind():
    """Each join uses the slot that its open verified."""
    plan = made("network=/net", "user=/user", "pid=/pid", facts={"privileged": False})
    opened = {op[3][1]: (op[3][0], op[2]) for op in rows(plan, "open_namespace")}
    assert opened == {op[3][1]: (op[3][0], op[2]) for op in rows(plan, "join_namespace")}
    assert {op[2]: op[4] for op in rows(plan, "open_namespace")} == {
        "/linux/namespaces/0": ("/net",),
        "/linux/namespaces/1": ("/user",),
        "/linux/namespaces/2": ("/pid",),
    }


def test_a_new_user_namespace_is_mapped_before_it_makes_others():
    """Init waits, dumpable only while the parent writes the maps, becomes root in it, and makes the rest with its rights."""
    plan = made("pid", "mount", "user", **MAPS)
    user, rest = unshared(plan)
    assert (user, rest) == (FLAGS["user"], FLAGS["pid"] | FLAGS["mount"])
    first, dumpable, maps, become, second = (
        positions(plan, "unshare")[0],
        positions(plan, "dumpable")[-1],
        positions(plan, "id_maps")[0],
        positions(plan, "become")[0],
        positions(plan, "unshare")[1],
    )
    assert first < dumpable < maps < become < second
    (operation,) = rows(plan, "id_maps")
    assert operation[1] == ops.HOST
    assert operation[4] == ("5 1000 1\n0 2000 3\n", "7 1000 2\n")
    # An id that is not mapped cannot be become: the lowest that is.
    assert [op[3] for op in rows(plan, "become")] == [(0, 7)]


def test_setgroups_is_denied_where_the_caller_may_not_map():
    """If the facts say so, the parent denies setgroups before it writes the gid map."""
    plan = made("user", facts={"deny_setgroups": True}, **MAPS)
    assert [op[3] for op in rows(plan, "id_maps")] == [(1,)]


@pytest.mark.parametrize("user", [False, True])
def test_cgroups_are_entered_after_the_fork(user):
    """The child enters the cgroups; namespaces made earlier are not charged to the container."""
    plan = made("pid", "network", "mount", *(["user"] if user else []), **MAPS)
    assert ordered(plan, "unshare", "fork", "enter_cgroups", "setsid")
    # Their files are opened with the caller's credentials.
    assert ordered(plan, "cgroups", "open_cgroup", "id_maps")


def test_the_cgroup_namespace_is_made_after_placement():
    """A cgroup namespace is made inside the cgroup, which becomes its root."""
    plan = made("pid", "cgroup")
    assert unshared(plan) == [FLAGS["pid"], FLAGS["cgroup"]]
    assert positions(plan, "enter_cgroups")[0] < positions(plan, "unshare")[-1]


@pytest.mark.parametrize(("listed", "born"), [(["pid"], 1), ([], 0), (["pid", "user"], 0)])
def test_who_is_born_in_its_v2_cgroup(listed, born):
    """The child is cloned into its cgroup if there is a fork and no user namespace, which has no right to the directory."""
    plan = made(*listed, **MAPS)
    (operation,) = rows(plan, "open_cgroup")
    assert operation[3] == (born,)
    assert str(operation[4][0]).endswith("/one" if born else "/one/cgroup.procs")


def test_each_hierarchy_of_a_hybrid_host_is_entered():
    """v1 cgroups are entered by `tasks`, which takes no lock; without cgroups there are no operations."""
    opened = [str(op[4][0]) for op in rows(made("pid", host="hybrid"), "open_cgroup")]
    assert [path.rpartition("/")[2] for path in opened] == ["one", "tasks", "tasks", "tasks"]
    assert positions(made("pid", facts={"placement": []}), "cgroups", "open_cgroup", "enter_cgroups") == []


def test_clock_offsets_are_written_between_unshare_and_fork():
    """Time offsets are written before the fork, which freezes them; the child is the first inside."""
    offsets = {"boottime": {"secs": -1}, "monotonic": {"secs": 2, "nanosecs": 3}}
    plan = made("time", timeOffsets=offsets)
    assert ordered(plan, "unshare", "time_offsets", "fork")
    assert [op[4] for op in rows(plan, "time_offsets")] == [("monotonic 2 3\nboottime -1 0\n",)]
    assert rows(made("time=/time", timeOffsets=offsets), "time_offsets") == []


def test_clock_offsets_in_a_user_namespace():
    """The host's side writes them while the caller may open init's files in /proc; root always may."""
    offsets = {"boottime": {"secs": 1}}
    plan = made("time", "user", timeOffsets=offsets)
    assert ordered(plan, "unshare", "id_maps", "time_offsets", "become", "fork")
    assert [op[1] for op in rows(plan, "time_offsets")] == [ops.HOST]
    for privileged, dumpable in ((True, [0]), (False, [0, 1, 0])):
        plan = made("time", "user=/user", timeOffsets=offsets, facts={"privileged": privileged})
        assert [op[1] for op in rows(plan, "time_offsets")] == [ops.HOST]
        assert [op[3][0] for op in rows(plan, "dumpable")] == dumpable


def test_shared_namespaces_take_no_operation():
    """Without listed namespaces, none is made or joined, and there is no fork."""
    assert positions(made(), "unshare", "open_namespace", "join_namespace", "fork") == []


def test_oom_score_adj_comes_before_dumpable():
    """A task that is not dumpable has its /proc files owned by the host's root."""
    spec = machines.spec_with()
    spec["process"]["oomScoreAdj"] = 0
    assert ordered(namespaces.operations(spec, machines.facts(spec)), "oom_score_adj", "dumpable")


def test_an_empty_path_is_no_path():
    """As Go writes it."""
    assert unshared(made("network=")) == [FLAGS["network"]]
