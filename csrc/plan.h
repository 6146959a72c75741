/*
 * The wire between the parent (Python) and the init program: the one description of it.
 *
 * A plan is a header, `count` records of one size, and a string area. The parent writes it into a
 * sealed memfd, init maps it read-only and runs the records in order. cffi reads this file
 * verbatim, so it holds only numeric #defines, enums and structs: no #include, no guard.
 * runtime/plan/ops.py names the same operations; a test compares the two.
 */

#define PLAN_MAGIC 0x6e6c506f
#define PLAN_VERSION 1
#define PLAN_NUMBERS 6
#define PLAN_STRINGS 4
#define PLAN_MAX_SIZE 16777216
#define PLAN_MAX_OPS 16384

/* Header flags. */
#define PLAN_TRACE 1 /* report the start and end of each operation */

/* Descriptors that init finds open when it starts, besides 0, 1 and 2. */
#define FD_PLAN 3      /* the plan's memfd */
#define FD_HANDSHAKE 4 /* SOCK_SEQPACKET to the parent; end of file means that the parent died */
#define FD_EXTRA 5     /* create: the listening socket that `start` connects to; exec: the container's pidfd */
#define FD_ROOT 6      /* exec: the container's root; otherwise not open */
#define FD_KEPT 7      /* first descriptor of --preserve-fds while init runs; 3 once the user's program does */

/* Who runs an operation: the parent when init has reached it, or init itself. */
enum plan_side { SIDE_HOST, SIDE_CONTAINER };

enum plan_code {
	/* namespaces and placement */
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
	/* root file system and mounts */
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
	OP_ENTER_ROOT,
	OP_ROOT_READONLY,
	OP_ROOT_PROPAGATION,
	/* identity and the user's program */
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

/* What init tried when an operation failed: runtime/plan/failures.py has the words. */
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
	STEP_WORD,
	STEP_COUNT
};

/* Bytes in the string area: `length` of them from `offset`, then a NUL that is not counted.
 * A list is its strings back to back, each with its NUL; `length` counts all but the last NUL. An
 * empty list has offset 0 and length 0, like an absent string. */
struct plan_string {
	uint32_t offset;
	uint32_t length;
};

struct plan_op {
	uint16_t code;
	uint16_t side;
	uint32_t reserved;
	uint64_t number[PLAN_NUMBERS];
	struct plan_string string[PLAN_STRINGS];
};

struct plan_header {
	uint32_t magic;
	uint16_t version;
	uint16_t flags;
	uint32_t count;
	uint32_t size; /* of the whole plan in bytes */
};

/* OP_MOUNT, number[4]. */
#define MOUNT_COPY_UP 1     /* tmpcopyup: fill the new tmpfs with what it covers */
#define MOUNT_LEGACY 2      /* mount(2) on the checked descriptor: fsconfig cannot say it */
#define MOUNT_TARGET_MODE 4 /* a tmpfs without mode= takes that of the directory it covers */
#define MOUNT_ORDINARY 8    /* no symlink may lead to the target, and paths below are looked up in this very mount */
#define MOUNT_HOST_COPY 16  /* where the kernel refuses a new one, a recursive bind of `source` or of the host's own */
/* OP_BIND, number[0]. */
#define BIND_RECURSIVE 1
#define BIND_SOURCE_NOFOLLOW 2 /* a symlink is bound itself */
#define BIND_TARGET_NOFOLLOW 4 /* a symlink is mounted on itself */
/* OP_SYMLINK, number[0]. */
#define SYMLINK_IF_TARGET 1 /* only where its target exists in the container */
#define SYMLINK_REPLACE 2   /* in place of what is there */
#define SYMLINK_SAME 4      /* what is there must be the same link */
/* OP_RUN_HOOK, number[1]: which state document it is given. */
#define HOOK_CREATING 0
#define HOOK_CREATED 1
/* OP_PIVOT, number[0]. */
#define PIVOT_ROOT 0
#define PIVOT_MOVE 1
#define PIVOT_CHROOT 2

/* init -> parent. The sender's pid comes with it as SCM_CREDENTIALS. */
enum report_kind {
	REPORT_REACHED = 1,
	REPORT_FAILED,
	REPORT_FORKED,
	REPORT_CONSOLE,
	REPORT_TRACE,
	REPORT_WARNING,
	REPORT_LISTENER, /* with the descriptor; init waits until it is given away */
	REPORT_WORD      /* with a memfd, before a filter is loaded: see WORD_SIZE */
};
struct report {
	uint32_t kind;
	uint32_t index; /* of the operation */
	int32_t error;  /* errno */
	uint32_t step;  /* enum plan_step */
	int64_t start;  /* CLOCK_MONOTONIC, ns; a hook's exit status where the step is STEP_HOOK_EXIT */
	int64_t end;
};

/* The memfd of REPORT_WORD, to be read after the end of file: its first page is there when the filter has let the
 * execve pass, and at WORD_ERROR is errno (int32_t) where that came back. No kernel has pages of more than 64 KiB. */
#define WORD_ERROR 65536
#define WORD_SIZE 131072

/* parent -> init. A descriptor comes as SCM_RIGHTS. */
enum reply_kind { REPLY_CONTINUE = 1, REPLY_TREE, REPLY_STATE };
struct reply {
	uint32_t kind;
	uint32_t length;
};
