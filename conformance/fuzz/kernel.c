/*
 * The pretended kernel: what init's sources call instead of the C library, wherever that would make a system call.
 *
 * build.sh renames in init's objects every function that is not on its list of pure ones: `open` becomes `call_open`.
 * One that is not defined here ends the operation, so a new system call cannot slip through. This shows nothing about
 * the kernel; it is here so that the code between two system calls runs too, on answers that a hostile container could
 * bring about: file contents, link targets, replies.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

#include "fuzz.h"
#include "plan.h"

#define MAX_CALLS 200 /* in one operation: ends a loop that retries */
#define MAX_MAPPINGS 4096
#define MAX_MAPPING (1 << 22)
#define NEW_DESCRIPTOR 100

static const uint8_t *plan;
static size_t plan_size, taken;
static bool answering, generous;
static unsigned calls, state;
static void *mappings[MAX_MAPPINGS];
static unsigned mapped;

void kernel_open(const uint8_t *data, size_t size)
{
	plan = data;
	plan_size = size;
	taken = 0;
}

void kernel_close(void)
{
	while (mapped)
		free(mappings[--mapped]);
}

void kernel_begin(bool answers, unsigned seed)
{
	answering = answers;
	generous = seed == 0;
	state = seed;
	calls = 0;
}

static unsigned draw(void)
{
	state = state * 1103515245 + 12345;
	return state >> 16 & 0x7fff;
}

static int fail(void)
{
	/* Prefer values that lead further. */
	static const int errors[] = {ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, EEXIST, EEXIST, EINVAL,
				     EINVAL, EPERM,  EPERM,  EINTR,  EACCES, EBUSY,  EXDEV,  ENODEV,
				     ENOSYS, ENOMEM, ELOOP,  EAGAIN, EROFS,  E2BIG,  ESRCH,  ENOTDIR};
	errno = errors[draw() % (sizeof errors / sizeof *errors)];
	return -1;
}

/* Whether the call succeeds; with seed 0 all do. */
static bool succeeds(void)
{
	if (!answering || calls++ >= MAX_CALLS)
		stop();
	return generous || draw() % 4;
}

static long answer(long value)
{
	return succeeds() ? value : fail();
}

/* Bytes of the plan itself, continuing where the last call stopped. */
static size_t hostile(void *to, size_t size)
{
	size_t n = plan_size ? draw() % plan_size + 1 : 0;
	if (n > size)
		n = size;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = plan[taken++ % plan_size];
	return n;
}

/* --- memory: each mapping is its own allocation, so that an overrun is detected */

void *call_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	(void)address, (void)protection, (void)flags, (void)offset;
	bool loading = fd == FD_PLAN && length == plan_size;
	if (length == 0 || length > MAX_MAPPING || mapped == MAX_MAPPINGS || (answering && !succeeds())) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	void *memory = mappings[mapped++] = calloc(1, length);
	if (!memory)
		abort();
	if (loading)
		memcpy(memory, plan, length);
	else if (fd >= 0)
		hostile(memory, length);
	return memory;
}

int call_munmap(void *address, size_t length)
{
	(void)length;
	for (unsigned i = 0; i < mapped; i++)
		if (mappings[i] == address) {
			free(address);
			mappings[i] = mappings[--mapped];
			return 0;
		}
	abort();
}

int call_mprotect(void *address, size_t length, int protection)
{
	(void)address, (void)length, (void)protection;
	return 0;
}

int call_getpagesize(void)
{
	return 4096;
}

int call_fstat(int fd, struct stat *st)
{
	static const mode_t kinds[] = {S_IFDIR, S_IFREG, S_IFCHR, S_IFBLK, S_IFIFO, S_IFLNK, S_IFSOCK, 0};
	bool good = succeeds();
	memset(st, 0, sizeof *st);
	st->st_mode = kinds[draw() % 8] | 0755;
	st->st_rdev = draw() % 2 ? 0x103 : draw();
	st->st_uid = draw();
	st->st_size = fd == FD_PLAN ? (off_t)plan_size : (off_t)draw();
	return good ? 0 : fail();
}

int call_stat(const char *path, struct stat *st)
{
	(void)strlen(path);
	return call_fstat(-1, st);
}

int call_fstatat(int dir, const char *path, struct stat *st, int flags)
{
	(void)dir, (void)flags;
	return call_stat(path, st);
}

int call_fstatfs(int fd, struct statfs *fs)
{
	(void)fd;
	memset(fs, 0, sizeof *fs);
	fs->f_type = draw() % 2 ? 0x9fa0 : 0x1cd1; /* procfs, devpts */
	return (int)answer(0);
}

/* --- what comes from a container or from the parent */

ssize_t call_read(int fd, void *buffer, size_t size)
{
	(void)fd;
	return succeeds() ? (ssize_t)hostile(buffer, size) : fail();
}

ssize_t call_readlinkat(int dir, const char *path, char *buffer, size_t size)
{
	(void)dir, (void)strlen(path);
	return succeeds() ? (ssize_t)hostile(buffer, size) : fail();
}

char *call_getcwd(char *buffer, size_t size)
{
	if (!succeeds())
		return fail(), NULL;
	size_t n = hostile(buffer, size - 1);
	buffer[n] = '\0';
	return buffer;
}

