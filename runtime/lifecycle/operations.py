"""The host's side of a plan: the function for each operation, in one table for create, run and exec. Hot.

An operation that needs the container's record is in `runtime.lifecycle`, one that needs only init in `runtime.process`.
Each is imported when a plan has it.
"""

from runtime.errors import OcirunError
from runtime.plan import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.plan.ops import Operation
    from runtime.process.handshake import Handshake, Perform
    from runtime.shapes import HostContext

# Code: module and function, in the order of a plan. A function of `runtime.process` takes the handshake and the
# operation, one of `runtime.lifecycle` the context before them. All raise OcirunError. `created` is not here: the
# handshake ends with it.
TABLE = {
    ops.OP_CGROUPS: ("runtime.lifecycle.operations", "enter_unit"),
    ops.OP_ID_MAPS: ("runtime.process.host_side", "id_maps"),
    ops.OP_TIME_OFFSETS: ("runtime.process.attributes", "time_offsets"),
    ops.OP_RESCTRL: ("runtime.process.attributes", "resctrl"),
    ops.OP_NET_DEVICE: ("runtime.lifecycle.net_devices", "take"),
    ops.OP_OPEN_TREE: ("runtime.process.trees", "send_tree"),
    ops.OP_IDMAP_TREE: ("runtime.process.idmapped", "send_tree"),
    ops.OP_DEVICE_TREE: ("runtime.process.trees", "send_node"),
    ops.OP_HOOKS: ("runtime.lifecycle.hooks", "run_before_start"),
    ops.OP_STATE_DOCUMENT: ("runtime.lifecycle.hooks", "send_state"),
    ops.OP_RLIMIT: ("runtime.process.host_side", "rlimit"),
    ops.OP_SCHEDULER: ("runtime.process.attributes", "scheduler"),
    ops.OP_IO_PRIORITY: ("runtime.process.attributes", "io_priority"),
    ops.OP_SECCOMP_NOTIFY: ("runtime.lifecycle.seccomp_listener", "give"),
}


def performer(context: "HostContext") -> "Perform":
    """The function that performs one operation of the host's side for this container, while init waits."""

    def perform(handshake: "Handshake", operation: "Operation") -> None:
        code, _, origin, _, _ = operation
        row = TABLE.get(code)
        if row is None:
            raise OcirunError(f"operation {ops.TABLE[code][0]} cannot be done on the host's side", origin)
        module, name = row
        function = getattr(__import__(module, fromlist=(name,)), name)
        if module.startswith("runtime.process."):
            function(handshake, operation)
        else:
            function(context, handshake, operation)

    return perform


def enter_unit(context: "HostContext", handshake: "Handshake", _: "Operation") -> None:
    """Let systemd move the program of an exec into the unit. For create there is nothing to do: the cgroups are made already."""
    if context["handle"] < 0:
        from runtime.cgroups.systemd import scope

        scope.admit(context["record"]["systemd"], handshake.pid, context["below"])
