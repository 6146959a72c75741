/* The parent's side of the C: starting init and talking to it. No policy. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host_side.h"
#include "kernel.h"
#include "plan.h"
#include "scheduling.h"
#include "shim.h"

struct spawn_arguments {
	const struct shim_spawn *how;
	int error;
};

/* Descriptors are first copied above their final numbers, so that no move overwrites another's source. */
static int place_descriptors(const struct shim_spawn *how)
{
	int base = FD_KEPT + how->kept_count;
	int moved[FD_KEPT];
	for (int i = 0; i < FD_KEPT; i++) {
		int fd = i < 3 ? how->stdio[i] : how->fixed[i - 3];
		moved[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, base);
		if (fd >= 0 && moved[i] < 0)
			return -errno;
	}
	int init = how->init < 0 ? -1 : fcntl(how->init, F_DUPFD_CLOEXEC, base);
	if (how->init >= 0 && init < 0)
		return -errno;
	/* The caller's are 3 and up, in order: moved from the top down, none is overwritten before it has moved. */
	for (int i = how->kept_count - 1; i >= 0; i--)
		if (dup2(how->kept[i] < 0 ? moved[FD_HANDSHAKE] : how->kept[i], FD_KEPT + i) < 0)
			return -errno;
	for (int i = 0; i < FD_KEPT; i++)
		if (moved[i] < 0)
			close(i);
		else if (dup2(moved[i], i) < 0)
			return -errno;
	if (init < 0)
		close(base);
	else if (dup2(init, base) < 0)
		return -errno;
	fcntl(base, F_SETFD, FD_CLOEXEC);
	return sys_close_range((unsigned)base + 1, ~0U, 0) < 0 ? -errno : base;
}

/* Runs on the parent's memory while the parent waits: async-signal-safe calls only, all signals blocked. Signals that
 * Python ignores are reset, or the container's program would ignore them too. */
static int start_init(void *data)
{
	struct spawn_arguments *arguments = data;
	const struct shim_spawn *how = arguments->how;
	const unsigned long all_default[8] = {0}; /* the kernel's struct sigaction: glibc's call refuses 32 and 33 */
	for (int i = 1; i < NSIG; i++)
		syscall(SYS_rt_sigaction, i, all_default, NULL, sizeof(uint64_t));
	int init = place_descriptors(how);
	if (init >= 0) {
		uint64_t none = 0;
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
		char *argv[] = {"ocirun-init", NULL}, *envp[] = {NULL};
		if (how->init < 0)
			execve(how->path, how->arguments, how->environment ? how->environment : environ);
		else
			syscall(SYS_execveat, init, "", argv, envp, AT_EMPTY_PATH);
		init = -errno;
	}
	arguments->error = init;
	_exit(127);
}

int shim_spawn(const struct shim_spawn *how)
{
	static const size_t size = 64 * 1024;
	struct spawn_arguments arguments = {.how = how};
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int pid = clone(start_init, stack + size, CLONE_VM | CLONE_VFORK | SIGCHLD, &arguments);
	int error = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	munmap(stack, size);
	if (pid < 0)
		return -error;
	if (arguments.error == 0)
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return arguments.error;
}

/* Writes all of `data`; returns 0 or -errno. */
static int fill(int fd, const char *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, data + done, size - done);
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n < 0 ? 0 : (size_t)n;
	}
	return 0;
}

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Linux before 6.3 cannot seal the mode. */
static int seal(int fd)
{
	if (fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_EXEC) == 0)
		return 0;
	return errno == EINVAL && fcntl(fd, F_ADD_SEALS, SEALS) == 0 ? 0 : -errno;
}

int shim_sealed(const char *data, size_t size)
{
	int fd = memfd_create("ocirun-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("ocirun-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int r = fill(fd, data, size);
	if (r == 0)
		r = seal(fd);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

/* Another descriptor of the same file, for reading. Without waiting: for a lease, say. */
static int reopen(int fd)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int other = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return other < 0 ? -errno : other;
}

/* Its only writable descriptor is closed here, so nobody can write to it while it runs; afterwards nobody runs it. */
int shim_unlinked(const char *directory, const char *data, size_t size)
{
	struct statvfs fs;
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0700);
	if (fd < 0)
		return -errno;
	int r = fstatvfs(fd, &fs) == 0 && !(fs.f_flag & ST_NOEXEC) ? fill(fd, data, size) : -EACCES;
	if (r == 0)
		r = reopen(fd);
	close(fd);
	return r;
}

int shim_detached(const char *data, size_t size)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	char *options[] = {NULL}, path[32];
	int mount = shim_new_mount("tmpfs", "ocirun-init", options);
	if (mount < 0)
		return mount;
	snprintf(path, sizeof path, "/proc/self/fd/%d", mount);
	int fd = shim_unlinked(path, data, size);
	if (fd >= 0 && sys_mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0) {
		int error = -errno;
		close(fd);
		fd = error;
	}
	close(mount);
	return fd;
}

/* Without asking the file system: that of a program may be a process (FUSE), which may never answer. */
static int examine(int fd, struct kernel_statx *found)
{
	return sys_statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, KERNEL_STATX_BASIC, found) < 0 ? -errno : 0;
}

static int has_content(int fd, const char *data, size_t size)
{
	char block[8192];
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(fd, block, sizeof block, (off_t)done);
		if (n <= 0 || (size_t)n > size - done || memcmp(block, data + done, (size_t)n) != 0)
			return 0;
		done += (size_t)n;
	}
	return 1;
}

