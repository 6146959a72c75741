"""Who the process is and what it may: ids, groups, umask, capabilities, rlimits, keyring, scores, signals."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import pytest

from tests.integration.caller import Caller, wait_for
from tests.integration.refusal import refuse_keyctl

SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
BITS = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_NET_BIND_SERVICE": 10, "CAP_SYS_RESOURCE": 24, "CAP_AUDIT_WRITE": 29}


def status(runtime: Caller, *names: str, **process: object) -> dict[str, str]:
    """Lines of the process's /proc/self/status."""
    pattern = "|".join(names)
    bundle = runtime.shell(f"grep -E '^({pattern}):' /proc/self/status", {"process": process})
    return dict(line.split(":\t") for line in runtime.run(bundle).ok().out.splitlines())


@pytest.mark.proves("/process/user/uid")
@pytest.mark.proves("/process/user/gid")
@pytest.mark.proves("/process/user/additionalGids")
@pytest.mark.kernel
def test_user_and_groups(runtime: Caller) -> None:
    """uid, gid and additionalGids are exactly those of the config."""
    user = {"uid": 1000, "gid": 1001, "additionalGids": [50, 2000]}
    seen = status(runtime, "Uid", "Gid", "Groups", user=user)
    assert seen["Uid"].split() == ["1000"] * 4
    assert seen["Gid"].split() == ["1001"] * 4
    assert sorted(seen["Groups"].split()) == ["2000", "50"]


def test_no_groups_of_the_caller(runtime: Caller) -> None:
    """Without additionalGids the process has none."""
    assert status(runtime, "Groups", user={"uid": 0, "gid": 0})["Groups"].strip() in ("", "0")


def some_groups() -> None:
    os.setgroups([7, 4242])


@pytest.mark.not_on("runc", reason="does not know the annotation")
@pytest.mark.parametrize(("value", "seen"), [("1", [7, 4242]), ("0", [])])
def test_groups_of_the_caller_are_kept(runtime: Caller, value: str, seen: list[int]) -> None:
    """With run.oci.keep_original_groups (Podman's `--group-add keep-groups`) the process and `exec` have the caller's."""
    change = {"annotations": {"run.oci.keep_original_groups": value}, "process": {"user": {"uid": 1000, "gid": 1000}}}
    look = "grep Groups /proc/self/status"
    out = runtime.run(runtime.shell(look, change), preexec_fn=some_groups).ok().out
    assert [int(word) for word in out.split()[1:]] == seen
    id = runtime.launch(runtime.sleeper(change))
    out = runtime.exec(id, look, preexec_fn=some_groups).ok().out
    assert [int(word) for word in out.split()[1:]] == seen


@pytest.mark.not_on("runc", "crun", reason="says nothing")
def test_groups_that_give_way_to_the_callers(runtime: Caller) -> None:
    """additionalGids are left out then, with a warning."""
    user = {"uid": 0, "gid": 0, "additionalGids": [50]}
    change = {"annotations": {"run.oci.keep_original_groups": "1"}, "process": {"user": user}}
    result = runtime.run(runtime.shell("grep Groups /proc/self/status", change), preexec_fn=some_groups).ok()
    assert result.out.split() == ["Groups:", "7", "4242"]
    assert "/process/user/additionalGids: left out, since the annotation" in result.err


@pytest.mark.proves("/process/user/umask")
@pytest.mark.parametrize("umask", [0o22, 0o77, 0])
@pytest.mark.kernel
def test_umask(runtime: Caller, umask: int) -> None:
    """umask is set."""
    bundle = runtime.shell("umask", {"process": {"user": {"uid": 0, "gid": 0, "umask": umask}}})
    assert runtime.run(bundle).ok().out == f"{umask:04o}\n"


def test_default_umask_is_not_the_callers(runtime: Caller) -> None:
    """Without umask in the config it is 0022, whatever the caller has."""
    assert runtime.run(runtime.shell("umask"), preexec_fn=lambda: os.umask(0o77)).ok().out == "0022\n"


@pytest.mark.kernel
def test_capability_sets(runtime: Caller) -> None:
    """Each of the five sets is the config's."""
    sets = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    seen = status(
        runtime,
        "CapBnd",
        "CapEff",
        "CapInh",
        "CapPrm",
        "CapAmb",
        capabilities=sets,
        user={"uid": 1000, "gid": 1000},
        noNewPrivileges=False,
    )
    # execve as another user than root leaves the ambient set in permitted and effective.
    assert int(seen["CapBnd"], 16) == sum(1 << BITS[name] for name in sets["bounding"])
    assert [int(seen[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [1 << BITS["CAP_KILL"]] * 4


# What the process has after execve depends on its user; the waiting init has exactly the config's sets.
INIT_SETS = {
    "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"],
    "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
    "effective": ["CAP_CHOWN"],
    "inheritable": ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
    "ambient": ["CAP_KILL"],
}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        pytest.param(name, line, marks=pytest.mark.proves(f"/process/capabilities/{name}"), id=name)
        for name, line in (
            ("bounding", "CapBnd"),
            ("permitted", "CapPrm"),
            ("effective", "CapEff"),
            ("inheritable", "CapInh"),
            ("ambient", "CapAmb"),
        )
    ],
)
def test_capability_set_of_the_waiting_init(runtime: Caller, name: str, line: str) -> None:
    """Each set is the config's, and no other set's: all five differ."""
    id = runtime.create(runtime.bundle({"process": {"capabilities": INIT_SETS, "user": {"uid": 1000, "gid": 1000}}}))
    text = Path(f"/proc/{runtime.pid(id)}/status").read_text()
    seen = int(text.split(f"{line}:\t")[1].split()[0], 16)
    assert seen == sum(1 << BITS[capability] for capability in INIT_SETS[name])


