"""An action on every container whose id matches a regular expression (--regex of kill and delete).

Cold: imports ``re``.
"""

from runtime.errors import OcirunError
from runtime.lifecycle.store import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.cli import Call


def for_each(call: "Call", expression: str, action: "Callable[[str], None]") -> int:
    """Call ``action`` with each matching id. All are tried; then OcirunError with every failure."""
    import re

    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise OcirunError(f'invalid regular expression "{expression}": {error}') from None
    failures = []
    for id in ids(call.root):
        if pattern.fullmatch(id):
            try:
                action(id)
            except OcirunError as error:
                failures.append(str(error))
    if failures:
        raise OcirunError("; ".join(failures))
    return 0
