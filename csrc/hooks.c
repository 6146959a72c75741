/* createContainer and startContainer hooks, which run in the container's namespaces. The parent runs the others. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "kernel.h"

#define LONGEST (INT64_C(1) << 32) /* seconds */
#define NOT_FILTERED 125           /* a hook's exit status; runtime/plan/failures.py has the words */

/*
 * In the child of a startContainer hook: loads the filter that init itself loads later. A notifying filter has no
 * listener here, since the agent's listener is the program's: calls that would notify fail with ENOSYS (seccomp(2)).
 */
static bool load_later_filter(const struct context *ctx)
{
	const uint64_t notifying = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV |
				   SECCOMP_OF_HOOKS;
	for (uint32_t i = ctx->index + 1; i < ctx->plan->count; i++) {
		const struct plan_op *op = operation_at(ctx, i);
		if (op->code == OP_SECCOMP)
			return load_filter(ctx, op, SECCOMP_PROGRAM, op->number[SECCOMP_FLAGS] & ~notifying) == 0;
		if (op->code == OP_SECCOMP_NOTIFY)
			return load_filter(ctx, op, SECCOMP_NOTIFY_PROGRAM,
					   op->number[SECCOMP_NOTIFY_FLAGS] & ~notifying) == 0;
	}
	return false;
}

/*
 * A new pipe becomes the hook's standard output (1) or error (2); its read end goes to the parent, or to `start`. The
 * hook may be the image's, so it gets no file of the host. Returns the write end, or -1 where nobody will read.
 */
static int open_output(struct context *ctx, int stream)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	ctx->detail = stream;
	int r = report(ctx, REPORT_OUTPUT, 0, ends[0]);
	ctx->detail = 0;
	close(ends[0]);
	if (r == 0)
		return ends[1];
	close(ends[1]);
	return -1;
}

/* In the child: our descriptors are close-on-exec, and execve resets handlers. */
static void become_hook(struct context *ctx, const struct plan_op *op, int input, const int output[2])
{
	char **arguments = text_array(ctx, op, RUN_HOOK_ARGS);
	char **environment = op->number[RUN_HOOK_INHERIT] ? ctx->environment : text_array(ctx, op, RUN_HOOK_ENV);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!arguments || !environment || dup2(input, 0) < 0)
		_exit(126);
	/* In the container's root it may be anything: a fifo without a reader must not block us. */
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	for (int fd = 1; fd < 3; fd++)
		if (dup2(output[fd - 1] < 0 ? null : output[fd - 1], fd) < 0)
			close(fd);
	if (op->number[RUN_HOOK_FILTERED] && !load_later_filter(ctx))
		_exit(NOT_FILTERED);
	execve(text(ctx, op, RUN_HOOK_PATH), arguments, environment);
	_exit(127);
}

/* Writes as much of the remaining document as the pipe takes, and closes the pipe after the last byte. */
static void feed(int *pipe, const char **rest)
{
	ssize_t n = write(*pipe, *rest, strlen(*rest));
	if (n > 0)
		*rest += n;
	if (**rest == '\0' || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(*pipe);
		*pipe = -1;
	}
}

static int64_t milliseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for the hook to end; it need not read its input. False on timeout. */
static bool attend(int pidfd, uint64_t seconds, int *pipe, const char *rest)
{
	int64_t end = milliseconds() + (int64_t)(seconds < LONGEST ? seconds : LONGEST) * 1000;
	for (;;) {
		struct pollfd wait[] = {{.fd = pidfd, .events = POLLIN}, {.fd = *pipe, .events = POLLOUT}};
		int64_t left = seconds ? end - milliseconds() : -1;
		if (seconds && left <= 0)
			return false;
		int ready = poll(wait, 2, left > INT_MAX ? INT_MAX : (int)left);
		if ((ready < 0 && errno != EINTR) || (ready > 0 && wait[0].revents))
			return true;
		if (ready > 0 && wait[1].revents)
			feed(pipe, &rest);
	}
}

static int await_hook(struct context *ctx, pid_t pid, uint64_t seconds, int *pipe, const char *document)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int error = pidfd < 0 ? errno : 0;
	bool in_time = pidfd >= 0 && attend(pidfd, seconds, pipe, document);
	if (!in_time)
		kill(pid, SIGKILL);
	if (pidfd >= 0)
		close(pidfd);
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return failed(ctx, STEP_HOOK_SPAWN);
	if (!in_time) {
		errno = error ? error : ETIMEDOUT;
		return failed(ctx, error ? STEP_HOOK_SPAWN : STEP_HOOK_TIMEOUT);
	}
	if (status == 0)
		return 0;
	ctx->detail = status;
	errno = ECHILD;
	return failed(ctx, STEP_HOOK_EXIT);
}

int op_run_hook(struct context *ctx, const struct plan_op *op)
{
	int ends[2];
	const char *document = ctx->state[op->number[RUN_HOOK_STATE] == HOOK_CREATED ? HOOK_CREATED : HOOK_CREATING];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return failed(ctx, STEP_HOOK_SPAWN);
	const int output[] = {open_output(ctx, 1), open_output(ctx, 2)};
	pid_t pid = fork();
	if (pid == 0)
		become_hook(ctx, op, ends[0], output);
	for (int i = 0; i < 2; i++)
		if (output[i] >= 0)
			close(output[i]);
	/* We keep the read end open too, so that a hook that has already ended does not raise SIGPIPE. */
	int r = pid < 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0 ? failed(ctx, STEP_HOOK_SPAWN) : 0;
	if (pid > 0)
		r = await_hook(ctx, pid, op->number[RUN_HOOK_TIMEOUT], &ends[1], document ? document : "");
	if (ends[1] >= 0)
		close(ends[1]);
	close(ends[0]);
	return r;
}
