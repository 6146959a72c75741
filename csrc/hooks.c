/* createContainer and startContainer hooks, which run in the container's namespaces. The others are the parent's. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"
#include "kernel.h"

/* In the child: everything of ours is close-on-exec, handlers become defaults at the exec. */
static void become_hook(struct context *ctx, const struct plan_op *op, int input)
{
	char **arguments = text_array(ctx, op, 1), **environment = text_array(ctx, op, 2);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!arguments || !environment || dup2(input, 0) < 0)
		_exit(126);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	for (int fd = 1; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	execve(text(ctx, op, 0), arguments, environment);
	_exit(127);
}

/* The document is smaller than a pipe's buffer or the hook reads it; one that does not read must not block us. */
static void feed(int pipe, const char *document)
{
	if (fcntl(pipe, F_SETFL, O_NONBLOCK) == 0 && document)
		write_all(pipe, document, strlen(document));
	close(pipe);
}

static int await_hook(struct context *ctx, pid_t pid, uint64_t seconds)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd wait = {.fd = pidfd, .events = POLLIN};
	int ready = 1;
	while (seconds && pidfd >= 0) {
		ready = poll(&wait, 1, seconds > 2000000 ? -1 : (int)seconds * 1000);
		if (ready >= 0 || errno != EINTR)
			break;
	}
	if (ready == 0)
		kill(pid, SIGKILL);
	if (pidfd >= 0)
		close(pidfd);
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return failed(ctx, STEP_HOOK_SPAWN);
	if (ready == 0) {
		errno = ETIMEDOUT;
		return failed(ctx, STEP_HOOK_TIMEOUT);
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
	if (pipe2(ends, O_CLOEXEC) < 0)
		return failed(ctx, STEP_HOOK_SPAWN);
	fcntl(ends[1], F_SETPIPE_SZ, 1 << 20); /* a state with many annotations */
	pid_t pid = fork();
	if (pid == 0)
		become_hook(ctx, op, ends[0]);
	/* The reading end is ours too until all is written: a hook that has ended already must not make it a SIGPIPE.
	 */
	feed(ends[1], ctx->state[op->number[1] == HOOK_CREATED ? HOOK_CREATED : HOOK_CREATING]);
	close(ends[0]);
	return pid < 0 ? failed(ctx, STEP_HOOK_SPAWN) : await_hook(ctx, pid, op->number[0]);
}
