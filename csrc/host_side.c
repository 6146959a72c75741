/* The parent's side of rare properties: see host_side.h. No policy. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "host_side.h"
#include "kernel.h"

/* Runs in the child, which lives as long as the parent holds the pipe's other end. It keeps nothing else open, so that
 * nobody waits on it for end of file. */
static void hold_namespace(int pipe)
{
	char byte;
	if (pipe > 0)
		sys_close_range(0, (unsigned)pipe - 1, 0);
	sys_close_range((unsigned)pipe + 1, ~0U, 0);
	while (read(pipe, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

static int write_map(long pid, const char *name, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int mapped(long pid, const char *uid_map, const char *gid_map)
{
	char path[64];
	int r = write_map(pid, "uid_map", uid_map);
	if (r == 0)
		r = write_map(pid, "gid_map", gid_map);
	if (r < 0)
		return r;
	snprintf(path, sizeof path, "/proc/%ld/ns/user", pid);
	r = open(path, O_RDONLY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

int shim_mapped_namespace(const char *uid_map, const char *gid_map)
{
	int ends[2];
	sigset_t all, before;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before); /* the caller's handlers must not run in the child */
	/* No exit signal, so that the caller's SIGCHLD handler does not run. */
	struct clone_args how = {.flags = CLONE_NEWUSER};
	long pid = syscall(SYS_clone3, &how, sizeof how);
	if (pid == 0)
		hold_namespace(ends[0]);
	int r = pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		r = mapped(pid, uid_map, gid_map);
	close(ends[0]);
	close(ends[1]);
	while (pid > 0 && waitpid((pid_t)pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return r;
}

int shim_idmap(int tree, int maps, int recursive)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)maps};
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	return sys_mount_setattr(tree, "", flags, &attr, sizeof attr) < 0 ? -errno : 0;
}

/* "key" or "key=value" */
static int configure(int fs, const char *option)
{
	char key[256];
	size_t length = strcspn(option, "=");
	if (!option[length])
		return sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0) < 0 ? -errno : 0;
	if (length >= sizeof key)
		return -EINVAL;
	memcpy(key, option, length);
	key[length] = '\0';
	return sys_fsconfig(fs, FSCONFIG_SET_STRING, key, option + length + 1, 0) < 0 ? -errno : 0;
}

int shim_new_mount(const char *type, const char *source, char **options)
{
	int fs = sys_fsopen(type, FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	int r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0 ? -errno : 0;
	for (; r == 0 && *options; options++)
		r = configure(fs, *options);
	if (r == 0 && sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	if (r == 0) {
		r = sys_fsmount(fs, FSMOUNT_CLOEXEC, 0);
		if (r < 0)
			r = -errno;
	}
	close(fs);
	return r;
}

int shim_pin(const char *source, const char *target)
{
	return mount(source, target, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

int shim_unpin(const char *target)
{
	return umount2(target, MNT_DETACH) < 0 ? -errno : 0;
}

struct netlink_arguments {
	int network;
	int result;
};

/* Runs in a child that shares memory and descriptors with the parent: no thread of the parent changes namespaces. */
static int open_netlink(void *data)
{
	struct netlink_arguments *arguments = data;
	int fd = -1;
	if (arguments->network < 0 || setns(arguments->network, CLONE_NEWNET) == 0)
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	arguments->result = fd < 0 ? -errno : fd;
	_exit(0);
}

int shim_netlink(int network)
{
	static const size_t size = 64 * 1024;
	struct netlink_arguments arguments = {.network = network};
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int pid = clone(open_netlink, stack + size, CLONE_VM | CLONE_VFORK | CLONE_FILES, &arguments);
	int error = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	while (pid > 0 && waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	munmap(stack, size);
	return pid < 0 ? -error : arguments.result;
}
