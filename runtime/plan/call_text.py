"""A system call as a line of text, such as ``openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC, 0)``.

Pure and cold. Knows how the manual pages name the arguments of the calls that filters often refuse; those of any other
call are numbers. What an argument points to is read by the caller.
"""

from runtime.kernel import CLONE_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Read = Callable[[int, int], bytes]  # address and greatest length: what is there, or b"" where nothing can be read

LONGEST = 256  # bytes of a text
WORD = 0xFFFFFFFF

# A letter for each argument. i: int; u: unsigned; x: bits; p: pointer; s: text; o: mode; d: directory; c: clone_args; S: signal;
# the others: a table below.
SIGNATURES = {
    name: kinds
    for kinds, names in {
        "": "rt_sigreturn fork vfork getpid getppid gettid getuid geteuid getgid getegid setsid sync munlockall vhangup sched_yield",
        "Spp.": "rt_sigaction",
        "ippu.": "rt_sigprocmask",
        "puxx": "rseq",
        "iipp": "prlimit64 ptrace",
        "ipxp": "wait4",
        "pui": "poll",
        "pixp": "futex",
        "i": "close dup fsync fdatasync fchdir syncfs setuid setgid setfsuid setfsgid epoll_create exit exit_group getpgid getsid",
        "o": "umask",
        "s": "chdir rmdir unlink chroot swapoff acct",
        "si": "swapon",
        "sx": "umount2 fsopen",
        "so": "mkdir creat chmod access",
        "sOo": "open",
        "dsOo": "openat",
        "dso": "mkdirat fchmodat faccessat",
        "dsox": "mknodat faccessat2 fchmodat2",
        "dspu": "openat2",
        "dsx": "unlinkat open_tree",
        "ss": "rename link symlink pivot_root",
        "dsds": "renameat",
        "dsdsx": "linkat renameat2 move_mount",
        "sds": "symlinkat",
        "sox": "mknod",
        "sii": "chown lchown",
        "iii": "fchown setresuid setresgid",
        "dsiix": "fchownat",
        "io": "fchmod",
        "sp": "stat lstat statfs utime utimes",
        "su": "truncate",
        "sx.": "memfd_create",
        "dspx": "newfstatat utimensat",
        "dsxxp": "statx",
        "ip": "fstat fstatfs",
        "pp": "nanosleep",
        "spu": "readlink listxattr llistxattr",
        "dspu.": "readlinkat",
        "spp": "execve",
        "dsppx": "execveat",
        "sssMp": "mount",
        "N": "unshare",
        "Cpppp": "clone",
        "cu": "clone3",
        "iN": "setns",
        "ATi": "socket",
        "ATip": "socketpair",
        "ipu": "bind connect read write readv writev getdents64",
        "ipx": "sendmsg recvmsg accept",
        "ii": "listen dup2 shutdown setpgid setreuid setregid inotify_rm_watch",
        "iix": "dup3 pidfd_getfd",
        "ix": "pidfd_open",
        "iS": "kill tkill",
        "iiS": "tgkill",
        "iSpx": "pidfd_send_signal",
        "iiipu": "setsockopt",
        "iiipp": "getsockopt",
        "ixp": "ioctl fcntl",
        "x": "personality mlockall userfaultfd inotify_init1 epoll_create1",
        "puxxii": "mmap",
        "pux": "mprotect getrandom",
        "pu": "munmap mlock getcwd set_robust_list",
        "su.": "sethostname setdomainname",
        "pp.": "capget capset",
        "p": "brk uname sysinfo set_tid_address",
        "Pxxxx": "prctl",
        "xp": "arch_prctl",
        "xxp": "seccomp",
        "ipu.": "bpf",
        "pxiix": "perf_event_open",
        "ssp": "add_key request_key",
        "ixxxx": "keyctl",
        "pus": "init_module",
        "isx": "finit_module",
        "sO": "delete_module",
        "uuxpp": "kexec_load",
        "up": "io_uring_setup",
    }.items()
    for name in names.split()
}
AT_FDCWD = 0xFFFFFF9C
OPEN = {
    0x40: "O_CREAT",
    0x80: "O_EXCL",
    0x100: "O_NOCTTY",
    0x200: "O_TRUNC",
    0x400: "O_APPEND",
    0x800: "O_NONBLOCK",
    0x10000: "O_DIRECTORY",
    0x20000: "O_NOFOLLOW",
    0x80000: "O_CLOEXEC",
    0x200000: "O_PATH",
}
MOUNT = {
    1: "MS_RDONLY",
    2: "MS_NOSUID",
    4: "MS_NODEV",
    8: "MS_NOEXEC",
    32: "MS_REMOUNT",
    1 << 12: "MS_BIND",
    1 << 13: "MS_MOVE",
    1 << 14: "MS_REC",
    1 << 15: "MS_SILENT",
    1 << 17: "MS_UNBINDABLE",
    1 << 18: "MS_PRIVATE",
    1 << 19: "MS_SLAVE",
    1 << 20: "MS_SHARED",
}
NEW = {"mount": "NS", "network": "NET"}
CLONE = {
    **{flag: f"CLONE_NEW{NEW.get(kind, kind.upper())}" for kind, flag in CLONE_FLAGS.items()},
    0x100: "CLONE_VM",
    0x200: "CLONE_FS",
    0x400: "CLONE_FILES",
    0x800: "CLONE_SIGHAND",
    0x4000: "CLONE_VFORK",
    0x8000: "CLONE_PARENT",
    0x10000: "CLONE_THREAD",
}
SIGNALS = (
    "0 SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM SIGSTKFLT "
    "SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS"
).split()
FAMILIES = {1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET", 38: "AF_ALG", 40: "AF_VSOCK"}
TYPES = {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 5: "SOCK_SEQPACKET"}
TYPE_FLAGS = {0x800: "SOCK_NONBLOCK", 0x80000: "SOCK_CLOEXEC"}
PRCTL = {
    1: "PR_SET_PDEATHSIG",
    4: "PR_SET_DUMPABLE",
    8: "PR_SET_KEEPCAPS",
    15: "PR_SET_NAME",
    22: "PR_SET_SECCOMP",
    23: "PR_CAPBSET_READ",
    24: "PR_CAPBSET_DROP",
    28: "PR_SET_SECUREBITS",
    36: "PR_SET_CHILD_SUBREAPER",
    38: "PR_SET_NO_NEW_PRIVS",
    47: "PR_CAP_AMBIENT",
}


def call_text(name: str, args: "Sequence[int]", read: "Read") -> str:
    """The call, with its arguments as far as they are known."""
    kinds = SIGNATURES.get(name)
    if kinds is None:
        used = max((index + 1 for index, value in enumerate(args) if value), default=0)
        return f"{name}({', '.join(map(_bits, args[:used]))})"
    return f"{name}({', '.join(_argument(kind, value, read) for kind, value in zip(kinds, args, strict=False) if kind != '.')})"


def _argument(kind: str, value: int, read: "Read") -> str:
    low = value & WORD
    if kind == "s":
        return _text(value, read)
    if kind == "i":
        return str(low - (1 << 32) if low >> 31 else low)
    if kind == "d":
        return "AT_FDCWD" if low == AT_FDCWD else _argument("i", value, read)
    if kind == "c":  # the flags are the first member
        data = read(value, 8)
        return f"{{flags={_flags(int.from_bytes(data, 'little'), CLONE)}, …}}" if len(data) == 8 else _bits(value)
    if kind in SIMPLE:
        return SIMPLE[kind](value)
    return _bits(value)


def _text(address: int, read: "Read") -> str:
    """What the pointer leads to, in quotes; the address if nothing can be read there."""
    if not address:
        return "NULL"
    data = read(address, LONGEST)
    if not data:
        return _bits(address)
    text, end, _ = data.partition(b"\0")
    shown = text.decode(errors="backslashreplace").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}"' + ("" if end else "…")


