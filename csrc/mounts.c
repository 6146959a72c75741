/*
 * Mounts: created detached, given their attributes, and attached by descriptor.
 *
 * A mount is attached before anything is mounted on it or copied from it: Linux 6.1 refuses both on a detached mount.
 * Attributes are set before attaching, so that the mount is never seen without them; propagation after attaching, since
 * a mount attached below a shared one becomes shared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel.h"
#include "mounts.h"

#define KINDS (MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE)
/* mount(2) reads one page of data. */
#define DATA_SIZE 4096

/* Superblock flags by their fsconfig names. */
static const struct {
	uint64_t flag;
	const char *name;
} SUPERBLOCK[] = {{MS_RDONLY, "ro"},
		  {MS_SYNCHRONOUS, "sync"},
		  {MS_MANDLOCK, "mand"},
		  {MS_DIRSYNC, "dirsync"},
		  {MS_LAZYTIME, "lazytime"}};

int set_attributes(struct context *ctx, int fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation)
{
	if (!set && !clear && !propagation)
		return 0;
	struct mount_attr attr = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	return sys_mount_setattr(fd, "", flags, &attr, sizeof attr) < 0 ? failed(ctx, STEP_MOUNT_SETATTR) : 0;
}

/* Shared and slave together: the mount receives from its old peers and propagates to new ones. */
static int set_propagation(struct context *ctx, int fd, uint64_t propagation)
{
	bool recursive = propagation & MS_REC;
	uint64_t kind = propagation & KINDS;
	if (kind == (MS_SHARED | MS_SLAVE)) {
		int r = set_attributes(ctx, fd, recursive, 0, 0, MS_SLAVE);
		if (r < 0)
			return r;
		kind = MS_SHARED;
	}
	return set_attributes(ctx, fd, recursive, 0, 0, kind);
}

int attach(struct context *ctx, int tree, int target)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
	return sys_move_mount(tree, "", target, "", flags) < 0 ? failed(ctx, STEP_MOVE_MOUNT) : 0;
}

int take_tree(struct context *ctx, const char *source, uint64_t bind)
{
	int tree = ctx->tree;
	if (*source) {
		unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
		flags |= bind & BIND_REC ? AT_RECURSIVE : 0;
		flags |= bind & BIND_SOURCE_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
		tree = sys_open_tree(AT_FDCWD, source, flags);
		return tree < 0 ? failed(ctx, STEP_OPEN_TREE) : tree;
	}
	ctx->tree = -1;
	if (tree < 0)
		return root_failed(ctx, STEP_OPEN_TREE, -EBADF);
	/* It may be a peer of a host mount: mounts in the container must not propagate to the host. */
	int r = set_attributes(ctx, tree, true, 0, 0, MS_SLAVE);
	if (r < 0)
		close(tree);
	return r < 0 ? r : tree;
}

/* --- new file systems */

/* "key" or "key=value" */
static int configure_option(int fs, const char *option)
{
	char key[256];
	size_t length = strcspn(option, "=");
	if (!option[length])
		return sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);
	if (length >= sizeof key) {
		errno = EINVAL;
		return -1;
	}
	memcpy(key, option, length);
	key[length] = '\0';
	return sys_fsconfig(fs, FSCONFIG_SET_STRING, key, option + length + 1, 0);
}

static int configure(struct context *ctx, const struct plan_op *op, int fs, int options, uint64_t superblock)
{
	for (size_t i = 0; superblock && i < sizeof SUPERBLOCK / sizeof *SUPERBLOCK; i++)
		if (superblock & SUPERBLOCK[i].flag &&
		    sys_fsconfig(fs, FSCONFIG_SET_FLAG, SUPERBLOCK[i].name, NULL, 0) < 0)
			return failed(ctx, STEP_FSCONFIG);
	for (const char *s = next_text(ctx, op, options, NULL); s; s = next_text(ctx, op, options, s))
		if (configure_option(fs, s) < 0)
			return failed(ctx, STEP_FSCONFIG);
	return 0;
}

/* "mode=" and four octal digits */
static void mode_option(char *option, mode_t mode)
{
	memcpy(option, "mode=", 5);
	for (int i = 0; i < 4; i++)
		option[5 + i] = (char)('0' + (mode >> (9 - 3 * i) & 7));
	option[9] = '\0';
}

