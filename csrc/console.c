/* Standard input, output and error: the container's terminal, or what the caller passed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "kernel.h"
#include "mounts.h"

#define DEVPTS_MAGIC 0x1cd1 /* linux/magic.h */

/* The multiplexer of the container's devpts, whatever its /dev/ptmx is (CVE-2025-52565). */
static int open_multiplexer(struct context *ctx)
{
	struct statfs fs;
	int fd = root_open(ctx, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
	if (fd < 0) {
		errno = -fd;
		return failed(ctx, STEP_OPEN);
	}
	if (fstatfs(fd, &fs) < 0 || fs.f_type != DEVPTS_MAGIC) {
		close(fd);
		errno = ENOTTY;
		return failed(ctx, STEP_VERIFY);
	}
	return fd;
}

static int bind_console(struct context *ctx, int terminal)
{
	static const char path[] = "/dev/console";
	int r = root_hold_dev(ctx, path);
	int target = r < 0 ? r : root_open_target(ctx, path, false);
	if (target < 0) {
		errno = -target;
		return failed(ctx, STEP_CREATE);
	}
	int tree = sys_open_tree(terminal, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	r = tree < 0 ? failed(ctx, STEP_OPEN_TREE) : 0;
	if (r == 0)
		r = attach_apart(ctx, tree, target, path);
	if (tree >= 0)
		close(tree);
	close(target);
	return r;
}

static int take_terminal(struct context *ctx, const struct plan_op *op, int terminal)
{
	struct winsize size = {.ws_col = (unsigned short)op->number[CONSOLE_WIDTH],
			       .ws_row = (unsigned short)op->number[CONSOLE_HEIGHT]};
	if ((size.ws_col || size.ws_row) && ioctl(terminal, TIOCSWINSZ, &size) < 0)
		return failed(ctx, STEP_PTY);
	if (fchown(terminal, (uid_t)op->number[CONSOLE_UID], (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL)
		return failed(ctx, STEP_CHOWN);
	int r = op->number[CONSOLE_BIND] ? bind_console(ctx, terminal) : 0;
	if (r < 0)
		return r;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(terminal, fd) < 0)
			return failed(ctx, STEP_PTY);
	return ioctl(0, TIOCSCTTY, 0) < 0 ? failed(ctx, STEP_PTY) : 0;
}

/* The master goes to the parent; the terminal is opened from it by descriptor, never by name. */
int op_console(struct context *ctx, const struct plan_op *op)
{
	int master = open_multiplexer(ctx);
	if (master < 0)
		return master;
	int unlock = 0;
	int terminal =
		ioctl(master, TIOCSPTLCK, &unlock) < 0 ? -1 : ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	int r = terminal < 0 ? failed(ctx, STEP_PTY) : take_terminal(ctx, op, terminal);
	if (r == 0)
		r = report(ctx, REPORT_CONSOLE, 0, master);
	if (terminal >= 0)
		close(terminal);
	close(master);
	return r;
}

static bool is_null(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/* The host's /dev/null is a descriptor of a host file system: replaced by the container's, if that is a real one. */
static void replace_null(struct context *ctx, int fd)
{
	struct stat st;
	int null = root_open(ctx, "/dev/null", O_PATH);
	bool good = null >= 0 && fstat(null, &st) == 0 &&
		    is_null(&st); /* opening anything else may have side effects */
	close(null);
	null = good ? root_open(ctx, "/dev/null", O_RDWR | O_NOCTTY) : -1;
	if (null >= 0 && fstat(null, &st) == 0 && is_null(&st))
		dup2(null, fd);
	close(null);
}

/* Such a file keeps its owner: it is open for reading only, and a new owner could open it for writing. */
static bool is_for_reading(int fd, const struct stat *st)
{
	bool keeps = S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) || S_ISBLK(st->st_mode) ||
		     (S_ISCHR(st->st_mode) && !isatty(fd));
	return keeps && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
}

/* Lets a user other than root open /dev/stdout. A pipe or file that cannot be chowned stays as it is. */
int op_stdio(struct context *ctx, const struct plan_op *op)
{
	struct stat st;
	uid_t uid = (uid_t)op->number[STDIO_UID];
	for (int fd = 0; fd < 3; fd++) {
		if (fstat(fd, &st) < 0)
			continue;
		if (is_null(&st)) {
			replace_null(ctx, fd);
		} else if (!is_for_reading(fd, &st) && st.st_uid != uid && fchown(fd, uid, (gid_t)-1) < 0 &&
			   errno != EPERM && errno != EINVAL && errno != EROFS) {
			return failed(ctx, STEP_CHOWN);
		}
	}
	return 0;
}
