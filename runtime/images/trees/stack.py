"""What of a stack of layers hides what lies below. Overlayfs' own marks."""

import posix

from runtime.images.trees.owners import OPAQUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.images.trees.owners import Form


def is_opaque(directory: int, form: "Form") -> bool:
    """Whether a directory of a layer hides what lower layers have in it."""
    try:
        return posix.getxattr(directory, f"{form}.{OPAQUE}") == b"y"
    except OSError:
        return False


def visible(layers: "Sequence[int]", form: "Form") -> int:
    """How many layers count, from the top: below one whose root is opaque none does, which overlayfs does not do itself."""
    return next((count for count, layer in enumerate(layers, 1) if is_opaque(layer, form)), len(layers))
