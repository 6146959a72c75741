/* The arguments of init's operations, and its functions: generated from runtime/plan/operations by
 * csrc/tools/operations.py (make generate); do not edit. */
#pragma once

struct context;
struct plan_op;

enum oom_score_adj_number { OOM_SCORE_ADJ_SCORE };
int op_oom_score_adj(struct context *ctx, const struct plan_op *op);

enum dumpable_number { DUMPABLE_VALUE };
int op_dumpable(struct context *ctx, const struct plan_op *op);

enum open_cgroup_number { OPEN_CGROUP_FOR_FORK };
enum open_cgroup_string { OPEN_CGROUP_PATH };
int op_open_cgroup(struct context *ctx, const struct plan_op *op);

enum open_namespace_number { OPEN_NAMESPACE_TYPE, OPEN_NAMESPACE_SLOT };
enum open_namespace_string { OPEN_NAMESPACE_PATH };
int op_open_namespace(struct context *ctx, const struct plan_op *op);

enum join_namespace_number { JOIN_NAMESPACE_TYPE, JOIN_NAMESPACE_SLOT };
int op_join_namespace(struct context *ctx, const struct plan_op *op);

enum join_process_number { JOIN_PROCESS_FLAGS, JOIN_PROCESS_LAST };
int op_join_process(struct context *ctx, const struct plan_op *op);

enum affinity_string { AFFINITY_CPUS };
int op_affinity(struct context *ctx, const struct plan_op *op);

enum unshare_number { UNSHARE_FLAGS };
int op_unshare(struct context *ctx, const struct plan_op *op);

enum become_number { BECOME_UID, BECOME_GID };
int op_become(struct context *ctx, const struct plan_op *op);

enum time_offsets_string { TIME_OFFSETS_OFFSETS };
int op_time_offsets(struct context *ctx, const struct plan_op *op);

int op_fork(struct context *ctx, const struct plan_op *op);

int op_enter_cgroups(struct context *ctx, const struct plan_op *op);

int op_setsid(struct context *ctx, const struct plan_op *op);

enum propagation_number { PROPAGATION_FLAGS };
int op_propagation(struct context *ctx, const struct plan_op *op);

enum root_number { ROOT_ATTACH, ROOT_PRIVATE_PARENT };
enum root_string { ROOT_PATH };
int op_root(struct context *ctx, const struct plan_op *op);

enum proc_handle_number { PROC_HANDLE_HOST };
int op_proc_handle(struct context *ctx, const struct plan_op *op);

enum mount_number { MOUNT_ATTR_SET, MOUNT_PROPAGATION, MOUNT_REC_SET, MOUNT_REC_CLR, MOUNT_FLAGS, MOUNT_SUPERBLOCK };
enum mount_string { MOUNT_DESTINATION, MOUNT_TYPE, MOUNT_SOURCE, MOUNT_OPTIONS };
int op_mount(struct context *ctx, const struct plan_op *op);

enum bind_number { BIND_RECURSIVE, BIND_ATTR_SET, BIND_ATTR_CLR, BIND_PROPAGATION, BIND_REC_SET, BIND_REC_CLR };
enum bind_string { BIND_DESTINATION, BIND_SOURCE };
int op_bind(struct context *ctx, const struct plan_op *op);

enum remount_number {
	REMOUNT_ATTR_SET,
	REMOUNT_ATTR_CLR,
	REMOUNT_FLAGS,
	REMOUNT_PROPAGATION,
	REMOUNT_REC_SET,
	REMOUNT_REC_CLR
};
enum remount_string { REMOUNT_DESTINATION, REMOUNT_OPTIONS };
int op_remount(struct context *ctx, const struct plan_op *op);

enum file_label_string { FILE_LABEL_PATH, FILE_LABEL_LABEL };
int op_file_label(struct context *ctx, const struct plan_op *op);

enum symlink_number { SYMLINK_FLAGS };
enum symlink_string { SYMLINK_TARGET, SYMLINK_PATH };
int op_symlink(struct context *ctx, const struct plan_op *op);

enum device_number { DEVICE_TYPE, DEVICE_MAJOR, DEVICE_MINOR, DEVICE_MODE, DEVICE_UID, DEVICE_GID };
enum device_string { DEVICE_PATH };
int op_device(struct context *ctx, const struct plan_op *op);

enum device_bind_number { DEVICE_BIND_TYPE, DEVICE_BIND_MAJOR, DEVICE_BIND_MINOR };
enum device_bind_string { DEVICE_BIND_PATH, DEVICE_BIND_SOURCE };
int op_device_bind(struct context *ctx, const struct plan_op *op);

enum mask_string { MASK_PATH, MASK_LABEL };
int op_mask(struct context *ctx, const struct plan_op *op);

enum readonly_string { READONLY_PATH };
int op_readonly(struct context *ctx, const struct plan_op *op);

enum console_number { CONSOLE_WIDTH, CONSOLE_HEIGHT, CONSOLE_BIND, CONSOLE_UID };
int op_console(struct context *ctx, const struct plan_op *op);

