/*
 * Walks at random through csrc/image/heap.c, with a shadow of every block: its place, size and content.
 *
 *     heap_walk SEED STEPS THREADS [sealed]   each thread has blocks of its own, which the others must leave alone;
 *                                             sealed: as in a process of the image, after the dump
 *     heap_walk SEED STEPS hot       walks twice: the second time, every third call of the first walk gets a hot block
 *     heap_walk fork ROUNDS          forks while another thread takes and returns blocks
 *
 * Compiled with heap.c's functions renamed (-Dmalloc=heap_malloc ...), so that this program's own are libc's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image.h"

#define SEGMENT 0x100000 /* small, so that most blocks lie beyond it */
#define SLOTS 400
#define CHECK(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

char heap_start[2 * SEGMENT] __attribute__((aligned(4096)));
__asm__(".globl heap_end\nheap_end = heap_start + 0x100000\n");

void *heap_malloc(size_t size);
void *heap_calloc(size_t count, size_t size);
void *heap_realloc(void *block, size_t size);
void heap_free(void *block);

struct shadow {
	unsigned char *block;
	size_t size;
	unsigned char content;
};

struct walk {
	struct shadow slots[SLOTS];
	uint64_t chance;
	long steps;
};

static char *zone_end = heap_start;
static long in_zone;

static void fail(const char *what, int line)
{
	fprintf(stderr, "line %d: not true: %s\n", line, what);
	exit(1);
}

static uint64_t next(struct walk *walk)
{
	walk->chance ^= walk->chance << 13;
	walk->chance ^= walk->chance >> 7;
	walk->chance ^= walk->chance << 17;
	return walk->chance;
}

/* Most are small; some are a megabyte or more, many lie at a boundary of a class. */
static size_t any_size(struct walk *walk)
{
	uint64_t n = next(walk);
	switch (n % 8) {
	case 0:
		return 0;
	case 1:
		return (n >> 8) % (3 << 20) / (1 + (n >> 40) % 32);
	case 2:
		return ((size_t)1 << ((n >> 8) % 20)) + (n >> 16) % 33 - 16 * ((n >> 8) % 20 > 4);
	default:
		return (n >> 8) % 700;
	}
}

static void check_content(const struct shadow *slot, size_t size)
{
	for (size_t i = 0; i < size; i++)
		CHECK(slot->block[i] == slot->content);
}

/* No block of this walk overlaps: each is filled with a content of its own, and checked when it goes. */
static void keep(struct walk *walk, struct shadow *slot, void *block, size_t size)
{
	CHECK(block != NULL);
	CHECK((uintptr_t)block % 16 == 0);
	in_zone += (char *)block >= heap_start && (char *)block < zone_end;
	slot->block = block;
	slot->size = size;
	slot->content = (unsigned char)next(walk);
	memset(block, slot->content, slot->size);
}

static void release(struct shadow *slot)
{
	check_content(slot, slot->size);
	heap_free(slot->block);
	slot->block = NULL;
}

static void grow_or_shrink(struct walk *walk, struct shadow *slot)
{
	size_t size = next(walk) % 3 ? any_size(walk) : slot->size + next(walk) % 64;
	unsigned char *block = heap_realloc(slot->block, size);
	CHECK(block != NULL);
	struct shadow moved = {block, 0, slot->content};
	check_content(&moved, size < slot->size ? size : slot->size);
	keep(walk, slot, block, size);
}

static void step(struct walk *walk)
{
	struct shadow *slot = &walk->slots[next(walk) % SLOTS];
	size_t size = any_size(walk);
	unsigned char *block;
	if (slot->block && next(walk) % 2) {
		grow_or_shrink(walk, slot);
		return;
	}
	if (slot->block)
		release(slot);
	switch (next(walk) % 4) {
	case 0:
		block = heap_calloc(size / 7 + 1, 7);
		for (size_t i = 0; i < size; i++)
			CHECK(block[i] == 0);
		keep(walk, slot, block, size);
		break;
	case 1:
		keep(walk, slot, heap_realloc(NULL, size), size);
		break;
	default:
		keep(walk, slot, heap_malloc(size), size);
	}
}

