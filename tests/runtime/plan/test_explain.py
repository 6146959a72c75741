"""runtime.plan.explain: every operation and every failure has a text that names what the config asked for."""

from errno import EACCES, ECHILD, EEXIST, EINVAL, EISDIR, ENODEV, ENOENT, ENOSPC, ENOTDIR, EPERM, ESTALE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.plan import explain, failures, ops, plan
from runtime.plan.operations import ROWS, steps
from tests.runtime.plan import configs, machines
from tests.runtime.plan.test_encode import QUICK, enum

STEP = {name: number for number, name in enumerate(enum("plan_step"))}
# The steps whose words are their names: system calls, and what they are about.
CALLS = (
    "open read write setns unshare fork mknod chmod chown verify fsopen mount pivot_root chroot setsid prctl setgroups setgid "
    "setuid capset"
)
NULL = ops.device("/dev/null", 0o020000, 1, 3, 0o666)


def fail(operation, error, step, detail=0):
    return failures.failure(operation, error, STEP[f"STEP_{step}"], detail)


def test_the_steps_are_the_headers():
    """Each step has its phrase at the index of its name in the header."""
    assert len(steps.PHRASES) == STEP["STEP_COUNT"]
    names = [name for name in vars(steps) if name.isupper() and name != "PHRASES"]
    assert {f"STEP_{name}": getattr(steps, name) for name in names} == {
        n: i for n, i in STEP.items() if n != "STEP_COUNT"
    }
    for name in CALLS.split():
        assert steps.PHRASES[STEP[f"STEP_{name.upper()}"]] == name
    assert all(steps.PHRASES[1:])


def test_every_code_has_its_sentence():
    """The functions of the table are in the order of the codes."""
    assert [function.__name__ for function, _, _ in ROWS] == [name for name, _, _ in ops.TABLE]


def test_the_bytes_of_a_filter_stay_bytes():
    """Binary arguments are not decoded."""
    names = {name for function, _, _ in ROWS for name, kind in function.__annotations__.items() if kind == "bytes"}
    assert names == set(explain.BINARY)


