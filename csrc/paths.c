/* Single paths of the container: symlinks, device nodes, masked and read-only paths. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "kernel.h"
#include "mounts.h"

#define PERMISSIONS 07777

static int clone_mount(struct context *ctx, int fd, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	int tree = sys_open_tree(fd, "", flags);
	return tree < 0 ? failed(ctx, STEP_OPEN_TREE) : tree;
}

/* A symlink at /dev could lead into the host's /dev, if that is visible in the container (CVE-2026-41579). */
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

/* An existing file stays, as with runc, unless it is to be replaced. */
int op_symlink(struct context *ctx, const struct plan_op *op)
{
	char name[NAME_MAX + 1];
	const char *target = text(ctx, op, SYMLINK_TARGET);
	uint64_t flags = op->number[SYMLINK_FLAGS];
	if (flags & SYMLINK_IF_TARGET && target_missing(ctx, target))
		return 0;
	int parent = open_parent(ctx, text(ctx, op, SYMLINK_PATH), name);
	if (parent < 0)
		return root_failed(ctx, STEP_OPEN, parent);
	int r = make_link(ctx, target, parent, name, flags);
	close(parent);
	return r;
}

/* --- devices */

/* A node's type (S_IFCHR, S_IFBLK or S_IFIFO) and device number. */
struct node {
	mode_t type;
	dev_t number;
};

static struct node node_of(uint64_t type, uint64_t major, uint64_t minor)
{
	return (struct node){.type = (mode_t)type, .number = makedev((unsigned)major, (unsigned)minor)};
}

static bool is_node(const struct stat *st, struct node node)
{
	return (st->st_mode & S_IFMT) == node.type && (node.type == S_IFIFO || st->st_rdev == node.number);
}

/* Sets the owner of the node that was made, whatever its name leads to by now. */
static int own_node(struct context *ctx, const struct plan_op *op, struct node node, int parent, const char *name)
{
	struct stat st;
	int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed(ctx, STEP_OPEN);
	int r = 0;
	if (fstat(fd, &st) < 0 || !is_node(&st, node))
		r = root_failed(ctx, STEP_VERIFY, -EEXIST);
	else if (fchownat(fd, "", (uid_t)op->number[DEVICE_UID], (gid_t)op->number[DEVICE_GID], AT_EMPTY_PATH) < 0)
		r = failed(ctx, STEP_CHOWN);
	close(fd);
	return r;
}

static int make_node(struct context *ctx, const struct plan_op *op, struct node node, int parent, const char *name)
{
	struct stat st;
	mode_t mode = node.type | (op->number[DEVICE_MODE] & PERMISSIONS), mask = umask(0);
	int r = mknodat(parent, name, mode, node.number) < 0 ? failed(ctx, STEP_MKNOD) : 0;
	umask(mask);
	if (r == 0 && (op->number[DEVICE_UID] || op->number[DEVICE_GID]))
		return own_node(ctx, op, node, parent, name);
	if (r != -EEXIST)
		return r;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_node(&st, node))
		return 0;
	return root_failed(ctx, STEP_VERIFY, -EEXIST);
}

