/*
 * Writes this program again, with the present content of its last segment.
 *
 * The kernel then maps Python's state together with the program, and copies a page when it is written to. Nothing of
 * the file but the size of that segment changes. A pointer to what the new process will not have must not be in it:
 * stray.py looks for them.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"

static int write_all(int fd, const char *data, size_t size)
{
	for (ssize_t n; size > 0; data += n, size -= (size_t)n)
		if ((n = write(fd, data, size)) <= 0)
			return -1;
	return 0;
}

/* Nothing here may allocate: the heap must not change while it is written. */
int image_write(const char *path)
{
	struct stat st;
	heap_seal();
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) < 0)
		return -1;
	char *file = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, from, 0);
	close(from);
	if (file == MAP_FAILED)
		return -1;
	Elf64_Ehdr *header = (Elf64_Ehdr *)file;
	Elf64_Phdr *segment = (Elf64_Phdr *)(file + header->e_phoff);
	while (segment->p_vaddr != (Elf64_Addr)state_start)
		segment++;
	header->e_shoff = 0; /* what followed the segment: symbols and section headers */
	header->e_shnum = header->e_shstrndx = 0;
	segment->p_filesz = (size_t)(heap_top() - state_start);
	segment->p_memsz = (size_t)(heap_limit() - state_start);
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (to < 0 || write_all(to, file, segment->p_offset) < 0 || write_all(to, state_start, segment->p_filesz) < 0)
		return -1;
	munmap(file, (size_t)st.st_size);
	return close(to);
}
