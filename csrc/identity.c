/* Credentials and capabilities of the user's program. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"
#include "kernel.h"

#define MAX_GROUPS 65536 /* the kernel's NGROUPS_MAX */

int op_no_new_privs(struct context *ctx, const struct plan_op *op)
{
	(void)op;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? failed(ctx, STEP_PRCTL) : 0;
}

int op_bounding(struct context *ctx, const struct plan_op *op)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		if (op->number[BOUNDING_KEEP] >> cap & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : failed(ctx, STEP_PRCTL); /* EINVAL: past the last one */
	}
	return 0;
}

/* The list holds the ids as strict decimal strings, written by the parent. */
static int set_groups(struct context *ctx, const struct plan_op *op)
{
	const size_t size = MAX_GROUPS * sizeof(gid_t);
	gid_t *groups = map_near(size, -1);
	if (groups == MAP_FAILED)
		return failed(ctx, STEP_SETGROUPS);
	size_t count = 0;
	const char *s = next_text(ctx, op, USER_GROUPS, NULL);
	for (; s && count < MAX_GROUPS; s = next_text(ctx, op, USER_GROUPS, s))
		groups[count++] = (gid_t)strtoul(s, NULL, 10);
	errno = EINVAL; /* if one is left, which may deny access */
	int r = s || setgroups(count, groups) < 0 ? failed(ctx, STEP_SETGROUPS) : 0;
	munmap(groups, size);
	return r;
}

int op_user(struct context *ctx, const struct plan_op *op)
{
	uid_t uid = (uid_t)op->number[USER_UID];
	gid_t gid = (gid_t)op->number[USER_GID];
	if (prctl(PR_SET_KEEPCAPS, 1) < 0)
		return failed(ctx, STEP_PRCTL);
	int r = op->number[USER_SET_GROUPS] ? set_groups(ctx, op) : 0;
	if (r < 0)
		return r;
	if (setresgid(gid, gid, gid) < 0)
		return failed(ctx, STEP_SETGID);
	if (setresuid(uid, uid, uid) < 0)
		return failed(ctx, STEP_SETUID);
	if (prctl(PR_SET_KEEPCAPS, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		return failed(ctx, STEP_PRCTL);
	return 0;
}

/* Exactly the sets asked for: the caller's inheritable and ambient sets are cleared (CVE-2022-29162). */
int op_capabilities(struct context *ctx, const struct plan_op *op)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];
	for (int i = 0; i < 2; i++)
		sets[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(op->number[CAPABILITIES_EFFECTIVE] >> (32 * i)),
			.permitted = (uint32_t)(op->number[CAPABILITIES_PERMITTED] >> (32 * i)),
			.inheritable = (uint32_t)(op->number[CAPABILITIES_INHERITABLE] >> (32 * i)),
		};
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return failed(ctx, STEP_PRCTL);
	if (syscall(SYS_capset, &header, sets) < 0)
		return failed(ctx, STEP_CAPSET);
	for (unsigned long cap = 0; cap < 64; cap++) {
		ctx->detail = (int64_t)cap;
		if (op->number[CAPABILITIES_AMBIENT] >> cap & 1 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return failed(ctx, STEP_PRCTL);
	}
	return 0;
}

long load_filter(const struct context *ctx, const struct plan_op *op, int program, uint64_t flags)
{
	struct sock_fprog filter = {
		.len = (unsigned short)(op->string[program].length / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)text(ctx, op, program),
	};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned long)flags, &filter);
}

/* The last operation but one: only execve follows, so the profile need allow nothing more. */
int op_seccomp(struct context *ctx, const struct plan_op *op)
{
	if (op->number[SECCOMP_FLAGS] & SECCOMP_OF_HOOKS)
		return 0;
	if (load_filter(ctx, op, SECCOMP_PROGRAM, op->number[SECCOMP_FLAGS]) < 0)
		return failed(ctx, STEP_SECCOMP);
	ctx->filtered = true;
	return 0;
}
