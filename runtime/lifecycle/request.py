"""What the caller of create or run asks for, checked: the first stage, which makes nothing. Hot."""

from runtime.errors import InvalidConfig, OcirunError
from runtime.lifecycle import config, descriptors, store
from runtime.lifecycle.config import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec import Problem
    from oci_spec.types import Config, Process
    from runtime.shapes import CreateOptions, Warn


class Request:
    """One container that is asked for: where its state goes, its options, its config as text and as the checked spec.

    ``process``: None where the config has none; such a container can be made, but not be started. ``kept``: the caller's
    descriptors that the program gets. ``warn`` hears of what does not stop us.
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
        self.process: Process | None = self.spec.get("process")

    def warn_of(self, problem: "Problem") -> None:
        """Tell of a problem that the check has found; it has its line."""
        self.warn(f"config.json:{problem.line}: {problem.pointer}: {config.message(problem)}")

    def warn_at(self, pointer: str, message: str) -> None:
        """Tell of something about a place of the config, with its line."""
        self.warn(str(locate(OcirunError(message, pointer), self.data)))

    def check_terminal(self, detached: bool) -> None:
        """InvalidConfig unless a terminal and a way to give it away go together, but for `run` in the foreground."""
        terminal = bool(self.process and self.process.get("terminal"))
        console_socket = self.options.get("console_socket")
        if terminal == bool(console_socket) or (terminal and not detached):
            return
        message = "a terminal needs --console-socket to be sent to; without one it must be false"
        if console_socket:
            message = "--console-socket is given, but the process has no terminal"
        raise locate(InvalidConfig(message, "/process/terminal"), self.data)
