"""What tells one container from another: its id, and the directory of the state that has it."""


class Named:
    """A container of either API."""

    def __init__(self, id: str, root: str) -> None:
        self._id = id
        self._root = root

    @property
    def id(self) -> str:
        """Its name, unique below ``root``."""
        return self._id

    @property
    def root(self) -> str:
        """The directory of the containers' state."""
        return self._root

    def _what(self) -> str:
        return f"container {self._id}"
