/*
 * --no-pivot: moves the container's root over the host's, for hosts on the initial ramfs, where pivot_root fails.
 *
 * The host's mounts stay in the namespace below the new root, within reach of a process that can leave a chroot. Every
 * procfs and sysfs among them is detached or covered: if one is visible, the kernel lets root of a new user namespace
 * mount another, without the container's masks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "kernel.h"
#include "mounts.h"

#define MAX_VIEWS 1024
#define MAX_DEPTH 4096

/* /proc/self/mountinfo, a line at a time. Long lines are cut: only the layers of an overlay, at the end, can be that
 * long. */
struct reader {
	int fd;
	bool within; /* what follows is the rest of a line that was cut */
	size_t start, end;
	char data[8 * PATH_MAX];
};

struct entry {
	uint64_t id, parent;
	bool whole; /* from the root of its file system */
	bool shared;
	char *point;
	const char *type;
};

/* Reads more of the file after the unread bytes; false at its end. */
static bool fill(struct reader *in)
{
	memmove(in->data, in->data + in->start, in->end - in->start);
	in->end -= in->start;
	in->start = 0;
	ssize_t n = read(in->fd, in->data + in->end, sizeof in->data - 1 - in->end);
	if (n > 0)
		in->end += (size_t)n;
	return n > 0;
}

/* The next line, or as much as fits, without its newline; NULL at the end of the file. */
static char *next_line(struct reader *in)
{
	for (;;) {
		char *line = in->data + in->start;
		char *newline = memchr(line, '\n', in->end - in->start);
		bool full = !newline && in->end - in->start == sizeof in->data - 1;
		if (newline || full) {
			bool rest = in->within;
			in->within = full;
			in->start = newline ? (size_t)(newline - in->data) + 1 : in->end;
			in->data[newline ? in->start - 1 : in->end] = '\0';
			if (!rest)
				return line;
		} else if (!fill(in)) {
			return NULL;
		}
	}
}

