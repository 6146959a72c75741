/* sched_setattr(2) and ioprio_set(2), which init calls for itself, and the parent where init may not: in a user
 * namespace. */
#pragma once

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SCHEDULE_FIFO 1 /* linux/sched.h, whose names sched.h takes for itself */
#define SCHEDULE_RR 2
#define PRIORITY_OF_GROUP 2 /* IOPRIO_WHO_PGRP of linux/ioprio.h */

/* struct sched_attr as 5.3 has it: with it the flags for utilisation are known. */
struct scheduling {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};
_Static_assert(sizeof(struct scheduling) == 56, "SCHED_ATTR_SIZE_VER1");

/* The numbers of OP_SCHEDULER: policy, flags, the nice value or static priority, runtime, deadline, period. */
static inline long set_scheduler(int pid, const uint64_t *n)
{
	struct scheduling how = {.size = sizeof how,
				 .policy = (uint32_t)n[0],
				 .flags = n[1],
				 .runtime = n[3],
				 .deadline = n[4],
				 .period = n[5]};
	if (how.policy == SCHEDULE_FIFO || how.policy == SCHEDULE_RR)
		how.priority = (uint32_t)n[2];
	else
		how.nice = (int32_t)n[2];
	return syscall(SYS_sched_setattr, pid, &how, 0);
}

/* Of the process group that `pid` leads; 0 is the caller's. */
static inline long set_io_priority(int pid, uint64_t value)
{
	return syscall(SYS_ioprio_set, PRIORITY_OF_GROUP, pid, (int)value);
}
