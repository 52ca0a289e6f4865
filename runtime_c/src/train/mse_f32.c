#include "tinyml_train_loss.h"

void tinyml_train_mse_f32(const tinyml_train_loss_op *op, const float *y, const float *target,
                          float *gradient, float *loss) {
  tinyml_train_mse(op, y, target, gradient, loss, 0);
}
