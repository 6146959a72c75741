"""Undoing a create or run that failed at any point after its record was written. Cold.

`create` imports this in a function, and this imports `create` for types only: no circle at run time.
"""

import posix

from runtime.errors import OcirunError
from runtime.lifecycle import publishing, state
from runtime.lifecycle.delete import destroy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.lifecycle.create import Creation
    from runtime.process.handshake import Handshake


def undo(creation: "Creation", handshake: "Handshake | None") -> None:
    """Remove everything of a container that could not be made, and run its poststop hooks (runtime.md "Lifecycle").

    Network devices move back while init still holds their namespace. Then init ends, and the rest is as with `delete`.
    ``handshake``: None if init was not started. A failure here is a warning: the caller gets the first error.
    """
    request, record, handle = creation.request, creation.record, creation.handle
    if handshake:
        if record.get("net_devices"):
            from runtime.lifecycle.net_devices import give_back

            give_back(record, handle, request.warn)
        handshake.end()
        handshake.close()
        record["pid"] = 0
    try:
        destroy(request.root, request.id, handle, record, request.warn, kill=False)
        if handshake and record["status"] == state.CREATING:
            publishing.write_trace(request.options, handshake)  # its last line is the operation that failed
    except OcirunError as error:
        request.warn(str(error))
    posix.close(handle)
