/*
 * Writes this program again, with the present content of its last segment.
 *
 * The kernel then maps Python's state together with the program, and copies a page when it is written to. Nothing of
 * the file but the size of that segment changes. A pointer to what the new process will not have (this one's stack, its
 * mappings, the vDSO) must not be in it: each is reported, but for the thread's own, which nobody follows.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"

#define MAPS_SIZE (1 << 16)
#define MAX_MAPPINGS 256

/* Mappings of this process beyond the image; fills `starts` and `ends` and returns their number, or 0 if it cannot know
 * all of them: there are always some. */
static unsigned foreign_mappings(unsigned long *starts, unsigned long *ends)
{
	char maps[MAPS_SIZE];
	ssize_t size = 0, n = 0;
	unsigned count = 0;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && size < MAPS_SIZE - 1 && (n = read(fd, maps + size, MAPS_SIZE - 1 - (size_t)size)) > 0)
		size += n;
	close(fd);
	maps[size] = '\0';
	for (char *line = maps; line && *line && count < MAX_MAPPINGS; line = strchr(line, '\n'), line += line != NULL)
		if (sscanf(line, "%lx-%lx", &starts[count], &ends[count]) == 2 &&
		    starts[count] >= (unsigned long)heap_end)
			count++;
	return size < MAPS_SIZE - 1 && count < MAX_MAPPINGS ? count : 0;
}

/* Reports them and returns their number. */
static int stray_pointers(void)
{
	/* Python calls a thread by its address, in its thread state and in locks that were held. It compares these, and
	 * PyOS_AfterFork_Child replaces those that count. */
	const unsigned long thread = (unsigned long)pthread_self();
	unsigned long starts[MAX_MAPPINGS], ends[MAX_MAPPINGS];
	unsigned count = foreign_mappings(starts, ends);
	int found = 0;
	if (count == 0) {
		fprintf(stderr, "the mappings of this process are not known\n");
		return 1;
	}
	for (unsigned long *word = (unsigned long *)state_start; word < (unsigned long *)heap_top(); word++)
		for (unsigned i = 0; i < count; i++)
			if (*word >= starts[i] && *word < ends[i] && *word != thread) {
				fprintf(stderr, "a stray pointer at %p: %lx\n", (void *)word, *word);
				found++;
			}
	return found;
}

static int write_all(int fd, const char *data, size_t size)
{
	for (ssize_t n; size > 0; data += n, size -= (size_t)n)
		if ((n = write(fd, data, size)) <= 0)
			return -1;
	return 0;
}

/* The header of the segment that begins with the state. */
static Elf64_Phdr *state_segment(char *file)
{
	const Elf64_Ehdr *header = (Elf64_Ehdr *)file;
	Elf64_Phdr *segment = (Elf64_Phdr *)(file + header->e_phoff);
	for (int i = 0; i < header->e_phnum; i++)
		if (segment[i].p_type == PT_LOAD && segment[i].p_vaddr == (Elf64_Addr)state_start)
			return &segment[i];
	return NULL;
}

/* Nothing here may allocate: the heap must not change while it is written. */
int image_write(const char *path)
{
	struct stat st;
	heap_seal();
	if (stray_pointers()) {
		errno = EFAULT;
		return -1;
	}
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) < 0)
		return -1;
	char *file = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, from, 0);
	close(from);
	if (file == MAP_FAILED)
		return -1;
	Elf64_Ehdr *header = (Elf64_Ehdr *)file;
	Elf64_Phdr *segment = state_segment(file);
	if (!segment)
		return -1;
	header->e_shoff = 0; /* what followed the segment: symbols and section headers */
	header->e_shnum = header->e_shstrndx = 0;
	segment->p_filesz = (size_t)(heap_top() - state_start);
	segment->p_memsz = (size_t)(heap_limit() - state_start);
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (to < 0 || write_all(to, file, segment->p_offset) < 0 || write_all(to, state_start, segment->p_filesz) < 0)
		return -1;
	return close(to);
}
