/* Shared by the fuzz target and its fake kernel. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the run, as if the process had exited. */
_Noreturn void stop(void);

/* Sets the bytes at FD_PLAN, which hostile files and links are made of too. */
void kernel_open(const uint8_t *data, size_t size);
void kernel_close(void);
/* Call before each operation. Without `answers` the first system call ends it; `seed` selects the answers. */
void kernel_begin(bool answers, unsigned seed);
