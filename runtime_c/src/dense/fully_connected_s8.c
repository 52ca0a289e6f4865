#include "tinyml_filters.h"
#include "tinyml_kernels.h"

/* sum(x * (w - zero point)) = sum(x * w) - zero point * sum(x): the second term */
static int32_t correction(const tinyml_fully_connected_s8_op *op, const int8_t *x) {
  int32_t sum = 0;
  if (op->weights_zero_point == 0) return 0;
  for (int32_t i = 0; i < op->in_features; ++i) sum += x[i];
  return -op->weights_zero_point * sum;
}

void tinyml_fully_connected_s8(const tinyml_fully_connected_s8_op *op, const tinyml_span *span,
                               const int8_t *const *rows, int8_t *out) {
  (void)span;
  tinyml_filter1(&op->filters, rows[0], op->in_features, correction(op, rows[0]), out);
}
