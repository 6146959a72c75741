/* From the entered root to the user's program. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"
#include "kernel.h"

#define PATH_SIZE 4096
#define PASSWD_SIZE 65536

/* A working directory outside the root shows up as "(unreachable)" (CVE-2024-21626). */
static int enter_directory(struct context *ctx, const char *path, bool make)
{
	char here[PATH_SIZE];
	int fd = make ? root_open_target(ctx, path, true) : root_open(ctx, path, O_PATH | O_DIRECTORY);
	if (fd < 0) {
		errno = -fd;
		return failed(ctx, make ? STEP_MKDIR : STEP_OPEN);
	}
	int r = fchdir(fd) < 0 ? failed(ctx, STEP_CHDIR) : 0;
	close(fd);
	if (r < 0)
		return r;
	if (!getcwd(here, sizeof here))
		return failed(ctx, STEP_CHDIR);
	if (here[0] != '/') {
		errno = ENOENT;
		return failed(ctx, STEP_VERIFY);
	}
	return 0;
}

/* Some directories only the container's user may enter (FUSE, root_squash): if root is refused, that user tries
 * again. */
int op_cwd(struct context *ctx, const struct plan_op *op)
{
	int r = enter_directory(ctx, text(ctx, op, CWD_PATH), op->number[CWD_MAKE]);
	ctx->cwd_denied = r == -EACCES;
	return ctx->cwd_denied ? 0 : r;
}

/* As the container's user. The root descriptor is closed by now. */
int op_cwd_as_user(struct context *ctx, const struct plan_op *op)
{
	if (!ctx->cwd_denied)
		return 0;
	ctx->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ctx->root < 0)
		return failed(ctx, STEP_OPEN);
	int r = enter_directory(ctx, text(ctx, op, CWD_AS_USER_PATH), false);
	close(ctx->root);
	ctx->root = -1;
	return r;
}

/* HOME from the container's passwd: "name:password:uid:gid:gecos:home:shell". Made in `buffer`, in place. */
static char *find_home(uint64_t uid, char *buffer)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd < 0 ? 0 : read(fd, buffer, PASSWD_SIZE - 1);
	if (fd >= 0)
		close(fd);
	for (char *line = buffer, *end; n > 0 && line < buffer + n; line = end + 1) {
		end = strchrnul(line, '\n');
		*end = '\0';
		char *field[7] = {line};
		int count = 1;
		for (char *p = line; *p && count < 7; p++)
			if (*p == ':') {
				*p = '\0';
				field[count++] = p + 1;
			}
		char *stop;
		if (count >= 6 && strtoull(field[2], &stop, 10) == uid && stop > field[2] && *stop == '\0' &&
		    strlen(field[5]) < PATH_SIZE && field[5][0] == '/')
			return memcpy(field[5] - 5, "HOME=", 5); /* five fields with their ends are before it */
	}
	return "HOME=/";
}

