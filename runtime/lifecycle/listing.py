"""All containers of a root directory."""

from runtime.errors import NotFound
from runtime.lifecycle.state import query
from runtime.lifecycle.store import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def listing(root: str) -> "list[dict[str, Any]]":
    """The state documents of all containers, by id.

    One that comes or goes meanwhile may be left out; none is an error.
    """
    result = []
    for id in ids(root):
        try:
            result.append(query(root, id))
        except NotFound:
            continue
    return result
