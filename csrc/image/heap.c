/*
 * The program's only heap. It begins in the image's segment, so a dump contains all of it.
 *
 * A process that starts from the image pays for each page that it writes to, so blocks are taken in the order of the
 * calls: what a module needs lies together, whatever the sizes. A size is rounded up to one of eight per power of two,
 * and each of these classes has a list of free blocks. If the segment is full, the kernel gives more.
 *
 * Commands write to few of the objects: count references to them, mostly. These hot blocks lie in a zone of their own.
 * Which ones they are is known from a record of the calls of another process, which did the same: not of the places,
 * since both give a free place to the next call, and a block in the zone leaves another place free. There may be small
 * differences, where Python's caches know objects by their addresses; so a call is found by the sizes of those before
 * it.
 *
 * libc and Python's own allocators call it too; it replaces libc's. What libc takes in `seed` before main belongs to
 * that process, and stays out of the segment. Nobody asks for an alignment: whoever called memalign or the like would
 * bring libc's own malloc too, and the program could not be linked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>

#include "image.h"

#define ALIGNMENT 16 /* of every block */
#define HEADER 8     /* bytes before a block: its size */
#define CLASSES 512
#define CHUNK ((size_t)1 << 20) /* what is asked of the kernel at once, at least */
#define PAGE ((size_t)4096)
#define NEAR 512 /* calls of the record that are looked at */

static char *top, *limit;      /* of the free rest: of no chunk yet */
static char *hot, *hot_limit;  /* likewise of the zone */
static struct taken *record;   /* NULL: not for this heap, or no longer */
static size_t known, position; /* how many are known; the one that comes, or is written */
static uint64_t sizes;         /* of the last 32 calls */
static void *free_blocks[CLASSES];
static atomic_flag busy = ATOMIC_FLAG_INIT;
static bool sealed; /* this program is an image */

static void unlock(void)
{
	atomic_flag_clear_explicit(&busy, memory_order_release);
}

/* A thread that waits for notifications is the only second one; it is rarely here at the same time. libc ends
 * `__libc_single_threaded` before it creates a thread, so nobody is here without the lock by then. The child of a fork
 * lacks the thread that may have it, so a fork waits for it too. */
static void lock(void)
{
	static bool prepared;
	if (__libc_single_threaded)
		return;
	while (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
		__builtin_ia32_pause();
	if (!prepared) {
		prepared = true;
		pthread_atfork(lock, unlock, unlock);
	}
}

static uintptr_t round_up(uintptr_t n, size_t step)
{
	return (n + step - 1) & ~(uintptr_t)(step - 1);
}

static size_t *size_of(void *block)
{
	return (size_t *)((char *)block - HEADER);
}

/* The class for `size` bytes, and the size that blocks of this class have. */
static unsigned class_of(size_t size, size_t *rounded)
{
	size_t whole = round_up(size + HEADER, ALIGNMENT);
	if (whole <= 512) {
		*rounded = whole - HEADER;
		return (unsigned)(whole / ALIGNMENT);
	}
	unsigned log = 63 - (unsigned)__builtin_clzl(whole - 1);
	whole = round_up(whole, (size_t)1 << (log - 3));
	*rounded = whole - HEADER;
	log = 63 - (unsigned)__builtin_clzl(whole);
	return 33 + (log - 9) * 8 + (unsigned)(whole >> (log - 3) & 7);
}

static char *more(size_t bytes)
{
	size_t length = round_up(bytes, CHUNK);
	char *chunk = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (chunk == MAP_FAILED)
		return NULL;
	top = chunk + ALIGNMENT;
	limit = chunk + length;
	return chunk;
}

/* A block in the zone, if the one that is asked for belongs there. */
static char *take_hot(size_t size)
{
	sizes = sizes << 2 ^ size * 0x9e3779b97f4a7c15;
	for (size_t away = 0; known && away < NEAR; away++) {
		size_t i = position + (away % 2 ? -(away / 2 + 1) : away / 2);
		if (i >= known || record[i].sizes != sizes)
			continue;
		position = i + 1;
		if (record[i].place != size || size > (size_t)(hot_limit - hot))
			return NULL;
		hot += size;
		return hot - size;
	}
	return NULL;
}

/* Room for `size` bytes. The HEADER bytes before it belong to it. */
static char *take(size_t size)
{
	if (top >= limit || size > (size_t)(limit - top))
		if (!more(size + 2 * ALIGNMENT))
			return NULL;
	top += size;
	return top - size;
}

void *malloc(size_t size)
{
	size_t rounded;
	if (size > PTRDIFF_MAX / 2) {
		errno = ENOMEM;
		return NULL;
	}
	unsigned class = class_of(size, &rounded);
	lock();
	char *block = record ? take_hot(rounded + HEADER) : NULL;
	if (!block && free_blocks[class]) {
		block = free_blocks[class];
		free_blocks[class] = *(void **)block;
	} else if (block || (block = take(rounded + HEADER)) != NULL) {
		*size_of(block) = rounded;
	}
	if (record && !known && position < MAX_TAKEN - 1)
		record[position++] = (struct taken){sizes, (uintptr_t)block};
	unlock();
	if (!block)
		errno = ENOMEM;
	return block;
}

void free(void *block)
{
	size_t rounded;
	if (!block)
		return;
	unsigned class = class_of(*size_of(block), &rounded);
	if (!sealed) /* old content must not get into the image by a block that its next owner does not fill */
		memset(block, 0, rounded);
	lock();
	*(void **)block = free_blocks[class];
	free_blocks[class] = block;
	unlock();
}

void *calloc(size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	void *block = malloc(bytes);
	return block ? memset(block, 0, bytes) : NULL;
}

void *realloc(void *block, size_t size)
{
	size_t old = block ? *size_of(block) : 0;
	if (block && size <= old && size * 2 >= old) {
		if (!sealed)
			memset((char *)block + size, 0, old - size);
		return block;
	}
	void *other = malloc(size);
	if (other && block) {
		memcpy(other, block, old < size ? old : size);
		free(block);
	}
	return other;
}

void heap_open(struct taken *taken)
{
	size_t zone = 0;
	record = taken;
	for (known = 0; taken && known < MAX_TAKEN && taken[known].sizes; known++)
		zone += taken[known].place;
	hot = heap_start + ALIGNMENT;
	top = hot_limit = hot + round_up(zone, PAGE);
	limit = heap_end;
	position = sizes = 0;
	memset(free_blocks, 0, sizeof free_blocks);
}

void heap_known(void)
{
	if (record && !known)
		record[position] = (struct taken){0};
	record = NULL;
}

char *heap_top(void)
{
	return top;
}

char *heap_limit(void)
{
	return limit;
}

/* Before a dump: free blocks are forgotten. They lie on every page, and a process that starts from the image shall not
 * write to all of them; its own blocks begin on a new page. */
void heap_seal(void)
{
	for (unsigned class = 0; class < CLASSES; class ++)
		for (void **block = free_blocks[class], **next; block; block = next) {
			next = *block;
			*block = NULL;
		}
	sealed = true;
	memset(free_blocks, 0, sizeof free_blocks);
	top = (char *)round_up((uintptr_t)top, PAGE) + ALIGNMENT;
	limit = top - ALIGNMENT + CHUNK;
}
