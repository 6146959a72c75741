"""`Container`: what the verbs of the command line do to one container."""

import posix

from runtime.api import arguments, pidfd, process, streams
from runtime.api.outcome import TimeoutExpired
from runtime.api.taken import Taken
from runtime.api.verbs import Verbs
from runtime.errors import NotFound, OcirunError, WrongState
from runtime.lifecycle import create as creating
from runtime.lifecycle import state, store
from runtime.lifecycle import (
    undo as undo,  # when create has to undo, for want of descriptors, say, it cannot be imported any more
)
from runtime.lifecycle.delete import delete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Self, Unpack, overload

    from runtime.api.arguments import Document, Path, ProgramOptions
    from runtime.api.outcome import CompletedProcess
    from runtime.api.process import Process
    from runtime.api.streams import Kept, Stream
    from runtime.shapes import CreateOptions, RestoreOptions

__all__ = ["Container"]


class Container(Verbs):
    """A container, from `create`, `run`, `load` or `restore`. All methods raise `OcirunError` and its subclasses.

    In a ``with`` statement it is killed and deleted at the end.
    """

    def __init__(self, id: str, root: str, pid: int) -> None:
        super().__init__(id, root, pid)
        self._loaded = False  # perhaps not a child of ours
        self._started = 0  # start time of init, if it was loaded
        self._programs: list[Process] = []

    @classmethod
    def create(
        cls,
        id: str,
        bundle: "Path",
        *,
        root: "Path | None" = None,
        config: "Path | Document | None" = None,
        args: "Sequence[str] | None" = None,
        console_socket: "Path | None" = None,
        pid_file: "Path | None" = None,
        preserve_fds: "Kept" = 0,
        stdio: "tuple[int, int, int] | None" = None,
        cgroup_manager: str = "cgroupfs",
        stdin: "Stream" = None,
        stdout: "Stream" = None,
        stderr: "Stream" = None,
        text: bool = False,
        encoding: "str | None" = None,
        errors: "str | None" = None,
        terminal: "bool | None" = None,
    ) -> "Self":
        """Make a container up to the point before its program runs (runtime-spec, runtime.md "Create").

        ``bundle``: the directory with config.json and the root file system. ``root``: the directory of the state (default: as
        --root). ``config``: a file instead of the bundle's config.json, or its content as a dict. ``args``: instead of the
        config's process.args. ``pid_file``: a file for init's pid. ``preserve_fds``: what the program has from descriptor 3 on:
        how many of this process's, from 3 on, or a list of descriptors and files. ``cgroup_manager``: "cgroupfs", "systemd" or
        "disabled", as --cgroup-manager.

        ``stdin``, ``stdout``, ``stderr``: a descriptor, a file, PIPE, DEVNULL or (``stderr``) STDOUT, as `subprocess` has
        them; default: this process's own. ``text``, ``encoding``, ``errors``: pipes carry str. ``stdio``: three descriptors
        in one. ``terminal``: True gives the program a terminal, which is `Container.terminal`, and False none, whatever the
        config says; ``console_socket`` is an AF_UNIX socket that receives it instead, if process.terminal asks for one.

        A failure leaves nothing behind. `InvalidConfig` has pointer, line and all problems; `WrongState`: the id is in use.
        """
        options = arguments.create_options(bundle, config, args, terminal, console_socket, pid_file, cgroup_manager)
        streams.check_terminal(terminal, stdin, stdout, stderr)
        first, second, third = streams.checked(stdio) if stdio else (stdin, stdout, stderr)
        mode = streams.text_mode(text, encoding, errors)
        with streams.Streams(first, second, third, mode, preserve_fds) as ends:
            return cls._made(id, arguments.state_root(root), options, ends, bool(terminal))

    @classmethod
    def _made(cls, id: str, root: str, options: "CreateOptions", ends: "streams.Streams", terminal: bool) -> "Self":
        streams.require_spare()
        taken = Taken(terminal, options)
        options["kept"] = ends.kept
        try:
            container = cls(id, root, creating.create(root, id, options, arguments.warn, ends.descriptors))
        except BaseException as error:
            taken.drop()
            if isinstance(error, OcirunError):
                arguments.complete(error, from_file="config_data" not in options)
            raise
        container._take(ends, taken)
        return container

    @classmethod
    def run(cls, id: str, bundle: "Path", **options: "Any") -> "Self":
        """`create` and `start`. Returns once the program runs; a failure leaves nothing behind."""
        container = cls.create(id, bundle, **options)
        try:
            container.start()
        except BaseException:
            container._remove()
            raise
        return container

    @classmethod
    def load(cls, id: str, root: "Path | None" = None) -> "Self":
        """The container with this id, whoever made it. `NotFound` if there is none."""
        directory = arguments.state_root(root)
        handle = store.open_unlocked(directory, id)
        try:
            record = store.read_state(handle, id)
        finally:
            posix.close(handle)
        # 0: init cannot be waited for, since its pid was reused or it does not exist yet.
        same = record["pid"] > 0 and state.start_time(record["pid"], zombie=True) == record["start_time"]
        container = cls(id, directory, record["pid"] if same else 0)
        container._loaded, container._started = True, record["start_time"]
        return container

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
    ) -> "Self":
        """Make a container again from the images of `checkpoint`; returns once its program goes on.

        ``criu``: the program, by default criu in PATH. The other parameters are the options of the command of the same
        names, and those of `create`. A failure leaves nothing behind.
        """
        arguments.check_manager(cgroup_manager)
        from runtime.lifecycle.restore import restore

        options: RestoreOptions = {
            "bundle": arguments.bundle_path(bundle),
            "image_path": arguments.absolute(image_path),
            "work_path": arguments.optional(work_path),
            "console_socket": arguments.optional(console_socket),
            "pid_file": arguments.optional(pid_file),
            "tcp_established": tcp_established,
            "file_locks": file_locks,
            "criu": criu,
            "cgroup_manager": cgroup_manager,
            "rootless": "auto",
            "detach": True,
        }
        restore(arguments.state_root(root), id, options, arguments.warn)
        return cls.load(id, root)

    def delete(self, force: bool = False) -> None:
        """Remove a stopped container and everything made for it.

        `WrongState` if it is not stopped. ``force`` kills it first, and ignores a container that does not exist.
        """
        if force:
            self._end_programs()
        delete(self._root, self._id, force, arguments.warn)

    def popen(
        self,
        program: "Sequence[str] | Document",
        *,
        stdin: "Stream" = None,
        stdout: "Stream" = None,
        stderr: "Stream" = None,
        text: bool = False,
        encoding: "str | None" = None,
        errors: "str | None" = None,
        terminal: bool = False,
        **options: "Unpack[ProgramOptions]",
    ) -> "Process":
        """Start another program in the container; returns once it runs. The parameters are those of `subprocess.Popen`.

        ``program``: a list of words, or a dict as "process" in config.json. A list runs as the config's own process does,
        with the changes of env (added), cwd, user ("UID:GID"), additional_gids, capabilities (added), no_new_privileges and
        preserve_fds. ``terminal``: `Process.terminal` is its terminal, in the place of the three streams.

        `InvalidConfig`, `WrongState`, or `OcirunError` if it cannot be started.
        """
        streams.check_terminal(terminal, stdin, stdout, stderr)
        mode = streams.text_mode(text, encoding, errors)
        with streams.Streams(stdin, stdout, stderr, mode, options.pop("preserve_fds", 0)) as ends:
            started = process.launch(self._root, self._id, program, ends, terminal, options)
        self._programs = [one for one in self._programs if not one._over]
        self._programs.append(started)
        return started

    if TYPE_CHECKING:

        @overload
        def exec(self, program: Document, *, detach: bool = False) -> int: ...

        @overload
        def exec(
            self,
            program: Sequence[str],
            *,
            stdin: Stream | str | bytes = None,
            input: str | bytes | None = None,
            stdout: Stream = None,
            stderr: Stream = None,
            capture_output: bool = False,
            timeout: float | None = None,
            check: bool = False,
            text: bool = False,
            encoding: str | None = None,
            errors: str | None = None,
            **options: Unpack[ProgramOptions],
        ) -> CompletedProcess: ...

    def exec(
        self,
        program: "Sequence[str] | Document",
        *,
        detach: bool = False,
        stdin: "Stream | str | bytes" = None,
        input: "str | bytes | None" = None,
        stdout: "Stream" = None,
        stderr: "Stream" = None,
        capture_output: bool = False,
        timeout: "float | None" = None,
        check: bool = False,
        **options: "Any",
    ) -> "CompletedProcess | int":
        """Run another program in the container to its end. The parameters are those of `subprocess.run`, and of `popen`.

        A list of words gives a `CompletedProcess`. ``stdin`` may also be str or bytes, as ``input``. After ``timeout``
        seconds the program is killed: `TimeoutExpired`. ``check``: `CalledProcessError` for a status other than 0.

        A dict, as "process" in config.json, gets this process's streams and gives the exit status. With ``detach`` it gives
        the pid as soon as the program runs; this process has to reap it (os.waitpid).
        """
        if isinstance(program, (list, tuple, str, bytes)):
            given, data = process.source(stdin, input)
            out, err = process.captured(capture_output, stdout, stderr)
            started = self.popen(program, stdin=given, stdout=out, stderr=err, **options)
            return process.completed(started, data, timeout, check)
        if options or input is not None or capture_output or stdin or stdout or stderr or check or timeout is not None:
            raise TypeError("exec of a process document has no option but detach; popen takes one with streams")
        with streams.Streams(None, None, None, {}) as ends:
            started = process.launch(self._root, self._id, program, ends, False, {})
        if detach:
            return started.pid
        self._programs.append(started)
        return started.wait()

    def wait(self, timeout: "float | None" = None) -> "int | None":
        """Wait until init has ended, and reap it. Returns the exit status of the program, 128 + N for a signal.

        None if it is not known: init is the child of another process, and the kernel is older than 6.15, or that process has
        not collected it, or it had ended before `load`. `TimeoutExpired` after ``timeout`` seconds. May be called again,
        also after `delete`. `OcirunError` if another object or a handler of SIGCHLD has collected the status.
        """
        left = streams.until(timeout)
        self._reap_programs(left)
        return self._await(left(), timeout)

    def _reap_programs(self, left: "Callable[[], float | None]") -> None:
        """Reap programs of `popen` until init has ended: as zombies they would keep its pid namespace, and it, from ending."""
        while running := [one for one in self._programs if not one._over]:
            opened = [pidfd.opened(child._pid) if child._pid > 0 else -1 for child in (self, *running)]
            try:
                ready = pidfd.first_ended(opened, left())
            finally:
                for descriptor in opened:
                    if descriptor >= 0:
                        pidfd.close(descriptor)
            if not ready or 0 in ready:
                return
            for number in ready:
                running[number - 1].poll()

    def _open(self) -> int:
        """Also of a process that is not a child of ours; -1 as well if it is gone."""
        if not self._loaded:
            return super()._open()
        descriptor = pidfd.opened(self._pid) if self._pid > 0 else -1
        if descriptor >= 0 and state.start_time(self._pid, zombie=True) != self._started:
            pidfd.close(descriptor)
            return -1
        return descriptor

    def _end_programs(self) -> None:
        """A program of ours that is a zombie keeps the container's pid namespace: reap all."""
        programs, self._programs = self._programs, []
        for program in programs:
            if not program._over:
                program._finish()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _remove(self) -> None:
        for child in (self, *self._programs):
            child._close_streams()
        if posix.getpid() != self._owner:
            return
        self.delete(force=True)
        try:
            self._await(None if not self._loaded else 1)
        except (TimeoutExpired, NotFound, WrongState):
            pass
        except OcirunError:  # the status was collected by somebody else
            self._over = True
