"""How many arguments each system call has, by its name: data for `profile`, from the kernel's events/syscalls. Cold.

Left out are the calls that have more on some machines, where a 64-bit offset takes two.
"""

_BY_COUNT = (
    """fork getegid geteuid getgid getpgrp getpid getppid gettid getuid inotify_init munlockall pause restart_syscall
    sched_yield setsid sync vfork vhangup""",
    """acct adjtimex alarm brk chdir chroot close dup epoll_create epoll_create1 exit exit_group fchdir fdatasync fsync
    getpgid getsid inotify_init1 io_destroy iopl memfd_secret mlockall mq_unlink personality pkey_free rmdir
    sched_get_priority_max sched_get_priority_min sched_getscheduler set_tid_address setfsgid setfsuid setgid setuid
    shmdt swapoff syncfs sysinfo time timer_delete timer_getoverrun times umask unlink unshare userfaultfd""",
    """access arch_prctl capget capset chmod clock_adjtime clock_getres clock_gettime clock_settime clone3 creat dup2
    eventfd2 fanotify_init fchmod flock fremovexattr fsopen fstat getcwd getgroups getitimer getpriority getrlimit
    getrusage gettimeofday inotify_rm_watch io_setup io_uring_setup ioprio_get kill landlock_restrict_self link listen
    lremovexattr lstat memfd_create mkdir mlock mq_notify msgget munlock munmap nanosleep pidfd_open pipe2 pivot_root
    pkey_alloc process_mrelease removexattr rename rt_sigpending rt_sigsuspend sched_getparam sched_rr_get_interval
    sched_setparam set_robust_list setdomainname setgroups sethostname setns setpgid setregid setreuid setrlimit
    settimeofday shutdown sigaltstack stat swapon symlink timer_gettime timerfd_create timerfd_gettime tkill ustat utime
    utimes""",
    """accept bind bpf chown close_range connect dup3 execve faccessat fchmodat fchown fcntl flistxattr fsmount fspick
    futimesat get_robust_list getcpu getdents getdents64 getpeername getrandom getresgid getresuid getsockname
    inotify_add_watch io_cancel io_submit ioctl ioperm ioprio_set lchown listxattr llistxattr lseek madvise membarrier
    mincore mkdirat mknod mlock2 modify_ldt mprotect mq_getsetattr msync open open_by_handle_at open_tree pidfd_getfd
    poll read readlink readv recvmsg rt_sigqueueinfo sched_getaffinity sched_setaffinity sched_setattr
    sched_setscheduler seccomp semget semop sendmsg set_mempolicy setitimer setpriority setresgid setresuid shmat shmctl
    shmget socket symlinkat syslog tgkill timer_create unlinkat write writev""",
    """accept4 clock_nanosleep epoll_ctl epoll_wait faccessat2 fgetxattr getxattr io_uring_register landlock_add_rule
    lgetxattr migrate_pages mknodat mq_open msgsnd newfstatat openat openat2 pidfd_send_signal pkey_mprotect prlimit64
    ptrace quotactl readlinkat reboot renameat request_key rseq rt_sigaction rt_sigprocmask rt_sigtimedwait
    rt_tgsigqueueinfo sched_getattr semtimedop sendfile sendmmsg socketpair tee timer_settime timerfd_settime utimensat
    vmsplice wait4""",
    """add_key clone execveat fchownat fsconfig fsetxattr get_mempolicy getsockopt io_getevents kcmp keyctl linkat
    lsetxattr mount mount_setattr move_mount mq_timedreceive mq_timedsend mremap name_to_handle_at perf_event_open
    ppoll prctl recvmmsg remap_file_pages renameat2 setsockopt setxattr statx waitid""",
)
COUNTS = {name: count for count, names in enumerate(_BY_COUNT) for name in names.split()}
