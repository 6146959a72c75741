/* The container's root: attached at root.path, entered, made read-only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"
#include "mounts.h"

static int set_propagation(int fd, const char *path, unsigned flags, uint64_t propagation)
{
	struct mount_attr attr = {.propagation = propagation};
	return sys_mount_setattr(fd, path, flags, &attr, sizeof attr);
}

int op_propagation(struct context *ctx, const struct plan_op *op)
{
	if (set_propagation(AT_FDCWD, "/", AT_RECURSIVE, op->number[PROPAGATION_FLAGS]) < 0)
		return failed(ctx, STEP_MOUNT_SETATTR);
	return 0;
}

int set_mount_of(struct context *ctx, int directory, uint64_t propagation)
{
	while (set_propagation(directory, "", AT_EMPTY_PATH, propagation) < 0) {
		int up = errno == EINVAL ? openat(directory, "..", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
		int r = up < 0 ? failed(ctx, STEP_MOUNT_SETATTR) : 0;
		close(directory);
		if (r < 0)
			return r;
		directory = up;
	}
	close(directory);
	return 0;
}

/* pivot_root refuses a shared parent mount. */
static int make_parent_private(struct context *ctx, const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? failed(ctx, STEP_OPEN) : set_mount_of(ctx, fd, MS_PRIVATE);
}

/* Attached at root.path, where hooks expect it. */
static int attach_root(struct context *ctx, const char *path)
{
	int target = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (target < 0)
		return failed(ctx, STEP_OPEN);
	int r = sys_move_mount(ctx->root, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	close(target);
	return r < 0 ? failed(ctx, STEP_MOVE_MOUNT) : 0;
}

int op_root(struct context *ctx, const struct plan_op *op)
{
	const char *path = text(ctx, op, ROOT_PATH);
	if (!op->number[ROOT_ATTACH]) { /* no mount namespace of its own: attach nothing */
		ctx->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return ctx->root < 0 ? failed(ctx, STEP_OPEN) : 0;
	}
	ctx->peers = op->number[ROOT_PRIVATE_PARENT];
	if (ctx->tree >= 0) { /* already attached by the parent */
		ctx->root = ctx->tree;
		ctx->tree = -1;
		root_hold_dev(ctx, "/dev");
		return 0;
	}
	if (ctx->peers) {
		int r = make_parent_private(ctx, path);
		if (r < 0)
			return r;
	}
	ctx->root = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (ctx->root < 0)
		return failed(ctx, STEP_OPEN_TREE);
	root_hold_dev(ctx, "/dev"); /* a symlink is refused when something is made in it */
	return attach_root(ctx, path);
}

/* The root as a mount of the config: nobody sees what it covers. pivot_root refuses a shared parent mount. */
int root_to_cover(struct context *ctx)
{
	int r = set_attributes(ctx, ctx->root, false, 0, 0, MS_PRIVATE);
	if (r < 0)
		return r;
	int fd = fcntl(ctx->root, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? failed(ctx, STEP_OPEN) : fd;
}

void root_replace(struct context *ctx, int root)
{
	root_release(ctx, NULL);
	close(ctx->root);
	ctx->root = root;
	root_hold_dev(ctx, "/dev");
}

/* A procfs that no configured mount can cover. Where the kernel refuses a new one (the pid namespace is not ours, or
 * procfs here is partly masked), a private clone of the host's. */
int op_proc_handle(struct context *ctx, const struct plan_op *op)
{
	int fd = op->number[PROC_HANDLE_HOST] ? -1 : sys_fsopen("proc", FSOPEN_CLOEXEC);
	if (fd >= 0) {
		if (sys_fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
			ctx->proc = sys_fsmount(fd, FSMOUNT_CLOEXEC,
						MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
		close(fd);
	}
	if (ctx->proc < 0)
		ctx->proc = sys_open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	return ctx->proc < 0 ? failed(ctx, STEP_OPEN_TREE) : 0;
}

/* A caller in a chroot: what is above its root is in the new mount namespace too. Left there, it would be within reach
 * of whoever can call chroot in the container, and exec would begin there. The kernel takes a process that joins a
 * mount namespace, be it its own, to the namespace's root. Without CAP_SYS_CHROOT neither can happen. */
static int leave_chroot(struct context *ctx)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		return failed(ctx, STEP_SETNS);
	int r = setns(self, CLONE_NEWNS) < 0 && errno != EPERM ? failed(ctx, STEP_SETNS) : 0;
	close(self);
	return r;
}

/* The old root ends up over the new one. Unmounting it must not propagate to the host's mounts. */
static int pivot(struct context *ctx)
{
	int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (old < 0)
		return failed(ctx, STEP_OPEN);
	int r = 0;
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		r = failed(ctx, STEP_PIVOT_ROOT);
	else if (set_propagation(old, "", AT_EMPTY_PATH | AT_RECURSIVE, MS_SLAVE) < 0)
		r = failed(ctx, STEP_MOUNT_SETATTR);
	else if (fchdir(old) < 0)
		r = failed(ctx, STEP_CHDIR);
	else if (umount2(".", MNT_DETACH) < 0)
		r = failed(ctx, STEP_UMOUNT);
	close(old);
	return r;
}

int op_pivot(struct context *ctx, const struct plan_op *op)
{
	int r = op->number[PIVOT_MODE] == PIVOT_ROOT ? leave_chroot(ctx) : 0;
	if (r == 0 && fchdir(ctx->root) < 0)
		r = failed(ctx, STEP_CHDIR);
	if (r < 0)
		return r;
	if (op->number[PIVOT_MODE] == PIVOT_ROOT)
		r = pivot(ctx);
	else if (op->number[PIVOT_MODE] == PIVOT_MOVE)
		r = move_root(ctx);
	else if (chroot(".") < 0)
		r = failed(ctx, STEP_CHROOT);
	if (r < 0)
		return r;
	root_release(ctx, NULL); /* from here on, paths are as the container sees them */
	return chdir("/") < 0 ? failed(ctx, STEP_CHDIR) : 0;
}

/* exec: setns leaves us at the namespace's root, which is the container's except after --no-pivot or without a mount
 * namespace. Never the root of the first process, which may have called chroot since (haproxy, named). */
int op_enter_root(struct context *ctx, const struct plan_op *op)
{
	if (op->number[ENTER_ROOT_CHROOT]) {
		if (fchdir(FD_ROOT) < 0)
			return failed(ctx, STEP_CHDIR);
		if (chroot(".") < 0)
			return failed(ctx, STEP_CHROOT);
	}
	ctx->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return ctx->root < 0 ? failed(ctx, STEP_OPEN) : 0;
}

int op_root_readonly(struct context *ctx, const struct plan_op *op)
{
	(void)op;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	return sys_mount_setattr(ctx->root, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0 ? failed(ctx, STEP_MOUNT_SETATTR)
										       : 0;
}

int op_root_propagation(struct context *ctx, const struct plan_op *op)
{
	return set_propagation(ctx->root, "", AT_EMPTY_PATH, op->number[ROOT_PROPAGATION_FLAGS]) < 0
		       ? failed(ctx, STEP_MOUNT_SETATTR)
		       : 0;
}
