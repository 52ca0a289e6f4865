/* Sums per channel over rows of [width, channels]. */
#ifndef TINYML_SUMS_H
#define TINYML_SUMS_H

#include <stdint.h>
#include <string.h>

static inline void tinyml_sums_clear(int32_t *acc, int32_t channels) {
  memset(acc, 0, (size_t)channels * sizeof *acc);
}

static inline void tinyml_sums_add(int32_t *acc, const int8_t *row, int32_t width,
                                   int32_t channels) {
  for (int32_t x = 0; x < width; ++x) {
    for (int32_t channel = 0; channel < channels; ++channel) acc[channel] += *row++;
  }
}

#endif