static void *run(void *argument)
{
	struct walk *walk = argument;
	for (long i = 0; i < walk->steps; i++)
		step(walk);
	for (int i = 0; i < SLOTS; i++)
		if (walk->slots[i].block)
			release(&walk->slots[i]);
	return NULL;
}

static void refused(void *block)
{
	CHECK(block == NULL);
	CHECK(errno == ENOMEM);
	errno = 0;
}

/* What no heap can give, and what no caller may ask. */
static void check_limits(void)
{
	void *block = heap_malloc(100);
	memset(block, 7, 100);
	refused(heap_malloc(SIZE_MAX));
	refused(heap_malloc(SIZE_MAX - 7));
	refused(heap_malloc(PTRDIFF_MAX));
	refused(heap_malloc((size_t)1 << 60));
	refused(heap_calloc(SIZE_MAX / 2, 3));
	refused(heap_calloc((size_t)1 << 33, (size_t)1 << 31));
	refused(heap_realloc(block, SIZE_MAX - 15));
	check_content(&(struct shadow){block, 100, 7}, 100);
	heap_free(NULL);
	heap_free(heap_calloc(0, 0));
	heap_free(block);
}

static atomic_bool stop;

static void *take_and_return(void *unused)
{
	(void)unused;
	while (!stop)
		heap_free(heap_malloc(100));
	return NULL;
}

/* A child whose lock another thread had would wait for ever; SIGALRM ends it. */
static void check_forks(int rounds)
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, take_and_return, NULL) == 0);
	/* libc's pthread_create takes a block itself, from a heap that is libc's: so no fork precedes the preparation
	 * for it. */
	heap_free(heap_malloc(1));
	for (int i = 0; i < rounds; i++) {
		int status = -1;
		pid_t child = fork();
		if (child == 0) {
			alarm(5);
			heap_free(heap_malloc(100));
			_exit(0);
		}
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(status == 0);
	}
	stop = 1;
	pthread_join(thread, NULL);
}

static void check_zone(uint64_t chance, long steps)
{
	static struct taken record[MAX_TAKEN];
	static struct walk walks[2];
	size_t count = 0, zone = 0;
	long expected = 0;
	heap_open(record);
	walks[0] = walks[1] = (struct walk){.chance = chance, .steps = steps};
	run(&walks[0]);
	heap_known();
	for (; record[count].sizes; count++) {
		size_t size = *(size_t *)(record[count].place - sizeof size) + sizeof size;
		bool is_hot = count % 3 == 0 && size < 4096 && zone + size < SEGMENT;
		record[count].place = is_hot ? size : 0;
		zone += record[count].place;
		expected += is_hot;
	}
	heap_open(record);
	zone_end = heap_start + zone;
	run(&walks[1]);
	CHECK(walks[0].chance == walks[1].chance);
	CHECK(expected > 50 && in_zone >= expected);
}

int main(int argc, char **argv)
{
	heap_open(NULL);
	if (argc == 3)
		return check_forks(atoi(argv[2])), 0;
	if (!strcmp(argv[3], "hot"))
		return check_zone(strtoull(argv[1], NULL, 10), atol(argv[2])), 0;
	int count = atoi(argv[3]);
	if (argc == 5)
		heap_seal();
	static struct walk walks[8];
	pthread_t threads[8];
	check_limits();
	for (int i = 0; i < count; i++)
		walks[i] = (struct walk){.chance = strtoull(argv[1], NULL, 10) * 8 + i + 1, .steps = atol(argv[2])};
	for (int i = 1; i < count; i++)
		CHECK(pthread_create(&threads[i], NULL, run, &walks[i]) == 0);
	run(&walks[0]);
	for (int i = 1; i < count; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
