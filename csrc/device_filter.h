/*
 * The device filter of a v2 cgroup. cffi reads this file verbatim, so it has plain declarations only.
 */

/*
 * Loads `code`, `count` eBPF instructions of 8 bytes each, as a BPF_PROG_TYPE_CGROUP_DEVICE program and attaches it to
 * the v2 cgroup whose directory `cgroup` is open on. A device must pass this program and every other one on the cgroup
 * and its ancestors. The program lives as long as the cgroup does. Returns 0 or -errno.
 */
int device_filter_attach(int cgroup, const char *code, uint32_t count);

/*
 * Like device_filter_attach, but replaces the program attached before in one step; if there is none, attaches beside
 * the others. `count` 0 detaches that program and attaches none. Returns 0 or -errno.
 */
int device_filter_replace(int cgroup, const char *code, uint32_t count);

/* Whether a program, ours or another, filters the devices of the v2 cgroup: 1, 0 or -errno. */
int device_filter_present(int cgroup);
