#include "tinyml_kernels.h"
#include "tinyml_neon_conv.h"

void tinyml_conv_1x1_s8_neon(const tinyml_conv_1x1_s8_neon_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out) {
  tinyml_neon_conv_1x1(op, span, rows, out);
}
