"""The checked request of create or run: the first stage, which makes nothing. Hot."""

from runtime.errors import InvalidConfig, OcirunError
from runtime.lifecycle import config, descriptors, store
from runtime.lifecycle.config import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec import Problem
    from oci_spec.types import Config, Process
    from runtime.shapes import CreateOptions, Warn


class Request:
    """A request for one container: where its state goes, its options, its config as text and as the checked spec.

    ``process``: None if the config has none; such a container can be created, but not started. ``kept``: the caller's
    descriptors that the program inherits. ``warn`` takes each warning.
    """

    __slots__ = ("data", "id", "kept", "options", "process", "root", "spec", "warn")

    def __init__(self, root: str, id: str, options: "CreateOptions", warn: "Warn") -> None:
        """Read and check. OcirunError for a bad id, a descriptor that is not open, and a config that is wrong."""
        store.check_id(id)
        self.root = root
        self.id = id
        self.options = options
        self.warn = warn
        self.kept: list[int] = descriptors.kept_descriptors(options)
        self.data: bytes = options.get("config_data") or config.of_bundle(options["bundle"], options.get("config"))
        self.spec: Config = config.checked(self.data, options["bundle"], self.warn_of)
        receiver = self.spec.get("annotations", {}).get("run.oci.pidfd_receiver")
        if receiver:
            path = receiver if receiver.startswith("/") else f"{options['bundle']}/{receiver}"
            self.options = {**options, "pidfd_receiver": path}
        self.process: Process | None = self.spec.get("process")

    def warn_of(self, problem: "Problem") -> None:
        """Warn about a problem found by the check."""
        self.warn(f"config.json:{problem.line}: {problem.pointer}: {config.message(problem)}")

    def warn_at(self, pointer: str, message: str) -> None:
        """Warn about a part of the config, with its line."""
        self.warn(str(locate(OcirunError(message, pointer), self.data)))

    def check_terminal(self, detached: bool) -> None:
        """InvalidConfig for a terminal without --console-socket, or the reverse. `run` in the foreground needs no socket."""
        terminal = bool(self.process and self.process.get("terminal"))
        console_socket = self.options.get("console_socket")
        if terminal == bool(console_socket or self.options.get("take_terminal")) or (terminal and not detached):
            return
        message = "a terminal needs --console-socket to be sent to; without one it must be false"
        if console_socket:
            message = "--console-socket is given, but the process has no terminal"
        raise locate(InvalidConfig(message, "/process/terminal"), self.data)
