#include "tinyml_train_loss.h"

void tinyml_train_cross_entropy_f32(const tinyml_train_loss_op *op, const float *logits,
                                    const int32_t *label, float *gradient, float *loss) {
  tinyml_train_cross_entropy(op, logits, label, gradient, loss, 0);
}
