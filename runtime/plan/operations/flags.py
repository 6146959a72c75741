"""Numbers in operations' arguments that both the parent and init know.

Each line becomes one of csrc/operations.h and one of runtime/plan/ops.py, comment included.
"""

# The flags of `mount`.
MOUNT_COPY_UP = 1  # tmpcopyup: copy what the new tmpfs covers into it
MOUNT_LEGACY = 2  # use mount(2) on the checked descriptor: fsconfig cannot express it
MOUNT_TARGET_MODE = 4  # a tmpfs without mode= gets that of the directory it covers
MOUNT_ORDINARY = 8  # no symlink may lead to the target, and paths below it are looked up in this mount
MOUNT_HOST_COPY = 16  # if the kernel refuses a new mount, bind `source` or the host's recursively
MOUNT_ROOT = 32  # on the container's root: from then on it is the root
MOUNT_TARGET_OWNER = 64  # with tmpcopyup: the owner of what it covers, unless uid= or gid= name one

# The flags of `bind` and of `open_tree`.
BIND_REC = 1  # include the mounts below
BIND_SOURCE_NOFOLLOW = 2  # bind a symlink itself
BIND_TARGET_NOFOLLOW = 4  # mount on a symlink itself
BIND_ROOT = 8  # on the container's root: from then on it is the root

# The flags of `symlink`.
SYMLINK_IF_TARGET = 1  # only if its target exists in the container
SYMLINK_REPLACE = 2  # replace an existing file
SYMLINK_SAME = 4  # an existing file must be the same link

# The state document that `run_hook` gives to its hook.
HOOK_CREATING = 0
HOOK_CREATED = 1

# The mode of `pivot`.
PIVOT_ROOT = 0  # pivot_root(2)
PIVOT_MOVE = 1  # --no-pivot: move the root to /
PIVOT_CHROOT = 2  # without a mount namespace

# The flags of `seccomp` are SECCOMP_FILTER_FLAG_*, and this bit, which the kernel has no use for.
SECCOMP_OF_HOOKS = 1073741824  # only startContainer hooks load the filter
