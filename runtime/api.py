"""The Python API: what the command line does, without a new interpreter for each call.

The process that calls `Container.create` is the parent of the container's init and reaps it by `Container.wait`. The
calls do not change the process: signal handlers and mask, working directory, umask and descriptors stay. Calls for different
containers may run in different threads. A container belongs to its state directory, not to the object.
"""

import posix

from runtime.errors import InvalidConfig, NotFound, OcirunError, WrongState
from runtime.lifecycle import state, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from oci_spec.types import Json
    from runtime.shapes import CheckpointOptions, CreateOptions, ExecOptions, RestoreOptions, StateDocument

    Path = str | PathLike[str]

__all__ = ["Container", "InvalidConfig", "NotFound", "OcirunError", "OcirunWarning", "WrongState", "list_containers"]

CGROUP_MANAGERS = ("cgroupfs", "systemd", "disabled")


class OcirunWarning(UserWarning):
    """A warning about the config or the host, which `ocirun` prints. The container is made all the same."""


def _warn(message: str) -> None:
    """Use `warnings`, with the stack level of the caller outside this package."""
    import sys
    import warnings

    package = __file__.rpartition("/")[0]
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, OcirunWarning, level)


def _absolute(path: "Path") -> str:
    text = posix.fspath(path)
    return text if text.startswith("/") else f"{posix.getcwd()}/{text}"


def _root(root: "Path | None") -> str:
    return _absolute(root) if root else store.default_root()


def _streams(stdio: "tuple[int, int, int] | None") -> "tuple[int, int, int]":
    """The three descriptors, which must be open: a closed one could become a file of ours, and reach the program."""
    first, second, third = stdio or (0, 1, 2)
    for descriptor in (first, second, third):
        try:
            posix.fstat(descriptor)
        except OSError:
            raise OcirunError(f"stdio: descriptor {descriptor} is not open") from None
    return first, second, third


