/* What the operations on mounts and on paths share. */
#pragma once

#include "init.h"

/* resolve.c: as root_open, but no symlink may stand anywhere in `path`. */
int root_open_plain(struct context *ctx, const char *path, int flags);
/* Looks up what is below `path` from `fd`, which it takes, from now on. */
void root_hold(struct context *ctx, const char *path, int fd);
/* 0, or -EBUSY where `fd` is the container's root itself, on which a mount would be seen by nobody who is in it. */
int root_spare(struct context *ctx, int fd);
/* Sets errno too, so that failed() can follow. */
int root_failed(struct context *ctx, enum plan_step step, int error);

/* mounts.c. 0 or -errno. */
/* Attaches the mount that `tree` is on `target`. */
int attach(struct context *ctx, int tree, int target);
/* MOUNT_ATTR_* of one mount, or with `recursive` of all below it too; `propagation` is MS_* without MS_REC. */
int set_attributes(struct context *ctx, int fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation);
/* A copy of the mount at the host's path `source`, by BIND_*; where there is none, what OP_OPEN_TREE left. */
int take_tree(struct context *ctx, const char *source, uint64_t flags);

/* tmpfs_copy.c: what is below the directory `from` is copied below the directory `to`. 0 or -errno. */
int copy_up(struct context *ctx, int from, int to);

/* rootfs.c. Sets the propagation of the mount that `directory` is in; only a mount's root can be changed, so this
 * climbs to it. Closes `directory`. */
int set_mount_of(struct context *ctx, int directory, uint64_t propagation);
/* peers.c: attaches the runtime's own mount `tree` on `target`, which was looked up at `path`; the host does not see
 * it. */
int attach_apart(struct context *ctx, int tree, int target, const char *path);
/* no_pivot.c: the container's root becomes the root, without pivot_root. */
int move_root(struct context *ctx);
/* paths.c: a detached, empty, read-only directory, with an SELinux label where there is one. */
int make_empty(struct context *ctx, const char *label);
