/* tinyml: what the generated models themselves use, so that their code stays short to read. */
#ifndef TINYML_GENERATED_H
#define TINYML_GENERATED_H

#include "tinyml.h"
#include "tinyml_flash.h"

/* A check at compile time, at file scope; C99 has none of its own. */
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define TINYML_STATIC_ASSERT(condition, message) _Static_assert(condition, message)
#elif defined(__GNUC__)
#define TINYML_STATIC_ASSERT(condition, message) __extension__ _Static_assert(condition, message)
#else
#define TINYML_STATIC_ASSERT_NAME_(line) tinyml_static_assert_##line
#define TINYML_STATIC_ASSERT_AT_(condition, line) \
  extern char TINYML_STATIC_ASSERT_NAME_(line)[(condition) ? 1 : -1]
#define TINYML_STATIC_ASSERT(condition, message) TINYML_STATIC_ASSERT_AT_(condition, __LINE__)
#endif

/* Points rows[i] at row `first + i * step` of a map of `height` rows, for i < count;
 * NULL stands for a row outside the map, which is padding. */
static inline void tinyml_rows(const int8_t **rows, int32_t count, const int8_t *map,
                               int32_t height, ptrdiff_t row_bytes, int32_t first, int32_t step) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t row = first + i * step;
    rows[i] = row < 0 || row >= height ? NULL : map + row * row_bytes;
  }
}

/* The same for rows that follow no rule: rows[i] points at row chosen[i]. */
static inline void tinyml_chosen_rows(const int8_t **rows, int32_t count, const int8_t *map,
                                      int32_t height, ptrdiff_t row_bytes,
                                      const TINYML_FLASH int32_t *chosen) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t row = chosen[i];
    rows[i] = row < 0 || row >= height ? NULL : map + row * row_bytes;
  }
}

/* Where row `row` of a map of `height` rows lies, of which `held` are there at a time: r % held.
 * Small cores cannot divide; where `held` is a constant, multiplying by its reciprocal is exact. */
static inline int32_t tinyml_slot(int32_t row, int32_t held, int32_t height) {
  if (height > 65536 / held) {
    return row % held;
  }
  return row - (int32_t)((uint32_t)row * (uint32_t)(65535 / held + 1) >> 16) * held;
}

/* As the two above, for maps of which `held` rows are there at a time. */
static inline void tinyml_ring_rows(const int8_t **rows, int32_t count, const int8_t *ring,
                                    int32_t held, int32_t height, ptrdiff_t row_bytes,
                                    int32_t first, int32_t step) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t row = first + i * step;
    rows[i] = row < 0 || row >= height ? NULL : ring + tinyml_slot(row, held, height) * row_bytes;
  }
}

static inline void tinyml_chosen_ring_rows(const int8_t **rows, int32_t count, const int8_t *ring,
                                           int32_t held, int32_t height, ptrdiff_t row_bytes,
                                           const TINYML_FLASH int32_t *chosen) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t row = chosen[i];
    rows[i] = row < 0 || row >= height ? NULL : ring + tinyml_slot(row, held, height) * row_bytes;
  }
}

/* Tells the observer, if there is one, about an op's output; non-zero: it wants to stop. */
static inline int tinyml_observe(const tinyml_model *model, uint16_t op, uint16_t output,
                                 const void *data, size_t bytes) {
  const tinyml_observer *const observer = model->observer;
  return observer == NULL ? 0 : observer->on_output(observer->user, op, output, data, bytes);
}

#endif
