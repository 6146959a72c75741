/* Shared by the operations on mounts and on paths. */
#pragma once

#include "init.h"

/* resolve.c: like root_open, but refuses a symlink anywhere in `path`. */
int root_open_plain(struct context *ctx, const char *path, int flags);
/* From now on paths below `path` are looked up from `fd`. Takes ownership of `fd`. */
void root_hold(struct context *ctx, const char *path, int fd);
/* 0, or -EBUSY if `fd` is the container's root itself: nobody inside would see a mount on it. */
int root_spare(struct context *ctx, int fd);
/* Sets errno from `error`, then as failed(). */
int root_failed(struct context *ctx, enum plan_step step, int error);

/* mounts.c. 0 or -errno. */
/* Attaches the mount `tree` to `target`. */
int attach(struct context *ctx, int tree, int target);
/* MOUNT_ATTR_* of one mount, with `recursive` of all below it too; `propagation` is MS_* without MS_REC. */
int set_attributes(struct context *ctx, int fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation);
/* A clone of the mount at the host path `source`, by BIND_*; without a source, the one that OP_OPEN_TREE left. */
int take_tree(struct context *ctx, const char *source, uint64_t flags);

/* tmpfs_copy.c: copies the contents of the directory `from` to the directory `to`, and its owner. 0 or -errno. */
int copy_up(struct context *ctx, int from, int to, bool owner);

/* rootfs.c. Sets the propagation of the mount `directory` is in: climbs to that mount's root, since only a root can be
 * changed. Closes `directory`. */
int set_mount_of(struct context *ctx, int directory, uint64_t propagation);
/* rootfs.c: the container's root, for a mount that is to cover it; mounts on it do not reach the host. A descriptor, or
 * -errno with the failed step. */
int root_to_cover(struct context *ctx);
/* The mount `root`, which covers the root, takes its place. Takes ownership of `root`. */
void root_replace(struct context *ctx, int root);
/* peers.c: attaches the runtime's own mount `tree` to `target`, which was looked up at `path`, without propagating it
 * to the host. */
int attach_apart(struct context *ctx, int tree, int target, const char *path);
/* no_pivot.c: enters the container's root without pivot_root. */
int move_root(struct context *ctx);
/* paths.c: a detached, empty, read-only directory, with an SELinux label where there is one. */
int make_empty(struct context *ctx, const char *label);
