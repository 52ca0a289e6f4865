#include "tinyml_kernels.h"
#include "tinyml_mve.h"

/* n products of neighbours, or, with a stride of 0, of one element with all. */
static inline void mul(const tinyml_mul_s8_op *op, const int8_t *a, int32_t a_stride,
                       const int8_t *b, int32_t b_stride, int32_t n, int8_t *out) {
  const int32_t left = tinyml_max(op->output.shift, 0);
  const int32x4_t multiplier = vdupq_n_s32(op->output.multiplier);
  const int32x4_t down = vdupq_n_s32(op->output.shift - left), up = vdupq_n_s32(left);
  const tinyml_mve_output output = {vdupq_n_s32(op->act_min - op->output_zero_point),
                                    vdupq_n_s32(op->act_max - op->output_zero_point),
                                    op->output_zero_point, 1};
  int32x4_t x = vdupq_n_s32(*a), y = vdupq_n_s32(*b);
  for (; n > 0; n -= 4) {
    if (a_stride != 0) x = tinyml_mve_load(&a, n);
    if (b_stride != 0) y = tinyml_mve_load(&b, n);
    const int32x4_t product =
        vmulq_s32(vsubq_n_s32(x, op->a_zero_point), vsubq_n_s32(y, op->b_zero_point));
    const int32x4_t z = tinyml_mve_rescale_exact(product, multiplier, down, up);
    out = tinyml_mve_store(out, tinyml_mve_clamp(z, &output), n);
  }
}

void tinyml_mul_s8_mve(const tinyml_mul_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out) {
  const tinyml_broadcast *s = &op->shape;
  const int8_t *a = rows[0], *b = rows[1];
  const int run = s->a_channel_stride == 1 && s->a_pixel_stride == s->channels &&
                  s->b_channel_stride == 1 && s->b_pixel_stride == s->channels;
  const int32_t pixels = run ? 1 : span->out_width, n = run ? span->out_width : 1;
  for (int32_t x = 0; x < pixels; ++x, out += s->channels) {
    mul(op, a, s->a_channel_stride, b, s->b_channel_stride, n * s->channels, out);
    a += s->a_pixel_stride;
    b += s->b_pixel_stride;
  }
}
