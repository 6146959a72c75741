/* The command as an image: a program whose last segment is Python as it was when the program was written. */
#include <stddef.h>
#include <stdint.h>

/* From image.ld. All that Python and its extensions write to lies between state_start and heap_top(). */
extern char state_start[], heap_start[], heap_end[];

#define MAX_TAKEN (1 << 22)

/* A call that asked for a block: what the sizes of those up to it come to, and the place that it got. In a record that
 * is read, the place is the size if the block is hot, otherwise 0; the record ends with sizes 0. */
struct taken {
	uint64_t sizes, place;
};

/* From now on blocks are taken from the segment. `taken`: MAX_TAKEN of them; if the first is 0 the record is written.
 * It may be NULL. */
void heap_open(struct taken *taken);
/* No more is read or written of the record. */
void heap_known(void);
void heap_seal(void);
char *heap_top(void);
char *heap_limit(void);

/* Writes this program with its present state to `path`. Returns 0, or -1 with errno. */
int image_write(const char *path);
