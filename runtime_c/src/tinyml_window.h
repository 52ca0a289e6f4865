/* The part of a sliding window that lies inside a row. */
#ifndef TINYML_WINDOW_H
#define TINYML_WINDOW_H

#include <stdint.h>

/* Taps [begin, end) lie inside; begin <= end. */
typedef struct {
  int32_t begin;
  int32_t end;
} tinyml_taps;

/* Number of steps of `step` that reach or pass `distance`; 0 when that is not positive. */
static inline int32_t tinyml_steps(int32_t distance, int32_t step) {
  if (distance <= 0) return 0;
  return step == 1 ? distance : (distance + step - 1) / step;
}

/* Tap i of a window sits at pixel origin + i * dilation of a row of `width` pixels. */
static inline tinyml_taps tinyml_clip(int32_t origin, int32_t width, int32_t taps,
                                      int32_t dilation) {
  tinyml_taps inside;
  inside.begin = tinyml_steps(-origin, dilation);
  inside.end = tinyml_steps(width - origin, dilation);
  if (inside.end > taps) inside.end = taps;
  if (inside.begin > inside.end) inside.begin = inside.end;
  return inside;
}

#endif
