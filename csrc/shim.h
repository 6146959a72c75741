/*
 * System calls that Python lacks; runtime/shim.py is the only caller. cffi reads this file verbatim. Every function
 * returns a descriptor, a pid or 0, or -errno. New descriptors are close-on-exec.
 */

struct shim_spawn {
	int init;        /* the init program, open for reading or a memfd; -1: `path` instead */
	int stdio[3];    /* become 0, 1 and 2 */
	int fixed[4];    /* become FD_PLAN, FD_HANDSHAKE, FD_EXTRA, FD_ROOT; -1: not open in init */
	const int *kept; /* become FD_KEPT and up; -1: the program has no such descriptor */
	int kept_count;
	const char *path; /* a hook: with its arguments and environment (NULL: ours), each NULL-terminated */
	char **arguments;
	char **environment;
};

/* Starts init or a hook as a child: all signals default and unblocked, no descriptors but those above. Returns its pid.
 * Not posix_spawn: glibc's cannot reset its two internal signals. */
int shim_spawn(const struct shim_spawn *how);
/* The init program, which is the `size` bytes at `data`, in a sealed memfd: nobody can write to it (CVE-2019-5736).
 * -EACCES: the system forbids executable memfds. Then there are two other ways: */
int shim_sealed(const char *data, size_t size);
/* an unlinked file in `directory`; -EACCES where that is mounted noexec, as Debian's /run is; */
int shim_unlinked(const char *directory, const char *data, size_t size);
/* the same in a tmpfs of its own that is attached nowhere, where no mount option of the host's applies. It is read-only
 * now: whoever opens /proc/PID/exe cannot write to it when init has become another program. */
int shim_detached(const char *data, size_t size);
/* What shim_sealed() made earlier, if `path`, a link of /proc, still leads to it: to the file of this inode number on
 * the kernel's own tmpfs, where the memfd `like` is, with the owner, mode, seals and content of such a copy. Opens
 * nothing else. */
int shim_shared(const char *path, uint64_t inode, int like, const char *data, size_t size);
/* SOCK_SEQPACKET: the first end receives the sender's credentials. */
int shim_socketpair(int ends[2]);
int shim_listen(const char *path);
int shim_connect(const char *path);
/* Receives one report. 0: end of file; 1: a report; -EINTR: a signal for Python to handle; -EPROTO: not a report (its
 * descriptors are closed). `pid` is the sender's or 0, `fd` the descriptor that came with it or -1. */
int shim_receive(int socket, struct report *report, int *pid, int *fd);
int shim_reply(int socket, int kind, uint32_t length, int fd);
/* Sends `name` and one descriptor to the AF_UNIX stream socket at `path`. */
int shim_send_descriptor(const char *path, const char *name, int fd);
int shim_prlimit(int pid, int resource, uint64_t soft, uint64_t hard);
/* OP_SCHEDULER and OP_IO_PRIORITY for another process, with their numbers. */
int shim_scheduler(int pid, const uint64_t numbers[6]);
int shim_io_priority(int pid, uint64_t value);
/* System call number `which` of: unshare, mount, prctl, seccomp, memfd_create, clone3, close_range, openat2, open_tree,
 * mount_setattr, pidfd_open, pidfd_send_signal, keyctl, bpf, set_mempolicy, sched_setattr, syncfs, rt_tgsigqueueinfo.
 * For `ocirun doctor`, which makes most of them with arguments that the kernel refuses, and the others in a child, and
 * for `run --seccomp-explain`. */
int shim_system_call(int which, const uint64_t arguments[5]);
/* The same numbers of a process as they are now. */
int shim_scheduler_of(int pid, uint64_t numbers[6]);
int shim_io_priority_of(int pid);
/* The caller enters the namespace whose file `fd` is open on, and is not dumpable any more: with a shared pid
 * namespace, root of the container could trace it. */
int shim_setns(int fd);