enum hostname_string { HOSTNAME_NAME };
int op_hostname(struct context *ctx, const struct plan_op *op);

enum domainname_string { DOMAINNAME_NAME };
int op_domainname(struct context *ctx, const struct plan_op *op);

enum sysctl_string { SYSCTL_PATH, SYSCTL_VALUE };
int op_sysctl(struct context *ctx, const struct plan_op *op);

enum run_hook_number { RUN_HOOK_TIMEOUT, RUN_HOOK_STATE, RUN_HOOK_INHERIT, RUN_HOOK_FILTERED };
enum run_hook_string { RUN_HOOK_PATH, RUN_HOOK_ARGS, RUN_HOOK_ENV };
int op_run_hook(struct context *ctx, const struct plan_op *op);

enum pivot_number { PIVOT_MODE };
int op_pivot(struct context *ctx, const struct plan_op *op);

enum unmount_string { UNMOUNT_PATH };
int op_unmount(struct context *ctx, const struct plan_op *op);

enum enter_root_number { ENTER_ROOT_CHROOT };
int op_enter_root(struct context *ctx, const struct plan_op *op);

int op_root_readonly(struct context *ctx, const struct plan_op *op);

enum root_propagation_number { ROOT_PROPAGATION_FLAGS };
int op_root_propagation(struct context *ctx, const struct plan_op *op);

enum stdio_number { STDIO_UID };
int op_stdio(struct context *ctx, const struct plan_op *op);

enum keep_descriptors_number { KEEP_DESCRIPTORS_COUNT, KEEP_DESCRIPTORS_LISTENER };
int op_keep_descriptors(struct context *ctx, const struct plan_op *op);

enum rlimit_number { RLIMIT_RESOURCE, RLIMIT_SOFT, RLIMIT_HARD };
int op_rlimit(struct context *ctx, const struct plan_op *op);

enum umask_number { UMASK_UMASK };
int op_umask(struct context *ctx, const struct plan_op *op);

enum keyring_string { KEYRING_NAME };
int op_keyring(struct context *ctx, const struct plan_op *op);

enum label_string { LABEL_PATH, LABEL_OLDER_PATH, LABEL_LABEL };
int op_label(struct context *ctx, const struct plan_op *op);

enum scheduler_number {
	SCHEDULER_POLICY,
	SCHEDULER_FLAGS,
	SCHEDULER_LEVEL,
	SCHEDULER_RUNTIME,
	SCHEDULER_DEADLINE,
	SCHEDULER_PERIOD
};
int op_scheduler(struct context *ctx, const struct plan_op *op);

enum io_priority_number { IO_PRIORITY_VALUE };
int op_io_priority(struct context *ctx, const struct plan_op *op);

enum personality_number { PERSONALITY_DOMAIN };
int op_personality(struct context *ctx, const struct plan_op *op);

enum memory_policy_number { MEMORY_POLICY_MODE };
enum memory_policy_string { MEMORY_POLICY_NODES };
int op_memory_policy(struct context *ctx, const struct plan_op *op);

int op_no_new_privs(struct context *ctx, const struct plan_op *op);

enum bounding_number { BOUNDING_KEEP };
int op_bounding(struct context *ctx, const struct plan_op *op);

enum user_number { USER_UID, USER_GID, USER_SET_GROUPS };
enum user_string { USER_GROUPS };
int op_user(struct context *ctx, const struct plan_op *op);

enum capabilities_number {
	CAPABILITIES_EFFECTIVE,
	CAPABILITIES_PERMITTED,
	CAPABILITIES_INHERITABLE,
	CAPABILITIES_AMBIENT
};
int op_capabilities(struct context *ctx, const struct plan_op *op);

enum cwd_number { CWD_MAKE };
enum cwd_string { CWD_PATH };
int op_cwd(struct context *ctx, const struct plan_op *op);

enum cwd_as_user_string { CWD_AS_USER_PATH };
int op_cwd_as_user(struct context *ctx, const struct plan_op *op);

enum program_number { PROGRAM_UID, PROGRAM_FIND_HOME };
enum program_string { PROGRAM_ARGS, PROGRAM_ENV, PROGRAM_SEARCH_PATH };
int op_program(struct context *ctx, const struct plan_op *op);

int op_wait_start(struct context *ctx, const struct plan_op *op);

enum place_descriptors_number { PLACE_DESCRIPTORS_COUNT };
int op_place_descriptors(struct context *ctx, const struct plan_op *op);

enum seccomp_number { SECCOMP_FLAGS };
enum seccomp_string { SECCOMP_PROGRAM };
int op_seccomp(struct context *ctx, const struct plan_op *op);

enum seccomp_notify_number { SECCOMP_NOTIFY_FLAGS };
enum seccomp_notify_string { SECCOMP_NOTIFY_PROGRAM, SECCOMP_NOTIFY_LISTENER_PATH, SECCOMP_NOTIFY_LISTENER_METADATA };
int op_seccomp_notify(struct context *ctx, const struct plan_op *op);

enum exec_string { EXEC_NAME };
int op_exec(struct context *ctx, const struct plan_op *op);
