/*
 * What init keeps while it waits for `start`, perhaps for ever: the operations to come with their strings, and the
 * program's arguments and environment, copied into one mapping, mostly one page. The plan is given back, and so is what
 * the operations before needed.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "init.h"

#define STACK_USED 131072 /* more than the operations need: the kernel's first stack mapping */

/* Copies pieces one after another; while `to` is NULL it only counts. */
struct copy {
	char *to;
	size_t size;
};

/* Returns the place of the copy, or NULL. */
static void *put(struct copy *copy, const void *data, size_t size)
{
	char *place = copy->to ? memcpy(copy->to + copy->size, data, size) : NULL;
	copy->size += size;
	return place;
}

static char **put_list(struct copy *copy, char **list)
{
	size_t count = 0;
	while (list[count])
		count++;
	copy->size = (copy->size + sizeof *list - 1) & -sizeof *list;
	char **array = put(copy, list, (count + 1) * sizeof *list);
	for (size_t i = 0; i < count; i++) {
		char *text = put(copy, list[i], strlen(list[i]) + 1);
		if (array)
			array[i] = text;
	}
	return array;
}

/* The operations after the current one. */
static struct plan_op *put_operations(struct copy *copy, const struct context *ctx)
{
	const struct plan_op *from = operation_at(ctx, ctx->index + 1);
	uint32_t count = ctx->plan->count - ctx->index - 1;
	struct plan_op *to = put(copy, from, count * sizeof *from);
	for (uint32_t i = 0; i < count; i++)
		for (int j = 0; j < PLAN_STRINGS; j++) {
			if (!has_text(&from[i], j))
				continue;
			struct plan_string string = from[i].string[j];
			const char *text = put(copy, ctx->base + string.offset, string.length + (size_t)1);
			if (to)
				to[i].string[j].offset = (uint32_t)(text - copy->to);
		}
	return to;
}

static void put_all(struct copy *copy, struct context *ctx)
{
	put(copy, ctx->plan, sizeof *ctx->plan);
	struct plan_op *ops = put_operations(copy, ctx);
	char **arguments = ctx->arguments ? put_list(copy, ctx->arguments) : NULL;
	char **environment = ctx->environment ? put_list(copy, ctx->environment) : NULL;
	char *path = ctx->program_path ? put(copy, ctx->program_path, strlen(ctx->program_path) + 1) : NULL;
	if (!copy->to)
		return;
	ctx->plan = (struct plan_header *)copy->to;
	ctx->base = copy->to;
	ctx->ops = ops;
	ctx->first = ctx->index + 1;
	ctx->arguments = arguments;
	ctx->environment = environment;
	ctx->program_path = path;
}

static bool hooks_come(const struct context *ctx)
{
	for (uint32_t i = ctx->index + 1; i < ctx->plan->count; i++)
		if (operation_at(ctx, i)->code == OP_RUN_HOOK)
			return true;
	return false;
}

/* Where memory is refused, everything stays as it is. */
static void keep_rest(struct context *ctx)
{
	struct copy copy = {0};
	put_all(&copy, ctx);
	size_t size = copy.size;
	char *to = size > PLAN_MAX_SIZE ? MAP_FAILED : map_near(size, -1);
	if (to == MAP_FAILED)
		return;
	void *plan = (void *)ctx->plan;
	size_t plan_size = ctx->plan->size;
	copy = (struct copy){.to = to};
	put_all(&copy, ctx);
	mprotect(to, size, PROT_READ);
	munmap(plan, plan_size);
	if (ctx->scratch)
		munmap(ctx->scratch, ctx->scratch_size);
	ctx->scratch = NULL;
	memset(ctx->held, 0, sizeof ctx->held); /* their descriptors are closed */
	if (!ctx->state[0] || hooks_come(ctx))
		return;
	munmap((void *)ctx->state[0], ctx->state_size);
	ctx->state[0] = ctx->state[1] = NULL;
}

/* What deeper calls have left of the stack. A page in between is for the call itself. */
static void give_back_stack(void)
{
	size_t page = (size_t)getpagesize();
	char here, *end = (char *)((uintptr_t)&here & -page) - page;
	madvise(end - STACK_USED, STACK_USED, MADV_DONTNEED);
}

void prepare_wait(struct context *ctx)
{
	keep_rest(ctx);
	give_back_stack();
}