def _bits(value: int) -> str:
    return hex(value) if value > 9 else str(value)


def _flags(value: int, names: "dict[int, str]", first: str = "") -> str:
    """``first``: what comes before the flags, such as O_RDONLY."""
    known = [name for bit, name in names.items() if value & bit]
    left = value & ~sum(bit for bit in names if value & bit)
    parts = [first, *known, _bits(left) if left else ""]
    return "|".join(filter(None, parts)) or "0"


def _open(value: int) -> str:
    access = ("O_RDONLY", "O_WRONLY", "O_RDWR", "3")[value & 3]
    return _flags(value & WORD & ~3, OPEN, access)


def _clone(value: int) -> str:
    exit_signal = value & 0xFF
    flags = _flags(value & ~0xFF, CLONE) if value & ~0xFF else ""
    return "|".join(filter(None, (flags, _signal(exit_signal) if exit_signal or not flags else "")))


def _signal(value: int) -> str:
    return SIGNALS[value & WORD] if value & WORD < len(SIGNALS) else str(value & WORD)


def _type(value: int) -> str:
    return _flags(value & WORD & ~0xF, TYPE_FLAGS, TYPES.get(value & 0xF, str(value & 0xF)))


SIMPLE: "dict[str, Callable[[int], str]]" = {
    "u": str,
    "x": _bits,
    "p": lambda value: _bits(value) if value else "NULL",
    "o": lambda value: f"0{value & WORD:o}" if value & WORD else "0",
    "O": _open,
    "M": lambda value: _flags(value & WORD, MOUNT),
    "C": _clone,
    "N": lambda value: _flags(value & WORD, CLONE),
    "S": _signal,
    "A": lambda value: FAMILIES.get(value & WORD, str(value & WORD)),
    "T": _type,
    "P": lambda value: PRCTL.get(value & WORD, str(value & WORD)),
}
