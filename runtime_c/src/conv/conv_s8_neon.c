#include "tinyml_kernels.h"
#include "tinyml_neon_conv.h"

void tinyml_conv_s8_neon(const tinyml_conv_s8_neon_op *op, const tinyml_span *span,
                         const int8_t *const *rows, int8_t *out, void *scratch) {
  tinyml_neon_conv(op, span, rows, out, scratch);
}
