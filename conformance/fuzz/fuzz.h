/* What the fuzz target and its pretended kernel share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends what is running, as if the process were gone. */
_Noreturn void stop(void);

/* The bytes that stand at FD_PLAN from now on, and that hostile files and links are made of. */
void kernel_open(const uint8_t *data, size_t size);
void kernel_close(void);
/* Before each operation. Without `answers` the first system call ends it; `seed` chooses the answers. */
void kernel_begin(bool answers, unsigned seed);
