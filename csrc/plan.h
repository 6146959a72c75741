/*
 * The wire format between the parent (Python) and init: its only description.
 *
 * A plan is a header, `count` fixed-size records, and a string area. The parent writes it into a sealed memfd; init
 * maps it read-only and runs the records in order. operations.h, generated from runtime/plan/operations, says what the
 * records mean. cffi reads both files verbatim, so they have only numeric #defines, enums and structs, and no guard.
 */
#include "operations.h"

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
#define FD_HANDSHAKE 4 /* SOCK_SEQPACKET to the parent; end of file: the parent died */
#define FD_EXTRA 5     /* create: the listening socket that `start` connects to; exec: the container's pidfd */
#define FD_ROOT 6      /* exec: the container's root; otherwise not open */
#define FD_KEPT 7      /* first descriptor of --preserve-fds while init runs; in the user's program it is 3 */

/* Who runs an operation: the parent, once init has reached it, or init itself. */
enum plan_side { SIDE_HOST, SIDE_CONTAINER };

/* Bytes in the string area: `length` of them from `offset`, then a NUL that is not counted. A list is its strings back
 * to back, each with its NUL; `length` counts all but the last NUL. An empty list has offset 0 and length 0, like an
 * absent string. */
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

/* init -> parent. The sender's pid comes with it as SCM_CREDENTIALS. */
enum report_kind {
	REPORT_REACHED = 1,
	REPORT_FAILED,
	REPORT_FORKED,
	REPORT_CONSOLE,
	REPORT_TRACE,
	REPORT_WARNING,
	REPORT_LISTENER, /* with the descriptor; init waits until it is sent on */
	REPORT_OUTPUT,   /* with a pipe that the hook about to start writes to */
	REPORT_WORD      /* with a memfd, before a filter is loaded: see WORD_SIZE */
};
struct report {
	uint32_t kind;
	uint32_t index; /* of the operation */
	int32_t error;  /* errno */
	uint32_t step;  /* enum plan_step */
	int64_t start; /* CLOCK_MONOTONIC, ns; a hook's exit status where the step is STEP_HOOK_EXIT; an output: 1, 2 */
	int64_t end;
};

/* The memfd of REPORT_WORD, read after end of file. Its first page is allocated if the filter let execve through;
 * WORD_ERROR holds errno (int32_t) if execve returned. No kernel has pages larger than 64 KiB. */
#define WORD_ERROR 65536
#define WORD_SIZE 131072

/* parent -> init. A descriptor comes as SCM_RIGHTS. */
enum reply_kind { REPLY_CONTINUE = 1, REPLY_TREE, REPLY_STATE };
struct reply {
	uint32_t kind;
	uint32_t length;
};
