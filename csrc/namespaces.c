/* Namespaces, credentials in a user namespace, and the place in the cgroups. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"
#include "kernel.h"

#define NS_GET_NSTYPE_ 0xb703 /* linux/nsfs.h */

static int write_file(struct context *ctx, const char *path, const char *data)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return failed(ctx, STEP_OPEN);
	int r = write_all(fd, data, strlen(data));
	close(fd);
	return r < 0 ? failed(ctx, STEP_WRITE) : 0;
}

static const char *decimal(int64_t value, char buffer[24])
{
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char *p = buffer + 23;
	*p = '\0';
	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (value < 0)
		*--p = '-';
	return p;
}

/* Runs before `dumpable`: the /proc files of a process that is not dumpable belong to the host's root. */
int op_oom_score_adj(struct context *ctx, const struct plan_op *op)
{
	char buffer[24];
	return write_file(ctx, "/proc/self/oom_score_adj", decimal((int64_t)op->number[OOM_SCORE_ADJ_SCORE], buffer));
}

/* Nobody in a joined namespace may trace init or open its descriptors (CVE-2016-9962). */
int op_dumpable(struct context *ctx, const struct plan_op *op)
{
	return prctl(PR_SET_DUMPABLE, op->number[DUMPABLE_VALUE]) < 0 ? failed(ctx, STEP_PRCTL) : 0;
}

