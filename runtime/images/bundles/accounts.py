"""The user that an image names → ids, by the image's own /etc/passwd and /etc/group (conversion.md#configuser). Pure."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.images.bundles.shapes import Users

MAX_ID = 0xFFFFFFFE  # (uid_t)-1 is no id


def user_of(words: str, users: "Users") -> "tuple[int, int, list[int]]":
    """uid, gid and additional gids of USER[:GROUP], each a name or a number; "" is root.

    A number stands for itself, and has no additional groups. ValueError, with the reason, for what the image does not have.
    """
    user, colon, group = words.partition(":")
    if colon and not group:
        raise ValueError(f"{words!r} has no group after the colon")
    name, uid, gid = _user(user or "0", users["passwd"])
    if group:
        return uid, _group(group, users["group"]), []
    return uid, gid, sorted(_memberships(name, users["group"]) - {gid}) if name else []


def number(text: str, what: str) -> "int | None":
    """The id that a text is; None for a name. ValueError for a number that is no id."""
    if not (text.isascii() and text.isdigit()):
        return None
    if len(text) > 10 or int(text) > MAX_ID:
        raise ValueError(f"{text} is no {what}: the last one is {MAX_ID}")
    return int(text)


def _user(text: str, passwd: str) -> "tuple[str, int, int]":
    """Name ("" for a number), uid and primary gid."""
    uid = number(text, "user id")
    for row in _rows(passwd, 4):
        if row[0] == text if uid is None else row[2] == str(uid):
            found, gid = number(row[2], "user id"), number(row[3], "group id")
            if found is not None and gid is not None:
                return text if uid is None else "", found, gid
    if uid is None:
        raise ValueError(f"the image's /etc/passwd has no user {text}")
    return "", uid, 0


def _group(text: str, groups: str) -> int:
    gid = number(text, "group id")
    if gid is not None:
        return gid
    for row in _rows(groups, 3):
        if row[0] == text and (gid := number(row[2], "group id")) is not None:
            return gid
    raise ValueError(f"the image's /etc/group has no group {text}")


def _memberships(name: str, groups: str) -> "set[int]":
    found = set()
    for row in _rows(groups, 4):
        if name in row[3].split(",") and (gid := number(row[2], "group id")) is not None:
            found.add(gid)
    return found


def _rows(text: str, fields: int) -> "Iterator[list[str]]":
    """The lines that have so many fields; comments, and lines for NIS, do not count."""
    for line in text.split("\n"):
        row = line.strip().split(":")
        if len(row) >= fields and row[0][:1] not in ("", "#", "+", "-"):
            yield row