/* Checks the program as execvp would, but before the wait for `start`: managers need `create` to fail. */
static int examine(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static int search(struct context *ctx, const char *name, const char *directories, char *candidate)
{
	size_t length = strlen(name);
	int result = -ENOENT;
	for (const char *start = directories, *end;; start = end + 1) {
		end = strchrnul(start, ':');
		bool here = end == start; /* an empty entry is the working directory */
		size_t size = here ? 1 : (size_t)(end - start);
		if (size + length + 2 <= PATH_SIZE) {
			memcpy(candidate, here ? "." : start, size);
			candidate[size] = '/';
			memcpy(candidate + size + 1, name, length + 1);
			int r = examine(candidate);
			if (r == 0) {
				ctx->program_path = candidate;
				return 0;
			}
			if (r == -EACCES)
				result = r;
		}
		if (*end == '\0')
			return result;
	}
}

int op_program(struct context *ctx, const struct plan_op *op)
{
	size_t arguments = array_size(ctx, op, PROGRAM_ARGS), environment = array_size(ctx, op, PROGRAM_ENV);
	ctx->scratch_size = arguments + environment + PASSWD_SIZE + PATH_SIZE; /* little of it is touched */
	char *scratch = map_near(ctx->scratch_size, -1);
	if (scratch == MAP_FAILED)
		return failed(ctx, STEP_LOOKUP);
	ctx->scratch = scratch;
	ctx->arguments = fill_array(ctx, op, PROGRAM_ARGS, scratch);
	ctx->environment = fill_array(ctx, op, PROGRAM_ENV, scratch += arguments);
	scratch += environment;
	if (op->number[PROGRAM_FIND_HOME]) {
		size_t n = 0;
		while (ctx->environment[n])
			n++;
		ctx->environment[n] = find_home(op->number[PROGRAM_UID], scratch);
	}
	const char *name = ctx->arguments[0] ? ctx->arguments[0] : "";
	ctx->program_path = name;
	int r = *name == '\0'       ? -ENOENT
		: strchr(name, '/') ? examine(name)
				    : search(ctx, name, text(ctx, op, PROGRAM_SEARCH_PATH), scratch + PASSWD_SIZE);
	if (r == 0)
		return 0;
	errno = -r;
	return failed(ctx, STEP_LOOKUP);
}

/* The start channel: a connection is the order to go on. execve closes it; otherwise it carries the failure. */
int op_wait_start(struct context *ctx, const struct plan_op *op)
{
	(void)op;
	close(ctx->channel);
	ctx->channel = -1;
	prepare_wait(ctx); /* `op` is gone now */
	do
		ctx->channel = accept4(FD_EXTRA, NULL, NULL, SOCK_CLOEXEC);
	while (ctx->channel < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (ctx->channel < 0)
		_exit(EXIT_FAILURE); /* nobody left to report to */
	close(FD_EXTRA);
	return 0;
}

/*
 * Runs before the credentials are dropped: closes everything of the host. Stays open: 0 to 2, the channel, the memfd
 * for the last word, the listener (if any), and the caller's preserved descriptors from FD_KEPT on, which the program
 * gets from 3 on.
 */
int op_keep_descriptors(struct context *ctx, const struct plan_op *op)
{
	uint64_t count = op->number[KEEP_DESCRIPTORS_COUNT];
	errno = E2BIG;
	if (count > 1024)
		return failed(ctx, STEP_PLAN);
	struct stat channel;
	if (fstat(ctx->channel, &channel) < 0 || sys_close_range(FD_KEPT + (unsigned)count, ~0U, 0) < 0)
		return failed(ctx, STEP_CLOSE);
	ctx->gap = channel.st_ino;
	if (ctx->word < 0)
		close(FD_PLAN);
	close(FD_ROOT);
	if (!op->number[KEEP_DESCRIPTORS_LISTENER])
		close(FD_EXTRA);
	ctx->root = ctx->proc = ctx->null = ctx->mask = ctx->tree = -1;
	return 0;
}

/* Moves the kept descriptors down to 3; the channel may be in their way, so it moves up, and stays close-on-exec. A
 * duplicate of the first channel stands in for one that the caller does not have open: the program finds it closed. */
static int place_kept(struct context *ctx, unsigned count)
{
	struct stat kept;
	int channel = fcntl(ctx->channel, F_DUPFD_CLOEXEC, (int)(FD_KEPT + count));
	if (channel < 0)
		return -errno;
	for (unsigned i = 0; i < count; i++)
		if (fstat((int)(FD_KEPT + i), &kept) < 0 || dup2((int)(FD_KEPT + i), (int)(3 + i)) < 0 ||
		    (S_ISSOCK(kept.st_mode) && kept.st_ino == ctx->gap && close((int)(3 + i)) < 0))
			return -errno;
	ctx->channel = channel;
	return sys_close_range(3 + count, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

int op_exec(struct context *ctx, const struct plan_op *op)
{
	(void)op;
	if (!ctx->program_path) { /* the plan has no `program` */
		errno = EINVAL;
		return failed(ctx, STEP_PLAN);
	}
	execve(last_word_path(ctx, ctx->program_path), ctx->arguments, ctx->environment);
	return failed(ctx, STEP_EXEC);
}

int op_place_descriptors(struct context *ctx, const struct plan_op *op)
{
	int r = send_last_word(ctx);
	if (r < 0)
		return r;
	unsigned count = (unsigned)op->number[PLACE_DESCRIPTORS_COUNT];
	r = count ? place_kept(ctx, count) : 0;
	errno = -r;
	return r < 0 ? failed(ctx, STEP_OPEN) : 0;
}
