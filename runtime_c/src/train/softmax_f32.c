#include "tinyml_train_loss.h"

void tinyml_train_softmax_f32(const tinyml_train_softmax_f32_op *op, const float *x, float *y) {
  for (int32_t row = 0; row < op->rows; ++row, x += op->count, y += op->count) {
    for (int32_t i = 0; i < op->count; ++i) y[i] = x[i];
    const float sum = tinyml_train_powers(y, op->count);
    for (int32_t i = 0; i < op->count; ++i) y[i] = y[i] / sum;
  }
}
