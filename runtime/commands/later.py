"""The verbs that are not implemented: ``--help`` lists their flags, since callers probe for them, and the verbs are refused."""

from runtime.errors import OcirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call
    from runtime.commands import Operands, Option

_ID: "Operands" = (1, 1, "CONTAINER")


def _switches(names: str) -> "tuple[Option, ...]":
    return tuple(((f"--{name}",), None, name.replace("-", "_"), "") for name in names.split())


def _values(names: str, metavar: str = "VALUE") -> "tuple[Option, ...]":
    return tuple(((f"--{name}",), metavar, name.replace("-", "_"), "") for name in names.split())


_BUNDLE: "Option" = (("--bundle", "-b"), "DIR", "bundle", "directory with config.json and the root file system")
_BOTH_WAYS = (
    *_values("image-path work-path", "DIR"),
    *_switches("tcp-established ext-unix-sk shell-job file-locks auto-dedup lazy-pages"),
    *_values("manage-cgroups-mode network-lock", "MODE"),
    *_values("empty-ns", "TYPE..."),
)

OPTIONS: "dict[str, tuple[Option, ...]]" = {
    "checkpoint": (
        *_BOTH_WAYS,
        *_values("parent-path", "DIR"),
        *_switches("leave-running tcp-skip-in-flight link-remap pre-dump"),
        *_values("status-fd page-server"),
    ),
    "restore": (
        _BUNDLE,
        *_BOTH_WAYS,
        (("--detach", "-d"), None, "detach", "return once the container runs"),
        *_values("pid-file", "FILE"),
        *_values("console-socket", "SOCKET"),
        *_switches("no-subreaper no-pivot tcp-close"),
        *_values("lsm-profile lsm-mount-context", "LABEL"),
    ),
}
OPERANDS: "dict[str, Operands]" = dict.fromkeys(OPTIONS, _ID)


def main(call: "Call") -> int:
    raise OcirunError(f"{call.command} is not supported yet")
