#include "tinyml_train_loss.h"

void tinyml_train_cross_entropy_s8(const tinyml_train_loss_op *op, const int8_t *logits,
                                   const int32_t *label, float *gradient, float *loss) {
  tinyml_train_cross_entropy(op, logits, label, gradient, loss, 1);
}
