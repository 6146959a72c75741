/* Single paths of the container: symlinks, device nodes, what is hidden and what is read-only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kernel.h"
#include "mounts.h"

#define PERMISSIONS 07777

static int clone_mount(struct context *ctx, int fd, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	int tree = sys_open_tree(fd, "", flags);
	return tree < 0 ? failed(ctx, STEP_OPEN_TREE) : tree;
}

/* A symlink at /dev could lead into the host's, shown elsewhere in the container (CVE-2026-41579). */
static int open_parent(struct context *ctx, const char *path, char *name)
{
	int r = root_hold_dev(ctx, path);
	return r < 0 ? r : root_open_parent(ctx, path, name);
}

/* --- symlinks */

static bool target_missing(struct context *ctx, const char *target)
{
	int fd = root_open(ctx, target, O_PATH | O_NOFOLLOW);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static bool is_link_to(int parent, const char *name, const char *target)
{
	char found[PATH_MAX];
	ssize_t length = readlinkat(parent, name, found, sizeof found);
	return length >= 0 && (size_t)length == strlen(target) && !memcmp(found, target, (size_t)length);
}

static int make_link(struct context *ctx, const char *target, int parent, const char *name, uint64_t flags)
{
	int r = symlinkat(target, parent, name);
	if (r < 0 && errno == EEXIST && flags & SYMLINK_REPLACE && unlinkat(parent, name, 0) == 0)
		r = symlinkat(target, parent, name);
	if (r == 0)
		return 0;
	if (errno != EEXIST || flags & SYMLINK_REPLACE)
		return failed(ctx, STEP_SYMLINK);
	return flags & SYMLINK_SAME && !is_link_to(parent, name, target) ? root_failed(ctx, STEP_VERIFY, -EEXIST) : 0;
}

/* What the rootfs has there already stays, as with runc, unless it is to be replaced. */
int op_symlink(struct context *ctx, const struct plan_op *op)
{
	char name[NAME_MAX + 1];
	const char *target = text(ctx, op, 0);
	if (op->number[0] & SYMLINK_IF_TARGET && target_missing(ctx, target))
		return 0;
	int parent = open_parent(ctx, text(ctx, op, 1), name);
	if (parent < 0)
		return root_failed(ctx, STEP_OPEN, parent);
	int r = make_link(ctx, target, parent, name, op->number[0]);
	close(parent);
	return r;
}

/* --- devices */

static bool is_node(const struct stat *st, mode_t type, dev_t dev)
{
	return (st->st_mode & S_IFMT) == type && (type == S_IFIFO || st->st_rdev == dev);
}

static dev_t number_of(const struct plan_op *op)
{
	return makedev((unsigned)op->number[1], (unsigned)op->number[2]);
}

/* The owner is set on the node that was made, whatever its name leads to by now. */
static int own_node(struct context *ctx, const struct plan_op *op, int parent, const char *name)
{
	struct stat st;
	int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed(ctx, STEP_OPEN);
	int r = 0;
	if (fstat(fd, &st) < 0 || !is_node(&st, (mode_t)op->number[0], number_of(op)))
		r = root_failed(ctx, STEP_VERIFY, -EEXIST);
	else if (fchownat(fd, "", (uid_t)op->number[4], (gid_t)op->number[5], AT_EMPTY_PATH) < 0)
		r = failed(ctx, STEP_CHOWN);
	close(fd);
	return r;
}

static int make_node(struct context *ctx, const struct plan_op *op, int parent, const char *name)
{
	struct stat st;
	mode_t type = (mode_t)op->number[0], mask = umask(0);
	int r = mknodat(parent, name, type | (op->number[3] & PERMISSIONS), number_of(op)) < 0 ? failed(ctx, STEP_MKNOD)
											       : 0;
	umask(mask);
	if (r == 0 && (op->number[4] || op->number[5]))
		return own_node(ctx, op, parent, name);
	if (r != -EEXIST)
		return r;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_node(&st, type, number_of(op)))
		return 0;
	return root_failed(ctx, STEP_VERIFY, -EEXIST);
}

/* Binds the node that the descriptor `tree` is on `path`, having seen that it is that node (CVE-2025-31133). */
static int bind_node(struct context *ctx, const struct plan_op *op, int tree, const char *path)
{
	struct stat st;
	if (fstat(tree, &st) < 0)
		return failed(ctx, STEP_STAT);
	if (!is_node(&st, (mode_t)op->number[0], number_of(op)))
		return root_failed(ctx, STEP_VERIFY, -ENODEV);
	int r = set_attributes(ctx, tree, false, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, 0);
	if (r < 0)
		return r;
	r = root_hold_dev(ctx, path);
	int target = r < 0 ? r : root_open_target(ctx, path, false);
	if (target < 0)
		return root_failed(ctx, STEP_CREATE, target);
	r = attach_apart(ctx, tree, target, path);
	close(target);
	return r;
}