@QUICK
@given(configs.CONFIGS, configs.FACTS, st.integers(1, 133), st.integers(0, 60))
def test_any_operation_and_any_failure_have_words(spec, facts, error, step):
    """One line without a full stop for each operation of any config, and an error for any number that init may send."""
    for operation in machines.planned(spec, **facts):
        text = explain.sentence(operation)
        assert text[0].islower()
        assert "None" not in text or "None" in str([part for part in operation[4] if part is not None])
        failure = failures.failure(operation, error, step)
        assert failure.message
        if operation[2]:
            # Of an execve that changes a label the program itself may be what is wrong.
            assert failure.pointer.startswith((operation[2], "/process/args/0" if operation[0] == ops.OP_EXEC else "-"))


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (
            ops.mount("/dev", "tmpfs", "tmpfs", ["mode=755"], 0x22),
            "mount tmpfs on /dev (nosuid, strictatime) with mode=755",
        ),
        (ops.mount("/a", "tmpfs", "x", flags=1), "mount tmpfs on /a, filled with what it covers"),
        (
            ops.mount("/sys", "sysfs", "sysfs", flags=16),
            "mount sysfs on /sys, or bind the host's if the kernel refuses it",
        ),
        (ops.mount("/a", "xfs", "/d", propagation=0x44000, superblock=16), "mount xfs on /a (sync, rprivate)"),
        (
            ops.bind("/a", "/b", True, 1, 0, 1 << 19, 1, 4),
            "bind /b and what is mounted below it on /a (ro, rro, rdev, slave)",
        ),
        (ops.bind("/a", "/b", False, 0, 1), "bind /b on /a (rw)"),
        (ops.bind("/a", None), "bind that mount on /a"),
        (ops.remount("/a", ["size=1k"], 1, flags=0x1000), "change the mount at /a (ro) with size=1k"),
        (ops.unshare(0x20000, None), "make a new namespace: mount"),
        (ops.unshare(0x40020000, None), "make new namespaces: network, mount"),
        (ops.symlink("/proc/kcore", "/dev/core", 1), "link /dev/core to /proc/kcore if that exists"),
        (ops.symlink("pts/ptmx", "/dev/ptmx", 2), "link /dev/ptmx to pts/ptmx, in place of what is there"),
        (ops.device_bind("/dev/a", None, 0o020000, 1, 3), "bind that device on /dev/a"),
        (
            ops.id_maps("0 1000 1\n1 100000 10\n", "0 5 1\n", True, ""),
            "write the id maps: uids 0 as the host's 1000, 1-10 as the host's 100000-100009; gids 0 as the host's 5; and deny setgroups",
        ),
        (ops.rlimit(7, 1, 2, "", 1), "set RLIMIT_NOFILE to 1, at most 2"),
        (ops.rlimit(4, 2**64 - 1, 2**64 - 1, "", 1), "set RLIMIT_CORE to unlimited"),
        (
            ops.capabilities(1, 1, 0, 0, ""),
            "hold as effective and permitted chown; as inheritable and ambient no capabilities",
        ),
        (
            ops.bounding(machines.ALL_CAPABILITIES & ~machines.SYS_RESOURCE, ""),
            "keep in the bounding set: all capabilities but sys_resource",
        ),
        (ops.bounding(~0, ""), "keep in the bounding set: all capabilities"),
        (ops.user(1, 2, False, None), "become uid 1, gid 2, other groups as they are"),
        (ops.user(1, 2, True, []), "become uid 1, gid 2, no other group"),
        (ops.user(1, 2, True, ["3"]), "become uid 1, gid 2, groups 3"),
        (ops.oom_score_adj(-5, ""), "set oom_score_adj to -5"),
        (
            ops.propagation(1 << 20, None),
            "make every mount shared with the host: what is mounted in one place is seen in the other",
        ),
        (ops.pivot(2), "enter the root by chroot alone"),
        (ops.hooks("prestart", 2, "/hooks/prestart"), "run 2 prestart hooks"),
        (ops.run_hook("/h", [], [], 3, 0, ""), "run the hook /h in the container's namespaces, at most 3 s"),
        (ops.program(["a"], [], "/x:/y", 0, False), "look up a in /x:/y"),
        (ops.program(["./a"], [], "/x:/y", 0, False), "look up ./a"),
        (ops.seccomp(bytes(16), 0), "load the seccomp filter (2 instructions)"),
        (ops.seccomp(b"", 0), "load the seccomp filter"),
        (
            ops.seccomp_notify(bytes(16), 8, "/run/agent", ""),
            "load the seccomp filter (2 instructions) and have its listener sent to /run/agent",
        ),
    ],
)
def test_sentences(operation, text):
    """Sentences use the config's own vocabulary."""
    assert explain.sentence(operation) == text


@pytest.mark.parametrize(
    ("operation", "error", "message"),
    [
        (
            ops.mount("/proc", "proc", "proc"),
            ENOTDIR,
            "mount proc on /proc: it is not an ordinary directory in the root file system",
        ),
        (NULL, EEXIST, "make the character device /dev/null (1:3, mode 0666): a different file is in its place"),
        (
            ops.device_bind("/dev/a", "/dev/a", 0o020000, 1, 3),
            ENODEV,
            "bind the host's device /dev/a on /dev/a: the host has no such device there",
        ),
        (
            ops.readonly("/a"),
            ESTALE,
            "make /a read-only if it is there: it was replaced by something else while it was being mounted on",
        ),
        (ops.mask("/a"), ENODEV, "mask /a if it is there: the host's /dev/null is not the null device"),
        (
            ops.open_namespace(0x40000000, 0, "/n", ""),
            EINVAL,
            "open the network namespace /n: the file is not a namespace of this type",
        ),
        (ops.cwd("/w", True), ENOENT, "chdir to /w: the directory is outside the container's root"),
    ],
)
def test_what_was_found_in_place_of_what_was_verified(operation, error, message):
    """A verification's errno is init's finding, not the system's answer, and is not presented as one."""
    failure = fail(operation, error, "VERIFY")
    assert (failure.message, failure.errno) == (message, error)


