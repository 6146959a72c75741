"""The numbers that the parent and init have agreed on, as arguments of operations.

Each line becomes one of csrc/operations.h and one of runtime/plan/ops.py, comment and all.
"""

# The flags of `mount`.
MOUNT_COPY_UP = 1  # tmpcopyup: fill the new tmpfs with what it covers
MOUNT_LEGACY = 2  # mount(2) on the checked descriptor: fsconfig cannot say it
MOUNT_TARGET_MODE = 4  # a tmpfs without mode= takes that of the directory it covers
MOUNT_ORDINARY = 8  # no symlink may lead to the target, and paths below are looked up in this very mount
MOUNT_HOST_COPY = 16  # where the kernel refuses a new one, a recursive bind of `source` or of the host's own

# The flags of `bind` and of `open_tree`.
BIND_REC = 1  # and what is mounted below
BIND_SOURCE_NOFOLLOW = 2  # a symlink is bound itself
BIND_TARGET_NOFOLLOW = 4  # a symlink is mounted on itself

# The flags of `symlink`.
SYMLINK_IF_TARGET = 1  # only where its target exists in the container
SYMLINK_REPLACE = 2  # in place of what is there
SYMLINK_SAME = 4  # what is there must be the same link

# The state document that `run_hook` gives to its hook.
HOOK_CREATING = 0
HOOK_CREATED = 1

# The mode of `pivot`.
PIVOT_ROOT = 0  # pivot_root(2)
PIVOT_MOVE = 1  # --no-pivot: the root is moved to /
PIVOT_CHROOT = 2  # without a mount namespace
