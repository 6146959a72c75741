"""A container's resctrl group (linux.intelRdt), on the way to the container. Loaded only when the config asks for it."""

from runtime import resctrl
from runtime.errors import OcirunError
from runtime.host.confinement import resctrl_mount
from runtime.lifecycle import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.lifecycle.create import Making


def place(making: "Making") -> None:
    """Make the group, once the record says what may have to be removed."""
    wanted, mount = making.spec["linux"]["intelRdt"], resctrl_mount()
    if mount is None:  # unmounted since it was checked
        raise OcirunError("no resctrl file system is mounted", resctrl.POINTER)
    making.record["resctrl"] = resctrl.survey(wanted, making.id, mount)
    making.facts["resctrl"] = making.record["resctrl"]["tasks"]
    store.write_state(making.handle, making.record)
    resctrl.make(wanted, making.id, mount)
