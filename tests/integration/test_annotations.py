"""What of a config is for the runtime and its callers: the version of the spec, and annotations."""

from __future__ import annotations

import errno
import json
import os
import platform
import signal
import socket
from pathlib import Path

import pytest

from tests.integration.caller import Caller, wait_for
from tests.integration.seccomp_agent import Agent


@pytest.mark.proves("/ociVersion")
@pytest.mark.not_on("runc", "crun", reason="does not look at it")
def test_versions(runtime: Caller) -> None:
    """Every 1.x runs, one that is newer than this runtime with a warning; another major version is refused."""
    for version in ("1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0"):
        assert runtime.run(runtime.bundle({"ociVersion": version})).ok().err == "", version
    assert "/ociVersion" in runtime.run(runtime.bundle({"ociVersion": "1.99.0"})).ok().err
    for version in ("2.0.0", "one", ""):
        assert "/ociVersion" in runtime.run(runtime.bundle({"ociVersion": version})).failed(1).err, version
    assert runtime.known_ids() == []


@pytest.mark.proves("/annotations")
def test_annotations(runtime: Caller) -> None:
    """Annotations are in the state, for whoever asks and for hooks; a value may be empty."""
    annotations = {"com.example.key": 'value with spaces, "quotes" and é', "com.example.empty": ""}
    bundle = runtime.bundle({"annotations": annotations})
    log = bundle.directory / "log"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat > {log}"], "env": ["PATH=/bin:/usr/bin"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    id = runtime.create(bundle.save())
    seen = runtime.state(id)["annotations"]
    assert {key: seen.get(key) for key in annotations} == annotations
    told = json.loads(log.read_text())["annotations"]
    assert {key: told.get(key) for key in annotations} == annotations


CRUN = pytest.mark.not_on("runc", "crun", reason="the one knows none of them, the other ignores what it does not know")
REFUSED = {
    "run.oci.seccomp.plugins": ("/lib/plugin.so", "libraries that answer seccomp notifications are not loaded"),
    "run.oci.seccomp_bpf_data": ("AAAA", "write the profile into linux.seccomp"),
    "run.oci.timens_offset": ("monotonic 1 0", "write the offsets into linux.timeOffsets"),
    "run.oci.delegate-cgroup": ("payload", "no further cgroup is made"),
    "run.oci.handler": ("krun", "the handler 'krun' is not built: use crun"),
    "module.wasm.image/variant": ("compat", "the image is WebAssembly"),
    "run.oci.mount_context_type": ("other", "'other' is none of context, fscontext, defcontext, rootcontext"),
}


@CRUN
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_built(runtime: Caller, name: str) -> None:
    """Refused by name, and nothing is left; `plan` says so too."""
    value, reason = REFUSED[name]
    bundle = runtime.bundle({"annotations": {name: value}})
    pointer = f"/annotations/{name.replace('/', '~1')}: "
    for said in (runtime.run(bundle).failed(1).err, runtime.call("plan", bundle.directory).failed(1).err):
        assert pointer in said
        assert reason in said
    assert runtime.known_ids() == []


@CRUN
@pytest.mark.parametrize(
    ("annotations", "args", "refused"),
    [
        ({"run.oci.handler": "wasm-smart"}, ["/bin/true"], False),
        ({"run.oci.handler": "wasm-smart"}, ["/app.wasm"], True),
        ({"module.wasm.image/variant": "compat-smart"}, ["/bin/true"], False),
        ({"module.wasm.image/variant": "compat-smart"}, ["/app.wat"], True),
        ({"module.wasm.image/variant": "v8"}, ["/bin/true"], False),
        ({"run.oci.handler": "krun", "io.kubernetes.cri.container-type": "sandbox"}, ["/bin/true"], False),
        ({"run.oci.handler": "wasm-smart", "module.wasm.image/variant": "compat"}, ["/bin/true"], False),
    ],
)
def test_programs_of_this_kernel(runtime: Caller, annotations: dict[str, str], args: list[str], refused: bool) -> None:
    """By crun's rules: the smart values are about modules alone, a pod's sandbox has no handler, and a handler counts first."""
    bundle = runtime.bundle({"annotations": annotations, "process": {"args": args}})
    if refused:
        bundle.write(args[0], "", 0o755)
    result = runtime.run(bundle)
    if refused:
        assert "/annotations/" in result.failed(1).err
    else:
        assert result.ok().err == ""


