/* Rare properties: security labels, scheduling, CPU affinity, memory nodes, the execution domain. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/xattr.h>

#include "kernel.h"
#include "mounts.h"
#include "scheduling.h"

#define WORD (sizeof(unsigned long) * CHAR_BIT)
#define MAX_CPUS 8192 /* the largest NR_CPUS a kernel is built with */
#define MAX_NODES 1024

/* A list of decimal numbers, written by the parent, as a bit mask. */
static int read_bits(struct context *ctx, const struct plan_op *op, int list, unsigned long *bits, size_t count)
{
	for (const char *s = next_text(ctx, op, list, NULL); s; s = next_text(ctx, op, list, s)) {
		unsigned long n = strtoul(s, NULL, 10);
		if (n >= count)
			return root_failed(ctx, STEP_PLAN, -EINVAL);
		bits[n / WORD] |= 1UL << n % WORD;
	}
	return 0;
}

/* Without a list, all CPUs: the kernel reduces the mask to the cpuset. Where even that is forbidden, the caller's mask
 * stays. */
int op_affinity(struct context *ctx, const struct plan_op *op)
{
	unsigned long cpus[MAX_CPUS / WORD] = {0};
	if (!has_text(op, AFFINITY_CPUS)) {
		memset(cpus, 0xff, sizeof cpus);
		syscall(SYS_sched_setaffinity, 0, sizeof cpus, cpus);
		return 0;
	}
	int r = read_bits(ctx, op, AFFINITY_CPUS, cpus, MAX_CPUS);
	if (r < 0)
		return r;
	return syscall(SYS_sched_setaffinity, 0, sizeof cpus, cpus) < 0 ? failed(ctx, STEP_AFFINITY) : 0;
}

/* Survives execve and is inherited by children. The kernel reads one bit less than maxnode says. */
int op_memory_policy(struct context *ctx, const struct plan_op *op)
{
	unsigned long nodes[MAX_NODES / WORD] = {0};
	int r = read_bits(ctx, op, MEMORY_POLICY_NODES, nodes, MAX_NODES);
	if (r < 0)
		return r;
	unsigned long *given = has_text(op, MEMORY_POLICY_NODES) ? nodes : NULL;
	if (syscall(SYS_set_mempolicy, (int)op->number[MEMORY_POLICY_MODE], given, given ? MAX_NODES + 1UL : 0UL) < 0)
		return failed(ctx, STEP_MEMORY_POLICY);
	return 0;
}

int op_scheduler(struct context *ctx, const struct plan_op *op)
{
	return set_scheduler(0, op->number) < 0 ? failed(ctx, STEP_SCHEDULER) : 0;
}

int op_io_priority(struct context *ctx, const struct plan_op *op)
{
	return set_io_priority(0, op->number[IO_PRIORITY_VALUE]) < 0 ? failed(ctx, STEP_IO_PRIORITY) : 0;
}

int op_personality(struct context *ctx, const struct plan_op *op)
{
	return personality(op->number[PERSONALITY_DOMAIN]) < 0 ? failed(ctx, STEP_PERSONALITY) : 0;
}

/* Writes a file of /proc/thread-self/attr, or the fallback name on older kernels. The label must be one write; no value
 * resets it. */
int op_label(struct context *ctx, const struct plan_op *op)
{
	int fd = proc_open(ctx, text(ctx, op, LABEL_PATH), O_WRONLY);
	if (fd == -ENOENT && has_text(op, LABEL_OLDER_PATH))
		fd = proc_open(ctx, text(ctx, op, LABEL_OLDER_PATH), O_WRONLY);
	if (fd < 0)
		return root_failed(ctx, STEP_OPEN, fd);
	const char *value = has_text(op, LABEL_LABEL) ? text(ctx, op, LABEL_LABEL) : "\n";
	int r = write_all(fd, value, strlen(value));
	close(fd);
	return r < 0 ? root_failed(ctx, STEP_WRITE, r) : 0;
}

/* Labels a mount's root directory, for file systems that take no SELinux label as a mount option. setxattr takes no
 * O_PATH descriptor, so it goes through the working directory. */
int op_file_label(struct context *ctx, const struct plan_op *op)
{
	int fd = root_open(ctx, text(ctx, op, FILE_LABEL_PATH), O_PATH | O_DIRECTORY);
	if (fd < 0)
		return root_failed(ctx, STEP_OPEN, fd);
	int r = fchdir(fd) < 0 ? failed(ctx, STEP_CHDIR) : 0;
	const char *label = text(ctx, op, FILE_LABEL_LABEL);
	if (r == 0 && setxattr(".", "security.selinux", label, strlen(label) + 1, 0) < 0)
		r = failed(ctx, STEP_FILE_LABEL);
	close(fd);
	if (chdir("/") < 0 && r == 0)
		r = failed(ctx, STEP_CHDIR);
	return r;
}