def test_no_capabilities(runtime: Caller) -> None:
    """Empty sets are empty, also for root."""
    seen = status(runtime, "CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb", capabilities={name: [] for name in SETS})
    assert {int(value, 16) for value in seen.values()} == {0}


@pytest.mark.not_on("runc", "crun", reason="fails")
def test_capability_that_cannot_be_granted(runtime: Caller) -> None:
    """A capability outside the caller's bounding set is left out with one warning that names it."""
    bounding = int(Path("/proc/self/status").read_text().split("CapBnd:\t")[1].split()[0], 16)
    if bounding >> BITS["CAP_SYS_RESOURCE"] & 1:
        pytest.skip("the machine has every capability")
    names = ["CAP_KILL", "CAP_SYS_RESOURCE"]
    bundle = runtime.shell(
        "grep CapEff /proc/self/status",
        {"process": {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), names)}},
    )
    result = runtime.run(bundle).ok()
    assert int(result.out.split()[1], 16) == 1 << BITS["CAP_KILL"]
    warnings = result.err.splitlines()
    assert len(warnings) == 1
    assert "CAP_SYS_RESOURCE" in warnings[0]


def test_unknown_capability(runtime: Caller) -> None:
    """A capability that no kernel knows is warned about or refused, by name."""
    bundle = runtime.bundle({"process": {"capabilities": {"bounding": ["CAP_NO_SUCH"]}}})
    assert runtime.name == "crun" or "CAP_NO_SUCH" in runtime.run(bundle).err


@pytest.mark.proves("/process/rlimits/*/type")
@pytest.mark.proves("/process/rlimits/*/soft")
@pytest.mark.proves("/process/rlimits/*/hard")
@pytest.mark.kernel
def test_rlimits(runtime: Caller) -> None:
    """rlimits are the process's, soft and hard."""
    limits = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_NPROC", "soft": 300, "hard": 400},
    ]
    out = runtime.run(runtime.shell("cat /proc/self/limits", {"process": {"rlimits": limits}})).ok().out
    lines = {line[:26].strip(): line[26:].split()[:2] for line in out.splitlines()}
    assert lines["Max open files"] == ["100", "200"]
    assert lines["Max core file size"] == ["0", "0"]
    assert lines["Max processes"] == ["300", "400"]


@pytest.mark.proves_operation("rlimit")
def test_rlimits_in_a_user_namespace(runtime: Caller) -> None:
    """Root there may not raise a limit; the runtime sets the config's from outside, for run and for exec."""
    limits = [{"type": "RLIMIT_NOFILE", "soft": 101, "hard": 201}]
    ids = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    bundle = runtime.sleeper({"process": {"rlimits": limits}, "linux": {"uidMappings": ids, "gidMappings": ids}})
    bundle.linux["namespaces"].append({"type": "user"})
    id = runtime.launch(bundle.save())
    process = runtime.directory / "process.json"
    look = ["sh", "-c", "ulimit -Sn; ulimit -Hn"]
    process.write_text(json.dumps({**bundle.process, "args": look}))
    assert resource.prlimit(runtime.pid(id), resource.RLIMIT_NOFILE) == (101, 201)
    assert runtime.call("exec", "--process", process, id).ok().out.split() == ["101", "201"]


def test_rlimit_that_cannot_be_raised(runtime: Caller) -> None:
    """Raising a hard limit without CAP_SYS_RESOURCE is an error that names the limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    capable = int(Path("/proc/self/status").read_text().split("CapEff:\t")[1].split()[0], 16) >> 24 & 1
    if capable or hard == resource.RLIM_INFINITY:
        pytest.skip("the machine can raise limits")
    bundle = runtime.bundle({"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": hard + 1, "hard": hard + 1}]}})
    err = runtime.run(bundle).failed(1).err
    if runtime.name == "ocirun":
        assert "RLIMIT_NOFILE" in err
        assert "operation not permitted" in err


@pytest.mark.proves("/process/noNewPrivileges")
@pytest.mark.kernel
def test_no_new_privileges(runtime: Caller) -> None:
    """noNewPrivileges is the kernel's bit."""
    assert status(runtime, "NoNewPrivs", noNewPrivileges=True)["NoNewPrivs"] == "1"
    assert status(runtime, "NoNewPrivs", noNewPrivileges=False)["NoNewPrivs"] == "0"


