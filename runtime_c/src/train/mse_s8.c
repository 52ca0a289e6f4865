#include "tinyml_train_loss.h"

void tinyml_train_mse_s8(const tinyml_train_loss_op *op, const int8_t *y, const float *target,
                         float *gradient, float *loss) {
  tinyml_train_mse(op, y, target, gradient, loss, 1);
}
