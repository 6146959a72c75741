"""Our own JSON documents: state, configuration copies, reports. Written and read without the ``json`` module.

Importing ``json`` takes 7 ms, its C accelerator ``_json`` 0.2 ms, and both write the same bytes. JSON from others is
read by ``oci_spec.load``, which knows lines and limits. Hot: imports only builtins.
"""

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_spec.types import Json

VERSION = 1  # of a container's record, and of what init and `start` say to each other: docs/upgrading.md
# Of a record in any version: `delete --force` needs no more.
MEMBERS = {
    "id": str,
    "bundle": str,
    "rootfs": str,
    "created": str,
    "status": str,
    "pid": int,
    "start_time": int,
    "cgroups": list,
    "hooks": dict,
}


def _refuse(value: object) -> object:
    raise TypeError(f"not JSON: {value!r}")


def dumps(value: object) -> str:
    """JSON text of ``value`` on one line, ASCII only."""
    encode = _json.make_encoder(None, _refuse, _json.encode_basestring_ascii, None, ":", ",", False, False, False)
    return "".join(encode(value, 0))


def indented(value: object, margin: str = "") -> str:
    """JSON text of ``value``, indented by two spaces a level, as runc prints it (without runc's HTML escapes)."""
    inner = margin + "  "
    if isinstance(value, dict) and value:
        members = [
            f"{inner}{_json.encode_basestring_ascii(key)}: {indented(item, inner)}" for key, item in value.items()
        ]
        return "{\n" + ",\n".join(members) + f"\n{margin}}}"
    if isinstance(value, (list, tuple)) and value:
        return "[\n" + ",\n".join(inner + indented(item, inner) for item in value) + f"\n{margin}]"
    return dumps(value)


class _Context:
    """The settings that the C scanner reads from its caller."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name: str) -> float:
        raise ValueError(f"not JSON: {name}")


def loads(data: bytes) -> "Json":
    """The value of JSON that we wrote ourselves (no leading white space). ValueError for anything else."""
    text = data.decode()
    try:
        value, end = _json.make_scanner(_Context)(text, 0)  # type: ignore[arg-type]
    except RecursionError:
        raise ValueError("not JSON that we wrote: it nests too deep") from None
    except StopIteration as stop:
        raise ValueError(f"not JSON: unexpected end or character at {stop.value}") from None
    except SystemError:  # the scanner wants to raise an exception of json.decoder, which is not imported
        raise ValueError("not JSON") from None
    if text[end:].strip():
        raise ValueError(f"not JSON: something follows at {end}")
    return value
