/*
 * Paths of the container, resolved by descriptor.
 *
 * Others may write to the root while we work (a shared volume, a hostile image), so a path is never checked and then
 * used again as a string. Each look-up is one openat2 that cannot leave the root (CVE-2019-18837, CVE-2021-30465).
 * Missing components are made one at a time, in a directory that is held open (CVE-2024-45310).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "kernel.h"
#include "mounts.h"

#define MAX_LINKS 40
/* With `..` in the path, openat2 fails with EAGAIN while anybody on the machine mounts or renames. */
#define MAX_ATTEMPTS 128
#define NEW_MODE 0755

int root_failed(struct context *ctx, enum plan_step step, int error)
{
	errno = -error;
	return failed(ctx, step);
}

static int open_in(int root, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = resolve | RESOLVE_NO_MAGICLINKS};
	for (int i = 0; i < MAX_ATTEMPTS; i++) {
		int fd = sys_openat2(root, path, &how);
		if (fd >= 0)
			return fd;
		if (errno != EAGAIN && errno != EINTR)
			break;
		sched_yield();
	}
	return -errno;
}

/* --- pinned paths
 *
 * A hostile image, or somebody who renames in the root meanwhile, could make /dev or /proc lead elsewhere once it is
 * mounted: into a volume where nodes would then be made, or past what should be masked. So these mounts are pinned by
 * descriptor, and paths below them are looked up from there. */

/* The rest of `path` below `place`; NULL if it is not below, or has `..` in it. */
static const char *below(const char *path, const char *place)
{
	for (;;) {
		path += strspn(path, "/");
		place += strspn(place, "/");
		size_t length = strcspn(place, "/");
		if (length == 0)
			break;
		if (strcspn(path, "/") != length || memcmp(path, place, length))
			return NULL;
		path += length;
		place += length;
	}
	for (const char *p = path; *p; p += strcspn(p, "/"), p += strspn(p, "/"))
		if (strcspn(p, "/") == 2 && !memcmp(p, "..", 2))
			return NULL;
	return *path ? path : ".";
}

void root_release(struct context *ctx, const char *path)
{
	for (size_t i = 0; i < MAX_HELD; i++)
		if (ctx->held[i].path && (!path || below(ctx->held[i].path, path))) {
			close(ctx->held[i].fd);
			ctx->held[i].path = NULL;
		}
}

void root_hold(struct context *ctx, const char *path, int fd)
{
	root_release(ctx, path);
	for (size_t i = 0; i < MAX_HELD; i++)
		if (!ctx->held[i].path) {
			ctx->held[i] = (struct held){path, fd};
			return;
		}
	close(fd);
}

int root_hold_dev(struct context *ctx, const char *path)
{
	static const char dev[] = "/dev";
	if (!below(path, dev))
		return 0;
	for (size_t i = 0; i < MAX_HELD; i++)
		if (ctx->held[i].path && below(dev, ctx->held[i].path))
			return 0;
	int fd = root_open_plain(ctx, dev, O_PATH | O_DIRECTORY);
	if (fd >= 0)
		root_hold(ctx, dev, fd);
	return fd >= 0 || fd == -ENOENT ? 0 : fd == -ELOOP ? -ENOTDIR : fd;
}

/* The descriptor to look `*path` up from; `*path` becomes the part below it. */
static int start_of(struct context *ctx, const char **path)
{
	for (size_t i = 0; i < MAX_HELD; i++) {
		const char *rest = ctx->held[i].path ? below(*path, ctx->held[i].path) : NULL;
		if (rest) {
			*path = rest;
			return ctx->held[i].fd;
		}
	}
	return ctx->root;
}

/* A path may lead to the root by its name, or by a symlink of the image to "/", "." or "..". */
int root_spare(struct context *ctx, int fd)
{
	struct kernel_statx root, one;
	if (sys_statx(ctx->root, "", AT_EMPTY_PATH, KERNEL_STATX_MNT_ID, &root) < 0 ||
	    sys_statx(fd, "", AT_EMPTY_PATH, KERNEL_STATX_MNT_ID, &one) < 0)
		return failed(ctx, STEP_STAT);
	bool same = one.mount_id == root.mount_id && one.attributes & KERNEL_STATX_ATTR_MOUNT_ROOT;
	return same ? root_failed(ctx, STEP_VERIFY, -EBUSY) : 0;
}

int root_open(struct context *ctx, const char *path, int flags)
{
	int root = start_of(ctx, &path);
	return open_in(root, path, flags, RESOLVE_IN_ROOT);
}

int root_open_plain(struct context *ctx, const char *path, int flags)
{
	return open_in(ctx->root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
}

/* If the component path[start..end) is a symlink in `parent`, replaces it with the link's target and returns 0; -EINVAL
 * if it is none. The kernel has followed every link whose target exists; this is for targets that have yet to be made,
 * such as that of /etc/resolv.conf in many images. */
static int expand_link(int parent, const char *name, char *path, size_t start, size_t end)
{
	char expanded[PATH_MAX];
	size_t rest = strlen(path + end) + 1;
	size_t before = start;
	char first;
	if (readlinkat(parent, name, &first, 1) == 1 && first == '/')
		before = 0;
	ssize_t length = readlinkat(parent, name, expanded + before, sizeof expanded - before);
	if (length < 0)
		return -errno;
	if (before + (size_t)length + rest > sizeof expanded)
		return -ENAMETOOLONG;
	memcpy(expanded, path, before);
	memcpy(expanded + before + length, path + end, rest);
	memcpy(path, expanded, before + (size_t)length + rest);
	return 0;
}

/* The plan sets modes, not the caller's umask. */
static int make_directory(int parent, const char *name)
{
	mode_t mask = umask(0);
	int r = mkdirat(parent, name, NEW_MODE) < 0 ? -errno : 0;
	umask(mask);
	return r;
}

static int make_file(int parent, const char *name)
{
	mode_t mask = umask(0);
	int fd = openat(parent, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, NEW_MODE);
	int r = fd < 0 ? -errno : fd;
	umask(mask);
	return r;
}

/* Copies path[start..end). Refuses "." and "..". */
static int component(const char *path, size_t start, size_t end, char *name)
{
	size_t length = end - start;
	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, path + start, length);
	name[length] = '\0';
	return length == 0 || !strcmp(name, ".") || !strcmp(name, "..") ? -EINVAL : 0;
}

