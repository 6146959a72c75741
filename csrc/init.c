/*
 * The init program: runs the operations of a plan in order and becomes the user's program.
 *
 * Static, started by the parent from a sealed memfd with the plan at FD_PLAN and the handshake at FD_HANDSHAKE. It
 * decides nothing: what is done and in which order is in the plan. It never returns to the parent's code; it ends by
 * execve, by a failure that it reports first, or because its parent died.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "kernel.h"

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The kernel drops SIGTERM and the like for a pid 1 without handlers, but a container waiting for `start` must be
 * killable. */
static void end_by_signal(int signal)
{
	_exit(128 + signal);
}

static void install_handlers(void)
{
	struct sigaction action = {.sa_handler = end_by_signal};
	static const int ending[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
				     SIGALRM, SIGABRT, SIGPIPE, SIGXCPU, SIGXFSZ};
	for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
		sigaction(ending[i], &action, NULL);
}

/* Consecutive host-side operations need one exchange: the parent catches up to the reported index. */
static int run_host_side(struct context *ctx)
{
	while (ctx->index + 1 < ctx->plan->count && operation_at(ctx, ctx->index + 1)->side == SIDE_HOST)
		ctx->index++;
	int r = report(ctx, REPORT_REACHED, 0, -1);
	return r < 0 ? r : await_reply(ctx);
}

int run_operation(struct context *ctx, const struct plan_op *op)
{
	ctx->step = STEP_NONE;
	ctx->detail = 0;
	if (op->side == SIDE_HOST)
		return run_host_side(ctx);
	if (!OPERATIONS[op->code]) {
		ctx->step = STEP_PLAN;
		return -ENOSYS;
	}
	errno = 0;
	return OPERATIONS[op->code](ctx, op);
}

static int run(struct context *ctx)
{
	bool trace = ctx->plan->flags & PLAN_TRACE;
	for (ctx->index = 0; ctx->index < ctx->plan->count; ctx->index++) {
		int64_t start = trace ? now() : 0;
		int r = run_operation(ctx, operation_at(ctx, ctx->index));
		if (trace && !ctx->filtered) /* the filter may kill on this call too */
			report_times(ctx, -r, start, now());
		if (r < 0)
			return r;
	}
	ctx->step = STEP_PLAN; /* a plan must end in execve */
	return -EINVAL;
}

/* Returns -errno, with the failed step in ctx->step. A plan that succeeds does not return. */
int run_plan(struct context *ctx)
{
	*ctx = (struct context){.channel = FD_HANDSHAKE};
	ctx->unified = ctx->tree = ctx->root = ctx->proc = ctx->null = ctx->mask = ctx->word = -1;
	for (int i = 0; i < MAX_NAMESPACES; i++)
		ctx->namespace[i] = -1;
	int r = wire_load(ctx, FD_PLAN);
	close(FD_PLAN);
	if (r == 0)
		r = prepare_last_word(ctx);
	return r < 0 ? r : run(ctx);
}

int main(void)
{
	static struct context ctx = {.channel = FD_HANDSHAKE};
	prctl(PR_SET_NAME, "ocirun-init");
	install_handlers();
	int r = sys_close_range(FD_PLAN, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? failed(&ctx, STEP_CLOSE) : run_plan(&ctx);
	if (ctx.filtered)
		leave_last_word(&ctx, -r);
	else
		report(&ctx, REPORT_FAILED, -r, -1);
	if (ctx.gate)
		end_at_gate(ctx.gate);
	/* A seccomp filter may refuse even this, and the C library would retry for ever. */
	syscall(SYS_exit_group, EXIT_FAILURE);
	__builtin_trap();
}