ssize_t call_recvmsg(int fd, struct msghdr *message, int flags)
{
	static const uint32_t kinds[] = {REPLY_CONTINUE, REPLY_CONTINUE, REPLY_TREE, REPLY_STATE};
	(void)fd, (void)flags;
	if (!succeeds())
		return fail();
	struct reply reply = {.kind = kinds[draw() % 4], .length = draw()};
	bool right = draw() % 16;
	memcpy(message->msg_iov[0].iov_base, &reply, sizeof reply);
	if (draw() % 2) {
		int passed = NEW_DESCRIPTOR;
		struct cmsghdr *header = message->msg_control;
		*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof passed), .cmsg_level = SOL_SOCKET};
		header->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(header), &passed, sizeof passed);
	} else {
		message->msg_controllen = 0;
	}
	return right ? (ssize_t)sizeof reply : (ssize_t)(draw() % sizeof reply);
}

ssize_t call_write(int fd, const void *data, size_t size)
{
	(void)fd;
	(void)memchr(data, 1, size); /* the kernel reads all of it */
	return succeeds() ? (ssize_t)(draw() % 4 ? size : draw() % (size + 1)) : fail();
}

/* --- the call that has no function: */

/* A directory with one entry, whose name is hostile, or none. The first three fields are those of linux_dirent64. */
static long directory(uint8_t *buffer, size_t size)
{
	enum { NAME = 19, LONGEST = 255 };
	uint16_t length = (uint16_t)(NAME + draw() % LONGEST + 2);
	if (draw() % 2 || length > size)
		return 0;
	memset(buffer, 0, length);
	hostile(buffer + NAME, length - NAME - 1u);
	memcpy(buffer + 16, &length, sizeof length);
	return length;
}

long call_syscall(long number, ...)
{
	void *a[5];
	va_list arguments;
	va_start(arguments, number);
	for (int i = 0; i < 5; i++)
		a[i] = va_arg(arguments, void *);
	va_end(arguments);
	switch (number) {
	case SYS_exit_group:
		stop();
	case SYS_getdents64:
		return succeeds() ? directory(a[1], (size_t)a[2]) : fail();
	case SYS_clone3:
		return answer(draw() % 2);
	case SYS_statx:
		memset(a[4], draw() % 2, 256);
		return answer(0);
	default:
		return answer(draw() % 8 ? NEW_DESCRIPTOR : 0);
	}
}

long call_fork(void)
{
	return answer(draw() % 2);
}

int call_ioctl(int fd, unsigned long request, ...)
{
	(void)fd, (void)request;
	return (int)answer(draw() % 2 ? NEW_DESCRIPTOR
				      : 1 << (17 + draw() % 14)); /* a descriptor, or a CLONE_NEW* bit */
}

int call_clock_gettime(int clock, struct timespec *now)
{
	(void)clock;
	*now = (struct timespec){.tv_sec = draw(), .tv_nsec = draw()};
	return 0;
}

int call_pipe2(int ends[2], int flags)
{
	(void)flags;
	ends[0] = ends[1] = NEW_DESCRIPTOR;
	return (int)answer(0);
}

int call_poll(struct pollfd *wait, unsigned long count, int timeout)
{
	(void)timeout;
	for (unsigned long i = 0; i < count; i++)
		wait[i].revents = 0;
	struct pollfd *ready =
		&wait[draw() % count]; /* the first one if the input is used up, so that nothing waits for ever */
	ready->revents = ready->events;
	return (int)answer(1);
}

int call_waitpid(int pid, int *status, int options)
{
	(void)options;
	*status = draw() % 2 ? 0 : (int)draw();
	return (int)answer(pid);
}

/* --- those that only succeed or fail. They are called with the arguments of the real ones, which they do not look at.
 */

#define DESCRIPTOR(name)                                                                                               \
	long call_##name(void)                                                                                         \
	{                                                                                                              \
		return answer(NEW_DESCRIPTOR);                                                                         \
	}
#define DONE(name)                                                                                                     \
	long call_##name(void)                                                                                         \
	{                                                                                                              \
		return answer(0);                                                                                      \
	}
DESCRIPTOR(open)
DESCRIPTOR(openat)
DESCRIPTOR(socket)
DESCRIPTOR(accept4)
DESCRIPTOR(dup2)
DESCRIPTOR(fcntl)
DESCRIPTOR(memfd_create)
DESCRIPTOR(sendmsg)
DONE(chdir)
DONE(chroot)
DONE(close)
DONE(faccessat)
DONE(fchdir)
DONE(fchmodat)
DONE(fchown)
DONE(fchownat)
DONE(ftruncate)
DONE(kill)
DONE(madvise)
DONE(mkdirat)
DONE(mknodat)
DONE(mount)
DONE(personality)
DONE(prctl)
DONE(sched_yield)
DONE(sendfile)
DONE(setdomainname)
DONE(setgroups)
DONE(sethostname)
DONE(setns)
DONE(setresgid)
DONE(setresuid)
DONE(setrlimit)
DONE(setsid)
DONE(setxattr)
DONE(sigaction)
DONE(sigprocmask)
DONE(symlinkat)
DONE(umask)
DONE(umount2)
DONE(unlinkat)
DONE(unshare)
DONE(utimensat)
