/* Some output pixels of sixteen channels at a time: first the input columns that they see are
 * spread over the scratch, then the pixels are computed, channel by channel, in units of four to
 * twenty-four. tinyml_mve_depthwise.h says how. */
#include "tinyml_kernels.h"
#include "tinyml_mve_depthwise.h"
#include "tinyml_window.h"

enum { UNITS = 3 /* of 24 pixels at most */ };

/* The predicates of so many pixels, less one: a lane of a word is that of one of four pixels; the
 * lanes of halfwords are those of pixels 0, 4, 1, 5, 2, 6, 3 and 7, or 8, none, 9, none, 10, none,
 * 11 and none. */
static const uint16_t predicates[] = {0x000F, 0x00FF, 0x0FFF, 0xFFFF, 0x333F, 0x33FF,
                                      0x3FFF, 0xFFFF, 0x0003, 0x0033, 0x0333, 0x3333};

/* The units of `count` pixels; their number. `at` is where their words are, less one; `limits` is
 * NULL where the short rescale will do, and all bytes are in the range of the output. */
static int32_t units_of(unit *u, uint32x4_t at, int32_t count, int32_t stride,
                        const tinyml_mve_filters *f, const int16x8_t *limits) {
  /* of five, six and more pixels: what is in a lane twice is stored twice */
  static const uint16_t order[3][EIGHT] = {
      {0, 4, 1, 4, 2, 4, 3, 4}, {0, 4, 1, 5, 2, 4, 3, 5}, {0, 4, 1, 5, 2, 6, 3, 7}};
  const uint16_t channels = (uint16_t)f->out_channels;
  int32_t n = 0;
  for (int32_t i = 0, pixels; i < count; i += pixels, ++n, ++u) {
    const int32_t left = count - i, wide = left > FOUR;
    u->zero_point = f->output_zero_point;
    u->limits = limits;
    u->offset = i * channels;
    u->at = vaddq_n_u32(at, (uint32_t)(i * stride * COLUMN));
    u->far = vaddq_n_u32(u->at, FAR);
    u->places = wide ? vmulq_n_u16(vldrhq_u16(order[tinyml_min(left - FOUR - 1, 2)]), channels)
                     : vreinterpretq_u16_u32(vmulq_n_u32(vidupq_n_u32(0, 1), channels));
    pixels = tinyml_min(left, EIGHT);
    if (limits != NULL) {
      u->run = exactly[stride - 1][wide];
    } else if (stride == 1 && left >= 2 * EIGHT) {
      u->run = left == 3 * EIGHT ? twenty_four_1 : sixteen_1;
      pixels = left == 3 * EIGHT ? left : 2 * EIGHT;
    } else if (left > EIGHT && left <= EIGHT + FOUR) {
      u->run = twelve[stride - 1];
      pixels = left;
    } else {
      u->run = up_to_eight[stride - 1][pixels - 1];
    }
    u->stored = predicates[tinyml_min(pixels, EIGHT + FOUR) - 1];
  }
  return n;
}

/* Columns [begin, end) of padding */
static inline void fill(int8_t *scratch, int32_t begin, int32_t end, int8x16_t zero) {
  for (int8_t *to = scratch + COLUMN * begin; begin < end; ++begin, to += COLUMN) {
    for (int32_t i = 0; i < COLUMN; i += LANES) vst1q_s8(to + i, zero);
  }
}

void tinyml_depthwise_conv_3x3_s8_mve(const tinyml_depthwise_conv_3x3_s8_mve_op *op,
                                      const tinyml_span *span, const int8_t *const *rows,
                                      int8_t *out, void *scratch) {
  static const int32_t columns[2][WORD] = {{0, COLUMN, 2 * COLUMN, 3 * COLUMN},
                                           {0, 0, COLUMN, 2 * COLUMN}};
  const tinyml_mve_filters *f = &op->filters;
  const int32_t channels = f->out_channels, stride = op->stride_x;
  const int8x16_t zero = vdupq_n_s8((int8_t)op->input_zero_point);
  const int plain = !f->exact && f->act_min == INT8_MIN && f->act_max == INT8_MAX;
  const uint32x4_t at = vaddq_n_u32(vreinterpretq_u32_s32(vldrwq_s32(columns[stride - 1])),
                                    (uint32_t)(uintptr_t)scratch - WORD);
  int32_t units = 0, before = 0;
  unit all[UNITS];
  int16x8_t limits[2];
  int8_t padding[LANES];
  source from;
  from.spread = spread;
  vst1q_s8(padding, zero);
  if (!plain) {
    limits[0] = vdupq_n_s16((int16_t)(f->act_min - f->output_zero_point));
    limits[1] = vdupq_n_s16((int16_t)(f->act_max - f->output_zero_point));
  }
  for (int32_t x = 0; x < span->out_width; x += op->pixels, out += op->pixels * channels) {
    const int32_t count = tinyml_min(span->out_width - x, op->pixels);
    const int32_t origin = x * stride - span->pad_left, wanted = (count - 1) * stride + ROWS;
    const tinyml_taps inside = tinyml_clip(origin, span->in_width, wanted, 1);
    fill(scratch, 0, inside.begin, zero);
    fill(scratch, inside.end, wanted, zero);
    for (int32_t i = 0; i < ROWS; ++i) {
      const int8_t *const row = rows[i];
      from.rows[i] = row == NULL ? padding : row + (origin + inside.begin) * channels;
      from.channels[i] = row == NULL ? 0 : LANES;
      from.pixel[i] = row == NULL ? 0 : channels;
    }
    from.to = (int8_t *)scratch + COLUMN * inside.begin;
    from.columns = inside.end - inside.begin;
    if (count != before) {
      units = units_of(all, at, count, stride, f, plain ? NULL : limits);
      before = count;
    }
    for (unit *u = all; u < all + units; ++u) {
      u->w = f->blocks;
      u->to = out + u->offset;
      u->second = u->to + EIGHT * channels;
      u->from = units == 1 ? &from : NULL;
    }
    if (units == 1) {
      all->run(all, channels);
      continue;
    }
    for (int32_t left = channels; left > 0; left -= LANES) {
      const int32_t lanes = tinyml_min(left, LANES);
      spread_columns(&from, lanes);
      for (unit *u = all; u < all + units; ++u) u->run(u, lanes);
    }
  }
}
