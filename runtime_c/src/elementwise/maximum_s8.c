#include "tinyml_broadcast.h"
#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

void tinyml_maximum_s8(const tinyml_extremum_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out) {
  TINYML_FOR_EACH_PAIR(&op->shape, span, rows, out, a, b, (int8_t)tinyml_max(a, b));
}
