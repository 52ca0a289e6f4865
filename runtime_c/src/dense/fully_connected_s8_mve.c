#include "tinyml_kernels.h"
#include "tinyml_mve.h"

/* sum(x * (w - zero point)) = sum(x * w) - zero point * sum(x): the second term */
static int32_t correction(const tinyml_fully_connected_s8_mve_op *op, const int8_t *x) {
  int32_t sum = 0;
  if (op->weights_zero_point == 0) return 0;
  for (int32_t i = 0; i < op->in_features; ++i) sum += x[i];
  return tinyml_sub(0, (int32_t)((uint32_t)op->weights_zero_point * (uint32_t)sum));
}

void tinyml_fully_connected_s8_mve(const tinyml_fully_connected_s8_mve_op *op,
                                   const tinyml_span *span, const int8_t *const *rows,
                                   int8_t *out) {
  const int32_t full = op->in_features / TINYML_MVE_STEP;
  const int32_t tail = op->in_features % TINYML_MVE_STEP;
  (void)span;
  tinyml_mve_filter1(&op->filters, rows[0], full, tail, correction(op, rows[0]), out);
}
