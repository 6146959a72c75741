/* Reads the plan, sends the reports. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"

#define NEAR 65536 /* bytes from our variables, behind which the kernel may put the heap */

static bool string_fits(const char *data, size_t size, struct plan_string string)
{
	if (string.offset == 0)
		return string.length == 0;
	/* Both are 32 bits and the sum is 64: it cannot wrap. */
	uint64_t end = (uint64_t)string.offset + string.length;
	return string.offset >= sizeof(struct plan_header) && end < size && data[end] == '\0';
}

/* The only check of a plan from outside: everything after it trusts offsets and codes. Returns 0 or -EINVAL. */
int wire_check(const void *data, size_t size)
{
	const struct plan_header *plan = data;
	if (size < sizeof *plan || size > PLAN_MAX_SIZE || plan->size != size)
		return -EINVAL;
	if (plan->magic != PLAN_MAGIC || plan->version != PLAN_VERSION || plan->count == 0 ||
	    plan->count > PLAN_MAX_OPS)
		return -EINVAL;
	if (sizeof *plan + (uint64_t)plan->count * sizeof(struct plan_op) > size)
		return -EINVAL;
	const struct plan_op *op = (const struct plan_op *)(plan + 1);
	for (uint32_t i = 0; i < plan->count; i++, op++) {
		if (op->code >= OP_COUNT || op->side > SIDE_CONTAINER || op->reserved != 0)
			return -EINVAL;
		for (int j = 0; j < PLAN_STRINGS; j++)
			if (!string_fits(data, size, op->string[j]))
				return -EINVAL;
	}
	return 0;
}

/* Three pages of page tables are saved for each container that waits: those of a region far away. Where the addresses
 * are taken the kernel chooses others. */
void *map_near(size_t size, int fd)
{
	static char *next;
	size_t page = (size_t)getpagesize();
	if (!next)
		next = (char *)(((uintptr_t)&next + NEAR) & -page);
	char *hint = next;
	next += (size + page - 1) & -page;
	int flags = MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : MAP_POPULATE);
	return mmap(hint, size, fd < 0 ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, 0);
}

int wire_load(struct context *ctx, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return failed(ctx, STEP_PLAN);
	if (st.st_size < (off_t)sizeof(struct plan_header) || st.st_size > PLAN_MAX_SIZE) {
		errno = EINVAL;
		return failed(ctx, STEP_PLAN);
	}
	void *data = map_near((size_t)st.st_size, fd);
	if (data == MAP_FAILED)
		return failed(ctx, STEP_PLAN);
	if (wire_check(data, (size_t)st.st_size) < 0) {
		errno = EINVAL;
		return failed(ctx, STEP_PLAN);
	}
	ctx->plan = data;
	ctx->ops = (const struct plan_op *)(ctx->plan + 1);
	ctx->base = data;
	return 0;
}

bool has_text(const struct plan_op *op, int i)
{
	return op->string[i].offset != 0;
}

const char *text(const struct context *ctx, const struct plan_op *op, int i)
{
	return has_text(op, i) ? ctx->base + op->string[i].offset : "";
}

const char *next_text(const struct context *ctx, const struct plan_op *op, int i, const char *current)
{
	if (!has_text(op, i))
		return NULL;
	const char *start = ctx->base + op->string[i].offset;
	if (!current)
		return start;
	current += strlen(current) + 1;
	return current > start + op->string[i].length ? NULL : current;
}

size_t array_size(const struct context *ctx, const struct plan_op *op, int i)
{
	size_t count = 2; /* the NULL, and room for one more string (HOME) */
	for (const char *s = next_text(ctx, op, i, NULL); s; s = next_text(ctx, op, i, s))
		count++;
	return count * sizeof(char *);
}

char **fill_array(const struct context *ctx, const struct plan_op *op, int i, void *to)
{
	char **array = to;
	size_t n = 0;
	for (const char *s = next_text(ctx, op, i, NULL); s; s = next_text(ctx, op, i, s))
		array[n++] = (char *)s; /* execve wants char *const[]; it does not write to them */
	return array;
}

char **text_array(const struct context *ctx, const struct plan_op *op, int i)
{
	void *to = map_near(array_size(ctx, op, i), -1);
	return to == MAP_FAILED ? NULL : fill_array(ctx, op, i, to);
}

int failed(struct context *ctx, enum plan_step step)
{
	ctx->step = step;
	return errno ? -errno : -EIO;
}

static int send_report(struct context *ctx, struct report *record, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {.iov_base = record, .iov_len = sizeof *record};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
	}
	while (sendmsg(ctx->channel, &message, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return failed(ctx, STEP_SOCKET);
	return 0;
}

int report(struct context *ctx, enum report_kind kind, int error, int fd)
{
	struct report record = {
		.kind = kind, .index = ctx->index, .error = error, .step = ctx->step, .start = ctx->detail};
	return send_report(ctx, &record, fd);
}

int report_times(struct context *ctx, int error, int64_t start, int64_t end)
{
	struct report record = {.kind = REPORT_TRACE, .index = ctx->index, .error = error, .start = start, .end = end};
	return send_report(ctx, &record, -1);
}

static int take_state(struct context *ctx, int fd, uint32_t length)
{
	/* Two documents, each with its NUL. The parent made the descriptor and its length. */
	if (length == 0)
		return -EINVAL;
	const char *data = map_near(length, fd);
	close(fd);
	if (data == MAP_FAILED)
		return failed(ctx, STEP_READ);
	size_t first = strnlen(data, length);
	if (data[length - 1] != '\0' || first + 1 >= length)
		return -EINVAL;
	ctx->state[HOOK_CREATING] = data;
	ctx->state[HOOK_CREATED] = data + first + 1;
	ctx->state_size = length;
	return 0;
}

/* Reads replies up to REPLY_CONTINUE. Init exits if the parent is gone: nobody else knows of this container yet. */
int await_reply(struct context *ctx)
{
	for (;;) {
		struct reply reply;
		union {
			struct cmsghdr header;
			char space[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec part = {.iov_base = &reply, .iov_len = sizeof reply};
		struct msghdr message = {
			.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
		ssize_t n = recvmsg(ctx->channel, &message, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof reply)
			_exit(EXIT_FAILURE);
		int fd = -1;
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		if (header && header->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(header), sizeof fd);
		if (reply.kind == REPLY_CONTINUE)
			return 0;
		if (reply.kind == REPLY_TREE)
			ctx->tree = fd;
		else if (reply.kind != REPLY_STATE || take_state(ctx, fd, reply.length) < 0)
			_exit(EXIT_FAILURE);
	}
}
