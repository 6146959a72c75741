"""The kernel's numbers, by the kernel's names: flags, file types, ioctls. Imports nothing. Hot.

Numbers that only one module needs are in that module: netlink, BPF, seccomp, linux/sched.h.
"""

# CLONE_NEW* of linux/sched.h, by the spec's namespace types.
CLONE_FLAGS = {
    "network": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "pid": 0x20000000,
    "cgroup": 0x02000000,
    "time": 0x00000080,
    "mount": 0x00020000,
    "user": 0x10000000,
}
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER = CLONE_FLAGS["mount"], CLONE_FLAGS["pid"], CLONE_FLAGS["user"]
CLONE_NEWCGROUP, CLONE_NEWTIME = CLONE_FLAGS["cgroup"], CLONE_FLAGS["time"]
# Their files in /proc/PID/ns.
NAMESPACE_FILES = {
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "pid": "pid",
    "cgroup": "cgroup",
    "time": "time",
    "mount": "mnt",
    "user": "user",
}

# MOUNT_ATTR_* of mount_setattr(2). MOUNT_ATTR_ATIME masks a field in which 0 is relatime.
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_ATTR_NOATIME, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR_ATIME = 0x10, 0x20, 0x70
MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOSYMFOLLOW = 0x80, 0x200000

# MS_* of mount(2).
MS_RDONLY, MS_SYNCHRONOUS, MS_MANDLOCK, MS_DIRSYNC = 1, 16, 64, 128
MS_BIND, MS_REC, MS_SILENT = 1 << 12, 1 << 14, 1 << 15
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
MS_I_VERSION, MS_LAZYTIME = 1 << 23, 1 << 25

# S_IF* of inode(7).
S_IFMT, S_IFREG, S_IFDIR, S_IFLNK = 0o170000, 0o100000, 0o040000, 0o120000
S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK = 0o020000, 0o060000, 0o010000, 0o140000

# ioctl(2) requests.
NS_GET_NSTYPE = 0xB703  # ioctl_ns(2): the CLONE_NEW* bit of a namespace file
TIOCGPTN = 0x80045430  # ioctl_tty(2): the number of a terminal in its devpts
TIOCGPTPEER = 0x5441  # ioctl_tty(2): opens the other end of a terminal, in whichever devpts it is
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602  # ioctl_iflags(2); they take an int, in spite of the headers

# FS_*_FL of ioctl_iflags(2).
FS_IMMUTABLE_FL, FS_APPEND_FL = 0x10, 0x20
