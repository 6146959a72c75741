"""One value for one file of a cgroup, with the place in config.json that asks for it. Hot: imports nothing."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shapes import Location

    # A setting, and the cgroup whose file it is for.
    Write = tuple[Location, "Setting"]


class Setting:
    """``value`` for ``file``. Without ``is_default`` and ``fallback`` the file must exist.

    ``is_default``: every new cgroup has this value, so an absent file is no error. ``fallback``: the file and value
    that say the same where ``file`` is absent.
    """

    __slots__ = ("fallback", "file", "is_default", "pointer", "value")

    def __init__(
        self, file: str, value: str, pointer: str, is_default: bool = False, fallback: tuple[str, str] | None = None
    ) -> None:
        self.file = file
        self.value = value
        self.pointer = pointer
        self.is_default = is_default
        self.fallback = fallback