@pytest.mark.parametrize(
    ("operation", "error", "step", "message"),
    [
        (
            ops.mount("/a", "nofs", "x", origin="/mounts/3"),
            ENODEV,
            "FSOPEN",
            "mount nofs on /a: fsopen: no such device; the kernel does not know this file system",
        ),
        (ops.mount("/a", "tmpfs", "x"), EINVAL, "MOUNT", "mount tmpfs on /a: invalid argument"),
        (
            ops.rlimit(7, 1, 2, "/process/rlimits/0", 1),
            EPERM,
            "RLIMIT",
            (
                "set RLIMIT_NOFILE to 1, at most 2: setrlimit: operation not permitted"
                "; raising a hard limit takes CAP_SYS_RESOURCE: lower it in the config"
            ),
        ),
        (
            ops.oom_score_adj(-5, "/process/oomScoreAdj"),
            EACCES,
            "WRITE",
            "set oom_score_adj to -5: write: permission denied; a lower score than the caller's takes CAP_SYS_RESOURCE",
        ),
        (
            ops.unshare(0x20000, None),
            ENOSPC,
            "UNSHARE",
            "make a new namespace: mount: unshare: no space left on device; too many namespaces: see /proc/sys/user/max_*_namespaces",
        ),
        (
            ops.console(0, 0, True, 0),
            ENOENT,
            "OPEN",
            (
                "open a terminal as standard input, output and error and bind it on /dev/console: open: no such file or directory"
                "; a terminal needs a mount of type devpts on /dev/pts"
            ),
        ),
        (
            ops.seccomp(b"", 0),
            EACCES,
            "SECCOMP",
            "load the seccomp filter: load the filter: permission denied; without CAP_SYS_ADMIN a filter needs noNewPrivileges",
        ),
        (ops.setsid(), EPERM, "NONE", "start a session: operation not permitted"),
    ],
)
def test_failures(operation, error, step, message):
    """What it does, what was tried, what the system said, what to do; the origin as the pointer."""
    failure = fail(operation, error, step)
    assert (failure.message, failure.pointer, failure.errno) == (message, operation[2], error)


@pytest.mark.parametrize(
    ("name", "error", "step", "message"),
    [
        ("nope", ENOENT, "LOOKUP", 'exec: "nope": executable file not found in $PATH'),
        ("/nope", ENOENT, "LOOKUP", 'exec: "/nope": stat /nope: no such file or directory'),
        ("/etc/plain", EACCES, "LOOKUP", 'exec: "/etc/plain": permission denied'),
        ("/etc", EISDIR, "LOOKUP", 'exec: "/etc": is a directory: permission denied'),
        ("/x", 8, "EXEC", 'exec: "/x": exec format error'),
    ],
)
def test_a_program_that_cannot_run(name, error, step, message):
    """The wording is what managers match for their exit codes 127 and 126."""
    for operation in (ops.program([name], [], "/bin", 0, False), ops.exec(name)):
        failure = fail(operation, error, step)
        assert (failure.message, failure.pointer) == (message, "/process/args/0")


@pytest.mark.parametrize(
    ("step", "error", "detail", "message"),
    [
        ("HOOK_EXIT", 0, 3 << 8, "error running createContainer hook #0: /h: exit status 3"),
        (
            "HOOK_EXIT",
            0,
            127 << 8,
            "error running createContainer hook #0: /h: exit status 127; it could not be executed in the container",
        ),
        ("HOOK_EXIT", 0, 9, "error running createContainer hook #0: /h: killed by signal 9 (SIGKILL: killed)"),
        ("HOOK_EXIT", 0, 34, "error running createContainer hook #0: /h: killed by signal 34"),
        ("HOOK_EXIT", 0, 100, "error running createContainer hook #0: /h: killed by signal 100"),
        (
            "HOOK_TIMEOUT",
            0,
            0,
            "error running createContainer hook #0: /h: not finished after its timeout of 3 s, killed",
        ),
        (
            "HOOK_SPAWN",
            ENOENT,
            0,
            "error running createContainer hook #0: /h: start the hook: no such file or directory",
        ),
    ],
)
def test_a_hook_that_fails(step, error, detail, message):
    """A hook's failure says how it ended, with its own pointer."""
    failure = fail(ops.run_hook("/h", [], [], 3, 0, "/hooks/createContainer/0"), error, step, detail)
    assert (failure.message, failure.pointer) == (message, "/hooks/createContainer/0")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (31, "killed by signal 31 (SIGSYS: bad system call); the seccomp filter"),
        (125 << 8, "as when its seccomp filter"),
        (127 << 8, "executed"),
    ],
)
def test_a_filtered_hook_that_fails(status, said):
    """The error mentions the filter only if there is one."""
    filtered = fail(
        ops.run_hook("/h", [], [], 3, 1, "/hooks/startContainer/0", filtered=True), ECHILD, "HOOK_EXIT", status
    )
    assert said in filtered.message
    plain = fail(ops.run_hook("/h", [], [], 3, 1, "/hooks/startContainer/0"), ECHILD, "HOOK_EXIT", status)
    assert "seccomp" not in plain.message


