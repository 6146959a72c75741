/* The container's root: attached at root.path, entered, made read-only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
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

/* Hooks find the root at root.path. */
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
	if (!op->number[ROOT_ATTACH]) { /* no mount namespace of its own: nothing is attached */
		ctx->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return ctx->root < 0 ? failed(ctx, STEP_OPEN) : 0;
	}
	ctx->peers = op->number[ROOT_PRIVATE_PARENT];
	if (ctx->tree >= 0) { /* attached by the parent already */
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
	root_hold_dev(ctx, "/dev"); /* a symlink is refused by whoever makes something in it */
	return attach_root(ctx, path);
}

/* A procfs that no configured mount can cover. Where the kernel does not allow a new one (the pid namespace is not
 * ours, or procfs here is partly hidden), a private copy of the host's serves. */
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

/* The old root ends up over the new one. Its going must not reach the host's mounts that it is a peer of. */
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
	if (fchdir(ctx->root) < 0)
		return failed(ctx, STEP_CHDIR);
	int r = 0;
	if (op->number[PIVOT_MODE] == PIVOT_ROOT)
		r = pivot(ctx);
	else if (op->number[PIVOT_MODE] == PIVOT_MOVE)
		r = move_root(ctx);
	else if (chroot(".") < 0)
		r = failed(ctx, STEP_CHROOT);
	if (r < 0)
		return r;
	root_release(ctx, NULL); /* from here on paths mean what the container sees */
	return chdir("/") < 0 ? failed(ctx, STEP_CHDIR) : 0;
}

/* exec: the root of the namespace, where setns has left us, unless the container's is another: after --no-pivot, or
 * without a mount namespace. Never that of the first process, which may have changed its own since (haproxy, named). */
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