static int bind_device(struct context *ctx, const struct plan_op *op, const char *source)
{
	int tree = take_tree(ctx, source, 0);
	if (tree < 0)
		return tree;
	int r = bind_node(ctx, op, tree, text(ctx, op, 0));
	close(tree);
	return r;
}

/* Where nodes may not be made (a user namespace that the plan did not know of), the host's is bound. */
int op_device(struct context *ctx, const struct plan_op *op)
{
	char name[NAME_MAX + 1];
	int parent = open_parent(ctx, text(ctx, op, 0), name);
	if (parent < 0)
		return root_failed(ctx, STEP_OPEN, parent);
	int r = make_node(ctx, op, parent, name);
	close(parent);
	if (r == -EPERM && ctx->step == STEP_MKNOD && op->number[0] != S_IFIFO)
		return bind_device(ctx, op, text(ctx, op, 0));
	return r;
}

int op_device_bind(struct context *ctx, const struct plan_op *op)
{
	return bind_device(ctx, op, text(ctx, op, 1));
}

/* --- masked and read-only paths */

#define COVER (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)

int make_empty(struct context *ctx, const char *label)
{
	int fs = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return failed(ctx, STEP_FSOPEN);
	int tree;
	if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", "tmpfs", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_STRING, "mode", "755", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    (*label && sys_fsconfig(fs, FSCONFIG_SET_STRING, "context", label, 0) < 0) ||
	    sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		tree = failed(ctx, STEP_FSCONFIG);
	else if ((tree = sys_fsmount(fs, FSMOUNT_CLOEXEC, COVER | MOUNT_ATTR_NODEV)) < 0)
		tree = failed(ctx, STEP_FSMOUNT);
	close(fs);
	return tree;
}

/* A detached copy of the host's /dev/null, seen to be that (CVE-2025-31133: the container's may be anything). It is
 * read-only so that the container cannot change the mode of the host's node; writing to the device still works. */
static int make_null(struct context *ctx)
{
	struct stat st;
	int tree = take_tree(ctx, "/dev/null", 0);
	if (tree < 0)
		return tree;
	int r;
	if (fstat(tree, &st) < 0 || !is_node(&st, S_IFCHR, makedev(1, 3)))
		r = root_failed(ctx, STEP_VERIFY, -ENODEV);
	else
		r = set_attributes(ctx, tree, false, COVER, 0, 0);
	if (r < 0)
		close(tree);
	return r < 0 ? r : tree;
}

/* The first cover of its kind stays open: later ones are copies of it. */
static int mask_target(struct context *ctx, int target, const char *path, const char *label)
{
	struct stat st;
	if (fstat(target, &st) < 0)
		return failed(ctx, STEP_STAT);
	int *first = S_ISDIR(st.st_mode) ? &ctx->mask : &ctx->null;
	bool made = *first < 0;
	int tree = !made                 ? clone_mount(ctx, *first, false)
		   : S_ISDIR(st.st_mode) ? make_empty(ctx, label)
					 : make_null(ctx);
	if (tree < 0)
		return tree;
	int r = attach_apart(ctx, tree, target, path);
	if (r == 0 && made)
		*first = tree;
	else
		close(tree);
	return r;
}

/* A path that is not there needs no cover; nor does one below something that is no directory. */
static bool is_absent(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

int op_mask(struct context *ctx, const struct plan_op *op)
{
	int target = root_open(ctx, text(ctx, op, 0), O_PATH);
	if (target < 0)
		return is_absent(target) ? 0 : root_failed(ctx, STEP_OPEN, target);
	int r = root_spare(ctx, target);
	if (r == 0)
		r = mask_target(ctx, target, text(ctx, op, 0), text(ctx, op, 1));
	close(target);
	return r;
}

static int cover_readonly(struct context *ctx, int target, const char *path)
{
	int tree = clone_mount(ctx, target, true);
	if (tree < 0)
		return tree;
	int r = set_attributes(ctx, tree, false, MOUNT_ATTR_RDONLY, 0, 0);
	if (r == 0)
		r = attach_apart(ctx, tree, target, path);
	close(tree);
	return r;
}

/* A mount of its own with the flags that it had, and read-only; the root is one already. Mounts below it stay as they
 * are, as with runc. */
int op_readonly(struct context *ctx, const struct plan_op *op)
{
	int target = root_open(ctx, text(ctx, op, 0), O_PATH);
	if (target < 0)
		return is_absent(target) ? 0 : root_failed(ctx, STEP_OPEN, target);
	int r = root_spare(ctx, target);
	if (r == 0)
		r = cover_readonly(ctx, target, text(ctx, op, 0));
	else if (r == -EBUSY)
		r = set_attributes(ctx, target, false, MOUNT_ATTR_RDONLY, 0, 0);
	close(target);
	return r;
}
