/* The operations of a plan: generated from runtime/plan/operations by csrc/tools/operations.py (make generate); do not
 * edit. cffi reads this file verbatim, as it does plan.h. */

enum plan_code {
	OP_OOM_SCORE_ADJ,
	OP_DUMPABLE,
	OP_CGROUPS,
	OP_OPEN_CGROUP,
	OP_OPEN_NAMESPACE,
	OP_JOIN_NAMESPACE,
	OP_JOIN_PROCESS,
	OP_AFFINITY,
	OP_UNSHARE,
	OP_ID_MAPS,
	OP_BECOME,
	OP_TIME_OFFSETS,
	OP_FORK,
	OP_ENTER_CGROUPS,
	OP_SETSID,
	OP_RESCTRL,
	OP_NET_DEVICE,
	OP_PROPAGATION,
	OP_OPEN_TREE,
	OP_IDMAP_TREE,
	OP_DEVICE_TREE,
	OP_ROOT,
	OP_PROC_HANDLE,
	OP_MOUNT,
	OP_BIND,
	OP_REMOUNT,
	OP_FILE_LABEL,
	OP_SYMLINK,
	OP_DEVICE,
	OP_DEVICE_BIND,
	OP_MASK,
	OP_READONLY,
	OP_CONSOLE,
	OP_HOSTNAME,
	OP_DOMAINNAME,
	OP_SYSCTL,
	OP_HOOKS,
	OP_STATE_DOCUMENT,
	OP_RUN_HOOK,
	OP_PIVOT,
	OP_UNMOUNT,
	OP_ENTER_ROOT,
	OP_ROOT_READONLY,
	OP_ROOT_PROPAGATION,
	OP_STDIO,
	OP_KEEP_DESCRIPTORS,
	OP_RLIMIT,
	OP_UMASK,
	OP_KEYRING,
	OP_LABEL,
	OP_SCHEDULER,
	OP_IO_PRIORITY,
	OP_PERSONALITY,
	OP_MEMORY_POLICY,
	OP_NO_NEW_PRIVS,
	OP_BOUNDING,
	OP_USER,
	OP_CAPABILITIES,
	OP_CWD,
	OP_CWD_AS_USER,
	OP_PROGRAM,
	OP_CREATED,
	OP_WAIT_START,
	OP_PLACE_DESCRIPTORS,
	OP_SECCOMP,
	OP_SECCOMP_NOTIFY,
	OP_EXEC,
	OP_COUNT
};

/* What init tried when an operation failed. */
enum plan_step {
	STEP_NONE,
	STEP_PLAN,
	STEP_OPEN,
	STEP_READ,
	STEP_WRITE,
	STEP_STAT,
	STEP_SOCKET,
	STEP_SETNS,
	STEP_UNSHARE,
	STEP_FORK,
	STEP_MKDIR,
	STEP_CREATE,
	STEP_MKNOD,
	STEP_SYMLINK,
	STEP_CHMOD,
	STEP_CHOWN,
	STEP_VERIFY,
	STEP_FSOPEN,
	STEP_FSCONFIG,
	STEP_FSMOUNT,
	STEP_OPEN_TREE,
	STEP_MOVE_MOUNT,
	STEP_MOUNT_SETATTR,
	STEP_MOUNT,
	STEP_COPY,
	STEP_PIVOT_ROOT,
	STEP_UMOUNT,
	STEP_CHDIR,
	STEP_CHROOT,
	STEP_SETSID,
	STEP_PTY,
	STEP_PRCTL,
	STEP_SETGROUPS,
	STEP_SETGID,
	STEP_SETUID,
	STEP_CAPSET,
	STEP_RLIMIT,
	STEP_KEYRING,
	STEP_SECCOMP,
	STEP_LOOKUP,
	STEP_EXEC,
	STEP_HOOK_SPAWN,
	STEP_HOOK_EXIT,
	STEP_HOOK_TIMEOUT,
	STEP_HOST,
	STEP_SIGNAL,
	STEP_AFFINITY,
	STEP_SCHEDULER,
	STEP_IO_PRIORITY,
	STEP_PERSONALITY,
	STEP_MEMORY_POLICY,
	STEP_FILE_LABEL,
	STEP_GATE,
	STEP_THREAD,
	STEP_CLOSE,
	STEP_WORD,
	STEP_COUNT
};

/* The flags of `mount`. */
#define MOUNT_COPY_UP 1       /* tmpcopyup: copy what the new tmpfs covers into it */
#define MOUNT_LEGACY 2        /* use mount(2) on the checked descriptor: fsconfig cannot express it */
#define MOUNT_TARGET_MODE 4   /* a tmpfs without mode= gets that of the directory it covers */
#define MOUNT_ORDINARY 8      /* no symlink may lead to the target, and paths below it are looked up in this mount */
#define MOUNT_HOST_COPY 16    /* if the kernel refuses a new mount, bind `source` or the host's recursively */
#define MOUNT_ROOT 32         /* on the container's root: from then on it is the root */
#define MOUNT_TARGET_OWNER 64 /* with tmpcopyup: the owner of what it covers, unless uid= or gid= name one */

/* The flags of `bind` and of `open_tree`. */
#define BIND_REC 1             /* include the mounts below */
#define BIND_SOURCE_NOFOLLOW 2 /* bind a symlink itself */
#define BIND_TARGET_NOFOLLOW 4 /* mount on a symlink itself */
#define BIND_ROOT 8            /* on the container's root: from then on it is the root */

/* The flags of `symlink`. */
#define SYMLINK_IF_TARGET 1 /* only if its target exists in the container */
#define SYMLINK_REPLACE 2   /* replace an existing file */
#define SYMLINK_SAME 4      /* an existing file must be the same link */

/* The state document that `run_hook` gives to its hook. */
#define HOOK_CREATING 0
#define HOOK_CREATED 1

/* The mode of `pivot`. */
#define PIVOT_ROOT 0   /* pivot_root(2) */
#define PIVOT_MOVE 1   /* --no-pivot: move the root to / */
#define PIVOT_CHROOT 2 /* without a mount namespace */

/* The flags of `seccomp` are SECCOMP_FILTER_FLAG_*, and this bit, which the kernel has no use for. */
#define SECCOMP_OF_HOOKS 1073741824 /* only startContainer hooks load the filter */
