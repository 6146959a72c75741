/*
 * The parent's work that Python has no calls for: id-mapped and new mounts, sockets in other network namespaces.
 * runtime/shim.py is the only caller; cffi reads this file verbatim. Every function returns a descriptor,
 * close-on-exec, or 0, or -errno.
 */

/* A user namespace without processes. The maps are in the format of /proc/PID/uid_map. */
int shim_mapped_namespace(const char *uid_map, const char *gid_map);
/* Id-maps the detached mount `tree` (with `recursive` all mounts below it too) by the user namespace `maps`. */
int shim_idmap(int tree, int maps, int recursive);
/* A detached mount of a new file system; `options` are "key" or "key=value", NULL-terminated. */
int shim_new_mount(const char *type, const char *source, char **options);
/* Binds `source` on `target`, or undoes it; a bound namespace stays alive. */
int shim_pin(const char *source, const char *target);
int shim_unpin(const char *target);
/* A NETLINK_ROUTE socket in the network namespace `network`; -1: the caller's. */
int shim_netlink(int network);
