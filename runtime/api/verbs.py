"""The verbs that act on a container of either API's kind, whoever made it."""

from runtime.api import arguments
from runtime.api.child import Child
from runtime.api.named import Named
from runtime.errors import OcirunError
from runtime.lifecycle import state
from runtime.lifecycle.kill import kill
from runtime.lifecycle.start import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from oci_spec.types import JsonObject, LinuxIntelRdt
    from runtime.api.arguments import Path
    from runtime.cgroups.stats import Data
    from runtime.lifecycle.events import Event
    from runtime.shapes import CheckpointOptions, StateDocument


class Verbs(Named, Child):
    """What `Container` can do that needs no more than id and root."""

    def __init__(self, id: str, root: str, pid: int) -> None:
        Child.__init__(self, pid)
        Named.__init__(self, id, root)

    def __repr__(self) -> str:
        return f"Container({self._id!r}, root={self._root!r}, pid={self._pid})"

    def start(self) -> None:
        """Run the program; returns once it runs. `WrongState` unless the container is created."""
        start(self._root, self._id, arguments.warn)

    def kill(self, signal: "str | int" = "TERM", all: bool = False) -> None:
        """Send a signal (a number, or a name with or without SIG) to init, or to ``all`` processes of the container.

        `WrongState` unless it is created, running or paused.
        """
        kill(self._root, self._id, signal if isinstance(signal, str) else str(int(signal)), all)

    def state(self) -> "StateDocument":
        """The state document (runtime.md "State") with ``owner``. `NotFound` if the container was deleted."""
        return state.query(self._root, self._id, why=True)

    @property
    def status(self) -> str:
        """The state document's status: creating, created, running, paused or stopped."""
        return self.state()["status"]

    def pause(self) -> None:
        """Suspend all processes. `WrongState` unless the container is created or running."""
        from runtime.lifecycle.pause import pause

        pause(self._root, self._id)

    def resume(self) -> None:
        """Resume a paused container. `WrongState` if it is not paused."""
        from runtime.lifecycle.pause import resume

        resume(self._root, self._id)

    def update(self, resources: "Mapping[str, Any]", *, intel_rdt: "LinuxIntelRdt | None" = None) -> None:
        """Change the limits that ``resources`` names (as "linux.resources" in config.json), and leave the others.

        ``intel_rdt``: l3CacheSchema and memBwSchema. `WrongState` unless created, running or paused; `InvalidConfig` for
        what is no limit; `OcirunError` when the kernel refuses one, and then all are as before.
        """
        from runtime.lifecycle.update import update

        data = arguments.document(resources, "resources")
        update(self._root, self._id, data, arguments.warn, intel_rdt)

    def stats(self) -> "Data":
        """What it uses, as "data" of `ocirun events --stats`. `WrongState` unless created, running or paused."""
        from runtime.lifecycle.events import statistics

        return statistics(self._root, self._id)

    def events(self, interval: float = 5.0) -> "Iterator[Event]":
        """A "stats" event every ``interval`` seconds, and an "oom" event when memory ran out. Ends when the container does."""
        if not interval > 0:
            raise OcirunError(f"interval {interval}: must be above 0 seconds")
        from runtime.lifecycle.events import stream

        return stream(self._root, self._id, interval)

    def processes(self) -> "list[int]":
        """The pids of its processes, as this process sees them, sorted."""
        from runtime.lifecycle.processes import processes

        return processes(self._root, self._id)

    def verify(self) -> "JsonObject":
        """What it has against what its config asks for: the document of `ocirun verify --format json`. `WrongState` if stopped."""
        from runtime.lifecycle.verification import of_container

        return of_container(self._root, self._id).document()

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
            "image_path": arguments.absolute(image_path),
            "work_path": arguments.optional(work_path),
            "leave_running": leave_running,
            "tcp_established": tcp_established,
            "file_locks": file_locks,
            "criu": criu,
        }
        checkpoint(self._root, self._id, options, arguments.warn)
