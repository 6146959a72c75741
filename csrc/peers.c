/*
 * The runtime's own mounts, which must not propagate to any peer.
 *
 * With a shared root a bind may be a peer of the host's mount, as "shared" volumes are meant to be. The config's mounts
 * below it then propagate to the host. A terminal, a mask or a read-only path must not.
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

/* The mount `fd` is in, and whether `fd` is its root. */
static int look(struct context *ctx, int fd, uint64_t *mount, bool *is_root)
{
	struct kernel_statx st;
	if (sys_statx(fd, "", AT_EMPTY_PATH, KERNEL_STATX_MNT_ID, &st) < 0)
		return failed(ctx, STEP_STAT);
	*mount = st.mount_id;
	*is_root = st.attributes & KERNEL_STATX_ATTR_MOUNT_ROOT;
	return 0;
}

/* The root of the mount that `target` is in, found by climbing from the parent of `path`; a descriptor or -errno. */
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
	if (r == 0 && mount != wanted) /* a symlink led elsewhere */
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

/* The mount leaves its peer group for the moment. A clone, attached where it has no peers, keeps the group alive. */
static int attach_alone(struct context *ctx, int tree, int target, int mount)
{
	const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH | MOVE_MOUNT_SET_GROUP;
	int copy = sys_open_tree(mount, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (copy < 0 && errno == EINVAL) /* unbindable, so without peers */
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
