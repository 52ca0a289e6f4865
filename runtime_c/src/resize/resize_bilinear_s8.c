#include "tinyml_kernels.h"

void tinyml_resize_bilinear_s8(const tinyml_resize_bilinear_s8_op *op, const tinyml_span *span,
                               const int8_t *const *rows, int8_t *out, int32_t y) {
  const int32_t one = (int32_t)1 << 10;
  const int32_t half = (int32_t)1 << 19;
  const int32_t lower = op->y_weights[y];
  const int32_t upper = one - lower;
  for (int32_t x = 0; x < span->out_width; ++x) {
    const int32_t left = (op->left[x] - span->pad_left) * op->channels;
    const int32_t right = (op->right[x] - span->pad_left) * op->channels;
    const int32_t right_weight = op->x_weights[x];
    const int32_t left_weight = one - right_weight;
    for (int32_t c = 0; c < op->channels; ++c) {
      /* Weights are not negative and sum to 2^20, so 28 bits hold the blend. */
      const int32_t blend =
          (rows[0][left + c] * left_weight + rows[0][right + c] * right_weight) * upper +
          (rows[1][left + c] * left_weight + rows[1][right + c] * right_weight) * lower;
      *out++ = (int8_t)((blend + (blend > 0 ? half : -half)) / ((int32_t)1 << 20));
    }
  }
}
