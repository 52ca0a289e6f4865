#include "tinyml_kernels.h"
#include "tinyml_neon_conv.h"

void tinyml_fully_connected_s8_neon(const tinyml_fully_connected_s8_neon_op *op, const int8_t *in,
                                    int8_t *out) {
  tinyml_neon_fully_connected(op, in, out);
}
