/* tmpcopyup: a new tmpfs starts with a copy of what it covers: files, owners, modes, times; no xattrs, as with runc. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mounts.h"

#define MAX_DEPTH 128
#define BUFFER 4096
#define PIECE 0x7ffff000 /* the most one sendfile moves */

struct entry {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

static int copy_directory(struct context *ctx, int from, int to, int depth);

static int copy_file(struct context *ctx, int from, int to, const char *name)
{
	struct stat st;
	int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (in < 0)
		return failed(ctx, STEP_OPEN);
	if (fstat(in, &st) < 0 || !S_ISREG(st.st_mode)) { /* replaced meanwhile, perhaps by a device */
		close(in);
		return root_failed(ctx, STEP_VERIFY, -ESTALE);
	}
	int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = out < 0 ? failed(ctx, STEP_CREATE) : 0;
	for (ssize_t n = 1; r == 0 && n > 0;)
		if ((n = sendfile(out, in, NULL, PIECE)) < 0)
			r = failed(ctx, STEP_COPY);
	if (out >= 0)
		close(out);
	close(in);
	return r;
}

static int copy_link(struct context *ctx, int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof target - 1);
	if (n < 0)
		return failed(ctx, STEP_READ);
	target[n] = '\0';
	return symlinkat(target, to, name) < 0 ? failed(ctx, STEP_SYMLINK) : 0;
}

static int copy_below(struct context *ctx, int from, int to, const char *name, int depth)
{
	if (depth >= MAX_DEPTH)
		return root_failed(ctx, STEP_COPY, -ELOOP);
	if (mkdirat(to, name, 0700) < 0)
		return failed(ctx, STEP_MKDIR);
	int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = in < 0 || out < 0 ? failed(ctx, STEP_OPEN) : copy_directory(ctx, in, out, depth + 1);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return r;
}

/* Nobody else can reach the new tmpfs, so looking a name up twice is safe. An unmapped id becomes ours. */
static int copy_attributes(struct context *ctx, int to, const char *name, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EINVAL && errno != EPERM)
		return failed(ctx, STEP_CHOWN);
	if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
		return failed(ctx, STEP_CHMOD);
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? failed(ctx, STEP_CHMOD) : 0;
}

static int copy_entry(struct context *ctx, int from, int to, const char *name, int depth)
{
	struct stat st;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(ctx, STEP_STAT);
	int r = 0;
	if (S_ISDIR(st.st_mode))
		r = copy_below(ctx, from, to, name, depth);
	else if (S_ISREG(st.st_mode))
		r = copy_file(ctx, from, to, name);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(ctx, from, to, name);
	else if (mknodat(to, name, st.st_mode & S_IFMT, st.st_rdev) < 0)
		r = failed(ctx, STEP_MKNOD);
	return r < 0 ? r : copy_attributes(ctx, to, name, &st);
}

/* What a symlink of the image may lead the destination to: files that the kernel makes up, some of them the host's. */
static bool of_kernel(int fd)
{
	static const long types[] = {PROC_SUPER_MAGIC,   SYSFS_MAGIC,   CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
				     DEBUGFS_MAGIC,      TRACEFS_MAGIC, SECURITYFS_MAGIC,   BPF_FS_MAGIC,
				     DEVPTS_SUPER_MAGIC, SELINUX_MAGIC};
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return true;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if ((long)fs.f_type == types[i])
			return true;
	return false;
}

static int copy_directory(struct context *ctx, int from, int to, int depth)
{
	_Alignas(struct entry) char buffer[BUFFER];
	if (of_kernel(from))
		return root_failed(ctx, STEP_COPY, -EPERM);
	for (;;) {
		long n = syscall(SYS_getdents64, from, buffer, sizeof buffer);
		if (n <= 0)
			return n < 0 ? failed(ctx, STEP_READ) : 0;
		for (long at = 0; at < n;) {
			const struct entry *entry = (const void *)(buffer + at);
			at += entry->length;
			if (!strcmp(entry->name, ".") || !strcmp(entry->name, ".."))
				continue;
			int r = copy_entry(ctx, from, to, entry->name, depth);
			if (r < 0)
				return r;
		}
	}
}

int copy_up(struct context *ctx, int from, int to, bool owner)
{
	struct stat st;
	int covered = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (covered < 0)
		return failed(ctx, STEP_OPEN);
	int r = copy_directory(ctx, covered, to, 0);
	if (r == 0 && owner && fstat(covered, &st) < 0)
		r = failed(ctx, STEP_STAT);
	else if (r == 0 && owner && fchownat(to, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) < 0 && errno != EINVAL &&
		 errno != EPERM)
		r = failed(ctx, STEP_CHOWN);
	close(covered);
	return r;
}
