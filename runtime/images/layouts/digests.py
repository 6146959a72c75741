"""Digests of image-spec, such as sha256:0123…"""

from runtime.images.errors import BadImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Hash(Protocol):
        """An object of hashlib."""

        def update(self, data: bytes, /) -> None: ...

        def hexdigest(self) -> str: ...


LENGTHS = {"sha256": 64, "sha512": 128}  # hexadecimal digits
_HEX = frozenset("0123456789abcdef")


def is_one(digest: object) -> bool:
    """Whether it is a digest of a known algorithm."""
    algorithm, _, digits = digest.partition(":") if isinstance(digest, str) else ("", "", "")
    return LENGTHS.get(algorithm) == len(digits) and _HEX.issuperset(digits)


def check(digest: object, what: str) -> str:
    """The digest, if it is one: it becomes a file's name. BadImage otherwise."""
    if not is_one(digest):
        raise BadImage(f"{what} has no digest that is known: {str(digest)[:100]!r}; sha256 and sha512 are")
    return str(digest)


def hasher(digest: str) -> "Hash":
    """A hash of the digest's algorithm: OpenSSL's, or the interpreter's own in the image, which has no OpenSSL.

    Not by hashlib, which the image would need OpenSSL and logging for.
    """
    name = digest.partition(":")[0]
    for module, function in (("_hashlib", f"openssl_{name}"), (f"_{name}", name), ("_sha2", name)):
        try:
            return getattr(__import__(module), function)()  # type: ignore[no-any-return]
        except ImportError:
            continue
    raise BadImage(f"this Python has no {name}")


def of(data: bytes, like: str = "sha256:") -> str:
    """The digest of ``data``."""
    made = hasher(like)
    made.update(data)
    return f"{like.partition(':')[0]}:{made.hexdigest()}"


def chain_ids(diff_ids: "Sequence[str]") -> "list[str]":
    """The ChainID of each layer: it names the layer on top of those below it (image-spec, config.md). The lowest first."""
    found: list[str] = []
    for diff_id in diff_ids:
        found.append(of(f"{found[-1]} {diff_id}".encode()) if found else diff_id)
    return found


def bound_names(diff_ids: "Sequence[str]") -> "list[str]":
    """The name of each layer where it is right on top of those below it alone: its ChainID. The lowest first.

    The lowest one's ChainID is its diff_id, the name of a layer that is right on top of others too, so it has another.
    """
    return [of(f" {diff_ids[0]}".encode()), *chain_ids(diff_ids)[1:]] if diff_ids else []
