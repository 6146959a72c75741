/*
 * Mounts of the runtime's own, which no peer may hear of.
 *
 * With a shared root a bind may be a peer of the host's mount, as volumes with the propagation "shared" are to be. What
 * the config mounts below goes to the host then; a terminal, a mask and what makes a path read-only must not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"
#include "mounts.h"

#ifndef MOVE_MOUNT_SET_GROUP
#define MOVE_MOUNT_SET_GROUP 0x100 /* 5.15 */
#endif

/* The mount that `fd` is in, and whether `fd` is its root. */
static int look(struct context *ctx, int fd, uint64_t *mount, bool *is_root)
{
	struct kernel_statx st;
	if (sys_statx(fd, "", AT_EMPTY_PATH, KERNEL_STATX_MNT_ID, &st) < 0)
		return failed(ctx, STEP_STAT);
	*mount = st.mount_id;
	*is_root = st.attributes & KERNEL_STATX_ATTR_MOUNT_ROOT;
	return 0;
}

/* The root of the mount that `target` is in, from the directory that holds `path`; a descriptor or -errno. */
static int mount_root(struct context *ctx, int target, const char *path)
{
	char name[NAME_MAX + 1];
	struct stat st;
	uint64_t wanted, mount;
	bool is_root;
	int r = look(ctx, target, &wanted, &is_root);
	if (r < 0)
		return r;
	if (fstat(target, &st) < 0)
		return failed(ctx, STEP_STAT);
	int fd = is_root || S_ISDIR(st.st_mode) ? fcntl(target, F_DUPFD_CLOEXEC, 0) : root_open_parent(ctx, path, name);
	if (fd < 0)
		return is_root || S_ISDIR(st.st_mode) ? failed(ctx, STEP_OPEN) : root_failed(ctx, STEP_OPEN, fd);
	while ((r = look(ctx, fd, &mount, &is_root)) == 0 && mount == wanted && !is_root) {
		int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		if (up < 0)
			return failed(ctx, STEP_OPEN);
		fd = up;
	}
	if (r == 0 && mount != wanted) /* a symbolic link led elsewhere */
		r = root_failed(ctx, STEP_VERIFY, -ESTALE);
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

static int detach(struct context *ctx, int mount)
{
	int r = fchdir(mount) < 0 ? failed(ctx, STEP_CHDIR) : 0;
	if (r == 0 && umount2(".", MNT_DETACH) < 0)
		r = failed(ctx, STEP_UMOUNT);
	if (chdir("/") < 0 && r == 0)
		r = failed(ctx, STEP_CHDIR);
	return r;
}

/* The mount leaves its peers for as long as it takes. A copy of it, attached where it has none, keeps the place among
 * them. */
static int attach_alone(struct context *ctx, int tree, int target, int mount)
{
	const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH | MOVE_MOUNT_SET_GROUP;
	int copy = sys_open_tree(mount, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (copy < 0 && errno == EINVAL) /* unbindable, and so nobody's peer */
		return attach(ctx, tree, target);
	if (copy < 0)
		return failed(ctx, STEP_OPEN_TREE);
	int r = attach(ctx, copy, ctx->root);
	if (r == 0) {
		r = set_attributes(ctx, mount, false, 0, 0, MS_PRIVATE);
		if (r == 0)
			r = attach(ctx, tree, target);
		/* EINVAL: it had no peers */
		if (r == 0 && sys_move_mount(copy, "", mount, "", flags) < 0 && errno != EINVAL)
			r = failed(ctx, STEP_MOUNT_SETATTR);
		int ended = detach(ctx, copy);
		r = r < 0 ? r : ended;
	}
	close(copy);
	return r;
}

int attach_apart(struct context *ctx, int tree, int target, const char *path)
{
	if (!ctx->peers)
		return attach(ctx, tree, target);
	int mount = mount_root(ctx, target, path);
	if (mount < 0)
		return mount;
	int r = attach_alone(ctx, tree, target, mount);
	close(mount);
	return r;
}