int shim_shared(const char *path, uint64_t inode, int like, const char *data, size_t size)
{
	struct kernel_statx own, found;
	int fd = open(path, O_PATH | O_CLOEXEC); /* not yet opened for the file system */
	if (fd < 0)
		return -errno;
	int r = examine(like, &own);
	if (r == 0)
		r = examine(fd, &found);
	if (r == 0 &&
	    (found.dev_major != own.dev_major || found.dev_minor != own.dev_minor || found.inode != inode ||
	     found.uid != own.uid || found.gid != own.gid || found.mode != (S_IFREG | 0777) || found.size != size))
		r = -ESTALE;
	if (r == 0)
		r = reopen(fd);
	close(fd);
	if (r < 0)
		return r;
	int seals = fcntl(r, F_GET_SEALS);
	if (seals >= 0 && (seals & SEALS) == SEALS && has_content(r, data, size))
		return r;
	close(r);
	return -ESTALE;
}

int shim_socketpair(int ends[2])
{
	int on = 1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0)
		return 0;
	int error = -errno;
	close(ends[0]);
	close(ends[1]);
	return error;
}

static int address(struct sockaddr_un *where, const char *path)
{
	size_t length = strlen(path);
	if (length >= sizeof where->sun_path)
		return -ENAMETOOLONG;
	where->sun_family = AF_UNIX;
	memcpy(where->sun_path, path, length + 1);
	return 0;
}

int shim_listen(const char *path)
{
	struct sockaddr_un where;
	int r = address(&where, path);
	int fd = r < 0 ? -1 : socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (r < 0)
		return r;
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&where, sizeof where) == 0 && listen(fd, 1) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int connect_to(const char *path, int type)
{
	struct sockaddr_un where;
	int r = address(&where, path);
	if (r < 0)
		return r;
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&where, sizeof where) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

int shim_connect(const char *path)
{
	return connect_to(path, SOCK_SEQPACKET);
}

/* Stores the descriptor of a message that has exactly one, and closes all if there are more. Returns their number. */
static int take_descriptors(const struct cmsghdr *header, int *fd)
{
	int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	for (int i = 0; i < count; i++) {
		int one;
		memcpy(&one, CMSG_DATA(header) + (size_t)i * sizeof one, sizeof one);
		if (count == 1)
			*fd = one;
		else
			close(one);
	}
	return count;
}

/* The kernel closes descriptors that `control` has no room for. */
int shim_receive(int socket, struct report *report, int *pid, int *fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec part = {.iov_base = report, .iov_len = sizeof *report};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	*pid = 0;
	*fd = -1;
	ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno != ECONNRESET ? -errno : 0;
	int count = 0;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
			count += take_descriptors(h, fd);
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS)
			*pid = ((struct ucred *)CMSG_DATA(h))->pid;
	}
	/* Init sends no empty messages, but one would have credentials; end of file has none. */
	if (n == 0 && *pid == 0 && count == 0)
		return 0;
	if (n == (ssize_t)sizeof *report && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && count <= 1)
		return 1;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return -EPROTO;
}

static int send_with_descriptor(int socket, const void *data, size_t size, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {.iov_base = (void *)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
	}
	while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int shim_reply(int socket, int kind, uint32_t length, int fd)
{
	struct reply reply = {.kind = (uint32_t)kind, .length = length};
	return send_with_descriptor(socket, &reply, sizeof reply, fd);
}

int shim_send_descriptor(const char *path, const char *name, int fd)
{
	int socket = connect_to(path, SOCK_STREAM);
	if (socket < 0)
		return socket;
	int r = send_with_descriptor(socket, name, strlen(name), fd);
	close(socket);
	return r;
}

int shim_prlimit(int pid, int resource, uint64_t soft, uint64_t hard)
{
	struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
	return prlimit(pid, resource, &limit, NULL) < 0 ? -errno : 0;
}

int shim_scheduler(int pid, const uint64_t numbers[6])
{
	return set_scheduler(pid, numbers) < 0 ? -errno : 0;
}

int shim_io_priority(int pid, uint64_t value)
{
	return set_io_priority(pid, value) < 0 ? -errno : 0;
}

int shim_system_call(int which, const uint64_t arguments[5])
{
	static const int numbers[] = {SYS_unshare,       SYS_mount,        SYS_prctl,
				      SYS_seccomp,       SYS_memfd_create, SYS_clone3,
				      SYS_close_range,   SYS_openat2,      SYS_open_tree,
				      SYS_mount_setattr, SYS_pidfd_open,   SYS_pidfd_send_signal,
				      SYS_keyctl,        SYS_bpf,          SYS_set_mempolicy,
				      SYS_sched_setattr, SYS_syncfs,       SYS_rt_tgsigqueueinfo};
	long r = syscall(numbers[which], arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]);

	return r < 0 ? -errno : (int)r;
}

int shim_scheduler_of(int pid, uint64_t numbers[6])
{
	return get_scheduler(pid, numbers) < 0 ? -errno : 0;
}

int shim_io_priority_of(int pid)
{
	long value = get_io_priority(pid);
	return value < 0 ? -errno : (int)value;
}

int shim_setns(int fd)
{
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setns(fd, 0) < 0 ? -errno : 0;
}