@CRUN
def test_what_nobody_knows(runtime: Caller) -> None:
    """A name of crun's that is unknown is a warning; others, and empty values that ask for what is done anyway, are not."""
    annotations = {
        "run.oci.systemd.subgroup": "",
        "run.oci.delegate-cgroup": "",
        "io.podman.annotations.x": "y",
        "org.systemd.property.KillSignal": "37",
        "run.oci.mount_context_type": "rootcontext",
    }
    assert runtime.run(runtime.bundle({"annotations": annotations})).ok().err == ""
    named = runtime.bundle({"annotations": {"run.oci.systemd.subgroup": "container"}})
    assert (
        "/annotations/run.oci.systemd.subgroup: without systemd's cgroups it has no effect"
        in runtime.run(named).ok().err
    )
    said = runtime.run(runtime.bundle({"annotations": {**annotations, "run.oci.tomorrow": "1"}})).ok().err
    assert said.count("warning") == 1
    assert "/annotations/run.oci.tomorrow: ocirun does not know this annotation, it has no effect" in said


@pytest.mark.not_on("runc", reason="does not know the annotation")
@pytest.mark.parametrize("relative", [False, True])
def test_pidfd_receiver(runtime: Caller, relative: bool) -> None:
    """run.oci.pidfd_receiver: the socket there receives a pidfd of the first process; a relative path counts from the bundle."""
    bundle = runtime.sleeper()
    path = bundle.directory / "receiver"
    bundle.config["annotations"] = {"run.oci.pidfd_receiver": "receiver" if relative else str(path)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(10)
        id = runtime.create(bundle.save())
        channel, _ = listener.accept()
        _, descriptors, _, _ = socket.recv_fds(channel, 4096, 4)
        channel.close()
    (pidfd,) = descriptors
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    runtime.wait_status(id)


@CRUN
def test_pidfd_receiver_that_is_not_there(runtime: Caller) -> None:
    """An error that names the path, and no container."""
    bundle = runtime.sleeper({"annotations": {"run.oci.pidfd_receiver": "/no/such/socket"}})
    assert "send the pidfd to /no/such/socket: no such file or directory" in runtime.try_create(bundle).failed(1).err
    assert runtime.known_ids() == []


NOTIFY = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the number of mkdir is x86-64's")
@pytest.mark.not_on("runc", "crun", reason="the one does not know the annotation, the other wants another agent")
def test_seccomp_receiver(runtime: Caller) -> None:
    """run.oci.seccomp.receiver is listenerPath where the profile has none, for the container and for `exec`."""
    path = runtime.directory / "agent"
    with Agent(path, lambda number: errno.ENOSPC if number == 83 else None) as agent:
        change = {"annotations": {"run.oci.seccomp.receiver": str(path)}, "linux": {"seccomp": NOTIFY}}
        bundle = runtime.shell("mkdir /a 2>/said; exec sleep 60", change)
        id = runtime.launch(bundle)
        wait_for(lambda: "No space left" in (bundle.rootfs / "said").read_text(), "what mkdir says")
        assert "No space left" in runtime.exec(id, "mkdir /b").failed(1).err
        assert len(agent.states) == 2
        runtime.remove_all()
    for value, seccomp, words in (
        (str(path), {"defaultAction": "SCMP_ACT_ALLOW"}, "nothing is sent"),
        ("agent", NOTIFY, "/annotations/run.oci.seccomp.receiver: the path must be absolute"),
        (str(path), NOTIFY, f"connect to {path}"),
    ):
        change = {"annotations": {"run.oci.seccomp.receiver": value}, "linux": {"seccomp": seccomp}}
        assert words in runtime.run(runtime.bundle(change)).err


@CRUN
@pytest.mark.skipif("name=systemd" not in Path("/proc/self/cgroup").read_text(), reason="no hierarchy name=systemd")
@pytest.mark.parametrize("options", [["rw"], ["ro", "nosuid"]])
def test_forced_cgroup_v1(runtime: Caller, options: list[str]) -> None:
    """run.oci.systemd.force_cgroup_v1: the mount at that path becomes the hierarchy name=systemd, with the container's own cgroup."""
    script = "ls /sys/fs/cgroup; grep -c $$ /sys/fs/cgroup/systemd/cgroup.procs; mkdir /sys/fs/cgroup/systemd/below"
    bundle = runtime.shell(script, {"annotations": {"run.oci.systemd.force_cgroup_v1": "/sys/fs/cgroup"}})
    bundle.config["linux"]["namespaces"].append({"type": "cgroup"})
    mounts = [mount for mount in bundle.config["mounts"] if mount["destination"] != "/sys/fs/cgroup"]
    mounts.append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options})
    bundle.config["mounts"] = mounts
    result = runtime.run(bundle.save())
    assert result.out == "systemd\n1\n"
    assert ("Read-only file system" in result.err) == ("ro" in options)
    bundle.config["annotations"] = {"run.oci.systemd.force_cgroup_v1": "/nowhere"}
    assert "no mount has the destination '/nowhere'" in runtime.run(bundle.save()).err