@pytest.mark.proves("/process/oomScoreAdj")
def test_oom_score(runtime: Caller) -> None:
    """oomScoreAdj is the process's."""
    bundle = runtime.shell("cat /proc/self/oom_score_adj", {"process": {"oomScoreAdj": 321}})
    assert runtime.run(bundle).ok().out == "321\n"


def test_negative_oom_score(runtime: Caller) -> None:
    """A negative score needs CAP_SYS_RESOURCE: set, or an error."""
    capable = int(Path("/proc/self/status").read_text().split("CapEff:\t")[1].split()[0], 16) >> 24 & 1
    bundle = runtime.shell("cat /proc/self/oom_score_adj", {"process": {"oomScoreAdj": -500}})
    result = runtime.run(bundle)
    assert (result.out == "-500\n") if capable else result.failed(1)


@pytest.mark.proves_operation("keyring")
def test_session_keyring(runtime: Caller) -> None:
    """The container has a session keyring of its own; --no-new-keyring leaves the caller's."""
    bundle = runtime.shell("cat /proc/keys")
    bundle.linux["maskedPaths"] = []
    for flags, expected in (([], True), (["--no-new-keyring"], False)):
        id = runtime.new_id()
        out = runtime.call("run", *flags, "--bundle", bundle.save().directory, id).ok().out
        assert (f"_ses.{id}:" in out) is expected


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter has the number of keyctl on x86-64")
@pytest.mark.not_on("crun", reason="leaves the program the caller's keyring without a word")
def test_a_session_keyring_that_is_refused(runtime: Caller) -> None:
    """A session keyring that cannot be made is an error, for the program would have the caller's; --no-new-keyring asks for that."""
    id, bundle = runtime.new_id(), runtime.shell("echo ran").save()
    result = runtime.call("run", "--bundle", bundle.directory, id, preexec_fn=refuse_keyctl).failed(1)
    assert "operation not permitted" in result.err
    assert "ran" not in result.out
    flags = ("run", "--no-new-keyring", "--bundle", bundle.directory, runtime.new_id())
    assert runtime.call(*flags, preexec_fn=refuse_keyctl).ok().out == "ran\n"


def test_signal_dispositions(runtime: Caller) -> None:
    """Init and exec start with no signal ignored, blocked or caught, whatever the caller ignores and blocks."""

    def ignore_and_block() -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGUSR1})

    bundle = runtime.bundle({"process": {"args": ["cat", "/proc/self/status"]}})
    out = runtime.run(bundle, preexec_fn=ignore_and_block).ok().out
    init = {name: value for name, _, value in (line.partition(":\t") for line in out.splitlines())}
    id = runtime.launch(runtime.sleeper())
    out = runtime.exec(id, ["cat", "/proc/self/status"], preexec_fn=ignore_and_block).ok().out
    extra = {name: value for name, _, value in (line.partition(":\t") for line in out.splitlines())}
    if runtime.name == "ocirun":
        for seen in (init, extra):
            assert [seen[name] for name in ("SigIgn", "SigBlk", "SigCgt")] == ["0" * 16] * 3


@pytest.mark.proves_operation("stdio")
def test_standard_streams_open_for_the_user(runtime: Caller) -> None:
    """/dev/stdout and /dev/stderr open for a user who is not root: they are given to the user."""
    bundle = runtime.shell(
        "echo one > /dev/stdout; echo two > /dev/stderr", {"process": {"user": {"uid": 1000, "gid": 1000}}}
    )
    read, write = os.pipe()
    id = runtime.new_id()
    import subprocess

    child = subprocess.Popen(
        runtime.command("run", "--bundle", bundle.directory, id), stdin=subprocess.DEVNULL, stdout=write, stderr=write
    )
    os.close(write)
    with open(read) as stream:
        assert sorted(stream.read().split()) == ["one", "two"]
    assert child.wait(10) == 0


def test_waiting_init_is_named(runtime: Caller) -> None:
    """The waiting init has a name of its own and the state's pid."""
    id = runtime.create(runtime.bundle())
    name = Path(f"/proc/{runtime.pid(id)}/comm").read_text().strip()
    if runtime.name == "ocirun":
        assert "memfd" not in name
        assert not name.isdigit()
        assert name


def test_executable_is_not_the_hosts(runtime: Caller) -> None:
    """/proc/PID/exe of a waiting init is no file of the host that could be overwritten (CVE-2019-5736)."""
    id = runtime.create(runtime.bundle())
    target = os.readlink(f"/proc/{runtime.pid(id)}/exe")
    if runtime.name == "ocirun":
        assert "memfd:" in target or "(deleted)" in target


@pytest.mark.proves_operation("setsid")
def test_personality_and_session(runtime: Caller) -> None:
    """The process leads a session of its own."""
    id = runtime.launch(runtime.sleeper())
    fields = Path(f"/proc/{runtime.pid(id)}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[3]) == runtime.pid(id)  # the session's id


def test_process_title(runtime: Caller) -> None:
    """The user's process shows its own arguments."""
    id = runtime.launch(runtime.bundle({"process": {"args": ["sleep", "61"]}}))
    wait_for(lambda: Path(f"/proc/{runtime.pid(id)}/cmdline").read_bytes() == b"sleep\x0061\x00", "title")
