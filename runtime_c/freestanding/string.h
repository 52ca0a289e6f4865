/* tinyml: <string.h> for compilers that come without a C library, as far as it is used here.
 * The functions are the compiler's own: it calls them for copies and clears anyhow. */
#ifndef TINYML_FREESTANDING_STRING_H
#define TINYML_FREESTANDING_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);

#endif
