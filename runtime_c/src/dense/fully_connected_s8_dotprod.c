#define TINYML_NEON_DOT
#include "tinyml_kernels.h"
#include "tinyml_neon_conv.h"

void tinyml_fully_connected_s8_dotprod(const tinyml_fully_connected_s8_neon_op *op,
                                       const tinyml_span *span, const int8_t *const *rows,
                                       int8_t *out) {
  (void)span;
  tinyml_neon_fully_connected(op, rows[0], out);
}
