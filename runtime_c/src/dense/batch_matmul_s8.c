#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

static int32_t dot(const tinyml_batch_matmul_s8_op *op, const int8_t *a, const int8_t *b) {
  int32_t sum = 0;
  for (int32_t k = 0; k < op->depth; ++k) {
    sum += (*a - op->a_zero_point) * (*b - op->b_zero_point);
    a += op->a_depth_stride;
    b += op->b_depth_stride;
  }
  return sum;
}

/* One matrix by one matrix; returns the byte after the product. */
static int8_t *multiply(const tinyml_batch_matmul_s8_op *op, const int8_t *a, const int8_t *b,
                        int8_t *out) {
  for (int32_t row = 0; row < op->rows; ++row, a += op->a_row_stride) {
    const int8_t *column = b;
    for (int32_t i = 0; i < op->columns; ++i, column += op->b_column_stride) {
      *out++ = tinyml_to_s8(
          tinyml_requantize(dot(op, a, column), op->output.multiplier, op->output.shift),
          op->output_zero_point, INT8_MIN, INT8_MAX);
    }
  }
  return out;
}

void tinyml_batch_matmul_s8(const tinyml_batch_matmul_s8_op *op, const int8_t *a, const int8_t *b,
                            int8_t *out) {
  const TINYML_FLASH int32_t *n = op->sizes;
  const TINYML_FLASH int32_t *as = op->a_strides;
  const TINYML_FLASH int32_t *bs = op->b_strides;
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        out = multiply(op, a + i * as[0] + j * as[1] + k * as[2],
                       b + i * bs[0] + j * bs[1] + k * bs[2], out);
      }
    }
  }
}