/* Opened with the caller's credentials, which the kernel checks again at the write. */
int op_open_cgroup(struct context *ctx, const struct plan_op *op)
{
	if (op->number[OPEN_CGROUP_FOR_FORK]) {
		ctx->unified = open(text(ctx, op, OPEN_CGROUP_PATH), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		return ctx->unified < 0 ? failed(ctx, STEP_OPEN) : 0;
	}
	if (ctx->cgroups == MAX_CGROUPS) {
		errno = E2BIG;
		return failed(ctx, STEP_PLAN);
	}
	int fd = open(text(ctx, op, OPEN_CGROUP_PATH), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return failed(ctx, STEP_OPEN);
	ctx->cgroup[ctx->cgroups++] = fd;
	return 0;
}

/* On v1 the file is `tasks`: a thread that moves itself does not take the kernel's lock on all thread groups. */
int op_enter_cgroups(struct context *ctx, const struct plan_op *op)
{
	(void)op;
	for (uint32_t i = 0; i < ctx->cgroups; i++) {
		ctx->detail = i;
		if (write_all(ctx->cgroup[i], "0", 1) < 0)
			return failed(ctx, STEP_WRITE);
		close(ctx->cgroup[i]);
	}
	ctx->cgroups = 0;
	return 0;
}

/* Whether `fd` is the mount namespace of the runtime or of the host's first process: a container must not replace its
 * root. */
static bool is_host(int fd)
{
	static const char *const hosts[] = {"/proc/self/ns/mnt", "/proc/1/ns/mnt"};
	struct stat st, host;
	for (size_t i = 0; fstat(fd, &st) == 0 && i < sizeof hosts / sizeof *hosts; i++)
		if (stat(hosts[i], &host) == 0 && host.st_ino == st.st_ino && host.st_dev == st.st_dev)
			return true;
	return false;
}

int op_open_namespace(struct context *ctx, const struct plan_op *op)
{
	uint64_t slot = op->number[OPEN_NAMESPACE_SLOT];
	if (slot >= MAX_NAMESPACES) {
		errno = EINVAL;
		return failed(ctx, STEP_PLAN);
	}
	int fd = open(text(ctx, op, OPEN_NAMESPACE_PATH), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return failed(ctx, STEP_OPEN);
	if (ioctl(fd, NS_GET_NSTYPE_) != (int)op->number[OPEN_NAMESPACE_TYPE]) {
		close(fd);
		errno = EINVAL;
		return failed(ctx, STEP_VERIFY);
	}
	if (op->number[OPEN_NAMESPACE_TYPE] == CLONE_NEWNS && is_host(fd)) {
		close(fd);
		errno = EBUSY;
		return failed(ctx, STEP_VERIFY);
	}
	ctx->namespace[slot] = fd;
	return 0;
}

int op_join_namespace(struct context *ctx, const struct plan_op *op)
{
	uint64_t slot = op->number[JOIN_NAMESPACE_SLOT];
	if (slot >= MAX_NAMESPACES || ctx->namespace[slot] < 0) {
		errno = EINVAL;
		return failed(ctx, STEP_PLAN);
	}
	int fd = ctx->namespace[slot];
	int r = setns(fd, (int)op->number[JOIN_NAMESPACE_TYPE]) < 0 ? failed(ctx, STEP_SETNS) : 0;
	close(fd);
	ctx->namespace[slot] = -1;
	return r;
}

/* exec: joins the container's namespaces in one call, so that their order cannot matter. */
int op_join_process(struct context *ctx, const struct plan_op *op)
{
	int flags = (int)op->number[JOIN_PROCESS_FLAGS];
	if (flags && setns(FD_EXTRA, flags) < 0)
		return failed(ctx, STEP_SETNS);
	if (op->number[JOIN_PROCESS_LAST])
		close(FD_EXTRA);
	return 0;
}

/* A new network namespace has only lo, and it is down. Programs expect 127.0.0.1 to answer, and other runtimes bring it
 * up. */
static int raise_loopback(struct context *ctx)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) /* a kernel without IPv4 */
		return 0;
	int r = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? failed(ctx, STEP_SOCKET) : 0;
	close(fd);
	return r;
}

int op_unshare(struct context *ctx, const struct plan_op *op)
{
	if (unshare((int)op->number[UNSHARE_FLAGS]) < 0)
		return failed(ctx, STEP_UNSHARE);
	return op->number[UNSHARE_FLAGS] & CLONE_NEWNET ? raise_loopback(ctx) : 0;
}

/* Becomes root of a new user namespace, once the parent has written its id maps. */
int op_become(struct context *ctx, const struct plan_op *op)
{
	uid_t uid = (uid_t)op->number[BECOME_UID];
	gid_t gid = (gid_t)op->number[BECOME_GID];
	if (setresgid(gid, gid, gid) < 0)
		return failed(ctx, STEP_SETGID);
	if (setresuid(uid, uid, uid) < 0)
		return failed(ctx, STEP_SETUID);
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? failed(ctx, STEP_PRCTL) : 0;
}

int op_time_offsets(struct context *ctx, const struct plan_op *op)
{
	return write_file(ctx, "/proc/self/timens_offsets", text(ctx, op, TIME_OFFSETS_OFFSETS));
}

/* A process that moves into a cgroup is not held up by its pids.max, as one that is born there is. */
static int move_into_unified(struct context *ctx)
{
	int fd = openat(ctx->unified, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	close(ctx->unified);
	if (fd < 0)
		return failed(ctx, STEP_OPEN);
	int r = write_all(fd, "0", 1) < 0 ? failed(ctx, STEP_WRITE) : 0;
	close(fd);
	return r;
}

/*
 * Enters the new or joined pid and time namespaces: only a child can be in them. The child is this process's sibling,
 * so the parent can wait for it; SCM_CREDENTIALS translates its pid for the parent. This process then exits. It is born
 * in its v2 cgroup: moving it there would wait for the kernel's lock on all thread groups. It inherits the cgroup's
 * descriptor, and closes it first of all. Whoever could open that in between needs CAP_SYS_PTRACE, since the child is
 * not dumpable, and could then trace the child anyway. Where the cgroup has as many processes as it may have, nothing
 * can be born in it: the child moves there, once its parent knows it. Until then it shares a
 * process group with this process alone, so that the parent can kill and reap it.
 */
int op_fork(struct context *ctx, const struct plan_op *op)
{
	(void)op;
	setpgid(0, 0);
	/* With CLONE_PARENT the exit signal is this process's own, SIGCHLD. */
	struct clone_args how = {.flags = CLONE_PARENT};
	if (ctx->unified >= 0) {
		how.flags |= CLONE_INTO_CGROUP;
		how.cgroup = (uint64_t)ctx->unified;
	}
	long pid = syscall(SYS_clone3, &how, sizeof how);
	bool moves = pid < 0 && errno == EAGAIN && ctx->unified >= 0;
	if (moves) {
		how.flags = CLONE_PARENT;
		pid = syscall(SYS_clone3, &how, sizeof how);
		errno = EAGAIN; /* a new pid namespace is lost with the first attempt: ENOMEM */
	}
	if (pid < 0)
		return failed(ctx, STEP_FORK);
	if (pid > 0)
		_exit(0);
	if (!moves)
		close(ctx->unified);
	int r = report(ctx, REPORT_FORKED, 0, -1);
	if (r == 0)
		r = await_reply(ctx);
	return moves && r == 0 ? move_into_unified(ctx) : r;
}

int op_setsid(struct context *ctx, const struct plan_op *op)
{
	(void)op;
	return setsid() < 0 ? failed(ctx, STEP_SETSID) : 0;
}
