/*
 * The fuzz target: whatever bytes come in as a plan, init refuses them or walks them without a wrong step.
 *
 * It is init itself (all of its sources) in a pretended kernel (kernel.c): no system call is ever made, so that ten
 * thousand plans a second are run, and none of them does anything. The header's flags, which the decoder does not
 * look at but for the lowest bit, say how the pretended kernel answers.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "init.h"

#define FLAG_ANSWERS 2 /* the fake kernel answers; without it an operation ends at its first system call */
#define FLAG_WHOLE 4   /* as init runs a plan; without it every operation runs, even after a failure */
#define ANSWER_SHIFT 3

static jmp_buf stopped;

void stop(void)
{
	longjmp(stopped, 1);
}

/* Walks every string of every operation with the functions that operations use. */
static void walk(const struct context *ctx, const struct plan_op *op)
{
	for (int i = 0; i < PLAN_STRINGS; i++) {
		size_t length = strlen(text(ctx, op, i)), count = 0;
		if (length > op->string[i].length)
			abort(); /* longer than its record says */
		for (const char *s = next_text(ctx, op, i, NULL); s; s = next_text(ctx, op, i, s))
			count++;
		char **array = text_array(ctx, op, i);
		for (size_t n = 0; array && n <= count; n++)
			if (!array[n] != (n == count))
				abort(); /* the walk and the array disagree */
	}
}

static void run_each(const struct plan_header *plan, struct context *ctx)
{
	static const struct context empty = {.unified = -1, .tree = -1, .root = -1, .proc = -1, .null = -1, .mask = -1};
	*ctx = empty;
	for (int i = 0; i < MAX_NAMESPACES; i++)
		ctx->namespace[i] = -1;
	if (wire_load(ctx, FD_PLAN) < 0)
		return;
	for (ctx->index = 0; ctx->index < plan->count; ctx->index++) {
		const struct plan_op *op = operation_at(ctx, ctx->index);
		kernel_begin(plan->flags & FLAG_ANSWERS, plan->flags >> ANSWER_SHIFT);
		if (setjmp(stopped) == 0) {
			walk(ctx, op);
			run_operation(ctx, op);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct context ctx;
	struct plan_header plan = {0};
	memcpy(&plan, data, size < sizeof plan ? size : sizeof plan);
	kernel_open(data, size);
	kernel_begin(true, plan.flags >> ANSWER_SHIFT);
	if (plan.flags & FLAG_WHOLE) {
		if (setjmp(stopped) == 0)
			run_plan(&ctx);
	} else if (setjmp(stopped) == 0) {
		run_each(&plan, &ctx);
	}
	kernel_close();
	return 0;
}

/* Most random changes break the header, and the plan is refused at once: so the header is usually repaired. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	(void)data;
	(void)max_size;
	return size;
}

static void repair(uint8_t *data, size_t size)
{
	struct plan_header plan;
	memcpy(&plan, data, sizeof plan);
	size_t room = (size - sizeof plan) / sizeof(struct plan_op);
	plan.magic = PLAN_MAGIC;
	plan.version = PLAN_VERSION;
	plan.size = (uint32_t)size;
	if (plan.count == 0 || plan.count > room)
		plan.count = (uint32_t)room;
	memcpy(data, &plan, sizeof plan);
	data[size - 1] = '\0';
	for (uint32_t i = 0; i < plan.count; i++) {
		struct plan_op op;
		uint8_t *place = data + sizeof plan + i * sizeof op;
		memcpy(&op, place, sizeof op);
		op.code %= OP_COUNT;
		op.side &= SIDE_CONTAINER;
		op.reserved = 0;
		for (int j = 0; j < PLAN_STRINGS; j++) {
			uint64_t end = (uint64_t)op.string[j].offset + op.string[j].length;
			bool inside = op.string[j].offset >= sizeof plan && end < size;
			if (op.string[j].offset && !inside)
				op.string[j] = (struct plan_string){.offset = (uint32_t)size - 1};
			else if (!op.string[j].offset)
				op.string[j].length = 0;
			else /* on to the next NUL; there is one at the end */
				op.string[j].length += (uint32_t)strlen((const char *)data + end);
		}
		memcpy(place, &op, sizeof op);
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	size = LLVMFuzzerMutate(data, size, max_size);
	if (seed % 8 && size >= sizeof(struct plan_header) + sizeof(struct plan_op))
		repair(data, size);
	return size;
}

#ifdef REPLAY
/* Without libFuzzer: runs the plans in the named files. */
int main(int count, char **names)
{
	for (int i = 1; i < count; i++) {
		FILE *file = fopen(names[i], "rb");
		if (!file || fseek(file, 0, SEEK_END) < 0) {
			perror(names[i]);
			return 1;
		}
		size_t size = (size_t)ftell(file);
		uint8_t *data = malloc(size ? size : 1);
		rewind(file);
		if (!data || fread(data, 1, size, file) != size) {
			perror(names[i]);
			return 1;
		}
		fclose(file);
		LLVMFuzzerTestOneInput(data, size);
		free(data);
	}
	return 0;
}
#endif
