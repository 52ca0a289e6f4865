#include "tinyml_train_input.h"

void tinyml_train_input_grad_conv_f32(const tinyml_train_input_grad_op *op, const float *g,
                                      const float *weights, float *dx) {
  tinyml_train_input_grad_conv(op, g, weights, dx, 0);
}
