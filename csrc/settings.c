/* Host name, sysctls, resource limits, keyring: single kernel settings. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"
#include "kernel.h"

int op_hostname(struct context *ctx, const struct plan_op *op)
{
	return sethostname(text(ctx, op, HOSTNAME_NAME), op->string[HOSTNAME_NAME].length) < 0 ? failed(ctx, STEP_WRITE)
											       : 0;
}

int op_domainname(struct context *ctx, const struct plan_op *op)
{
	return setdomainname(text(ctx, op, DOMAINNAME_NAME), op->string[DOMAINNAME_NAME].length) < 0
		       ? failed(ctx, STEP_WRITE)
		       : 0;
}

int op_sysctl(struct context *ctx, const struct plan_op *op)
{
	int fd = proc_open(ctx, text(ctx, op, SYSCTL_PATH), O_WRONLY);
	if (fd < 0) {
		errno = -fd;
		return failed(ctx, STEP_OPEN);
	}
	/* One write is one setting: after a short write the rest would be taken for another value. */
	ssize_t n = write(fd, text(ctx, op, SYSCTL_VALUE), op->string[SYSCTL_VALUE].length);
	if (n >= 0 && (size_t)n != op->string[SYSCTL_VALUE].length) {
		n = -1;
		errno = EINVAL;
	}
	close(fd);
	return n < 0 ? failed(ctx, STEP_WRITE) : 0;
}

int op_rlimit(struct context *ctx, const struct plan_op *op)
{
	struct rlimit limit = {.rlim_cur = op->number[RLIMIT_SOFT], .rlim_max = op->number[RLIMIT_HARD]};
	return setrlimit((int)op->number[RLIMIT_RESOURCE], &limit) < 0 ? failed(ctx, STEP_RLIMIT) : 0;
}

int op_umask(struct context *ctx, const struct plan_op *op)
{
	(void)ctx;
	umask((mode_t)op->number[UMASK_UMASK]);
	return 0;
}

#define SESSION_KEYRING_PERMISSIONS 0x3f1b0000 /* the kernel's own, and search for the user that init becomes */

/* A kernel without keyrings has no caller's keyring to keep out. After any other failure the program would have the
 * caller's. */
int op_keyring(struct context *ctx, const struct plan_op *op)
{
	long keyring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, text(ctx, op, KEYRING_NAME), 0, 0, 0);
	if (keyring < 0)
		return errno == ENOSYS ? 0 : failed(ctx, STEP_KEYRING);
	syscall(SYS_keyctl, KEYCTL_SETPERM, keyring, SESSION_KEYRING_PERMISSIONS, 0, 0);
	return 0;
}
