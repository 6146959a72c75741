"""`ocirun doctor`: its rows on this machine, and on ones that lack something: an ordinary user, hidden files, no programs."""

import json
import os
import pty
import select
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from oci_spec.default import default
from tests.integration import ordinary

pytestmark = pytest.mark.no_runtime
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
KEYS = ["group", "subject", "status", "found", "means", "remedy", "needed"]


def rows_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """By subject; the shape is checked on the way."""
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert list(document) == ["usable", "rows"]
    assert done.returncode == (0 if document["usable"] else 1)
    for row in document["rows"]:
        assert list(row) == KEYS
        assert row["status"] in ("ok", "limited", "missing")
        assert row["found"], row
        if row["status"] != "ok":
            assert row["means"], row
            assert row["remedy"], row
    subjects = [row["subject"] for row in document["rows"]]
    assert len(subjects) == len(set(subjects))
    assert document["usable"] == (not any(row["needed"] and row["status"] == "missing" for row in document["rows"]))
    return {row["subject"]: row for row in document["rows"]}


def call(*command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120, **more)


def changed(ocirun: Path, script: str, **more: Any) -> dict[str, dict[str, Any]]:
    """The rows in a mount namespace that the script has changed."""
    words = f"{script}\nexec {ocirun} doctor --format json"
    return rows_of(call("unshare", "--mount", "sh", "-ec", words, **more))


@pytest.fixture
def user(tmp_path: Path) -> ordinary.View:
    tmp_path.chmod(0o755)
    return ordinary.View(tmp_path / "user")


@ROOT
def test_root(ocirun: Path) -> None:
    """Root can run containers where the tests can."""
    rows = rows_of(call(ocirun, "doctor", "--format", "json"))
    for subject in ("caller", "mount namespace", "pid namespace", "mounting", "system calls"):
        assert rows[subject]["status"] == "ok"
    assert "newuidmap" not in rows


@ROOT
def test_nothing_is_changed(ocirun: Path, tmp_path: Path) -> None:
    """Mounts, namespaces, limits and the directory are as they were. Others may remove what they mounted further down."""
    look = "grep '^[^ ]* /[a-z]* ' /proc/self/mounts; ls -l /proc/self/ns | sed 's/.* //'; ulimit -a; ls -a"
    script = f"({look}) > /dev/shm/$$.a; {ocirun} doctor > /dev/null; ({look}) > /dev/shm/$$.b; cmp /dev/shm/$$.a /dev/shm/$$.b"
    done = call("unshare", "--mount", "sh", "-c", f"mount -t tmpfs tmpfs /dev/shm; {script}", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_text(ocirun: Path) -> None:
    """The same rows for people, without colour in a pipe, and a last line that sums up."""
    rows = rows_of(call(ocirun, "doctor", "--format", "json"))
    done = call(ocirun, "doctor")
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] in ("containers can be run by this caller", "containers cannot be run by this caller")
    for subject, row in rows.items():
        assert any(line.lstrip().startswith(row["status"]) and f" {subject}" in line for line in lines), subject
    assert all(len(line) <= 100 for line in lines if " " in line.strip())


def on_a_terminal(command: list[str | Path], environment: dict[str, str]) -> str:
    """What a program writes to a terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], list(map(str, command)), {**os.environ, **environment})
    output = b""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            output += piece
    os.waitpid(child, 0)
    os.close(terminal)
    return output.decode()


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb", "NO_COLOR": ""}, False),
    ],
)
def test_colour(ocirun: Path, environment: dict[str, str], coloured: bool) -> None:
    """Only on a terminal that has it, and where nobody forbids it."""
    text = on_a_terminal([ocirun, "doctor"], environment)
    assert ("\x1b[32mok" in text) == coloured
    assert ("\x1b" in text) == coloured


@ROOT
def test_an_ordinary_user(ocirun: Path, user: ordinary.View) -> None:
    """What takes root is named, and the user's own ids and tools have rows."""
    rows = rows_of(call(*user.command, ocirun, "doctor", "--format", "json"))
    assert rows["caller"]["status"] == "limited"
    assert "rootless" in rows["caller"]["means"]
    assert rows["user namespace"]["needed"] is (rows["user namespace"]["status"] == "missing")
    assert rows["/etc/subuid"]["status"] == "ok"
    assert str(ordinary.SUBIDS) in rows["/etc/subuid"]["found"]
    assert rows["id-mapped mounts"]["status"] == "limited"
    assert {"newuidmap", "newgidmap"} <= set(rows)


