"""Names of users. Cold.

/etc/passwd is read here, since a static program cannot load what glibc asks for the other databases. Those, such as LDAP's, are
for getent(1), a program of the host's C library.
"""


def name_of(uid: int) -> str:
    """The name of a user; "" if nobody knows one."""
    return _named("/etc/passwd", uid) or _asked(uid)


def _named(path: str, uid: int) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return next((name for name, number in map(_fields, file) if number == str(uid)), "")
    except OSError:
        return ""


def _fields(line: str) -> "tuple[str, str]":
    name, _, number, *_ = [*line.split(":"), "", ""]
    return name, number


def _asked(uid: int) -> str:
    import subprocess

    command = ["getent", "passwd", str(uid)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return ""
    return done.stdout.decode(errors="surrogateescape").partition(":")[0]
