/*
 * Reports why the program did not run, without a system call: a loaded filter may refuse any of them, or kill for it,
 * including the one that would report.
 *
 * A memfd is mapped beforehand, and its descriptor sent to whoever waits for the execve. If execve returns, init writes
 * errno into it. A filter that kills leaves no time for that, so the path given to execve has its NUL on an untouched
 * page of the memfd. The kernel reads that byte, and so allocates the page, only if the filter let execve through. The
 * program inherits nothing: execve drops the mapping.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "init.h"

#define TEXT_SIZE 65536 /* of private memory in front of it, for the path */

/* Early, before the container's RLIMIT_NOFILE, RLIMIT_FSIZE and RLIMIT_AS apply. FD_PLAN was just closed: the memfd
 * takes its number. No huge pages: touching the first byte would allocate all of it. */
static int make_last_word(struct context *ctx)
{
	ctx->word = memfd_create("ocirun-word", MFD_CLOEXEC);
	if (ctx->word < 0 || ftruncate(ctx->word, WORD_SIZE) < 0)
		return failed(ctx, STEP_WORD);
	char *text = mmap(NULL, TEXT_SIZE + WORD_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (text == MAP_FAILED)
		return failed(ctx, STEP_WORD);
	char *page = mmap(text + TEXT_SIZE, WORD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, ctx->word, 0);
	if (page == MAP_FAILED)
		return failed(ctx, STEP_WORD);
	madvise(page, WORD_SIZE, MADV_NOHUGEPAGE);
	ctx->word_path_end = text + TEXT_SIZE;
	ctx->word_error = (int32_t *)(page + WORD_ERROR);
	return 0;
}

/* Only if the plan loads a filter. */
int prepare_last_word(struct context *ctx)
{
	for (uint32_t i = 0; i < ctx->plan->count; i++)
		if (operation_at(ctx, i)->code == OP_SECCOMP || operation_at(ctx, i)->code == OP_SECCOMP_NOTIFY) {
			ctx->index = i; /* a failure here is blamed on that operation */
			return make_last_word(ctx);
		}
	return 0;
}

/* Sends the descriptor to whoever waits for the execve. */
int send_last_word(struct context *ctx)
{
	if (ctx->word < 0)
		return 0;
	int r = report(ctx, REPORT_WORD, 0, ctx->word);
	close(ctx->word);
	ctx->word = -1;
	return r;
}

/* The path for execve, with its NUL on the memfd's untouched page. */
const char *last_word_path(const struct context *ctx, const char *path)
{
	size_t length = strlen(path);
	if (!ctx->word_path_end || length > TEXT_SIZE)
		return path;
	return memcpy(ctx->word_path_end - length, path, length);
}

void leave_last_word(struct context *ctx, int error)
{
	if (ctx->word_error)
		*ctx->word_error = error;
}
