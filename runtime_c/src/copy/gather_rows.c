#include <string.h>

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

void tinyml_gather_rows(const tinyml_gather_rows_op *op, const int32_t *indices,
                        const int8_t *table, int8_t *out) {
  for (int32_t i = 0; i < op->count; ++i, out += op->row_bytes) {
    const int32_t row = tinyml_clamp(indices[i], 0, op->rows - 1);
    memcpy(out, table + row * op->row_bytes, (size_t)op->row_bytes);
  }
}
