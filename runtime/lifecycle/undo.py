"""Undoing a create or run that failed, at whatever point after the record was there. Imported when one has failed.

`create` imports this in a function; here `Creation` is known for its type only.
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
    """Leave nothing of a container that could not be made; its poststop hooks run (runtime.md "Lifecycle").

    The devices go home while init holds their network namespace. Then init ends, and the rest goes as with `delete`.
    ``handshake``: None where init was not started. What goes wrong here is a warning: the caller hears of what failed first.
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
            publishing.write_trace(request.options, handshake)  # the operation that failed is its last line
    except OcirunError as error:
        request.warn(str(error))
    posix.close(handle)
