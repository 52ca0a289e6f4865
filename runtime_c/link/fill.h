/* Inputs made from a seed: the host makes the same ones, and none has to be sent. */
#ifndef TINYML_FILL_H
#define TINYML_FILL_H

#include <stddef.h>
#include <stdint.h>

/* Both give `bytes` bytes of an input from byte `start` of it on. */

/* Word i is (mix(seed + i) & mask) ^ pattern, little-endian, where mix is MurmurHash3's 32-bit
 * finalizer: a mask of 0 repeats the pattern. The first and the last word may be cut. */
void tinyml_fill_words(uint8_t *out, uint32_t start, size_t bytes, uint32_t seed, uint32_t mask,
                       uint32_t pattern);

/* Float i is low + step * (mix(seed + i) >> 8); `low` and `step` come as their bits.
 * Product and sum are each rounded to float, as on the host. `start` is where a float begins. */
void tinyml_fill_floats(uint8_t *out, uint32_t start, size_t bytes, uint32_t seed, uint32_t low,
                        uint32_t step);

#endif