@ROOT
def test_an_ordinary_user_without_ids(ocirun: Path, tmp_path: Path) -> None:
    """Without ranges and tools only the own id can be mapped: the remedies name the commands."""
    tmp_path.chmod(0o755)
    view = ordinary.View(tmp_path / "user", subids=False, tools=False)
    rows = rows_of(call(*view.command, ocirun, "doctor", "--format", "json"))
    for file, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
        assert rows[file]["status"] == "missing"
        assert f"usermod {option}" in rows[file]["remedy"]
        assert ordinary.NAME in rows[file]["remedy"]
    for tool in ("newuidmap", "newgidmap"):
        assert rows[tool]["status"] == "missing"


@ROOT
def test_no_user_namespaces(ocirun: Path, user: ordinary.View) -> None:
    """A user who may not have one cannot run containers: exit status 1, and the sysctl that forbids it."""
    limit = Path("/proc/sys/user/max_user_namespaces")
    if not limit.exists():
        pytest.skip("the kernel has no user namespaces")
    # A user namespace has a limit of its own, which the test may change.
    words = f"echo 0 > {limit}; exec {ocirun} doctor --format json"
    done = call("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", words)
    rows = rows_of(done)
    assert rows["user namespace"]["status"] == "missing"
    assert "user.max_user_namespaces" in rows["user namespace"]["found"]
    assert "sysctl -w user.max_user_namespaces" in rows["user namespace"]["remedy"]
    assert rows["caller"]["status"] == "limited"
    dropped = (
        f"echo 0 > {limit}; exec setpriv --bounding-set=-all --inh-caps=-all --reuid=0 {ocirun} doctor --format json"
    )
    done = call("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", dropped)
    assert done.returncode == 1
    assert rows_of(done)["user namespace"]["needed"]


@ROOT
def test_without_programs(ocirun: Path) -> None:
    """With an empty PATH nothing is found there, and nothing fails."""
    for environment in ({"PATH": ""}, {"PATH": "/nonexistent"}, {}):
        rows = rows_of(call(ocirun, "doctor", "--format", "json", env=environment))
        assert rows["CRIU"]["status"] == "missing"
        assert "criu" in rows["CRIU"]["remedy"]
        assert not {"runc", "crun", "podman", "dockerd"} & set(rows)


@ROOT
def test_hidden_sysctls(ocirun: Path) -> None:
    """Without /proc/sys the rest is shown."""
    rows = changed(ocirun, "mount -t tmpfs tmpfs /proc/sys")
    assert rows["mount namespace"]["status"] == "ok"
    assert "sysctls" not in rows


@ROOT
def test_without_proc(ocirun: Path) -> None:
    """No /proc: no container, and the remedy."""
    rows = changed(ocirun, "mount -t tmpfs tmpfs /proc")
    assert rows["/proc"]["status"] == "missing"
    assert rows["/proc"]["needed"]
    assert rows["cgroups"]["status"] == "missing"


@ROOT
def test_without_cgroups(ocirun: Path) -> None:
    """No hierarchy: limits do not work, containers do."""
    rows = changed(ocirun, "umount -R -l /sys/fs/cgroup")
    assert rows["cgroups"]["status"] == "missing"
    assert not rows["cgroups"]["needed"]


@ROOT
def test_a_read_only_hierarchy(ocirun: Path) -> None:
    """As in a container: no cgroups can be created."""
    script = (
        "mount --make-rprivate /\n"
        "for m in $(grep -o ' /sys/fs/cgroup[^ ]*' /proc/mounts | sort -r); do mount -o remount,bind,ro $m; done"
    )
    rows = changed(ocirun, script)
    assert rows["cgroups of the caller"]["status"] == "missing"
    assert "mount -o remount,rw" in rows["cgroups of the caller"]["remedy"]


