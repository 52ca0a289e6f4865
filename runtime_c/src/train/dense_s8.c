#include "tinyml_train_filters.h"

void tinyml_train_dense_s8(const tinyml_train_linear_s8_op *op, const int8_t *x,
                           const int8_t *weights, const int32_t *bias, int8_t *y, void *scratch) {
  const int32_t inputs = op->layer.in_channels;
  int32_t *folded = (int32_t *)scratch;
  tinyml_train_fold(op, weights, bias, inputs, folded);
  for (int32_t n = 0; n < op->layer.images; ++n, x += inputs, y += op->layer.out_channels) {
    int32_t sum = 0; /* sum(x * (w - z)) = sum(x * w) - z * sum(x) */
    if (op->weights_zero_point != 0) {
      for (int32_t i = 0; i < inputs; ++i) sum += x[i];
    }
    const uint32_t offset = (uint32_t)-op->weights_zero_point * (uint32_t)sum;
    tinyml_train_filter(op, weights, folded, x, 1, inputs, offset, y);
  }
}
