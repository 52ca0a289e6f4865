#include "fill.h"

#include <string.h>

static uint32_t mix(uint32_t x) {
  x = (x ^ (x >> 16)) * UINT32_C(0x85ebca6b);
  x = (x ^ (x >> 13)) * UINT32_C(0xc2b2ae35);
  return x ^ (x >> 16);
}

void tinyml_fill_words(uint8_t *out, uint32_t start, size_t bytes, uint32_t seed, uint32_t mask,
                       uint32_t pattern) {
  size_t skip = (size_t)(start % sizeof seed);
  seed += start / (uint32_t)sizeof seed;
  for (size_t i = 0, n; i < bytes; i += n, ++seed) {
    const uint32_t word = (mix(seed) & mask) ^ pattern;
    n = sizeof word - skip < bytes - i ? sizeof word - skip : bytes - i;
    memcpy(out + i, (const uint8_t *)&word + skip, n);
    skip = 0;
  }
}

void tinyml_fill_floats(uint8_t *out, uint32_t start, size_t bytes, uint32_t seed, uint32_t low,
                        uint32_t step) {
  float first;
  float scale;
  memcpy(&first, &low, sizeof first);
  memcpy(&scale, &step, sizeof scale);
  seed += start / (uint32_t)sizeof(float);
  for (size_t i = 0; i + sizeof(float) <= bytes; i += sizeof(float), ++seed) {
    const float product = scale * (float)(mix(seed) >> 8);
    const float value = first + product;
    memcpy(out + i, &value, sizeof value);
  }
}
