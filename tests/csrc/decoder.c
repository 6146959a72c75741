/* Init's decoder as a library: what a plan is after it has been read, for a test to compare with what was planned. */
#include "../../csrc/wire.c"

static struct context plan;

/* The number of operations, or -errno. */
int decoder_load(int fd)
{
	int r = wire_load(&plan, fd);
	return r < 0 ? r : (int)plan.plan->count;
}

int decoder_code(int index)
{
	return plan.ops[index].code;
}

int decoder_side(int index)
{
	return plan.ops[index].side;
}

uint64_t decoder_number(int index, int i)
{
	return plan.ops[index].number[i];
}

/* Bytes, as for a filter; NULL when absent. */
const char *decoder_bytes(int index, int i, size_t *length)
{
	const struct plan_op *op = &plan.ops[index];
	*length = op->string[i].length;
	return has_text(op, i) ? text(&plan, op, i) : NULL;
}

/* The strings of a list: NULL begins it and ends it. */
const char *decoder_next(int index, int i, const char *current)
{
	return next_text(&plan, &plan.ops[index], i, current);
}

void decoder_unload(void)
{
	munmap((void *)plan.base, plan.plan->size);
}
