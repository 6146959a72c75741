/*
 * Why the program did not run, told without a system call: a loaded filter may refuse, or kill for, every one of them,
 * that which would tell of it too.
 *
 * A memfd is mapped before, and its descriptor goes to whoever waits for the execve. Init writes errno into it when an
 * execve comes back. A filter that kills leaves no time for that: so the path that execve is given has its NUL on a
 * page of the memfd that nobody has touched. The kernel reads it, and by that makes the page, only for an execve that
 * the filter has let pass. The program gets nothing of it: execve takes the mapping away.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "init.h"

#define TEXT_SIZE 65536 /* of our own memory in front of it, for the path */

/* Early: later RLIMIT_NOFILE, RLIMIT_FSIZE and RLIMIT_AS are the container's. FD_PLAN was just closed: this takes its
 * place. A huge page would be there as a whole with its first byte. */
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

/* For a plan that loads a filter. */
int prepare_last_word(struct context *ctx)
{
	for (uint32_t i = 0; i < ctx->plan->count; i++)
		if (ctx->ops[i].code == OP_SECCOMP || ctx->ops[i].code == OP_SECCOMP_NOTIFY) {
			ctx->index = i; /* what fails, fails for it */
			return make_last_word(ctx);
		}
	return 0;
}

/* Gives the descriptor away, when whoever waits for the execve listens. */
int send_last_word(struct context *ctx)
{
	if (ctx->word < 0)
		return 0;
	int r = report(ctx, REPORT_WORD, 0, ctx->word);
	close(ctx->word);
	ctx->word = -1;
	return r;
}

/* The path for execve: with its NUL, which is the memfd's, on the untouched page. */
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
