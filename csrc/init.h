/* What the operations of the init program share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "arguments.h"
#include "plan.h"

#define MAX_CGROUPS 32
#define MAX_NAMESPACES 8
#define MAX_HELD 8

/* A path of the container pinned to a descriptor; `path` is NULL for a free slot. */
struct held {
	const char *path;
	int fd;
};

/* One per process: everything an operation may leave for a later one. A descriptor that is not open is -1. */
struct context {
	const struct plan_header *plan;
	const struct plan_op *ops; /* from the operation `first` on: see operation_at */
	uint32_t first;
	const char *base; /* of the plan: plan_string offsets are relative to it */
	uint32_t index;   /* of the running operation */
	enum plan_step step;
	int64_t detail; /* sent to the parent with a failure */
	int channel;    /* to the parent until `created`, to `start` after it */
	ino_t gap; /* inode of the first channel, which stands in for descriptors that the caller does not have open */
	int unified; /* directory of the v2 cgroup to be born in */
	int cgroup[MAX_CGROUPS];
	uint32_t cgroups;
	int namespace[MAX_NAMESPACES];
	int tree;   /* detached mount sent by the parent, for the next operation */
	int root;   /* the container's root, as a mount */
	bool peers; /* mounts in the root may be peers of the host's */
	struct held held[MAX_HELD];
	int proc;        /* private procfs, attached nowhere */
	int null;        /* verified /dev/null of the host */
	int mask;        /* attached empty directory that later masks are cloned from */
	bool cwd_denied; /* root was refused: try again as the container's user */
	const char *program_path;
	char **arguments, **environment;
	void *scratch; /* memory that the last three may lie in */
	size_t scratch_size;
	struct gate *gate; /* set once a notifying filter is loaded */
	bool filtered;     /* set once any filter is loaded: from then on only execve can be relied on */
	int word;          /* memfd for the last word, until it is given away */
	char *word_path_end;
	int32_t *word_error;
	const char *state[2]; /* documents for the hooks: HOOK_CREATING, HOOK_CREATED; in one mapping */
	size_t state_size;
};

static inline const struct plan_op *operation_at(const struct context *ctx, uint32_t index)
{
	return &ctx->ops[index - ctx->first];
}

/* An operation returns 0 or -errno, with the failed step in ctx->step. */
typedef int (*operation)(struct context *ctx, const struct plan_op *op);
int run_plan(struct context *ctx);
int run_operation(struct context *ctx, const struct plan_op *op);

/* wire.c */
int wire_load(struct context *ctx, int fd);
int wire_check(const void *data, size_t size);
/* The string `i` (see arguments.h) of `op`: never NULL; "" when absent. */
const char *text(const struct context *ctx, const struct plan_op *op, int i);
bool has_text(const struct plan_op *op, int i);
/* Walks a list: NULL starts it, NULL ends it. */
const char *next_text(const struct context *ctx, const struct plan_op *op, int i, const char *current);
/* The list as a NULL-terminated array with room for one more string, in memory of its own or at `to`; NULL where there
 * is no memory. */
char **text_array(const struct context *ctx, const struct plan_op *op, int i);
size_t array_size(const struct context *ctx, const struct plan_op *op, int i);
char **fill_array(const struct context *ctx, const struct plan_op *op, int i, void *to);
/* New memory, or a file, mapped near the program's own. MAP_FAILED with errno. */
void *map_near(size_t size, int fd);
int report(struct context *ctx, enum report_kind kind, int error, int fd);
int await_reply(struct context *ctx);
int report_times(struct context *ctx, int error, int64_t start, int64_t end);
/* Records the failed step; returns -errno. */
int failed(struct context *ctx, enum plan_step step);

/* resolve.c: every path below the container's root goes through these. All return a descriptor or -errno. `path` is the
 * container's (absolute or not); symlinks are followed inside the root only, magic links never. */
int root_open(struct context *ctx, const char *path, int flags);
/* The directory that holds the last component of `path`; that component is copied to `name` (NAME_MAX + 1 bytes).
 * Missing directories are made with mode 0755. */
int root_open_parent(struct context *ctx, const char *path, char *name);
/* The existing path, or a new empty directory or regular file. */
int root_open_target(struct context *ctx, const char *path, bool directory);
/* Opens `path`, relative to the private procfs, verifying that it is procfs and nothing is mounted over it. */
int proc_open(struct context *ctx, const char *path, int flags);
/* Call before creating anything at `path`: if that is below /dev, pins the rootfs's own /dev, unless a mount is pinned
 * already. -ENOTDIR: /dev is a symlink or no directory. */
int root_hold_dev(struct context *ctx, const char *path);
/* Unpins `path` and all below it (NULL: everything), since something else is mounted there. */
void root_release(struct context *ctx, const char *path);
int write_all(int fd, const char *data, size_t length);

/* dispatch.c: by code; NULL for the parent's operations. */
extern const operation OPERATIONS[OP_COUNT];
/* identity.c: seccomp(2) with the struct sock_filter array in the string `program`; its return value, with errno. */
long load_filter(const struct context *ctx, const struct plan_op *op, int program, uint64_t flags);
/* notify.c: lets the unfiltered thread end the process. */
void end_at_gate(struct gate *gate);
/* waiting.c: gives back the memory that is not needed any more. */
void prepare_wait(struct context *ctx);
/* last_word.c */
int prepare_last_word(struct context *ctx);
int send_last_word(struct context *ctx);
const char *last_word_path(const struct context *ctx, const char *path);
void leave_last_word(struct context *ctx, int error);
