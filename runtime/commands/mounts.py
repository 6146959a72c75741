"""The command line of ``ocirun mounts add|remove ID FILE``: mounts that come and go while a container runs, as with crun."""

from runtime.cli import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.cli import Call

OPTIONS = ()
OPERANDS = (3, 3, "add|remove CONTAINER FILE")


def main(call: "Call") -> int:
    from runtime.lifecycle import config, mounts

    action, id, file = call.operands
    actions = {"add": mounts.add, "remove": mounts.remove}
    if action not in actions:
        raise UsageError(f'mounts {action}: must be "mounts add" or "mounts remove"')
    actions[action](call.root, id, config.read(file), call.warn)
    return 0
