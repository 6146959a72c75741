/*
 * SCMP_ACT_NOTIFY: sends the filter's listener away while the filter is already in force.
 *
 * A loaded filter may suspend any system call, including those by which init would send the listener to its agent. So a
 * second thread sends it: created before the load, it has no filter. Init waits for it without a system call, by a page
 * fault that userfaultfd(2) delivers to the second thread. execve ends that thread and leaves no trace; a helper
 * process would stay as a child the user's program never made.
 *
 * A sandbox around us may refuse userfaultfd (Docker's profile does). Then init spins on a word of memory until the
 * agent has the listener; not with a real-time policy, which could keep the second thread from ever running.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

#define LOOK 50 /* milliseconds between checks that init is alive */

/* Two untouched pages: the first stops init until the listener is sent, the second for good. */
struct gate {
	struct context *ctx;
	volatile const char *pages;
	size_t page_size;
	int faults;        /* the userfaultfd, or -1 */
	int stops, passed; /* without it: how often init has stopped, and been let go */
	int listener;
	volatile int init; /* its thread id: the kernel writes 0 when that thread alone ends (SCMP_ACT_KILL_THREAD) */
};

/* Init's side: no system calls. */
static void stop(struct gate *gate, int page)
{
	if (gate->faults >= 0) {
		(void)gate->pages[(size_t)page * gate->page_size];
		return;
	}
	__atomic_store_n(&gate->stops, page + 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&gate->passed, __ATOMIC_ACQUIRE) <= page)
		;
}

static int await_stop(const struct gate *gate)
{
	const struct timespec pause = {.tv_nsec = 200000};
	while (gate->init && __atomic_load_n(&gate->stops, __ATOMIC_ACQUIRE) <= gate->passed)
		nanosleep(&pause, NULL);
	return gate->init ? 0 : -ESRCH;
}

static int await_fault(const struct gate *gate)
{
	struct pollfd wait = {.fd = gate->faults, .events = POLLIN};
	struct uffd_msg message;
	if (gate->faults < 0)
		return await_stop(gate);
	while (gate->init) {
		if (poll(&wait, 1, LOOK) <= 0)
			continue;
		ssize_t n = read(gate->faults, &message, sizeof message);
		if (n >= 0 || (errno != EINTR && errno != EAGAIN))
			return n == (ssize_t)sizeof message && message.event == UFFD_EVENT_PAGEFAULT ? 0 : -EIO;
	}
	return -ESRCH;
}

static int open_first_page(struct gate *gate)
{
	if (gate->faults < 0) {
		__atomic_store_n(&gate->passed, 1, __ATOMIC_RELEASE);
		return 0;
	}
	struct uffdio_zeropage page = {.range = {.start = (uintptr_t)gate->pages, .len = gate->page_size}};
	return ioctl(gate->faults, UFFDIO_ZEROPAGE, &page);
}

/* The second thread. It may write to the context, since init is stopped meanwhile. Both end if the parent is gone. */
static void *relay(void *data)
{
	struct gate *gate = data;
	struct context *ctx = gate->ctx;
	if (await_fault(gate) < 0 || report(ctx, REPORT_LISTENER, 0, gate->listener) < 0 || await_reply(ctx) < 0 ||
	    open_first_page(gate) < 0)
		_exit(EXIT_FAILURE);
	await_fault(gate); /* execve failed, or the filter killed init for it */
	_exit(EXIT_FAILURE);
}

/* After userfaultfd failed: whether init can spin instead. */
static bool may_spin(void)
{
	int error = errno;
	long policy = syscall(SYS_sched_getscheduler, 0) &
		      ~SCHED_RESET_ON_FORK; /* musl's function always fails with ENOSYS */
	bool refused = error == EPERM || error == EACCES || error == ENOSYS;
	errno = error;
	return refused && (policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE);
}

static int make_gate(struct gate *gate)
{
	gate->page_size = getauxval(AT_PAGESZ);
	gate->faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (gate->faults < 0)
		return may_spin() ? 0 : -1;
	gate->pages = mmap(NULL, 2 * gate->page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.range = {.start = (uintptr_t)gate->pages, .len = 2 * gate->page_size},
					.mode = UFFDIO_REGISTER_MODE_MISSING};
	if (gate->pages == MAP_FAILED || ioctl(gate->faults, UFFDIO_API, &api) < 0)
		return -1;
	return ioctl(gate->faults, UFFDIO_REGISTER, &range);
}

/* Without TSYNC, which would put the filter on the second thread too; init has no other threads. */
int op_seccomp_notify(struct context *ctx, const struct plan_op *op)
{
	static struct gate gate;
	pthread_t thread;
	gate.ctx = ctx;
	gate.init = (int)syscall(SYS_set_tid_address, &gate.init);
	if (make_gate(&gate) < 0)
		return failed(ctx, STEP_GATE);
	errno = pthread_create(&thread, NULL, relay, &gate);
	if (errno != 0)
		return failed(ctx, STEP_THREAD);
	uint64_t flags = op->number[SECCOMP_NOTIFY_FLAGS] & ~(uint64_t)SECCOMP_FILTER_FLAG_TSYNC;
	gate.listener = (int)load_filter(ctx, op, SECCOMP_NOTIFY_PROGRAM, flags);
	if (gate.listener < 0)
		return failed(ctx, STEP_SECCOMP);
	stop(&gate, 0);
	ctx->gate = &gate;
	ctx->filtered = true;
	return 0;
}

void end_at_gate(struct gate *gate)
{
	stop(gate, 1);
}
