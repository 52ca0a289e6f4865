#include <stdarg.h>
#include <string.h>

#include "tinyml_kernels.h"

void tinyml_split(const tinyml_split_op *op, const int8_t *in, ...) {
  const size_t bytes = (size_t)op->part_bytes;
  va_list outputs;
  va_start(outputs, in);
  for (int32_t part = 0; part < op->count; ++part) {
    int8_t *out = va_arg(outputs, int8_t *);
    const int8_t *next = in + part * op->part_bytes;
    for (int32_t i = 0; i < op->repeats; ++i) {
      memcpy(out, next, bytes);
      out += bytes;
      next += op->count * op->part_bytes;
    }
  }
  va_end(outputs);
}
