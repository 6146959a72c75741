/*
 * --no-pivot: the container's root is moved over the host's, for a root on the initial ramfs, which pivot_root refuses.
 *
 * What the host has mounted stays in the namespace, below the new root, for a process that may leave a chroot. Its
 * procfs and sysfs are taken away: with one of them in the namespace the kernel lets a user namespace's root mount
 * another, without what is masked in the container's.
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

/* /proc/self/mountinfo, a line at a time. Of an overlay's many layers only the beginning is kept: they are at its end.
 */
struct reader {
	int fd;
	bool within; /* the rest of a line whose beginning was given already comes first */
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

/* More of the file behind what is not given yet; false at its end. */
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

/* The next line, or what there is place for, without its end; NULL at the end of the file. */
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

/* Blank, tab, newline and backslash are written as three octal digits. */
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

/* The mount of this number, or false. */
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

/* The numbers of mounts. */
struct views {
	int count;
	uint64_t id[MAX_VIEWS];
};

/* All procfs and sysfs that are not below the container's root, or all mounts of a part of one. */
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

/* Whether the mount that this one lies on has peers. */
static bool is_heard(struct reader *in, uint64_t id)
{
	struct entry entry;
	return !find(in, id, &entry) || !find(in, entry.parent, &entry) || entry.shared;
}

/* Takes away the mount whose root `fd` is. The host must not hear of it: a mount's end is told to the peers of the
 * mount that it lies on, which cannot leave them where it is out of reach, below this one. -errno if it stays, and
 * ctx->step is STEP_UMOUNT if nothing else is wrong. */
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

/* What stays, as in a user namespace, is covered. */
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

/* The first mount on the way to `point` that the mount `id` does not lie in; a descriptor of its root, or -errno. */
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

/* Whether something lies on the mount's own root. */
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

/* Takes away what keeps us from reaching the mount `id`, unless that hides another of them. */
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

/* Hides the mount `id`, if it is there still. One that something covers on its own root the kernel does not count as
 * visible, nor a part of such a file system. `again`: something that lay over it is gone. */
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
	strcpy(point, entry.point); /* reading on overwrites it */
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

/* From the last, so that what lies below or over another one of them is done before it. */
static int hide_views(struct context *ctx, struct reader *in, bool whole)
{
	struct views views;
	int r = collect(ctx, in, whole, &views);
	for (int i = views.count - 1; r == 0 && i >= 0; i--) {
		bool again = true;
		while (r == 0 && again) /* a mount fewer each time */
			r = hide_view(ctx, in, &views, views.id[i], &again);
	}
	return r;
}

/* The root moves first: what is taken away then may be what it lay in. */
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
	if (r == 0) /* elsewhere, since those below the others are gone */
		r = hide_views(ctx, &in, false);
	if (in.fd >= 0)
		close(in.fd);
	close(slash);
	if (r < 0)
		return r;
	return chroot(".") < 0 ? failed(ctx, STEP_CHROOT) : 0;
}
