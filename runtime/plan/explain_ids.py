"""Id maps in words, for `explain`. Pure and cold."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def ranges(text: str) -> str:
    """An id map in words: the container's ids, and what they are on the host."""
    rows = [[int(number) for number in line.split()] for line in text.splitlines()]
    pairs = [(span(first, size), span(host, size)) for first, host, size in rows]
    return ", ".join(f"{inside} as the host's {outside}" for inside, outside in pairs)


def span(first: int, size: int) -> str:
    return str(first) if size == 1 else f"{first}-{first + size - 1}"


def idmap_tree(n: "Any", s: "Any") -> str:
    """The mount that the parent makes, and what its ids become."""
    what = f"make a mount of {s[1]}" if s[1] else f"clone the mount at {s[0]}"
    what += " with what is mounted below it" if n[0] else ""
    what += f" with {','.join(map(str, s[2]))}" if s[2] else ""
    where = ", in all of them" if n[0] and n[1] else ""
    if not s[3]:
        return f"{what}, its ids mapped as the container's{where}"
    return f"{what}, its uids mapped: {ranges(s[3][0])}; gids: {ranges(s[3][1])}{where}"
