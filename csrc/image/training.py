"""Runs what processes of the image will run, so that specialised code and filled caches are in the image.

The containers have a private state root and bundles in a directory of the build, and cgroups of their own; nothing stays.
Where containers cannot be made (an ordinary user, a build in a container), `Untrained` says why.
"""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

ROUNDS = 12  # CPython 3.11 and 3.12 specialise a function after eight calls
KILLED, ENDING = f"training-{os.getpid()}", f"training-{os.getpid()}-run"  # builds may run side by side

CALLS = "accept4 bind brk clock_gettime close connect execve exit_group fstat futex mmap".split()
Call = Callable[[list[str]], int]
"""Runs one command line; returns its exit status."""


class Untrained(Exception):
    """The containers cannot be made here."""


def config(ends: bool) -> dict[str, Any]:
    """What `ocirun spec` writes, for a program that ends at once or stays."""
    from oci_spec.default import default

    spec: dict[str, Any] = default()
    spec["process"].update(terminal=False, args=["/program", *["end"] * ends])
    spec["root"] = {"path": "rootfs", "readonly": True}
    return spec


def managed(spec: dict[str, Any], parent: str) -> dict[str, Any]:
    """The same as a manager would have it: limits, devices, more mounts, a seccomp profile, annotations."""
    spec = json.loads(json.dumps(spec))
    spec["annotations"] = {"org.opencontainers.image.stopSignal": "15", "io.container.manager": "training"}
    spec["hostname"] = "training"
    spec["root"]["readonly"] = False
    spec["process"].update(
        env=["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", "HOSTNAME=training"],
        oomScoreAdj=0,
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}],
    )
    spec["mounts"] += [
        {"destination": "/etc/hosts", "type": "bind", "source": "/etc/hosts", "options": ["rbind", "rprivate", "ro"]},
        {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=755"]},
    ]
    spec["linux"].update(
        cgroupsPath=f"/{parent}/{KILLED}",
        sysctl={"net.ipv4.ip_unprivileged_port_start": "0"},
        resources={
            "devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                {"allow": True, "type": "c", "major": 5, "minor": 0, "access": "rwm"},
            ],
            "memory": {"limit": 64 << 20},
            "pids": {"limit": 100},
            "cpu": {"shares": 1024},
        },
        seccomp={
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [
                {"names": CALLS, "action": "SCMP_ACT_ALLOW"},
                {
                    "names": ["personality"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 1,
                    "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
                },
            ],
        },
    )
    return spec


def write_bundles(directory: str, program: str, parent: str) -> None:
    """Bundles below ``directory``, named after their variant and whether the program ends."""
    for ends in (False, True):
        plain = config(ends)
        for variant, spec in (("plain", plain), ("managed", managed(plain, parent))):
            rootfs = f"{directory}/{variant}-{ends}/rootfs"
            for name in ("etc", "proc", "sys", "dev", "run"):
                os.makedirs(f"{rootfs}/{name}")
            with open(program, "rb") as source, open(f"{rootfs}/program", "wb") as copy:
                copy.write(source.read())
                os.fchmod(copy.fileno(), 0o755)
            with open(f"{directory}/{variant}-{ends}/config.json", "w") as file:
                json.dump(spec, file, indent=2)


def life(directory: str, variant: str) -> Iterator[list[str]]:
    """The command lines of one container's life, and of `run`."""
    stays, ends, pid = f"{directory}/{variant}-False", f"{directory}/{variant}-True", f"{directory}/pid"
    yield ["create", "--bundle", stays, "--pid-file", pid, KILLED]
    yield ["state", KILLED]
    yield ["start", KILLED]
    yield ["state", KILLED]
    yield ["exec", KILLED, "/program", "end"]
    yield ["events", "--stats", KILLED]
    yield ["kill", KILLED, "KILL"]
    with open(pid) as file:
        os.waitpid(int(file.read()), 0)
    yield ["delete", KILLED]
    yield ["run", "--bundle", ends, ENDING]
    yield ["list", "--quiet"]


def train(call: Call, directory: str, program: str) -> None:
    """Run the commands ROUNDS times. ``directory`` must not exist. Raises Untrained."""
    home = os.getcwd()  # create leaves it for the bundle
    directory = os.path.join(home, directory)
    parent = f"ocirun-training-{os.getpid()}"
    write_bundles(directory, program, parent)
    options = ["--root", f"{directory}/state", "--log", f"{directory}/log"]
    saved, null = os.dup(1), os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    try:
        for number in range(ROUNDS):
            for words in life(directory, "managed" if number % 2 else "plain"):
                if call([*options, *words]):
                    with open(f"{directory}/log") as log:
                        raise Untrained(f"{words[0]}: {(log.read().splitlines() or ['failed'])[-1]}")
    finally:
        for name in (KILLED, ENDING):
            call([*options, "delete", "--force", name])
        os.dup2(saved, 1)
        for descriptor in (saved, null):
            os.close(descriptor)
        os.chdir(home)
        clean(directory, parent)


def clean(directory: str, parent: str) -> None:
    """Remove the bundles and the containers' parent cgroups."""
    for place, below, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(f"{place}/{name}")
        for name in below:
            os.rmdir(f"{place}/{name}")
    os.rmdir(directory)
    for hierarchy in ("", *os.listdir("/sys/fs/cgroup")):
        try:
            os.rmdir(f"/sys/fs/cgroup/{hierarchy}/{parent}")
        except OSError:
            pass
