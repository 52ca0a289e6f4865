#include <string.h>

#include "tinyml_kernels.h"

void tinyml_concat(const tinyml_concat_op *op, const tinyml_span *span, const int8_t *const *rows,
                   int8_t *out) {
  for (int32_t pixel = 0; pixel < span->out_width; ++pixel) {
    for (int32_t i = 0; i < op->count; ++i) {
      if (rows[i] == NULL) continue;
      const int32_t bytes = op->bytes[i];
      memcpy(out, rows[i] + pixel * bytes, (size_t)bytes);
      out += bytes;
    }
  }
}
