"""Where the next created container finds the program of init that an earlier one was started from: ``ROOT/.init``.

That is a symbolic link "/proc/PID/exe#INODE", where PID is an init that still waits. It is only a hint:
`runtime.process.init_program` verifies it, and without one, or with a wrong one, init is started from a copy of its own. So
nothing here fails, and nothing is locked. Hot: imports only builtins.
"""

import posix

NAME = "/.init"


def lent(root: str) -> "tuple[str, int] | None":
    """The path in /proc and the inode of a program to share, if any."""
    try:
        path, _, inode = posix.readlink(root + NAME).partition("#")
        return path, int(inode)
    except (OSError, ValueError):
        return None


def lend(root: str, pid: int, inode: int) -> None:
    """Let the next containers share the program of this init."""
    try:
        try:
            posix.unlink(root + NAME)
        except FileNotFoundError:
            pass
        posix.symlink(f"/proc/{pid}/exe#{inode}", root + NAME)
    except OSError:
        pass


def withdraw(root: str, pid: int) -> None:
    """Remove the link if it names this init, whose container is deleted."""
    try:
        if posix.readlink(root + NAME).startswith(f"/proc/{pid}/"):
            posix.unlink(root + NAME)
    except OSError:
        pass
