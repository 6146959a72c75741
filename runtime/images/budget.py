"""How much an image may become: bytes, entries, and how far its layers may grow when they are decompressed."""

import posix

from runtime.images.errors import BadImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.images.progress import Progress

MAX_ENTRIES = 2_000_000
MAX_NAMES = 64 << 20  # bytes of the paths that are kept until a layer is done, or as long as it is stored
MAX_STEPS, STEPS = 4 << 20, 32  # components of paths that are looked up: of all entries, and more for each one
MAX_LOOKUPS = 1 << 18  # of paths of stored layers in those below: some seconds
DIRECTORY = 4096  # bytes of a directory
MAX_RATIO = 200  # decompressed to compressed bytes; a layer of programs has 2 to 4
FREE_RATIO = 1 << 30  # decompressed bytes up to which the ratio does not count
MAX_COPIED = 1 << 30  # bytes that the layers copy up, for their hard links
_RESERVE = 32  # one in so many free bytes stays free
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Budget:
    """What is left of the limits, for all layers of a call. ``chosen``: the caller's own --max-size, without a ratio.

    ``progress`` shows what is counted.
    """

    def __init__(self, directory: int, chosen: "int | None", progress: "Progress | None" = None) -> None:
        self._progress = progress
        status = posix.fstatvfs(directory)
        free = status.f_bavail * status.f_frsize
        free -= free // _RESERVE
        self._chosen = chosen
        self._most = free if chosen is None else min(chosen, free)
        self._is_free_space = chosen is None or free < chosen
        self._entries = min(MAX_ENTRIES, status.f_favail) if status.f_files else MAX_ENTRIES
        self._files = self._names = 0
        self._steps = MAX_STEPS
        self._lookups = MAX_LOOKUPS
        self._read = self._made = self._copied = 0

    def begin(self, name: str, size: int) -> None:
        """A new blob of ``size`` bytes: its ratio counts alone."""
        self._read = self._made = 0
        if self._progress:
            self._progress.begin(name, size)

    def compressed(self, count: int) -> None:
        """So many bytes of a blob were read."""
        self._read += count
        if self._progress:
            self._progress.add(count)

    def decompressed(self, count: int) -> None:
        """They became so many. BadImage if that is out of all proportion."""
        self._made += count
        if self._chosen is None and self._made > max(FREE_RATIO, MAX_RATIO * self._read):
            raise BadImage(
                f"a layer decompresses to more than {MAX_RATIO} times its size; if that is meant, allow it with --max-size"
            )

    def copied(self, size: int) -> None:
        """A file of ``size`` bytes is copied from a layer below, because of a few bytes of this one. BadImage beyond the limits."""
        self.entry(size)
        self._copied += size
        if self._chosen is None and self._copied > MAX_COPIED:
            raise BadImage(
                f"the image's layers copy more than {MAX_COPIED} bytes from those below them; if that is meant, allow it with"
                " --max-size"
            )

    def entry(self, size: int) -> None:
        """One more file, of ``size`` bytes. BadImage beyond the limits."""
        self._entries -= 1
        self._steps += STEPS
        if self._entries < 0:
            raise BadImage(f"the image has more files than {MAX_ENTRIES}, or than the file system has room for")
        self._files += size
        self.check(self._files)

    def name(self, length: int) -> None:
        """A path of ``length`` bytes that has to be kept. BadImage if all of them have too many."""
        self._names += length
        if self._names > MAX_NAMES:
            raise BadImage(f"the paths of the image's directories and hard links have more than {MAX_NAMES} bytes")

    def directory(self, length: int) -> None:
        """A directory that no entry is for, whose path has ``length`` bytes. BadImage beyond the limits."""
        self.entry(DIRECTORY)
        self.name(length)

    def steps(self, count: int) -> None:
        """So many components of a path were looked up. BadImage if that is out of all proportion to the entries."""
        self._steps -= count
        if self._steps < 0:
            raise BadImage("the image's names and symbolic links lead through too many directories")

    def may_look_up(self, count: int) -> bool:
        """Whether so many more paths of layers that are stored already may be looked up in those below."""
        self._lookups -= count
        return self._lookups >= 0

    def check(self, total: int) -> None:
        """BadImage if there is no room for so many bytes."""
        if total > self._most:
            why = "are free where the layers are stored" if self._is_free_space else "are allowed (--max-size)"
            raise BadImage(f"the image's files have more than the {self._most} bytes that {why}")


def size(text: str) -> "int | None":
    """Bytes of "512", "64k", "10M", "2G"; None for another text."""
    digits, unit = (text[:-1], text[-1:].lower()) if text[-1:].isalpha() else (text, "")
    if not (digits.isascii() and digits.isdigit()) or unit not in _UNITS or len(digits) > 15:
        return None
    return int(digits) * _UNITS[unit]