static int create_superblock(struct context *ctx, const struct plan_op *op, int fs, const char *mode)
{
	const char *source = text(ctx, op, MOUNT_SOURCE);
	if (op->number[MOUNT_FLAGS] & MOUNT_HOST_COPY && *source == '/') /* meant for copy_of_host only */
		source = text(ctx, op, MOUNT_TYPE);
	if (*source && sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return failed(ctx, STEP_FSCONFIG);
	if (*mode && configure_option(fs, mode) < 0)
		return failed(ctx, STEP_FSCONFIG);
	int r = configure(ctx, op, fs, MOUNT_OPTIONS, op->number[MOUNT_SUPERBLOCK]);
	if (r < 0)
		return r;
	return sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? failed(ctx, STEP_FSCONFIG) : 0;
}

/* A detached mount of a new file system, or -errno. */
static int make_mount(struct context *ctx, const struct plan_op *op, const char *mode)
{
	int fs = sys_fsopen(text(ctx, op, MOUNT_TYPE), FSOPEN_CLOEXEC);
	if (fs < 0)
		return failed(ctx, STEP_FSOPEN);
	int r = create_superblock(ctx, op, fs, mode);
	if (r == 0) {
		r = sys_fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)op->number[MOUNT_ATTR_SET]);
		if (r < 0)
			r = failed(ctx, STEP_FSMOUNT);
	}
	close(fs);
	return r;
}

/* mount(2) needs quotes around an SELinux label, for its commas; fsconfig takes it without. */
static size_t quoted_label(const char *option)
{
	static const char name[] = "context=";
	size_t length = sizeof name - 1;
	return !strncmp(option, name, length) && option[length] != '"' ? length : 0;
}

/* The options as mount(2) data. */
static int join_options(struct context *ctx, const struct plan_op *op, const char *mode, char *data)
{
	size_t n = strlen(mode);
	memcpy(data, mode, n);
	for (const char *s = next_text(ctx, op, MOUNT_OPTIONS, NULL); s; s = next_text(ctx, op, MOUNT_OPTIONS, s)) {
		size_t length = strlen(s), name = quoted_label(s);
		if (n + length + 4 > DATA_SIZE)
			return root_failed(ctx, STEP_MOUNT, -E2BIG);
		if (n)
			data[n++] = ',';
		memcpy(data + n, s, name);
		n += name;
		if (name)
			data[n++] = '"';
		memcpy(data + n, s + name, length - name);
		n += length - name;
		if (name)
			data[n++] = '"';
	}
	data[n] = '\0';
	return 0;
}

/* Whether `fd` is the root of a mount on `target`: both have the same parent directory. */
static bool covers(int fd, int target)
{
	struct kernel_statx top, below, above_top, above_below;
	const unsigned want = KERNEL_STATX_MNT_ID | 0x100 /* STATX_INO */;
	if (sys_statx(fd, "", AT_EMPTY_PATH, want, &top) < 0 ||
	    sys_statx(target, "", AT_EMPTY_PATH, want, &below) < 0 || sys_statx(fd, "..", 0, want, &above_top) < 0 ||
	    sys_statx(target, "..", 0, want, &above_below) < 0)
		return false;
	return top.attributes & KERNEL_STATX_ATTR_MOUNT_ROOT && top.mount_id != below.mount_id &&
	       above_top.mount_id == above_below.mount_id && above_top.inode == above_below.inode;
}

/* For what fsconfig cannot do: strings over 255 bytes, flags and file systems that only mount(2) knows. The working
 * directory is the checked target, so no path is looked up again until the result is verified. */
