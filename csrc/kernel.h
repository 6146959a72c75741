/*
 * Kernel interfaces that musl does not wrap, or that are newer than the headers of the oldest system we build on
 * (Debian 12: Linux 6.1).
 *
 * sys/mount.h comes before linux/mount.h: glibc and the kernel define the same names, and this order works with either
 * C library.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/close_range.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>

/* For openat(2) and friends, where fcntl.h was included without _GNU_SOURCE. */
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000 /* 2.6.39 */
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000 /* 5.2 */
#endif
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256 /* 5.10 */
#endif
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000 /* 5.14 */
#endif
#ifndef MFD_EXEC
#define MFD_NOEXEC_SEAL 0x0008U /* 6.3 */
#define MFD_EXEC 0x0010U        /* 6.3 */
#endif

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020 /* 6.3 */
#endif
#ifndef AT_STATX_DONT_SYNC
#define AT_STATX_DONT_SYNC 0x4000 /* 4.11 */
#endif

/* The part of struct statx up to the mount id; musl 1.2.3 has no statx. */
#define KERNEL_STATX_BASIC 0x7ff            /* 4.11 */
#define KERNEL_STATX_MNT_ID 0x1000          /* 5.8 */
#define KERNEL_STATX_ATTR_MOUNT_ROOT 0x2000 /* 5.8 */
struct kernel_statx {
	uint32_t mask, block_size;
	uint64_t attributes;
	uint32_t links, uid, gid;
	uint16_t mode, spare0;
	uint64_t inode, size, blocks, attributes_mask;
	uint64_t times[8];
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mount_id;
	uint64_t spare[13];
};
_Static_assert(sizeof(struct kernel_statx) == 256, "the kernel writes 256 bytes");

static inline int sys_openat2(int dir, const char *path, struct open_how *how)
{
	return (int)syscall(SYS_openat2, dir, path, how, sizeof *how);
}

static inline int sys_statx(int dir, const char *path, unsigned flags, unsigned mask, struct kernel_statx *result)
{
	return (int)syscall(SYS_statx, dir, path, flags, mask, result);
}

static inline int sys_open_tree(int dir, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dir, path, flags);
}

static inline int sys_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags)
{
	return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}

static inline int sys_fsopen(const char *type, unsigned flags)
{
	return (int)syscall(SYS_fsopen, type, flags);
}

static inline int sys_fsconfig(int fd, unsigned command, const char *key, const void *value, int aux)
{
	return (int)syscall(SYS_fsconfig, fd, command, key, value, aux);
}

static inline int sys_fsmount(int fd, unsigned flags, unsigned attributes)
{
	return (int)syscall(SYS_fsmount, fd, flags, attributes);
}

static inline int sys_fspick(int dir, const char *path, unsigned flags)
{
	return (int)syscall(SYS_fspick, dir, path, flags);
}

static inline int sys_mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *attr, size_t size)
{
	return (int)syscall(SYS_mount_setattr, dir, path, flags, attr, size);
}

static inline int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}
