#include "tinyml_kernels.h"
#include "tinyml_mve_sums.h"
#include "tinyml_window.h"

/* What all channels of an output pixel have in common: where its window lies in the map, of that
 * the rows and the pixels to a row, and how a sum becomes a mean. */
typedef struct {
  const int8_t *const *rows;
  int32_t height;
  int32_t first; /* byte of a row */
  int32_t taps;
  tinyml_mve_divisor by;
} window;

static inline void put(const tinyml_pool_s8_op *op, const window *w, int16x8_t sums, int8_t *out,
                       mve_pred16_t p) {
  const int16x8_t low = vdupq_n_s16((int16_t)op->act_min), high = vdupq_n_s16((int16_t)op->act_max);
  vstrbq_p_s16(out, vminq_s16(vmaxq_s16(tinyml_mve_rounded_mean16(sums, w->by), low), high), p);
}

/* One pixel, sixteen channels at a time, then eight, summed in 16 bits. */
static void small(const tinyml_pool_s8_op *op, const window *w, int8_t *out) {
  const int32_t channels = op->channels;
  const int16x8_t zero = vdupq_n_s16(0);
  int32_t channel = 0;
  for (; channel + TINYML_MVE_SUMS_LANES <= channels; channel += TINYML_MVE_SUMS_LANES) {
    int16x8x2_t sums = {{zero, zero}};
    for (int32_t ky = 0; ky < w->height; ++ky) {
      if (w->rows[ky] == NULL) continue;
      sums = tinyml_mve_add_pixels16(sums, w->rows[ky] + w->first + channel, w->taps, channels);
    }
    put(op, w, sums.val[0], out + channel, vctp16q(8));
    put(op, w, sums.val[1], out + channel + 8, vctp16q(8));
  }
  for (; channel < channels; channel += 8) {
    const mve_pred16_t p = vctp16q((uint32_t)(channels - channel));
    int16x8_t sums = zero;
    for (int32_t ky = 0; ky < w->height; ++ky) {
      if (w->rows[ky] == NULL) continue;
      sums = tinyml_mve_add_pixels8(sums, w->rows[ky] + w->first + channel, w->taps, channels, p);
    }
    put(op, w, sums, out + channel, p);
  }
}

/* One pixel, four channels at a time, summed in 32 bits. */
static void large(const tinyml_pool_s8_op *op, const window *w, int8_t *out) {
  const int32_t channels = op->channels;
  const int32x4_t low = vdupq_n_s32(op->act_min), high = vdupq_n_s32(op->act_max);
  for (int32_t channel = 0; channel < channels; channel += 4) {
    const mve_pred16_t p = vctp32q((uint32_t)(channels - channel));
    int32x4_t sums = vdupq_n_s32(0);
    for (int32_t ky = 0; ky < w->height; ++ky) {
      if (w->rows[ky] == NULL) continue;
      sums = tinyml_mve_add_pixels(sums, w->rows[ky] + w->first + channel, w->taps, channels, p);
    }
    const int32x4_t mean = tinyml_mve_rounded_mean(sums, w->by);
    vstrbq_p_s32(out + channel, vminq_s32(vmaxq_s32(mean, low), high), p);
  }
}

void tinyml_avg_pool_s8_mve(const tinyml_pool_s8_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out) {
  int32_t inside_rows = 0;
  for (int32_t ky = 0; ky < op->filter_height; ++ky) inside_rows += rows[ky] != NULL;
  for (int32_t x = 0; x < span->out_width; ++x, out += op->channels) {
    const int32_t origin = x * op->stride_x - span->pad_left;
    const tinyml_taps inside = tinyml_clip(origin, span->in_width, op->filter_width, 1);
    const int32_t taps = inside.end - inside.begin, count = inside_rows * taps;
    const window w = {rows, op->filter_height, (origin + inside.begin) * op->channels, taps,
                      tinyml_mve_divisor_of(count)};
    (count <= TINYML_MVE_SUMS_MOST ? small : large)(op, &w, out);
  }
}
