"""The word that was probably meant."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: "Iterable[str]", likeness: float = 0.6) -> str:
    """The known word that is most like ``word``, whatever their case; "" if none is. ``likeness``: at least, from 0 to 1."""
    from difflib import get_close_matches

    folded = {one.lower(): one for one in known}
    return next((folded[one] for one in get_close_matches(word.lower(), folded, 1, likeness)), "")
