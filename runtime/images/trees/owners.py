"""Who owns what a layer has, and what of it this caller cannot make."""

import errno
import posix

from runtime.images.errors import BadImage, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    Form = Literal["trusted", "user"]

MAX_WARNINGS = 20  # of the layers, and of the config
MAX_ID = 0xFFFFFFFE  # (uid_t)-1 is no id
OPAQUE = "overlay.opaque"
DEFAULT_ACL = b"system.posix_acl_default"  # of a directory: what is made in it inherits it
POSIX_ACL = ("system.posix_acl_access", DEFAULT_ACL.decode())


class Rights:
    """What the caller may do.

    ``form``: the namespace of overlayfs' own attributes, "trusted" for root and "user" in a user namespace. ``squash``: all
    files are the caller's, who has no other id.
    """

    def __init__(self, form: "Form", squash: bool, warn: "Callable[[str], None]") -> None:
        self.form = form
        self.squash = squash
        self._warn = warn
        self._warned: set[str] = set()

    def warn(self, subject: str, message: str) -> None:
        """Warn, once for each subject, of which a layer can have any number."""
        if subject not in self._warned and len(self._warned) <= MAX_WARNINGS:
            self._warned.add(subject)
            more = len(self._warned) > MAX_WARNINGS
            self._warn("there are more warnings of the layers, which are left out" if more else message)

    def chown(self, uid: int, gid: int, name: bytes, change: "Callable[[int, int], None]") -> None:
        """Call ``change`` with the file's owner. BadImage for ids that are none, or that this user namespace has not."""
        if uid > MAX_ID or gid > MAX_ID:
            raise BadImage(f"{shown(name)}: its owner {uid}:{gid} is not an id")
        if self.squash:
            if uid or gid:
                self.warn("owner", squashed(name, uid, gid))
            return
        try:
            change(uid, gid)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOVERFLOW):
                raise
            raise BadImage(
                f"{shown(name)}: its owner {uid}:{gid} is not among your subordinate ids: give yourself a larger range in"
                " /etc/subuid and /etc/subgid"
            ) from None

    def set_xattrs(self, descriptor: int, name: bytes, xattrs: "dict[bytes, bytes]") -> None:
        """Set those attributes that belong to the image; the others are the host's, or overlayfs' own."""
        for key, value in xattrs.items():
            text = key.decode(errors="surrogateescape")
            if "\0" in text or not self._is_wanted(text):
                self.warn(text, f"{shown(name)}: its extended attribute {shown(key)} is left out")
                continue
            try:
                posix.setxattr(descriptor, text, value)
            except OSError as error:
                if error.errno not in (
                    errno.EOPNOTSUPP,
                    errno.EPERM,
                    errno.EINVAL,
                    errno.E2BIG,
                    errno.ERANGE,
                ):
                    raise
                said = posix.strerror(error.errno).lower()
                self.warn(text, f"{shown(name)}: its extended attribute {shown(key)} cannot be set here: {said}")

    def set_opaque(self, directory: int) -> None:
        posix.setxattr(directory, f"{self.form}.{OPAQUE}", b"y")

    @staticmethod
    def _is_wanted(key: str) -> bool:
        if key.startswith("user."):
            return not key.startswith("user.overlay.")
        return key == "security.capability" or key in POSIX_ACL


def squashed(name: bytes, uid: int, gid: int) -> str:
    return (
        f"you have no subordinate ids, so all files of the image are yours ({shown(name)} should be {uid}:{gid}):"
        " see newuidmap(1) and /etc/subuid"
    )
