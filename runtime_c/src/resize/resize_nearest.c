#include <string.h>

#include "tinyml_kernels.h"

void tinyml_resize_nearest(const tinyml_resize_nearest_op *op, const tinyml_span *span,
                           const int8_t *const *rows, int8_t *out) {
  const int32_t bytes = op->pixel_bytes;
  for (int32_t x = 0; x < span->out_width; ++x) {
    memcpy(out, rows[0] + (op->columns[x] - span->pad_left) * bytes, (size_t)bytes);
    out += bytes;
  }
}
