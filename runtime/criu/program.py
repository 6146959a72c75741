"""Which CRIU there is, and what it can do here: asked before anything is stopped or changed."""

import posix

from runtime.criu import log, messages
from runtime.criu.service import PATH, Service
from runtime.errors import OcirunError, system_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.plan.ops import Operation
    from runtime.process.handshake import Handshake

OLDEST = (3, 15, 0)  # external pid namespaces, and the notification status-ready
STANDARD_OUTPUT = "-"  # as a log's name; any other is a file in the directory of the images
CHECKS = {messages.CHECK: "work", messages.VERSION: "start", messages.FEATURE_CHECK: "say what it can do"}
# Options that came later, and their versions. An older CRIU would ignore them in silence.
SINCE = {"lsm_profile": (3, 16, 0), "lsm_mount_context": (3, 16, 0), "network_lock": (3, 16, 0)}
SKIP_SINCE = (3, 19, 0)  # of the network lock "skip"
NAMES = {"mem_track": "track changes of memory, which --pre-dump needs", "lazy_pages": "restore memory lazily"}


class Criu:
    """A CRIU that works here. ``version``: (major, minor, sublevel). ``directory``: as for `spawn.init`."""

    def __init__(self, wanted: str, directory: str, images: int) -> None:
        """Find it and ask it. ``images``: any open directory. OcirunError with the reason and, where it is known, the remedy."""
        self.directory = directory
        self.path = find(wanted)
        self.version = self._inquire(messages.VERSION).version
        if self.version < OLDEST:
            raise OcirunError(f"{self.path} is CRIU {text(self.version)}, {text(OLDEST)} or newer is needed")
        self._inquire(messages.CHECK, {"images_dir_fd": images, "log_file": STANDARD_OUTPUT, "log_level": 2})

    def require(self, values: "Mapping[str, object]", features: "Sequence[str]") -> None:
        """OcirunError for an option or a feature (keys of NAMES) that this CRIU or this kernel lacks."""
        for name, since in SINCE.items():
            if values.get(name) is not None and self.version < since:
                self._refuse(name, since)
        if values.get("network_lock") == messages.NETWORK_LOCKS["skip"] and self.version < SKIP_SINCE:
            self._refuse("network_lock", SKIP_SINCE, " skip")
        if features:
            found = self._inquire(messages.FEATURE_CHECK, features=features).features
            for name in features:
                if name not in found:
                    raise OcirunError(f"{self.path} or this kernel cannot {NAMES[name]}")

    def _refuse(self, name: str, since: "tuple[int, int, int]", value: str = "") -> None:
        flag = f"--{name.replace('_', '-')}{value}"
        raise OcirunError(f"{flag} needs CRIU {text(since)} or newer; {self.path} is {text(self.version)}")

    def _inquire(
        self, kind: int, values: "Mapping[str, object] | None" = None, features: "Sequence[str]" = ()
    ) -> messages.Response:
        """A question that changes nothing. OcirunError, with what CRIU said, if it gives no answer or says no."""
        said = posix.memfd_create("criu-messages", posix.MFD_CLOEXEC)
        empty = posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            response, reason = None, "it gives no reason"
            service = Service(self.path, self.directory, stdio=(empty, said, said))
            try:
                service.follow(_nothing)
                response = service.ask(messages.request(kind, values, features))
                reason = response.message or reason
            except OSError as error:
                reason = system_words(error.errno or 0)
            except OcirunError as error:
                reason = error.message
            finally:
                service.close()
            if response and response.success:
                return response
            lines = log.quoted(posix.pread(said, log.READ, 0))
            raise OcirunError(f"{self.path} cannot {CHECKS[kind]} on this machine: {'; '.join(lines) or reason}")
        finally:
            posix.close(said)
            posix.close(empty)


def _nothing(handshake: "Handshake", operation: "Operation") -> None:
    """No operation of such a plan is the host's."""


def text(version: "tuple[int, int, int]") -> str:
    major, minor, sublevel = version
    return f"{major}.{minor}.{sublevel}" if sublevel else f"{major}.{minor}"


def find(wanted: str) -> str:
    """The path of CRIU: ``wanted``, a name or a path, or else ``criu`` in PATH. OcirunError without one."""
    name = wanted or "criu"
    if "/" in name:
        path = name if name.startswith("/") else f"{posix.getcwd()}/{name}"
        if posix.access(path, posix.X_OK):
            return path
        raise OcirunError(f"--criu {name}: there is no such program")
    path = posix.environ.get(b"PATH", PATH.encode()).decode(errors="surrogateescape")
    for directory in path.split(":"):
        if directory.startswith("/") and posix.access(f"{directory}/{name}", posix.X_OK):
            return f"{directory}/{name}"
    raise OcirunError(f"{name} is not installed (looked for in {path}); install CRIU, or name it with --criu PATH")
