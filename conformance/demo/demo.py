#!/usr/bin/env python3
"""`make demo`: runs a container and shows what it sees of this machine, and what happens when it tries more.

The container reports what it sees and tries as lines of "key=value"; everything beside them is read here, on the
host. Without root the container gets a user namespace of its own and no limits.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
OCIRUN = TREE / "build" / "ocirun"
MEMORY_LIMIT = 16 << 20
PIDS_LIMIT = 24
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ

# Runs in the container, on busybox. Each attempt prints the system's own answer.
INSIDE = r"""
echo pid=$$
echo processes=$(ls -d /proc/[0-9]* | wc -l)
echo hostname=$(hostname)
echo user=$(id -u):$(id -g)
echo mounts=$(wc -l < /proc/self/mounts)
echo network=$(ls /sys/class/net 2>/dev/null | tr '\n' ' ')
echo files=$(ls / | tr '\n' ' ')
while read -r name value; do
	case $name in CapEff:|CapBnd:|Seccomp:|NoNewPrivs:) echo $name$value | sed 's/:/=/' ;; esac
done < /proc/self/status
try() {
	key=$1; shift
	answer=$("$@" 2>&1 | head -n 1)
	echo "$key=${answer##*: }"
}
try write sh -c 'echo x > /bin/x'
try mount mount -t tmpfs none /tmp
try unshare unshare -m true
try sethostname hostname other
try clock date -s 2000-01-01
try device mknod /dev/disk b 8 0
try kernel sh -c 'echo 1 > /proc/sys/kernel/panic'
try masked sh -c 'cat /proc/kallsyms | wc -c'
dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null
echo memory=$?
try forks sh -c 'for i in $(seq 99); do sleep 9 >/dev/null 2>&1 & done'
"""


def build_rootfs(root: Path) -> None:
    """A root file system of one static program and a link for each of its names."""
    busybox = shutil.which("busybox") or "/bin/busybox"
    for name in ("bin", "dev", "proc", "sys", "tmp", "etc"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "look").write_text(INSIDE)


def mounts() -> list[dict]:
    strict = ["nosuid", "noexec", "nodev"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": strict},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*strict, "ro"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [*strict, "size=1m"]},
    ]


def isolation(name: str) -> dict:
    """The `linux` section: every namespace, limits (for root), hidden paths, and a filter that forgets unshare(2)."""
    kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    section: dict = {
        "maskedPaths": ["/proc/kallsyms", "/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/sys/firmware"],
        "readonlyPaths": ["/proc/sys", "/proc/irq", "/proc/bus"],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
        },
    }
    if os.geteuid() == 0:
        section["cgroupsPath"] = f"/{name}"
        section["resources"] = {
            "devices": [{"allow": False, "access": "rwm"}],
            "memory": {"limit": MEMORY_LIMIT, "swap": MEMORY_LIMIT},
            "pids": {"limit": PIDS_LIMIT},
        }
    else:
        kinds.append("user")
        section["uidMappings"] = [{"containerID": 0, "hostID": os.getuid(), "size": 1}]
        section["gidMappings"] = [{"containerID": 0, "hostID": os.getgid(), "size": 1}]
    section["namespaces"] = [{"type": kind} for kind in kinds]
    return section


def config(name: str) -> dict:
    kept = ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"]
    return {
        "ociVersion": "1.2.0",
        "hostname": "demo",
        "root": {"path": "rootfs", "readonly": True},
        "mounts": mounts(),
        "linux": isolation(name),
        "process": {
            "args": ["sh", "/look"],
            "cwd": "/",
            "env": ["PATH=/bin"],
            "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": True,
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), kept),
        },
    }


def read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def status(key: str) -> str:
    lines = [line for line in read("/proc/self/status").splitlines() if line.startswith(f"{key}:")]
    return lines[0].split()[1] if lines else ""


def count(mask: str) -> str:
    """How many capabilities a mask in hexadecimal has."""
    return f"{int(mask or '0', 16).bit_count()} capabilities"


def sight(seen: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """What is seen: subject, from this machine, from the container."""
    limited = os.geteuid() == 0
    total = read("/proc/meminfo").split()
    yield "process id", str(os.getpid()), seen["pid"]
    yield "processes", str(sum(entry.isdigit() for entry in os.listdir("/proc"))), seen["processes"]
    yield "hostname", os.uname().nodename, seen["hostname"]
    yield "mounts", str(read("/proc/self/mounts").count("\n")), seen["mounts"]
    yield "network devices", " ".join(sorted(os.listdir("/sys/class/net"))), seen["network"] or "none"
    yield "root directory", f"{len(os.listdir('/'))} entries", f"{len(seen['files'].split())} entries, read-only"
    yield "privileges", count(status("CapEff")), count(seen["CapEff"])
    yield "can gain more", "yes" if status("NoNewPrivs") == "0" else "no", "no" if seen["NoNewPrivs"] == "1" else "yes"
    yield "system calls", "all", "filtered" if seen["Seccomp"] == "2" else "all"
    yield "memory", f"{int(total[1]) >> 20} GiB", f"{MEMORY_LIMIT >> 20} MiB" if limited else "not limited without root"
    yield "tasks", "not limited", f"{PIDS_LIMIT}" if limited else "not limited without root"


def attempts(seen: dict[str, str]) -> Iterator[tuple[str, str, bool]]:
    """What was tried: subject, the system's answer, whether it was kept from it."""
    names = {
        "write": "write to /bin",
        "mount": "mount a file system",
        "unshare": "make a namespace (seccomp)",
        "sethostname": "rename the machine",
        "clock": "set the clock",
        "kernel": "change a kernel setting",
        "device": "reach for a disk (mknod)",
    }
    for key, name in names.items():
        refused = ("ermitted", "Read-only", "denied", "not implemented", "nonexistent", "No such")
        yield name, seen[key], any(word in seen[key] for word in refused)
    yield "list the kernel's symbols (masked)", f"{seen['masked']} bytes", seen["masked"] == "0"
    if os.geteuid() == 0:
        yield "start 99 processes", seen["forks"], "unavailable" in seen["forks"]
        yield "use 64 MiB of memory", "killed" if seen["memory"] == "137" else "worked", seen["memory"] == "137"


