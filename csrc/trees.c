/*
 * Mounts for a container with a user namespace: see trees.h. No policy.
 *
 * Where a mount is cloned decides what the container's root may do with it. In the container's mount namespace the
 * host's mounts are locked: they keep their flags, and mounts that cover host files stay. So the clone is made there,
 * with the caller's rights, in a child, since no thread of the caller may change namespaces.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "plan.h"
#include "trees.h"

/* Shared with the child: its result, and its stack above that. */
struct work {
	struct shim_tree tree;
	char root[32], mounts[32], user[32]; /* files of init's directory in /proc */
	uint32_t mode, uid, gid;             /* of a node */
	uint64_t number;
	const char *label;
	int result;
};
#define WORK_SIZE (64UL * 1024)

static int tried(struct work *work, int step)
{
	work->tree.step = step;
	return -errno;
}

/* The child must not outlive the caller. */
static void end_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int set_propagation(int fd, const char *path, unsigned flags, uint64_t propagation)
{
	struct mount_attr attr = {.propagation = propagation};
	return sys_mount_setattr(fd, path, flags, &attr, sizeof attr);
}

/* Enters init's root, not the namespace's: the caller may be in a chroot. */
static int enter(struct work *work)
{
	int mounts = open(work->mounts, O_RDONLY | O_CLOEXEC);
	int root = mounts < 0 ? -1 : open(work->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = 0;
	if (root < 0 || setns(mounts, CLONE_NEWNS) < 0 || fchdir(root) < 0 || chroot(".") < 0)
		r = tried(work, TREE_ENTER);
	if (root >= 0)
		close(root);
	if (mounts >= 0)
		close(mounts);
	return r;
}

static int set_attributes(struct work *work, int fd)
{
	struct shim_tree *tree = &work->tree;
	struct mount_attr one = {.attr_set = tree->set, .attr_clr = tree->clear};
	struct mount_attr all = {.attr_set = tree->rec_set, .attr_clr = tree->rec_clear};
	if ((tree->set || tree->clear) && sys_mount_setattr(fd, "", AT_EMPTY_PATH, &one, sizeof one) < 0)
		return tried(work, TREE_ATTRIBUTES);
	if ((tree->rec_set || tree->rec_clear) &&
	    sys_mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &all, sizeof all) < 0)
		return tried(work, TREE_ATTRIBUTES);
	return 0;
}

static int clone_at(struct work *work, const char *path)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	flags |= work->tree.flags & BIND_REC ? AT_RECURSIVE : 0;
	flags |= work->tree.flags & BIND_SOURCE_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
	int fd = sys_open_tree(AT_FDCWD, path, flags);
	return fd < 0 ? tried(work, TREE_CLONE) : fd;
}

/* pivot_root refuses a shared parent mount. Climbs to the mount's root, since only a root can be changed. */
static int make_private(struct work *work, int directory)
{
	int fd = openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && set_propagation(fd, "", AT_EMPTY_PATH, MS_PRIVATE) < 0) {
		int up = errno == EINVAL ? openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
		close(fd);
		fd = up;
	}
	if (fd < 0)
		return tried(work, TREE_ATTACH);
	close(fd);
	return 0;
}