@ROOT
def test_masked_proc(ocirun: Path) -> None:
    """With parts of /proc covered, root of a user namespace cannot mount a new one: as in a container."""
    # Another procfs in sight, such as that of a container's bundle, would be enough for the kernel.
    others = 'awk \'$3 == "proc" && $2 != "/proc" {print $2}\' /proc/self/mounts | xargs -r umount -l'
    inside = f"exec unshare --user --map-root-user --mount {ocirun} doctor --format json"
    rows = rows_of(call("unshare", "--mount", "sh", "-ec", f"{others}\nmount -t tmpfs tmpfs /proc/sys\n{inside}"))
    assert rows["mounting proc"]["status"] == "missing"
    assert "masked" in rows["mounting proc"]["remedy"]


@ROOT
def test_fewer_capabilities(ocirun: Path) -> None:
    """Root without CAP_SYS_ADMIN is an ordinary user in this."""
    rows = rows_of(call("setpriv", "--bounding-set=-sys_admin", ocirun, "doctor", "--format", "json"))
    assert rows["caller"]["status"] == "limited"
    assert "CAP_SYS_ADMIN" in rows["caller"]["found"]


@ROOT
def test_root_whose_id_cannot_be_mapped(ocirun: Path) -> None:
    """Root of a container without CAP_SETFCAP: the capability is named, and one row stands for all namespaces."""
    done = call("setpriv", "--bounding-set=-sys_admin,-setfcap", ocirun, "doctor", "--format", "json")
    rows = rows_of(done)
    assert done.returncode == 1
    assert "CAP_SETFCAP" in rows["user namespace"]["remedy"]
    assert rows["other namespaces"]["needed"]
    assert "pid namespace" not in rows


@ROOT
def test_a_manager_that_knows_ocirun(ocirun: Path, tmp_path: Path) -> None:
    """By its configuration file."""
    (tmp_path / "podman").write_text("#!/bin/sh\necho podman version 9\n")
    (tmp_path / "podman").chmod(0o755)
    home = tmp_path / "home/.config/containers"
    home.mkdir(parents=True)
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path / "home")}
    row = rows_of(call(ocirun, "doctor", "--format", "json", env=environment))["podman"]
    assert "does not know ocirun" in row["found"]
    assert "--runtime ocirun" in row["remedy"]
    (home / "containers.conf").write_text('[engine]\nruntime = "ocirun"\n')
    assert "knows ocirun by" in rows_of(call(ocirun, "doctor", "--format", "json", env=environment))["podman"]["found"]


def test_usage(ocirun: Path) -> None:
    """Forms that there are not, and operands."""
    for arguments, message in ((["--format", "xml"], "must be text or json"), (["x"], "doctor takes no operands")):
        done = call(ocirun, "doctor", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr


@ROOT
@pytest.mark.parametrize("action", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"])
def test_under_a_filter(ocirun: Path, tree: Path, tmp_path: Path, action: str) -> None:
    """In a container whose filter refuses calls or kills for them: the rows say so, and the others are there."""
    (tmp_path / "rootfs/bin").mkdir(parents=True)
    program = tmp_path / "rootfs/bin/ocirun"
    image = tree / "build/ocirun"
    if "(image)" not in call(image, "--version").stdout:
        pytest.skip("there is no image; the launcher would need an interpreter in the container")
    program.write_bytes(image.read_bytes())
    program.chmod(0o755)
    rule = {"names": ["openat2", "clone3", "unshare"], "action": action}
    config = default()
    config["process"].update(terminal=False, args=["/bin/ocirun", "doctor", "--format", "json"])
    config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    token = f"doctor-{os.getpid()}-{action[9:].lower().replace('_', '-')}"
    rows = rows_of(call(ocirun, "run", "--bundle", tmp_path, token))
    for name in ("openat2", "clone3"):
        assert rows[f"system call {name}"]["status"] == "missing"
        assert "refused" in rows[f"system call {name}"]["found"]
    assert rows["user namespace"]["status"] == "missing"
    assert "pidfd_open" in rows["system calls"]["found"]