class Container:
    """A container, from `create` or `load`. All methods raise `OcirunError` and its subclasses."""

    def __init__(self, id: str, root: str, pid: int) -> None:
        self._id = id
        self._root = root
        self._pid = pid
        self._exit_status: int | None = None

    def __repr__(self) -> str:
        return f"Container({self._id!r}, root={self._root!r}, pid={self._pid})"

    @property
    def id(self) -> str:
        return self._id

    @property
    def root(self) -> str:
        """The directory of the containers' state."""
        return self._root

    @property
    def pid(self) -> int:
        """The pid of init in the caller's pid namespace, kept after it has ended; 0 if it had ended before `load`."""
        return self._pid

    @classmethod
    def create(
        cls,
        id: str,
        bundle: "Path",
        *,
        root: "Path | None" = None,
        config: "Path | Mapping[str, Json] | None" = None,
        console_socket: "Path | None" = None,
        pid_file: "Path | None" = None,
        preserve_fds: int = 0,
        stdio: "tuple[int, int, int] | None" = None,
        cgroup_manager: str = "cgroupfs",
    ) -> "Container":
        """Make a container up to the point before its program runs (runtime-spec, runtime.md "Create").

        ``bundle``: the directory with config.json and the root file system. ``root``: the directory of the state (default: as
        --root). ``config``: a file instead of the bundle's config.json, or its content as a dict. ``console_socket``: an
        AF_UNIX socket that receives the terminal, required if process.terminal is true. ``pid_file``: a file for init's pid.
        ``preserve_fds``: how many descriptors from 3 on the program inherits. ``stdio``: the descriptors of its standard
        streams (default: this process's own). ``cgroup_manager``: "cgroupfs", "systemd" or "disabled", as --cgroup-manager.

        A failure leaves nothing behind. `InvalidConfig` has pointer and line; `WrongState`: the id is in use.
        """
        _check_manager(cgroup_manager)
        options: CreateOptions = {
            "bundle": posix.fspath(_bundle(bundle)),
            "preserve_fds": preserve_fds,
            "cgroup_manager": cgroup_manager,
            "rootless": "auto",
            "activation": False,  # LISTEN_FDS and NOTIFY_SOCKET in the environment are for this process
        }
        if console_socket is not None:
            options["console_socket"] = _absolute(console_socket)
        if pid_file is not None:
            options["pid_file"] = _absolute(pid_file)
        if config is not None:
            options |= _config(config)
        from runtime.lifecycle import create as creating

        state_root = _root(root)
        try:
            return cls(id, state_root, creating.create(state_root, id, options, _warn, _streams(stdio)))
        except OcirunError as error:
            if "config_data" in options:
                error.line = None  # the caller has never seen the text
            raise

    @classmethod
    def load(cls, id: str, root: "Path | None" = None) -> "Container":
        """The container with this id, whoever made it. `NotFound` if there is none."""
        state_root = _root(root)
        handle = store.open_unlocked(state_root, id)
        try:
            record = store.read_state(handle, id)
        finally:
            posix.close(handle)
        # 0: init cannot be waited for, since its pid was reused or it does not exist yet.
        same = record["pid"] > 0 and state.start_time(record["pid"], zombie=True) == record["start_time"]
        return cls(id, state_root, record["pid"] if same else 0)

    @classmethod
    def restore(
        cls,
        id: str,
        bundle: "Path",
        image_path: "Path",
        *,
        root: "Path | None" = None,
        work_path: "Path | None" = None,
        console_socket: "Path | None" = None,
        pid_file: "Path | None" = None,
        tcp_established: bool = False,
        file_locks: bool = False,
        criu: str = "",
        cgroup_manager: str = "cgroupfs",
    ) -> "Container":
        """Make a container again from the images of `checkpoint`; returns once its program goes on.

        ``criu``: the program, by default criu in PATH. The other parameters are the options of the command of the same
        names, and those of `create`. A failure leaves nothing behind.
        """
        _check_manager(cgroup_manager)
        from runtime.lifecycle.restore import restore

        options: RestoreOptions = {
            "bundle": _bundle(bundle),
            "image_path": _absolute(image_path),
            "work_path": _absolute(work_path) if work_path is not None else "",
            "console_socket": _absolute(console_socket) if console_socket is not None else "",
            "pid_file": _absolute(pid_file) if pid_file is not None else "",
            "tcp_established": tcp_established,
            "file_locks": file_locks,
            "criu": criu,
            "cgroup_manager": cgroup_manager,
            "rootless": "auto",
            "detach": True,
        }
        restore(_root(root), id, options, _warn)
        return cls.load(id, root)

    def checkpoint(
        self,
        image_path: "Path",
        *,
        work_path: "Path | None" = None,
        leave_running: bool = False,
        tcp_established: bool = False,
        file_locks: bool = False,
        criu: str = "",
    ) -> None:
        """Save the container to the directory ``image_path``, and delete it unless ``leave_running``.

        `WrongState` unless it is running or paused. When it cannot be saved, it goes on.
        """
        from runtime.lifecycle.checkpoint import checkpoint

        options: CheckpointOptions = {
            "image_path": _absolute(image_path),
            "work_path": _absolute(work_path) if work_path is not None else "",
            "leave_running": leave_running,
            "tcp_established": tcp_established,
            "file_locks": file_locks,
            "criu": criu,
        }
        checkpoint(self._root, self._id, options, _warn)

    def start(self) -> None:
        """Run the program; returns once it runs. `WrongState` unless the container is created."""
        from runtime.lifecycle.start import start

        start(self._root, self._id, _warn)

    def kill(self, signal: "str | int" = "TERM", all: bool = False) -> None:
        """Send a signal (a number, or a name with or without SIG) to init, or to ``all`` processes of the container.

        `WrongState` unless it is created, running or paused.
        """
        from runtime.lifecycle.kill import kill

        kill(self._root, self._id, signal if isinstance(signal, str) else str(int(signal)), all)

    def delete(self, force: bool = False) -> None:
        """Remove a stopped container and everything made for it.

        `WrongState` if it is not stopped. ``force`` kills it first, and ignores a container that does not exist.
        """
        from runtime.lifecycle.delete import delete

        delete(self._root, self._id, force, _warn)

    def state(self) -> "StateDocument":
        """The state document (runtime.md "State") with ``owner``. `NotFound` if the container was deleted."""
        return state.query(self._root, self._id)

    def exec(self, process: "Mapping[str, Json]", *, detach: bool = False) -> int:
        """Run another program in the container: ``process`` has the form of "process" in config.json.

        It gets this process's standard streams. Returns its exit status, 128 + N for a signal. With ``detach``: returns its
        pid as soon as it runs; this process has to reap it (os.waitpid), or the container's pid namespace cannot end.
        `InvalidConfig`, `WrongState`, or `OcirunError` if it cannot be started.
        """
        from runtime.lifecycle import exec as joining

        # No terminal: nobody would take its master end.
        options: ExecOptions = {"document": _document(process, "process"), "activation": False, "detach": True}
        pid = joining.launch(self._root, self._id, options, _warn, _streams(None))
        return pid if detach else _collect(pid)

    def pause(self) -> None:
        """Suspend all processes. `WrongState` unless the container is created or running."""
        from runtime.lifecycle.pause import pause

        pause(self._root, self._id)

    def resume(self) -> None:
        """Resume a paused container. `WrongState` if it is not paused."""
        from runtime.lifecycle.pause import resume

        resume(self._root, self._id)

    def wait(self) -> int:
        """Wait until init has ended, and reap it. Returns the exit status of the program, 128 + N for a signal.

        May be called again, and after `delete`. `OcirunError` in a process that is not init's parent.
        """
        if self._exit_status is None:
            self._exit_status = _collect(self._pid)
        return self._exit_status


def _check_manager(name: str) -> None:
    if name not in CGROUP_MANAGERS:
        raise OcirunError(f"cgroup_manager {name!r}: must be one of {', '.join(CGROUP_MANAGERS)}")


def _bundle(bundle: "Path") -> str:
    from runtime.host.facts import absolute

    path = _absolute(bundle)
    return path if "/../" in f"{path}/" else absolute(path, "/")  # only the kernel knows where a .. leads


def _config(config: "Path | Mapping[str, Json]") -> "CreateOptions":
    if isinstance(config, str) or hasattr(config, "__fspath__"):
        return {"config": _absolute(config)}
    return {"config_data": _document(config, "config")}


def _document(value: "object", name: str) -> bytes:
    from runtime.lifecycle.document import dumps

    try:
        return dumps(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidConfig(f"{name}: {error}") from None


def _collect(pid: int) -> int:
    """Reap a child. Returns its exit status."""
    from runtime.process.foreground import exit_status

    if pid <= 0:
        raise OcirunError("wait: the container's init has ended and was waited for before")
    try:
        return exit_status(posix.waitpid(pid, 0)[1])
    except ChildProcessError:
        raise OcirunError(
            f"wait for process {pid}: it is not a child of this process, or was waited for before"
        ) from None


def list_containers(root: "Path | None" = None) -> "list[StateDocument]":
    """The state documents of all containers under ``root``, by id."""
    from runtime.lifecycle.listing import listing

    return listing(_root(root))