/* Mounts in the container must not propagate to a peer. */
static int attach(struct work *work, int fd)
{
	int target = open(work->tree.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (target < 0)
		return tried(work, TREE_ATTACH);
	int r = work->tree.attach > 1 ? make_private(work, target) : 0;
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
	if (r == 0 && (set_propagation(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, MS_SLAVE) < 0 ||
		       sys_move_mount(fd, "", target, "", flags) < 0))
		r = tried(work, TREE_ATTACH);
	close(target);
	return r;
}

/* Lets the caller check that its own namespace has the same file at the path. */
static void identify(struct work *work)
{
	struct stat st;
	int flags = work->tree.flags & BIND_SOURCE_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
	if (fstatat(AT_FDCWD, work->tree.path, &st, flags) == 0) {
		work->tree.device = st.st_dev;
		work->tree.inode = st.st_ino;
	}
}

static int in_container(void *data)
{
	struct work *work = data;
	end_with_parent();
	int r = enter(work);
	int fd = r < 0 ? r : clone_at(work, work->tree.path);
	r = fd < 0 ? fd : set_attributes(work, fd);
	if (r == 0 && work->tree.attach)
		r = attach(work, fd);
	if (r < 0 && fd >= 0)
		close(fd);
	if (r < 0 && work->tree.step != TREE_ENTER)
		identify(work);
	work->result = r < 0 ? r : fd;
	_exit(0);
}

/* A private mount namespace, with an empty tmpfs as root and working directory. */
static int make_stage(struct work *work)
{
	if (unshare(CLONE_NEWNS) < 0 || set_propagation(AT_FDCWD, "/", AT_RECURSIVE, MS_PRIVATE) < 0)
		return tried(work, TREE_START);
	int fs = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return tried(work, TREE_START);
	const char *label = work->label ? work->label : "";
	int stage = -1;
	if ((!*label || sys_fsconfig(fs, FSCONFIG_SET_STRING, "context", label, 0) == 0) &&
	    sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		stage = sys_fsmount(fs, FSMOUNT_CLOEXEC, 0);
	int r = 0;
	if (stage < 0 || sys_move_mount(stage, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(stage) < 0)
		r = tried(work, TREE_START);
	if (stage >= 0)
		close(stage);
	close(fs);
	return r;
}

/* Copying the mount namespace into the user namespace is what locks. Its root may not be able to use the host's
 * paths. */
static int copy_locked(struct work *work, int fd, bool directory)
{
	int user = open(work->user, O_RDONLY | O_CLOEXEC);
	if (user < 0)
		return tried(work, TREE_ENTER);
	int r = make_stage(work);
	if (r == 0 && (directory ? mkdir("tree", 0700) : mknod("tree", S_IFREG | 0600, 0)) < 0)
		r = tried(work, TREE_START);
	if (r == 0 && sys_move_mount(fd, "", AT_FDCWD, "tree", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = tried(work, TREE_ATTACH);
	if (r == 0 && (setns(user, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0))
		r = tried(work, TREE_ENTER);
	close(user);
	if (r < 0)
		return r;
	end_with_parent(); /* again: a change of credentials clears it */
	return clone_at(work, "tree");
}

/* It shares the caller's descriptors, and enters a user namespace whose root may see it: nobody may trace it. */
static int refuse_tracing(struct work *work)
{
	end_with_parent();
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? tried(work, TREE_START) : 0;
}

static int outside(void *data)
{
	struct work *work = data;
	struct stat st;
	if ((work->result = refuse_tracing(work)) < 0)
		_exit(0);
	int fd = clone_at(work, work->tree.path);
	int r = fd < 0 ? fd : set_attributes(work, fd);
	if (r == 0 && (fstat(fd, &st) < 0 || st.st_dev != work->tree.device || st.st_ino != work->tree.inode)) {
		errno = ESTALE;
		r = tried(work, TREE_LOOK);
	}
	if (r == 0)
		r = copy_locked(work, fd, S_ISDIR(st.st_mode));
	if (fd >= 0)
		close(fd);
	work->result = r;
	_exit(0);
}

static int lock_mount(void *data)
{
	struct work *work = data;
	struct stat st;
	if ((work->result = refuse_tracing(work)) < 0)
		_exit(0);
	int fd = work->tree.mount;
	int r = set_attributes(work, fd);
	if (r == 0 && fstat(fd, &st) < 0)
		r = tried(work, TREE_LOOK);
	work->result = r < 0 ? r : copy_locked(work, fd, S_ISDIR(st.st_mode));
	_exit(0);
}

static int make_node(void *data)
{
	struct work *work = data;
	end_with_parent();
	int r = make_stage(work);
	umask(0);
	if (r == 0 && (mknod("node", (mode_t)work->mode, (dev_t)work->number) < 0 ||
		       chown("node", (uid_t)work->uid, (gid_t)work->gid) < 0))
		r = tried(work, TREE_START);
	work->result = r < 0 ? r : clone_at(work, "node");
	_exit(0);
}

/* The child shares our descriptor table, so what it opens is ours. Waits for it to end. */
static int run(struct work *work, int (*child)(void *), int memory)
{
	sigset_t all, before;
	sigfillset(&all);
	work->result = -ECHILD;                    /* killed */
	pthread_sigmask(SIG_BLOCK, &all, &before); /* the caller's handlers must not run in the child */
	int pid = clone(child, (char *)work + WORK_SIZE, CLONE_VFORK | CLONE_FILES | memory, work);
	int r = pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	while (pid > 0 && waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return r < 0 ? r : work->result;
}

static struct work *new_work(void)
{
	void *work = mmap(NULL, WORK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return work == MAP_FAILED ? NULL : work;
}

static int with_tree(struct shim_tree *tree, int (*child)(void *), int memory)
{
	struct work *work = new_work();
	if (!work)
		return -errno;
	work->tree = *tree;
	work->tree.step = TREE_START;
	snprintf(work->root, sizeof work->root, "/proc/%d/root", tree->pid);
	snprintf(work->mounts, sizeof work->mounts, "/proc/%d/ns/mnt", tree->pid);
	snprintf(work->user, sizeof work->user, "/proc/%d/ns/user", tree->pid);
	int r = run(work, child, memory);
	*tree = work->tree;
	munmap(work, WORK_SIZE);
	return r;
}

int shim_container_tree(struct shim_tree *tree)
{
	return with_tree(tree, in_container, CLONE_VM);
}

/* On a copy of the memory: entering a user namespace may change who may read it. */
int shim_locked_tree(struct shim_tree *tree)
{
	return with_tree(tree, outside, 0);
}

int shim_locked_mount(struct shim_tree *tree)
{
	return with_tree(tree, lock_mount, 0);
}

int shim_node_tree(uint32_t mode, uint64_t device, uint32_t uid, uint32_t gid, const char *label)
{
	struct work *work = new_work();
	if (!work)
		return -errno;
	work->mode = mode;
	work->number = device;
	work->uid = uid;
	work->gid = gid;
	work->label = label;
	int r = run(work, make_node, CLONE_VM);
	munmap(work, WORK_SIZE);
	return r;
}
