/*
 * The init program: runs the operations of a plan in order and becomes the user's program.
 *
 * Static, started by the parent from a sealed memfd with the plan at FD_PLAN and the handshake at FD_HANDSHAKE.
 * It decides nothing: what is done and in which order is in the plan. It never returns to the parent's code;
 * it ends by execve, by a failure that it reports first, or because its parent died.
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

#define ENTRY(code, name) [code] = op_##name
static const operation OPERATIONS[OP_COUNT] = {
	ENTRY(OP_OOM_SCORE_ADJ, oom_score_adj),
	ENTRY(OP_DUMPABLE, dumpable),
	ENTRY(OP_OPEN_CGROUP, open_cgroup),
	ENTRY(OP_OPEN_NAMESPACE, open_namespace),
	ENTRY(OP_JOIN_NAMESPACE, join_namespace),
	ENTRY(OP_JOIN_PROCESS, join_process),
	ENTRY(OP_AFFINITY, affinity),
	ENTRY(OP_UNSHARE, unshare),
	ENTRY(OP_BECOME, become),
	ENTRY(OP_TIME_OFFSETS, time_offsets),
	ENTRY(OP_FORK, fork),
	ENTRY(OP_ENTER_CGROUPS, enter_cgroups),
	ENTRY(OP_SETSID, setsid),
	ENTRY(OP_PROPAGATION, propagation),
	ENTRY(OP_ROOT, root),
	ENTRY(OP_PROC_HANDLE, proc_handle),
	ENTRY(OP_MOUNT, mount),
	ENTRY(OP_BIND, bind),
	ENTRY(OP_REMOUNT, remount),
	ENTRY(OP_FILE_LABEL, file_label),
	ENTRY(OP_SYMLINK, symlink),
	ENTRY(OP_DEVICE, device),
	ENTRY(OP_DEVICE_BIND, device_bind),
	ENTRY(OP_MASK, mask),
	ENTRY(OP_READONLY, readonly),
	ENTRY(OP_CONSOLE, console),
	ENTRY(OP_HOSTNAME, hostname),
	ENTRY(OP_DOMAINNAME, domainname),
	ENTRY(OP_SYSCTL, sysctl),
	ENTRY(OP_RUN_HOOK, run_hook),
	ENTRY(OP_PIVOT, pivot),
	ENTRY(OP_ENTER_ROOT, enter_root),
	ENTRY(OP_ROOT_READONLY, root_readonly),
	ENTRY(OP_ROOT_PROPAGATION, root_propagation),
	ENTRY(OP_STDIO, stdio),
	ENTRY(OP_RLIMIT, rlimit),
	ENTRY(OP_UMASK, umask),
	ENTRY(OP_KEYRING, keyring),
	ENTRY(OP_LABEL, label),
	ENTRY(OP_SCHEDULER, scheduler),
	ENTRY(OP_IO_PRIORITY, io_priority),
	ENTRY(OP_PERSONALITY, personality),
	ENTRY(OP_MEMORY_POLICY, memory_policy),
	ENTRY(OP_NO_NEW_PRIVS, no_new_privs),
	ENTRY(OP_BOUNDING, bounding),
	ENTRY(OP_USER, user),
	ENTRY(OP_CAPABILITIES, capabilities),
	ENTRY(OP_CWD, cwd),
	ENTRY(OP_CWD_AS_USER, cwd_as_user),
	ENTRY(OP_PROGRAM, program),
	ENTRY(OP_WAIT_START, wait_start),
	ENTRY(OP_KEEP_DESCRIPTORS, keep_descriptors),
	ENTRY(OP_PLACE_DESCRIPTORS, place_descriptors),
	ENTRY(OP_SECCOMP, seccomp),
	ENTRY(OP_SECCOMP_NOTIFY, seccomp_notify),
	ENTRY(OP_EXEC, exec),
};

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A pid 1 without handlers ignores SIGTERM and the like, but a container that waits for `start` must be killable. */
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

/* Consecutive operations of the host's side need one exchange: the parent catches up to the reported index. */
static int run_host_side(struct context *ctx)
{
	while (ctx->index + 1 < ctx->plan->count && ctx->ops[ctx->index + 1].side == SIDE_HOST)
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
		int r = run_operation(ctx, &ctx->ops[ctx->index]);
		if (trace && !ctx->filtered) /* a filter may kill for this one too */
			report_times(ctx, -r, start, now());
		if (r < 0)
			return r;
	}
	ctx->step = STEP_PLAN; /* a plan ends by execve */
	return -EINVAL;
}

/* Returns -errno, with what was tried in ctx->step: a plan that succeeds does not return. */
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
	static struct context ctx;
	prctl(PR_SET_NAME, "ocirun-init");
	sys_close_range(FD_PLAN, ~0U, CLOSE_RANGE_CLOEXEC);
	install_handlers();
	int r = run_plan(&ctx);
	if (ctx.filtered)
		leave_last_word(&ctx, -r);
	else
		report(&ctx, REPORT_FAILED, -r, -1);
	if (ctx.gate)
		end_at_gate(ctx.gate);
	/* A seccomp filter may refuse even this, and the C library would try for ever. */
	syscall(SYS_exit_group, EXIT_FAILURE);
	__builtin_trap();
}
