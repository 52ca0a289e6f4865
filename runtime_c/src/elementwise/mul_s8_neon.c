#include "tinyml_kernels.h"
#include "tinyml_neon_sums.h"

/* What an operand adds to the widened difference, and how all products are rescaled. */
typedef struct {
  int16x8_t a_zero_point;
  int16x8_t b_zero_point;
  int32x4_t multiplier;
  int32x4_t right;
  int32x4_t left;
  tinyml_neon_limits limits;
} factors;

static inline int8x16_t mul(const factors *f, int8x16_t a, int8x16_t b) {
  const int16x8_t al = vsubq_s16(vmovl_s8(vget_low_s8(a)), f->a_zero_point);
  const int16x8_t ah = vsubq_s16(vmovl_high_s8(a), f->a_zero_point);
  const int16x8_t bl = vsubq_s16(vmovl_s8(vget_low_s8(b)), f->b_zero_point);
  const int16x8_t bh = vsubq_s16(vmovl_high_s8(b), f->b_zero_point);
  int32x4x4_t x = {{vmull_s16(vget_low_s16(al), vget_low_s16(bl)), vmull_high_s16(al, bl),
                    vmull_s16(vget_low_s16(ah), vget_low_s16(bh)), vmull_high_s16(ah, bh)}};
  for (int32_t i = 0; i < 4; ++i) {
    x.val[i] = tinyml_neon_rescale(x.val[i], f->multiplier, f->right, f->left);
  }
  return tinyml_neon_to_s8(&f->limits, x);
}

/* Neighbours, or, with a stride of 0, one element sixteen times. */
static inline int8x16_t load(const int8_t *from, int32_t stride, int32_t n) {
  return stride == 0 ? vdupq_n_s8(*from) : tinyml_neon_load(from, n);
}

void tinyml_mul_s8_neon(const tinyml_mul_s8_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out) {
  const tinyml_broadcast *s = &op->shape;
  const int32_t up = tinyml_max(op->output.shift, 0);
  const factors f = {vdupq_n_s16((int16_t)op->a_zero_point),
                     vdupq_n_s16((int16_t)op->b_zero_point),
                     vdupq_n_s32(op->output.multiplier),
                     vdupq_n_s32(op->output.shift - up),
                     vdupq_n_s32(up),
                     tinyml_neon_limits_of(op->output_zero_point, op->act_min, op->act_max)};
  const int run = s->a_channel_stride == 1 && s->a_pixel_stride == s->channels &&
                  s->b_channel_stride == 1 && s->b_pixel_stride == s->channels;
  const int32_t pixels = run ? 1 : span->out_width;
  const int32_t elements = run ? span->out_width * s->channels : s->channels;
  for (int32_t x = 0; x < pixels; ++x, out += s->channels) {
    const int8_t *a = rows[0] + x * s->a_pixel_stride, *b = rows[1] + x * s->b_pixel_stride;
    for (int32_t i = 0; i < elements; i += TINYML_NEON_STEP) {
      const int32_t n = elements - i;
      const int8x16_t u = load(a + i * s->a_channel_stride, s->a_channel_stride, n);
      const int8x16_t v = load(b + i * s->b_channel_stride, s->b_channel_stride, n);
      tinyml_neon_put(out + i, mul(&f, u, v), n);
    }
  }
}
