/* sched_setattr(2) and ioprio_set(2): called by init for itself, or by the parent where init may not, in a user
 * namespace. And what a process has now. */
#pragma once

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arguments.h"

#define SCHEDULE_FIFO 1 /* linux/sched.h, which clashes with sched.h */
#define SCHEDULE_RR 2
#define PRIORITY_OF_PROCESS 1 /* IOPRIO_WHO_* of linux/ioprio.h */
#define PRIORITY_OF_GROUP 2

/* struct sched_attr as of 5.3, the first to have utilization clamps. */
struct scheduling {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};
_Static_assert(sizeof(struct scheduling) == 56, "SCHED_ATTR_SIZE_VER1");

/* `n`: the numbers of OP_SCHEDULER. */
static inline long set_scheduler(int pid, const uint64_t *n)
{
	struct scheduling how = {.size = sizeof how,
				 .policy = (uint32_t)n[SCHEDULER_POLICY],
				 .flags = n[SCHEDULER_FLAGS],
				 .runtime = n[SCHEDULER_RUNTIME],
				 .deadline = n[SCHEDULER_DEADLINE],
				 .period = n[SCHEDULER_PERIOD]};
	if (how.policy == SCHEDULE_FIFO || how.policy == SCHEDULE_RR)
		how.priority = (uint32_t)n[SCHEDULER_LEVEL];
	else
		how.nice = (int32_t)n[SCHEDULER_LEVEL];
	return syscall(SYS_sched_setattr, pid, &how, 0);
}

/* For the process group that `pid` leads; 0: the caller's. */
static inline long set_io_priority(int pid, uint64_t value)
{
	return syscall(SYS_ioprio_set, PRIORITY_OF_GROUP, pid, (int)value);
}

/* The inverse of set_scheduler. */
static inline long get_scheduler(int pid, uint64_t *n)
{
	struct scheduling how = {0};
	if (syscall(SYS_sched_getattr, pid, &how, sizeof how, 0) < 0)
		return -1;
	n[SCHEDULER_POLICY] = how.policy;
	n[SCHEDULER_FLAGS] = how.flags;
	n[SCHEDULER_LEVEL] = how.priority > 0 ? how.priority : (uint64_t)how.nice;
	n[SCHEDULER_RUNTIME] = how.runtime;
	n[SCHEDULER_DEADLINE] = how.deadline;
	n[SCHEDULER_PERIOD] = how.period;
	return 0;
}

static inline long get_io_priority(int pid)
{
	return syscall(SYS_ioprio_get, PRIORITY_OF_PROCESS, pid);
}
