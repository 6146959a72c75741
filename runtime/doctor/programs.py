"""Programs around containers: CRIU, other runtimes, managers. Cold."""

import posix

from runtime import files
from runtime.doctor.row import limited, missing, ok
from runtime.kernel import S_IFMT, S_IFREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.doctor.caller import Caller
    from runtime.doctor.row import Row

PATIENCE = 10  # seconds that a program may take
RUNTIMES = ("runc", "crun", "youki", "runsc")
CONTAINERS = (
    "/usr/share/containers/containers.conf",
    "/etc/containers/containers.conf",
    "/etc/containers/containers.conf.d/ocirun.conf",
    "~/.config/containers/containers.conf",
    "~/.config/containers/containers.conf.d/ocirun.conf",
)
# manager → (its configuration files, how to make it use ocirun)
MANAGERS = {
    "podman": (
        CONTAINERS,
        'podman --runtime ocirun, or runtime = "ocirun" in containers.conf',
    ),
    "buildah": (
        CONTAINERS,
        "buildah --runtime ocirun, or BUILDAH_RUNTIME=ocirun",
    ),
    "dockerd": (
        ("/etc/docker/daemon.json", "~/.config/docker/daemon.json"),
        '{"runtimes": {"ocirun": {"path": "/usr/local/bin/ocirun"}}} in /etc/docker/daemon.json, and docker run --runtime ocirun',
    ),
    "containerd": (
        ("/etc/containerd/config.toml", "/etc/containerd/conf.d/ocirun.toml", "/etc/containerd/ocirun.toml"),
        "ctr run --runc-binary ocirun; BinaryName in the runtime's options in config.toml",
    ),
    "crio": (
        ("/etc/crio/crio.conf", "/etc/crio/crio.conf.d/10-ocirun.conf"),
        "[crio.runtime.runtimes.ocirun] with runtime_path in crio.conf",
    ),
}


def rows(caller: "Caller") -> "Iterator[Row]":
    yield from criu(caller)
    for name in RUNTIMES:
        if path := which(name):
            version = output(path, "--version").partition("\n")[0]
            yield ok(name, f"{path}: {version}" if version else path)
    for name, (configs, how) in MANAGERS.items():
        if path := which(name):
            used = [file for file in map(expanded, configs) if b"ocirun" in files.read_or_empty(file)]
            yield ok(
                name,
                f"{path}; {'knows ocirun by ' + used[0] if used else 'does not know ocirun'}",
                "",
                "" if used else how,
            )


def which(name: str) -> str:
    """The program in PATH; "" if it is not there."""
    for directory in posix.environ.get(b"PATH", b"").decode(errors="surrogateescape").split(":"):
        path = f"{directory}/{name}"
        if directory and is_program(path):
            return path
    return ""


def is_program(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & S_IFMT == S_IFREG and posix.access(path, posix.X_OK)
    except OSError:
        return False


def expanded(path: str) -> str:
    home = posix.environ.get(b"HOME", b"").decode(errors="surrogateescape")
    return f"{home}{path[1:]}" if path.startswith("~") else path


def output(program: str, *arguments: str) -> str:
    """The program's standard output; "" if it fails, is not there or takes too long."""
    status, text = outcome(program, *arguments)
    return "" if status else text


def outcome(program: str, *arguments: str) -> "tuple[int, str]":
    """Exit status, -1 if the program could not be run or was killed, and the output and errors."""
    import subprocess

    path = program if "/" in program else which(program)
    if not path:
        return -1, ""
    try:
        done = subprocess.run(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired):
        return -1, ""
    return done.returncode, done.stdout.decode(errors="replace").strip()


def criu(caller: "Caller") -> "Iterator[Row]":
    """CRIU, its version, and its own check of the kernel, which takes root."""
    means = "checkpoint and restore"
    path, first = which("criu"), output("criu", "--version").partition("\n")[0]
    if not path:
        yield missing("CRIU", "not in PATH", means, "apt install criu")
        return
    if not caller.privileged:
        yield limited("CRIU", f"{path}: {first}", means, "checkpoint and restore as root")
        return
    status, said = outcome(path, "check")
    if status:
        lines = [line for line in said.splitlines() if "Error" in line] or said.splitlines()[-1:] or ["no answer"]
        yield missing(
            "CRIU",
            f"{path}: {first}; criu check: {lines[0]}",
            means,
            "a newer CRIU, or a kernel with what `criu check` names",
        )
    else:
        yield ok("CRIU", f"{path}: {first}; its check finds nothing missing")
