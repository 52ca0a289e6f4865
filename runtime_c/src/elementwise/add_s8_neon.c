#include "tinyml_kernels.h"
#include "tinyml_neon.h"

/* An operand or a sum: its zero point and its scale. */
typedef struct {
  int16x8_t zero_point;
  int32x4_t multiplier;
  int32x4_t right;
  int32x4_t left;
} term;

static inline term term_of(int32_t zero_point, const tinyml_scale *scale, int32_t left) {
  const term t = {vdupq_n_s16((int16_t)zero_point), vdupq_n_s32(scale->multiplier),
                  vdupq_n_s32(scale->shift), vdupq_n_s32(left)};
  return t;
}

static inline int32x4_t rescale(const term *t, int32x4_t x) {
  return tinyml_neon_rescale(x, t->multiplier, t->right, t->left);
}

/* Sums of 16 elements. */
static inline int8x16_t add(const term *a, const term *b, const term *sum,
                            const tinyml_neon_limits *limits, int8x16_t x, int8x16_t y) {
  int32x4x4_t result;
  const int16x8_t xl = vsubq_s16(vmovl_s8(vget_low_s8(x)), a->zero_point);
  const int16x8_t xh = vsubq_s16(vmovl_high_s8(x), a->zero_point);
  const int16x8_t yl = vsubq_s16(vmovl_s8(vget_low_s8(y)), b->zero_point);
  const int16x8_t yh = vsubq_s16(vmovl_high_s8(y), b->zero_point);
#define TINYML_ADD(lane, widen, p, q) \
  result.val[lane] = rescale(sum, vaddq_s32(rescale(a, widen(p)), rescale(b, widen(q))))
#define TINYML_LOW(x) vmovl_s16(vget_low_s16(x))
  TINYML_ADD(0, TINYML_LOW, xl, yl);
  TINYML_ADD(1, vmovl_high_s16, xl, yl);
  TINYML_ADD(2, TINYML_LOW, xh, yh);
  TINYML_ADD(3, vmovl_high_s16, xh, yh);
  return tinyml_neon_to_s8(limits, result);
}

void tinyml_add_s8_neon(const tinyml_add_s8_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out) {
  const term a = term_of(op->a_zero_point, &op->a, op->left_shift);
  const term b = term_of(op->b_zero_point, &op->b, op->left_shift);
  const term sum = term_of(0, &op->output, 0);
  const tinyml_neon_limits limits =
      tinyml_neon_limits_of(op->output_zero_point, op->act_min, op->act_max);
  const int32_t n = span->out_width * op->shape.channels;
  const int8_t *x = rows[0], *y = rows[1];
  int32_t i = 0;
  for (; i + TINYML_NEON_STEP <= n; i += TINYML_NEON_STEP) {
    vst1q_s8(out + i, add(&a, &b, &sum, &limits, vld1q_s8(x + i), vld1q_s8(y + i)));
  }
  if (i < n) { /* not the last 16 again: the operands may be gone */
    int8_t rest[2 * TINYML_NEON_STEP] = {0};
    memcpy(rest, x + i, (size_t)(n - i));
    memcpy(rest + TINYML_NEON_STEP, y + i, (size_t)(n - i));
    vst1q_s8(rest, add(&a, &b, &sum, &limits, vld1q_s8(rest), vld1q_s8(rest + TINYML_NEON_STEP)));
    memcpy(out + i, rest, (size_t)(n - i));
  }
}
