"""The state side of linux.intelRdt: `create` records the group, then makes it. Loaded only for a config with it."""

from runtime import resctrl
from runtime.errors import OcirunError
from runtime.host.confinement import resctrl_mount
from runtime.lifecycle import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import LinuxIntelRdt
    from runtime.shapes import Record


def make_group(handle: int, record: "Record", wanted: "LinuxIntelRdt") -> None:
    """Record what `delete` may have to remove, then make the group."""
    mount = resctrl_mount()
    if mount is None:  # unmounted since the check
        raise OcirunError("no resctrl file system is mounted", resctrl.POINTER)
    record["resctrl"] = resctrl.survey(wanted, record["id"], mount)
    store.write_state(handle, record)
    resctrl.make(wanted, record["id"], mount)