def paint(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def show(seen: dict[str, str], elapsed: float) -> bool:
    """Print both tables; whether everything was refused that should be."""
    print(f"\n  {paint('What it sees', '1'):<33}" if COLOUR else f"\n  {'What it sees':<25}", end="")
    print(f"{'this machine':<28}{'the container'}")
    for subject, host, inside in sight(seen):
        print(f"    {subject:<23}{paint(f'{host[:26]:<28}', '2')}{paint(inside, '36')}")
    print(f"\n  {paint('What it tries', '1')}")
    kept = True
    for subject, answer, refused in attempts(seen):
        mark = paint("✔", "32") if refused else paint("✘", "31")
        kept = kept and refused
        print(f"  {mark} {subject:<38} {paint(answer, '36' if refused else '31')}")
    print(f"\n  From `ocirun run` to its exit: {elapsed * 1000:.0f} ms, all of the attempts included.")
    print("  Next: build/ocirun plan BUNDLE shows each step before it is taken; build/ocirun --help shows the rest.\n")
    return kept


def run(bundle: Path, name: str) -> tuple[dict[str, str], float]:
    """Run the container; what it reported, and the seconds it took."""
    own = [] if os.geteuid() == 0 else ["--root", str(bundle / "state"), "--cgroup-manager", "disabled"]
    begin = time.monotonic()
    with open(bundle / "output", "w+b") as output:
        done = subprocess.run(
            [OCIRUN, *own, "run", "--bundle", bundle, name], stdin=subprocess.DEVNULL, stdout=output, check=False
        )
        elapsed = time.monotonic() - begin
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    if done.returncode != 0:
        sys.exit(f"demo: ocirun run exited {done.returncode}")
    return dict(line.partition("=")[::2] for line in lines), elapsed


def main() -> int:
    name = f"ocirun-demo-{os.getpid()}"
    bundle = Path(tempfile.mkdtemp(prefix="ocirun-demo-"))
    try:
        bundle.chmod(0o755)
        build_rootfs(bundle / "rootfs")
        (bundle / "config.json").write_text(json.dumps(config(name), indent=1))
        print(f"\n  {paint('ocirun', '1;32')}: a busybox container on Linux {os.uname().release}", flush=True)
        seen, elapsed = run(bundle, name)
        return 0 if show(seen, elapsed) else 1
    finally:
        shutil.rmtree(bundle, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
