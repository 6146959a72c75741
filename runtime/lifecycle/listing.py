"""All containers of a root directory."""

from runtime.errors import NotFound, OcirunError
from runtime.lifecycle.state import query
from runtime.lifecycle.store import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shapes import StateDocument


def listing(root: str, warn: "Callable[[str], None] | None" = None) -> "list[StateDocument]":
    """The state documents of all containers, by id.

    Containers made or deleted meanwhile may be missing. One that cannot be read is skipped with a warning, so that it does
    not hide the others; without ``warn`` it is an OcirunError.
    """
    result = []
    for id in ids(root):
        try:
            result.append(query(root, id))
        except NotFound:
            continue
        except OcirunError as error:
            if warn is None:
                raise
            warn(str(error))
    return result
