#include "tinyml_broadcast.h"
#include "tinyml_mul.h"

void tinyml_mul_s8(const tinyml_mul_s8_op *op, const tinyml_span *span, const int8_t *const *rows,
                   int8_t *out) {
  TINYML_FOR_EACH_PAIR(&op->shape, span, rows, out, a, b, tinyml_product(op, a, b));
}