/* The directory path[0..end), if it exists. */
static int open_prefix(int root, char *path, size_t end)
{
	char after = path[end];
	path[end] = '\0';
	int fd = open_in(root, end ? path : "/", O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
	path[end] = after;
	return fd;
}

/* Makes the missing component path[start..end) in `parent`. 0: made, by us or by somebody else; 1: it was a dangling
 * symlink, and `path` now goes through its target. */
static int make_component(int parent, char *path, size_t start, size_t end, int *links)
{
	char name[NAME_MAX + 1];
	int r = component(path, start, end, name);
	if (r == 0)
		r = make_directory(parent, name);
	if (r != -EEXIST)
		return r;
	r = expand_link(parent, name, path, start, end);
	if (r == -EINVAL)
		return 0;
	if (r == 0)
		return ++*links > MAX_LINKS ? -ELOOP : 1;
	return r;
}

static size_t last_component(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash - path) + 1 : 0;
}

/* The directory of the last component of `path`, which is path[*last..] afterwards. Makes missing directories. */
static int open_last_parent(int root, char *path, int *links, size_t *last)
{
	*last = last_component(path);
	int fd = open_prefix(root, path, *last);
	if (fd != -ENOENT)
		return fd;
	int parent = open_prefix(root, path, 0);
	for (size_t start = 0; start < *last && parent >= 0;) {
		size_t end = start + strcspn(path + start, "/");
		if (end == start) {
			start++;
			continue;
		}
		int r = 0;
		fd = open_prefix(root, path, end);
		if (fd == -ENOENT && (r = make_component(parent, path, start, end, links)) == 0)
			fd = open_prefix(root, path, end);
		close(parent);
		if (r < 0)
			return r;
		parent = r == 0 ? fd : open_prefix(root, path, 0);
		*last = last_component(path);
		start = r == 0 ? end : 0;
	}
	return parent;
}

/* A writable copy, without trailing slashes. */
static int copy_path(char *copy, const char *path)
{
	size_t length = strlen(path);
	while (length > 1 && path[length - 1] == '/')
		length--;
	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(copy, path, length);
	copy[length] = '\0';
	return 0;
}

int root_open_parent(struct context *ctx, const char *path, char *name)
{
	char copy[PATH_MAX];
	size_t last;
	int links = 0;
	int root = start_of(ctx, &path);
	int r = copy_path(copy, path);
	if (r < 0)
		return r;
	int fd = open_last_parent(root, copy, &links, &last);
	if (fd < 0)
		return fd;
	r = component(copy, last, strlen(copy), name);
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* A new directory or file `name`, as a descriptor; -EEXIST when something is there. */
static int make_target(int parent, const char *name, bool directory)
{
	if (!directory)
		return make_file(parent, name);
	int r = make_directory(parent, name);
	if (r < 0)
		return r;
	int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int root_open_target(struct context *ctx, const char *path, bool directory)
{
	char copy[PATH_MAX], name[NAME_MAX + 1];
	int links = 0;
	int root = start_of(ctx, &path);
	int r = copy_path(copy, path);
	while (r == 0) {
		size_t last;
		int fd = open_in(root, copy, O_PATH, RESOLVE_IN_ROOT);
		if (fd != -ENOENT)
			return fd;
		int parent = open_last_parent(root, copy, &links, &last);
		if (parent < 0)
			return parent;
		size_t end = strlen(copy);
		r = component(copy, last, end, name);
		if (r == -EINVAL && directory) { /* `.` or `..` at the end: everything before it exists now */
			close(parent);
			return open_in(root, copy, O_PATH, RESOLVE_IN_ROOT);
		}
		if (r == 0)
			r = make_target(parent, name, directory);
		if (r == -EEXIST) {
			r = expand_link(parent, name, copy, last, end);
			if (r == -EINVAL) /* somebody else made it meanwhile */
				r = 0;
			if (++links > MAX_LINKS)
				r = -ELOOP;
		} else if (r >= 0) {
			close(parent);
			return r;
		}
		close(parent);
	}
	return r;
}

/* Nothing can be mounted in the private procfs, and a clone of the host's must not be left (CVE-2025-52881). */
int proc_open(struct context *ctx, const char *path, int flags)
{
	while (*path == '/')
		path++;
	int fd = open_in(ctx->proc, path, flags, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
	if (fd < 0)
		return fd;
	struct statfs fs;
	if (fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC)
		return fd;
	close(fd);
	return -EXDEV;
}

int write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);
		if (n == 0)
			errno = EIO; /* else it would loop for ever */
		if (n == 0 || (n < 0 && errno != EINTR))
			return -errno;
		if (n > 0) {
			data += n;
			length -= (size_t)n;
		}
	}
	return 0;
}