/* Binds the node open at `tree` on `path`, once verified to be that node (CVE-2025-31133). */
static int bind_node(struct context *ctx, struct node node, int tree, const char *path)
{
	struct stat st;
	if (fstat(tree, &st) < 0)
		return failed(ctx, STEP_STAT);
	if (!is_node(&st, node))
		return root_failed(ctx, STEP_VERIFY, -ENODEV);
	/* Its peers are the host's mounts. */
	int r = set_attributes(ctx, tree, false, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, MS_PRIVATE);
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

static int bind_device(struct context *ctx, struct node node, const char *source, const char *path)
{
	int tree = take_tree(ctx, source, 0);
	if (tree < 0)
		return tree;
	int r = bind_node(ctx, node, tree, path);
	close(tree);
	return r;
}

/* Where mknod is not permitted (in a user namespace that the plan did not know of), binds the host's node. */
int op_device(struct context *ctx, const struct plan_op *op)
{
	char name[NAME_MAX + 1];
	const char *path = text(ctx, op, DEVICE_PATH);
	struct node node = node_of(op->number[DEVICE_TYPE], op->number[DEVICE_MAJOR], op->number[DEVICE_MINOR]);
	int parent = open_parent(ctx, path, name);
	if (parent < 0)
		return root_failed(ctx, STEP_OPEN, parent);
	int r = make_node(ctx, op, node, parent, name);
	close(parent);
	if (r == -EPERM && ctx->step == STEP_MKNOD && node.type != S_IFIFO)
		return bind_device(ctx, node, path, path);
	return r;
}

int op_device_bind(struct context *ctx, const struct plan_op *op)
{
	const uint64_t *n = op->number;
	struct node node = node_of(n[DEVICE_BIND_TYPE], n[DEVICE_BIND_MAJOR], n[DEVICE_BIND_MINOR]);
	return bind_device(ctx, node, text(ctx, op, DEVICE_BIND_SOURCE), text(ctx, op, DEVICE_BIND_PATH));
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

/* On a host without /dev/null: a clone of the container's, which is verified as the host's is. */
static int take_null(struct context *ctx)
{
	int tree = take_tree(ctx, "/dev/null", 0);
	if (tree != -ENOENT)
		return tree;
	int own = root_open(ctx, "/dev/null", O_PATH);
	if (own < 0)
		return tree;
	tree = clone_mount(ctx, own, false);
	close(own);
	return tree;
}

/* A detached clone of the host's /dev/null, verified (CVE-2025-31133: the container's may be anything). Read-only, so
 * that the container cannot change the mode of the host's node; writing to the device still works. Private, so that a
 * mount over it does not propagate to the host's. */
static int make_null(struct context *ctx)
{
	struct stat st;
	int tree = take_null(ctx);
	if (tree < 0)
		return tree;
	int r;
	if (fstat(tree, &st) < 0 || !is_node(&st, node_of(S_IFCHR, 1, 3)))
		r = root_failed(ctx, STEP_VERIFY, -ENODEV);
	else
		r = set_attributes(ctx, tree, false, COVER, 0, MS_PRIVATE);
	if (r < 0)
		close(tree);
	return r < 0 ? r : tree;
}

/* The first mask of its kind stays open: later ones are clones of it. */
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

/* A path that does not exist, or whose parent is no directory, needs no mask. */
static bool is_absent(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

int op_mask(struct context *ctx, const struct plan_op *op)
{
	const char *path = text(ctx, op, MASK_PATH);
	int target = root_open(ctx, path, O_PATH);
	if (target < 0)
		return is_absent(target) ? 0 : root_failed(ctx, STEP_OPEN, target);
	int r = root_spare(ctx, target);
	if (r == 0)
		r = mask_target(ctx, target, path, text(ctx, op, MASK_LABEL));
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

/* Makes the path a mount of its own with its old flags, read-only; the root is a mount already. Submounts stay as they
 * are, as with runc. */
int op_readonly(struct context *ctx, const struct plan_op *op)
{
	const char *path = text(ctx, op, READONLY_PATH);
	int target = root_open(ctx, path, O_PATH);
	if (target < 0)
		return is_absent(target) ? 0 : root_failed(ctx, STEP_OPEN, target);
	int r = root_spare(ctx, target);
	if (r == 0)
		r = cover_readonly(ctx, target, path);
	else if (r == -EBUSY)
		r = set_attributes(ctx, target, false, MOUNT_ATTR_RDONLY, 0, 0);
	close(target);
	return r;
}

/* --- mounts that go while the container runs */

static bool of_kernel(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) == 0 && (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC);
}

/* A symlink of the container may lead `path` to its root, or to procfs and sysfs and what masks their files. */
static int verify_mount(struct context *ctx, int parent, int fd)
{
	struct kernel_statx one;
	if (sys_statx(fd, "", AT_EMPTY_PATH, KERNEL_STATX_MNT_ID, &one) < 0)
		return failed(ctx, STEP_STAT);
	if (!(one.attributes & KERNEL_STATX_ATTR_MOUNT_ROOT))
		return root_failed(ctx, STEP_VERIFY, -EINVAL);
	if (of_kernel(parent) || of_kernel(fd))
		return root_failed(ctx, STEP_VERIFY, -EPERM);
	return root_spare(ctx, fd);
}

static int unmount_in(struct context *ctx, int parent, const char *name)
{
	int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed(ctx, STEP_OPEN);
	int r = verify_mount(ctx, parent, fd);
	close(fd);
	if (r == 0 && fchdir(parent) < 0)
		r = failed(ctx, STEP_CHDIR);
	if (r == 0 && umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		r = failed(ctx, STEP_NONE);
	return r;
}

int op_unmount(struct context *ctx, const struct plan_op *op)
{
	const char *path = text(ctx, op, UNMOUNT_PATH);
	char name[NAME_MAX + 1];
	int fd = root_open(ctx, path, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return root_failed(ctx, STEP_OPEN, fd);
	close(fd);
	int parent = root_open_parent(ctx, path, name); /* it exists */
	if (parent < 0)
		return root_failed(ctx, STEP_OPEN, parent);
	int r = unmount_in(ctx, parent, name);
	close(parent);
	return r;
}