static int mount_legacy(struct context *ctx, const struct plan_op *op, int target, const char *mode)
{
	char data[DATA_SIZE];
	int r = join_options(ctx, op, mode, data);
	if (r < 0)
		return r;
	if (fchdir(target) < 0)
		return failed(ctx, STEP_CHDIR);
	/* MOUNT_ATTR_* and MS_* have the same values here. Passed to mount(2) too, so that a mount swapped before the
	 * check still has them. */
	uint64_t set = op->number[MOUNT_ATTR_SET];
	uint64_t flags = set & (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	flags |= op->number[MOUNT_SUPERBLOCK];
	if (mount(text(ctx, op, MOUNT_SOURCE), ".", text(ctx, op, MOUNT_TYPE), flags, data) < 0)
		r = failed(ctx, STEP_MOUNT);
	if (chdir("/") < 0 && r == 0)
		r = failed(ctx, STEP_CHDIR);
	if (r < 0)
		return r;
	/* From a root that is covered, only ".." leads to what covers it. */
	const char *path = op->number[MOUNT_FLAGS] & MOUNT_ROOT ? ".." : text(ctx, op, MOUNT_DESTINATION);
	int fd = root_open(ctx, path, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return root_failed(ctx, STEP_OPEN, fd);
	uint64_t clear = set & MOUNT_ATTR__ATIME ? MOUNT_ATTR__ATIME : 0;
	r = covers(fd, target) ? set_attributes(ctx, fd, false, set, clear, 0) : root_failed(ctx, STEP_VERIFY, -ESTALE);
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* For when the kernel refuses a new instance: a sysfs of the host's network namespace, a procfs of its pid namespace,
 * cgroups without a cgroup namespace. The host's submounts get the same attributes (CVE-2023-25809). */
static int copy_of_host(struct context *ctx, const struct plan_op *op)
{
	const char *type = text(ctx, op, MOUNT_TYPE), *source = text(ctx, op, MOUNT_SOURCE);
	if (*source != '/')
		source = !strcmp(type, "proc") ? "/proc" : !strcmp(type, "sysfs") ? "/sys" : "/dev/mqueue";
	int tree = take_tree(ctx, source, BIND_REC);
	if (tree < 0)
		return tree;
	uint64_t set = op->number[MOUNT_ATTR_SET];
	uint64_t clear = set & MOUNT_ATTR__ATIME ? MOUNT_ATTR__ATIME : 0;
	bool opened = !strcmp(type, "sysfs") && !(set & MOUNT_ATTR_RDONLY);
	/* Not a peer of the host's mounts: mounts on a new instance would not propagate to the host either. */
	int r = set_attributes(ctx, tree, true, set | (opened ? MOUNT_ATTR_RDONLY : 0), clear, MS_SLAVE);
	if (r == 0 && opened) /* a new instance would have no submounts */
		r = set_attributes(ctx, tree, false, 0, MOUNT_ATTR_RDONLY, 0);
	if (r < 0)
		close(tree);
	return r < 0 ? r : tree;
}

/* Recursive attributes, copy-up, attaching, propagation. */
static int finish_mount(struct context *ctx, const struct plan_op *op, int tree, int target, bool attached)
{
	int r = 0;
	if (op->number[MOUNT_FLAGS] & MOUNT_COPY_UP)
		r = copy_up(ctx, target, tree, op->number[MOUNT_FLAGS] & MOUNT_TARGET_OWNER);
	if (r == 0)
		r = set_attributes(ctx, tree, true, op->number[MOUNT_REC_SET], op->number[MOUNT_REC_CLR], 0);
	if (r == 0 && !attached)
		r = attach(ctx, tree, target);
	return r < 0 ? r : set_propagation(ctx, tree, op->number[MOUNT_PROPAGATION]);
}

static int mount_on(struct context *ctx, const struct plan_op *op, int target, const char *mode)
{
	uint64_t flags = op->number[MOUNT_FLAGS];
	bool legacy = flags & MOUNT_LEGACY;
	int tree = legacy ? -EINVAL : make_mount(ctx, op, mode);
	if ((tree == -EPERM || tree == -EBUSY) && flags & MOUNT_HOST_COPY)
		tree = copy_of_host(ctx, op);
	if (tree == -EINVAL && (legacy || ctx->step == STEP_FSCONFIG)) {
		legacy = true;
		tree = mount_legacy(ctx, op, target, mode);
	}
	if (tree < 0)
		return tree;
	int r = finish_mount(ctx, op, tree, target, legacy);
	struct stat below;
	if (r == -EINVAL && ctx->step == STEP_MOVE_MOUNT && fstat(target, &below) == 0 && !S_ISDIR(below.st_mode))
		r = -ENOTDIR; /* mount(2) says it better */
	if (r == 0 && flags & MOUNT_ROOT)
		root_replace(ctx, tree);
	else if (r == 0 && flags & MOUNT_ORDINARY)
		root_hold(ctx, text(ctx, op, MOUNT_DESTINATION), tree);
	else
		close(tree);
	return r;
}

/* A symlink at the rootfs's /proc or /sys may lead to a directory others can write to (CVE-2019-19921 and three more),
 * one at /dev to the host's /dev. */
static int open_mount_target(struct context *ctx, const char *path, bool ordinary)
{
	int target = ordinary ? root_open_plain(ctx, path, O_PATH | O_DIRECTORY) : root_open(ctx, path, O_PATH);
	if (ordinary && (target == -ELOOP || target == -ENOTDIR))
		return root_failed(ctx, STEP_VERIFY, -ENOTDIR);
	return target;
}

int op_mount(struct context *ctx, const struct plan_op *op)
{
	const char *path = text(ctx, op, MOUNT_DESTINATION);
	char mode[16] = "";
	struct stat st;
	bool root = op->number[MOUNT_FLAGS] & MOUNT_ROOT;
	root_release(ctx, path);
	int target = root ? root_to_cover(ctx) : open_mount_target(ctx, path, op->number[MOUNT_FLAGS] & MOUNT_ORDINARY);
	if (ctx->step == STEP_VERIFY || (root && target < 0))
		return target;
	if (target >= 0 && op->number[MOUNT_FLAGS] & MOUNT_TARGET_MODE && fstat(target, &st) == 0)
		mode_option(mode, st.st_mode);
	bool missing = target == -ENOENT;
	if (missing)
		target = root_open_target(ctx, path, true);
	if (target < 0)
		return root_failed(ctx, missing ? STEP_MKDIR : STEP_OPEN, target);
	int r = root ? 0 : root_spare(ctx, target);
	if (r == 0)
		r = mount_on(ctx, op, target, mode);
	close(target);
	return r;
}

/* --- binds */

/* Where the tree goes; -errno with the failed step. */
static int open_bind_target(struct context *ctx, const struct plan_op *op, bool directory)
{
	const char *path = text(ctx, op, BIND_DESTINATION);
	uint64_t flags = op->number[BIND_RECURSIVE];
	if (flags & BIND_ROOT)
		return root_to_cover(ctx);
	root_release(ctx, path);
	int target = flags & BIND_TARGET_NOFOLLOW ? root_open(ctx, path, O_PATH | O_NOFOLLOW) : -ENOENT;
	if (target == -ENOENT)
		target = root_open_target(ctx, path, directory);
	if (target < 0)
		return root_failed(ctx, directory ? STEP_MKDIR : STEP_CREATE, target);
	int r = root_spare(ctx, target);
	if (r < 0)
		close(target);
	return r < 0 ? r : target;
}

static int bind_tree(struct context *ctx, const struct plan_op *op, int tree)
{
	const uint64_t *n = op->number;
	struct stat st;
	if (fstat(tree, &st) < 0)
		return failed(ctx, STEP_STAT);
	int r = set_attributes(ctx, tree, false, n[BIND_ATTR_SET], n[BIND_ATTR_CLR], 0);
	if (r == 0)
		r = set_attributes(ctx, tree, true, n[BIND_REC_SET], n[BIND_REC_CLR], 0);
	if (r < 0)
		return r;
	int target = open_bind_target(ctx, op, S_ISDIR(st.st_mode));
	if (target < 0)
		return target;
	r = attach(ctx, tree, target);
	struct stat below;
	if (r == -EINVAL && fstat(target, &below) == 0 && S_ISDIR(below.st_mode) != S_ISDIR(st.st_mode))
		r = -ENOTDIR; /* mount(2) says it better */
	close(target);
	return r < 0 ? r : set_propagation(ctx, tree, n[BIND_PROPAGATION]);
}

int op_bind(struct context *ctx, const struct plan_op *op)
{
	int tree = take_tree(ctx, text(ctx, op, BIND_SOURCE), op->number[BIND_RECURSIVE]);
	if (tree < 0)
		return tree;
	int r = bind_tree(ctx, op, tree);
	if (r == 0 && op->number[BIND_RECURSIVE] & BIND_ROOT)
		root_replace(ctx, tree);
	else
		close(tree);
	return r;
}

/* Changes options of the file system of the mount `fd`, like mount(2) with MS_REMOUNT and no MS_BIND. */
static int reconfigure(struct context *ctx, const struct plan_op *op, int fd)
{
	int fs = sys_fspick(fd, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
	if (fs < 0)
		return failed(ctx, STEP_FSOPEN);
	int r = configure(ctx, op, fs, REMOUNT_OPTIONS, op->number[REMOUNT_FLAGS]);
	if (r == 0 && op->number[REMOUNT_ATTR_CLR] & MOUNT_ATTR_RDONLY &&
	    sys_fsconfig(fs, FSCONFIG_SET_FLAG, "rw", NULL, 0) < 0)
		r = failed(ctx, STEP_FSCONFIG);
	if (r == 0 && sys_fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		r = failed(ctx, STEP_FSCONFIG);
	close(fs);
	return r;
}

int op_remount(struct context *ctx, const struct plan_op *op)
{
	const uint64_t *n = op->number;
	int fd = root_open(ctx, text(ctx, op, REMOUNT_DESTINATION), O_PATH);
	if (fd < 0)
		return root_failed(ctx, STEP_OPEN, fd);
	int r = root_spare(ctx, fd);
	if (r == 0 && !(n[REMOUNT_FLAGS] & MS_BIND))
		r = reconfigure(ctx, op, fd);
	if (r == 0)
		r = set_attributes(ctx, fd, false, n[REMOUNT_ATTR_SET], n[REMOUNT_ATTR_CLR], 0);
	if (r == 0)
		r = set_attributes(ctx, fd, true, n[REMOUNT_REC_SET], n[REMOUNT_REC_CLR], 0);
	if (r == 0)
		r = set_propagation(ctx, fd, n[REMOUNT_PROPAGATION]);
	close(fd);
	return r;
}