/* Space, tab, newline and backslash are written as three octal digits. */
static void unescape(char *s)
{
	char *to = s;
	while (*s) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (char)((s[1] & 3) << 6 | (s[2] & 7) << 3 | (s[3] & 7));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* proc_pid_mountinfo(5): id, parent, device, root, mount point, options, tags, "-", type */
static bool parse(char *line, struct entry *entry)
{
	char *field[6], *rest = line;
	entry->shared = false;
	for (size_t i = 0; i < sizeof field / sizeof *field; i++)
		if (!(field[i] = strsep(&rest, " ")))
			return false;
	char *type = rest;
	while (type && strncmp(type, "- ", 2)) {
		entry->shared |= !strncmp(type, "shared:", 7);
		type = strchr(type, ' ') ? strchr(type, ' ') + 1 : NULL;
	}
	if (!type)
		return false;
	type += 2;
	entry->id = strtoull(field[0], NULL, 10);
	entry->parent = strtoull(field[1], NULL, 10);
	entry->whole = !strcmp(field[3], "/");
	entry->point = field[4];
	unescape(entry->point);
	entry->type = strsep(&type, " ");
	return true;
}

static int rewind_mounts(struct reader *in)
{
	in->start = in->end = 0;
	in->within = false;
	return lseek(in->fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

/* Finds the mount with this id. */
static bool find(struct reader *in, uint64_t id, struct entry *entry)
{
	if (rewind_mounts(in) < 0)
		return false;
	for (char *line = next_line(in); line; line = next_line(in))
		if (strtoull(line, NULL, 10) == id)
			return parse(line, entry);
	return false;
}

static bool is_below(struct reader *in, uint64_t id, uint64_t top)
{
	struct entry entry;
	for (int i = 0; i < MAX_DEPTH && id != top; i++) {
		if (!find(in, id, &entry) || entry.parent == id)
			return false;
		id = entry.parent;
	}
	return id == top;
}

static int64_t mount_number(int fd)
{
	struct kernel_statx st;
	return sys_statx(fd, "", AT_EMPTY_PATH, KERNEL_STATX_MNT_ID, &st) < 0 ? -1 : (int64_t)st.mount_id;
}

/* Mount ids. */
struct views {
	int count;
	uint64_t id[MAX_VIEWS];
};

/* Collects every procfs and sysfs outside the container's root: those mounted whole, or those that show a part. */
static int collect(struct context *ctx, struct reader *in, bool whole, struct views *views)
{
	struct entry entry;
	int count = 0;
	int64_t root = mount_number(ctx->root);
	views->count = 0;
	if (root < 0 || rewind_mounts(in) < 0)
		return failed(ctx, STEP_STAT);
	for (char *line = next_line(in); line; line = next_line(in)) {
		if (!parse(line, &entry) || (strcmp(entry.type, "proc") && strcmp(entry.type, "sysfs")) ||
		    entry.whole != whole)
			continue;
		if (count == MAX_VIEWS)
			return root_failed(ctx, STEP_UMOUNT, -E2BIG);
		views->id[count++] = entry.id;
	}
	for (int i = 0; i < count; i++)
		if (!is_below(in, views->id[i], (uint64_t)root))
			views->id[views->count++] = views->id[i];
	return 0;
}

/* Whether the parent mount has peers, which would see an unmount. */
static bool is_heard(struct reader *in, uint64_t id)
{
	struct entry entry;
	return !find(in, id, &entry) || !find(in, entry.parent, &entry) || entry.shared;
}

/* Detaches the mount whose root is `fd`, without propagating to the host: an unmount propagates to the peers of the
 * parent mount, and a parent that cannot be reached cannot be made private. -errno if the mount stays; then ctx->step
 * is STEP_UMOUNT unless something else failed. */
static int detach(struct context *ctx, struct reader *in, int fd)
{
	int parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return failed(ctx, STEP_OPEN);
	int r = set_mount_of(ctx, parent, MS_SLAVE);
	if (r == 0)
		r = set_attributes(ctx, fd, true, 0, 0, MS_SLAVE);
	if (r < 0)
		return r;
	if (is_heard(in, (uint64_t)mount_number(fd)))
		return root_failed(ctx, STEP_UMOUNT, -EBUSY);
	if (fchdir(fd) < 0)
		return failed(ctx, STEP_CHDIR);
	r = umount2(".", MNT_DETACH) < 0 ? failed(ctx, STEP_UMOUNT) : 0;
	return fchdir(ctx->root) < 0 ? failed(ctx, STEP_CHDIR) : r;
}

/* What cannot be detached, as in a user namespace, is covered. */
static int hide(struct context *ctx, struct reader *in, int fd)
{
	int r = detach(ctx, in, fd);
	if (r == 0 || ctx->step != STEP_UMOUNT)
		return r;
	int cover = make_empty(ctx, "");
	if (cover < 0)
		return cover;
	r = attach(ctx, cover, fd);
	close(cover);
	return r;
}

/* The first mount on the way to `point` that does not contain the mount `id`: a descriptor of its root, or -errno. */
static int open_cover(struct context *ctx, struct reader *in, uint64_t id, char *point)
{
	for (char *end = point; *end;) {
		end += strcspn(end + 1, "/") + 1;
		char next = *end;
		*end = '\0';
		int fd = open(point, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		*end = next;
		if (fd < 0)
			return failed(ctx, STEP_OPEN);
		if (!is_below(in, id, (uint64_t)mount_number(fd)))
			return fd;
		close(fd);
	}
	return root_failed(ctx, STEP_VERIFY, -ESTALE);
}

/* Whether something is mounted on the mount's own root. */
static bool has_cover(struct reader *in, uint64_t id, const char *point)
{
	struct entry entry;
	if (rewind_mounts(in) < 0)
		return false;
	for (char *line = next_line(in); line; line = next_line(in))
		if (parse(line, &entry) && entry.parent == id && !strcmp(entry.point, point))
			return true;
	return false;
}

/* Detaches what keeps us from reaching the mount `id`, unless it hides another one of them. */
static int uncover(struct context *ctx, struct reader *in, const struct views *views, uint64_t id, char *point)
{
	struct entry entry;
	int fd = open_cover(ctx, in, id, point);
	if (fd < 0)
		return fd;
	bool known = find(in, (uint64_t)mount_number(fd), &entry);
	for (int i = 0; i < views->count; i++)
		known = known && entry.parent != views->id[i];
	int r = known ? detach(ctx, in, fd) : root_failed(ctx, STEP_UMOUNT, -EBUSY);
	close(fd);
	return r;
}

/* Hides the mount `id`, if it is still there. The kernel does not count a mount as visible if its own root is covered,
 * or if it shows only a part of its file system. `again`: a mount that covered it is gone. */
static int hide_view(struct context *ctx, struct reader *in, const struct views *views, uint64_t id, bool *again)
{
	char point[PATH_MAX];
	struct entry entry;
	*again = false;
	if (!find(in, id, &entry))
		return 0;
	bool whole = entry.whole;
	if (strlen(entry.point) >= sizeof point)
		return root_failed(ctx, STEP_OPEN, -ENAMETOOLONG);
	strcpy(point, entry.point); /* the next read overwrites it */
	int fd = open(point, O_PATH | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
		return failed(ctx, STEP_OPEN);
	int r = 0;
	if (fd >= 0 && mount_number(fd) == (int64_t)id) {
		r = hide(ctx, in, fd);
	} else if (whole && !has_cover(in, id, point)) {
		r = uncover(ctx, in, views, id, point);
		*again = r == 0;
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* From the last to the first, so that a mount below or over another one is handled before it. */
static int hide_views(struct context *ctx, struct reader *in, bool whole)
{
	struct views views;
	int r = collect(ctx, in, whole, &views);
	for (int i = views.count - 1; r == 0 && i >= 0; i--) {
		bool again = true;
		while (r == 0 && again) /* one mount fewer each time */
			r = hide_view(ctx, in, &views, views.id[i], &again);
	}
	return r;
}

/* The root moves first: a mount that is detached afterwards may have contained it. */
int move_root(struct context *ctx)
{
	int slash = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (slash < 0)
		return failed(ctx, STEP_OPEN);
	struct reader in = {.fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)};
	int r = in.fd < 0 ? failed(ctx, STEP_OPEN) : set_mount_of(ctx, fcntl(slash, F_DUPFD_CLOEXEC, 0), MS_SLAVE);
	if (r == 0)
		r = attach(ctx, ctx->root, slash);
	if (r == 0)
		r = hide_views(ctx, &in, true);
	if (r == 0) /* the partial ones that remain */
		r = hide_views(ctx, &in, false);
	if (in.fd >= 0)
		close(in.fd);
	close(slash);
	if (r < 0)
		return r;
	return chroot(".") < 0 ? failed(ctx, STEP_CHROOT) : 0;
}