@pytest.mark.parametrize(
    ("label", "error", "said"),
    [
        ("selinuxLabel", EPERM, "nnp_transition"),
        ("selinuxLabel", EACCES, "entrypoint"),
        ("apparmorProfile", EPERM, "under noNewPrivileges AppArmor"),
    ],
)
def test_a_label_that_the_execve_may_not_change_to(label, error, said):
    """errno does not mention a label: the remedy does, at the label's pointer."""
    failure = fail(ops.exec("/bin/x", f"/process/{label}"), error, "EXEC")
    assert failure.pointer == f"/process/{label}"
    assert said in failure.message
    plain = fail(ops.exec("/bin/x"), error, "EXEC")
    assert (plain.pointer, said in plain.message) == ("/process/args/0", False)


def test_bytes_of_a_decoded_plan_have_words():
    """A plan that came from the wire has bytes where strings were."""
    assert explain.sentence((ops.OP_EXEC, 1, None, (), (b"/bin/\xff",))) == "execute /bin/\udcff"


@pytest.mark.parametrize(
    ("step", "remedy"),
    [
        ("MKDIR", "make the directory: permission denied; create it beforehand"),
        ("MOVE_MOUNT", "attach the mount: permission"),
    ],
)
def test_a_bind_of_what_was_opened_before(step, remedy):
    """A failed bind names the source of the operation before it; a target that cannot be created must exist."""
    plan = [ops.open_tree("/src", 1, "/mounts/0"), ops.bind("/to", None, 1, origin="/mounts/0")]
    failure = failures.failure(failures.of_plan(plan, 1), EACCES, STEP[f"STEP_{step}"])
    assert failure.message.startswith(f"bind /src and what is mounted below it on /to: {remedy}")
    assert failures.of_plan(plan, 99) == plan[1]
    assert failures.of_plan([ops.bind("/to", "/other")], 0)[4] == ("/to", "/other")


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (3 | 1 << 13, "MPOL_F_NUMA_BALANCING goes with MPOL_BIND"),
        (2 | 1 << 13, "are these nodes there"),
        (3, "are these nodes there"),
    ],
)
def test_a_memory_policy_that_is_refused(mode, said):
    """A flag that does not go with the mode is not blamed on the nodes."""
    assert said in fail(ops.memory_policy(mode, ["0"]), EINVAL, "MEMORY_POLICY").message


def test_what_a_hook_wrote():
    """The hook's output ends the error, in one line, and replaces a guess."""
    hook = ops.run_hook("/h", [], [], 3, 1, "/hooks/startContainer/0", False, True)
    for status, text in ((127 << 8, "exit status 127: no b"), (9, "killed by signal 9 (SIGKILL: killed): no b")):
        assert failures.failure(hook, ECHILD, STEP["STEP_HOOK_EXIT"], status, b"no\n\tb\n").message.endswith(text)
    killed = failures.failure(hook, ECHILD, STEP["STEP_HOOK_EXIT"], 31, b"a").message
    assert "the seccomp filter" in killed
    assert killed.endswith(": a")
    assert failures.failure(hook, 0, STEP["STEP_HOOK_TIMEOUT"], 0, b"a").message.endswith("killed: a")


def test_a_step_of_a_newer_init():
    """An unknown step leaves out its phrase, not the error."""
    assert failures.failure(ops.setsid(), EPERM, 999).message == "start a session: operation not permitted"


def test_warnings_come_with_the_plan():
    """A warning names what is left out, with its pointer."""
    spec = machines.spec_with()
    spec["process"]["capabilities"] = {"bounding": ["CAP_NEW"]}
    assert plan(spec, machines.facts(spec), machines.options(spec))[1] == [
        ("/process/capabilities", "cannot be granted, left out: CAP_NEW")
    ]
