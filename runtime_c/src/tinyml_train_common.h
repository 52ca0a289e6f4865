/* What the kernels of training share: elements of either precision, patches, windows. */
#ifndef TINYML_TRAIN_COMMON_H
#define TINYML_TRAIN_COMMON_H

#include "tinyml_train.h"
#include "tinyml_window.h"

/* For functions that serve both precisions: their callers give `s8` as a constant. */
#define TINYML_TRAIN_INLINE __attribute__((always_inline)) static inline

/* x[at], less the zero point where it is int8 */
TINYML_TRAIN_INLINE float tinyml_train_value(const void *x, int32_t at, int32_t zero_point,
                                             int s8) {
  return s8 ? (float)(((const int8_t *)x)[at] - zero_point) : ((const float *)x)[at];
}

/* Pixels [begin, end) along an axis; begin <= end. */
typedef struct {
  int32_t begin;
  int32_t end;
} tinyml_train_span;

static inline int32_t tinyml_train_within(int32_t x, int32_t size) {
  return x < 0 ? 0 : x > size ? size : x;
}

/* The pixels of the map in a block. */
static inline tinyml_train_span tinyml_train_block(const tinyml_train_blocks *b, int32_t block) {
  const int32_t first = block * b->extent - b->pad;
  tinyml_train_span span;
  span.begin = tinyml_train_within(first, b->size);
  span.end = tinyml_train_within(first + b->extent, b->size);
  return span;
}

/* A patch of a map: the element of channel 0 of its first pixel, and from row to row. */
typedef struct {
  tinyml_train_span rows;
  tinyml_train_span columns;
  int32_t pixels;
  int32_t channels;
  int32_t first;
  int32_t pitch;
} tinyml_train_patch;

/* How many patches all images have. */
static inline int32_t tinyml_train_patch_count(const tinyml_train_patches *p) {
  return p->images * p->grid.rows.count * p->grid.columns.count;
}

/* Patch `number` of these, image by image and row by row, on maps of `channels`. */
static inline tinyml_train_patch tinyml_train_patch_at(const tinyml_train_grid *grid,
                                                       int32_t number, int32_t channels) {
  const int32_t row = number / grid->columns.count, image = row / grid->rows.count;
  tinyml_train_patch patch;
  patch.rows = tinyml_train_block(&grid->rows, row - image * grid->rows.count);
  patch.columns = tinyml_train_block(&grid->columns, number - row * grid->columns.count);
  patch.pixels = (patch.rows.end - patch.rows.begin) * (patch.columns.end - patch.columns.begin);
  patch.channels = channels;
  patch.pitch = grid->columns.size * channels;
  patch.first =
      (image * grid->rows.size + patch.rows.begin) * patch.pitch + patch.columns.begin * channels;
  return patch;
}

/* A loop over the pixels of a patch, row by row: `at` is the element of one of their channels. */
#define TINYML_TRAIN_PATCH_PIXELS(patch, channel, at)                                              \
  for (int32_t row_ = (patch).rows.begin, first_ = (patch).first + (channel);                      \
       row_ < (patch).rows.end; ++row_, first_ += (patch).pitch)                                   \
    for (int32_t at = first_,                                                                      \
                 end_ = first_ + ((patch).columns.end - (patch).columns.begin) * (patch).channels; \
         at < end_; at += (patch).channels)

/* The sum of a channel over a patch. */
static inline float tinyml_train_patch_sum(const tinyml_train_patch *patch, int32_t channel,
                                           const float *x) {
  float sum = 0.0f;
  TINYML_TRAIN_PATCH_PIXELS(*patch, channel, at) sum += x[at];
  return sum;
}

/* How many of the bits are set of a channel over a patch. */
static inline int32_t tinyml_train_bits(const tinyml_train_patch *patch, int32_t channel,
                                        const uint8_t *bits) {
  int32_t count = 0;
  TINYML_TRAIN_PATCH_PIXELS(*patch, channel, at) count += (bits[at >> 3] >> (at & 7)) & 1;
  return count;
}

/* The places [begin, end) of `out` along an axis whose tap `tap` lies on a map of `in` pixels. */
static inline tinyml_train_span tinyml_train_places(int32_t in, int32_t out, int32_t stride,
                                                    int32_t pad, int32_t tap, int32_t dilation) {
  const int32_t reach = pad - tap * dilation;
  tinyml_train_span span;
  span.end = tinyml_steps(in + reach, stride);
  if (span.end > out) span.end = out;
  span.begin = tinyml_steps(reach, stride);
  if (span.begin > span.end) span.begin = span.end;
  return span;
}

/* A tap of a layer's kernel: the places that meet the map with it, and the pixel that place
 * (rows.begin, columns.begin) meets. */
typedef struct {
  tinyml_train_span rows;
  tinyml_train_span columns;
  int32_t y;
  int32_t x;
} tinyml_train_tap;

static inline tinyml_train_tap tinyml_train_tap_at(const tinyml_train_layer *l, int32_t u,
                                                   int32_t v) {
  const tinyml_train_window *w = &l->window;
  tinyml_train_tap tap;
  tap.rows =
      tinyml_train_places(l->in_height, l->out_height, w->stride_y, w->pad_top, u, w->dilation_y);
  tap.columns =
      tinyml_train_places(l->in_width, l->out_width, w->stride_x, w->pad_left, v, w->dilation_x);
  tap.y = tap.rows.begin * w->stride_y + u * w->dilation_y - w->pad_top;
  tap.x = tap.columns.begin * w->stride_x + v * w->dilation_x - w->pad_left;
  return tap;
}

/* The row of places y of image n, from the first that a tap meets: pixels of output and input. */
static inline int32_t tinyml_train_out_pixel(const tinyml_train_layer *l,
                                             const tinyml_train_tap *tap, int32_t n, int32_t y) {
  return (n * l->out_height + y) * l->out_width + tap->columns.begin;
}

static inline int32_t tinyml_train_in_pixel(const tinyml_train_layer *l,
                                            const tinyml_train_tap *tap, int32_t n, int32_t y) {
  const int32_t row = tap->y + (y - tap->rows.begin) * l->window.stride_y;
  return (n * l->in_height + row) * l->in_width + tap->x;
}

#endif
