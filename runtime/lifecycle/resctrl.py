"""A container's resctrl group (linux.intelRdt), on the way to the container. Loaded only when the config asks for it."""

from runtime import resctrl
from runtime.errors import OcirunError
from runtime.host.confinement import resctrl_mount
from runtime.lifecycle import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.shapes import Record


def make(record: "Record", handle: int, wanted: "dict[str, Any]") -> None:
    """Make the group that linux.intelRdt asks for, once the record says what may have to be removed. Raises OcirunError."""
    mount = resctrl_mount()
    if mount is None:  # unmounted since it was checked
        raise OcirunError("no resctrl file system is mounted", resctrl.POINTER)
    record["resctrl"] = resctrl.survey(wanted, record["id"], mount)
    store.write_state(handle, record)
    resctrl.make(wanted, record["id"], mount)
