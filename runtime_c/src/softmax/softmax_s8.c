#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

/* Numbers named _qm have m integer bits and 31 - m fractional bits. */

/* exp(a) for a in [-1/4, 0): Taylor expansion around -1/8 */
static int32_t exp_quarter_q0(int32_t a_q0) {
  const int32_t exp_minus_eighth_q0 = 1895147668;
  const int32_t third_q0 = 715827883;
  const int32_t x = a_q0 + ((int32_t)1 << 28);
  const int32_t x2 = tinyml_high_mul(x, x);
  const int32_t x3 = tinyml_high_mul(x2, x);
  const int32_t x4 = tinyml_high_mul(x2, x2);
  const int32_t x3_x4 =
      tinyml_high_mul(tinyml_rounding_shift_right(x4, 2) + x3, third_q0); /* x^4/12 + x^3/3 */
  const int32_t tail = tinyml_rounding_shift_right(x3_x4 + x2, 1);
  return exp_minus_eighth_q0 + tinyml_high_mul(exp_minus_eighth_q0, x + tail);
}

/* exp(a) for a <= 0 in Q5: the quarters are factors from a table */
static int32_t exp_q0(int32_t a_q5) {
  static const TINYML_FLASH int32_t exp_minus_pot_q0[] = {
      /* exp(-2^k), k = -2 .. 4 */
      1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
  const int32_t quarter_q5 = (int32_t)1 << 24;
  if (a_q5 == 0) return INT32_MAX;
  const int32_t fraction_q5 = (a_q5 & (quarter_q5 - 1)) - quarter_q5;
  const int32_t quarters_q5 = tinyml_sub(fraction_q5, a_q5);
  int32_t result = exp_quarter_q0(tinyml_saturating_shift_left(fraction_q5, 5));
  for (int32_t k = 0; k < 7; ++k) {
    if (quarters_q5 & (quarter_q5 << k)) result = tinyml_high_mul(result, exp_minus_pot_q0[k]);
  }
  return result;
}

/* 1 / (1 + a) for a in [0, 1): Newton-Raphson division */
static int32_t one_over_one_plus_q0(int32_t a_q0) {
  const int32_t one_q2 = (int32_t)1 << 29;
  const int32_t half_denominator_q0 = (int32_t)(((uint32_t)a_q0 + (uint32_t)INT32_MAX + 1) >> 1);
  /* 48/17 - 32/17 * d */
  int32_t x_q2 = 1515870810 + tinyml_high_mul(half_denominator_q0, -1010580540);
  for (int32_t i = 0; i < 3; ++i) {
    const int32_t error_q2 = one_q2 - tinyml_high_mul(half_denominator_q0, x_q2);
    x_q2 += tinyml_saturating_shift_left(tinyml_high_mul(x_q2, error_q2), 2);
  }
  return tinyml_saturating_shift_left(x_q2, 1); /* half of x, in Q0 */
}

static int32_t leading_zeros(uint32_t x) {
  int32_t n = 0;
  for (; !(x & 0x80000000u); x <<= 1) ++n;
  return n;
}

static int32_t exp_of_difference_q0(const tinyml_softmax_s8_op *op, int32_t difference) {
  return exp_q0(tinyml_requantize_up(difference, op->input.multiplier, op->input.shift));
}

void tinyml_softmax_s8(const tinyml_softmax_s8_op *op, const int8_t *in, int8_t *out) {
  for (int32_t row = 0; row < op->rows; ++row, in += op->depth, out += op->depth) {
    int32_t max = INT8_MIN;
    for (int32_t i = 0; i < op->depth; ++i) max = tinyml_max(max, in[i]);

    int32_t sum_q12 = 0;
    for (int32_t i = 0; i < op->depth; ++i) {
      const int32_t difference = in[i] - max;
      if (difference < op->diff_min) continue;
      sum_q12 += tinyml_rounding_shift_right(exp_of_difference_q0(op, difference), 12);
    }
    const int32_t zeros = leading_zeros((uint32_t)sum_q12);
    /* The sum is at least 1: normalised to [1, 2), less 1. */
    const int32_t scale_q0 =
        one_over_one_plus_q0((int32_t)(((uint32_t)sum_q12 << zeros) - 0x80000000u));
    const int32_t exponent = 12 - zeros + 31 - 8;

    for (int32_t i = 0; i < op->depth; ++i) {
      const int32_t difference = in[i] - max;
      int32_t y = 0;
      if (difference >= op->diff_min) {
        y = tinyml_rounding_shift_right(
            tinyml_high_mul(scale_q0, exp_of_difference_q0(op, difference)), exponent);
      }
      out[i] = (int8_t)(tinyml_min(y, UINT8_MAX) + INT8_MIN);
    }
  }
}
