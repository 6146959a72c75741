/* The command as an image: a program whose last segment is Python as it was when the program was written. */
#include <stddef.h>

/* From image.ld. All that Python and its extensions write to lies between state_start and heap_top(). */
extern char state_start[], heap_start[], heap_end[];

void heap_open(void);
void heap_seal(void);
char *heap_top(void);
char *heap_limit(void);

/* Writes this program with its present state to `path`. Returns 0, or -1 with errno: EFAULT after it has reported
 * pointers that mean nothing in another process. */
int image_write(const char *path);
