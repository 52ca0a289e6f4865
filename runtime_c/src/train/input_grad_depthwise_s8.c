#include "tinyml_train_input.h"

void tinyml_train_input_grad_depthwise_s8(const tinyml_train_input_grad_op *op, const float *g,
                                          const int8_t *weights, float *dx) {
  tinyml_train_input_grad_depthwise(op, g, weights, dx, 1);
}
