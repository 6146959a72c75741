/*
 * What the parent does for a container and Python cannot do by itself: id-mapped and new mounts, sockets in other
 * network namespaces. runtime/shim.py is the only caller; cffi reads this file verbatim.
 * Every function returns a descriptor, close-on-exec, or 0, or -errno.
 */

/* A user namespace with nobody in it, whose maps are these texts of /proc/PID/uid_map. */
int shim_mapped_namespace(const char *uid_map, const char *gid_map);
/* Gives the detached mount `tree`, or with `recursive` all mounts of it, the id maps of the user namespace `maps`. */
int shim_idmap(int tree, int maps, int recursive);
/* A detached mount of a new file system; `options` are "key" or "key=value", ended by NULL. */
int shim_new_mount(const char *type, const char *source, char **options);
/* Binds `source` on `target`, and undoes it; a namespace lives for as long as it is bound. */
int shim_pin(const char *source, const char *target);
int shim_unpin(const char *target);
/* A NETLINK_ROUTE socket in the network namespace `network`; -1 is the caller's. */
int shim_netlink(int network);
