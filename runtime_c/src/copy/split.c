#include <stdarg.h>
#include <string.h>

#include "tinyml_kernels.h"

void tinyml_split(const tinyml_split_op *op, const int8_t *in, ...) {
  int32_t stride = 0;
  for (int32_t part = 0; part < op->count; ++part) stride += op->bytes[part];
  va_list outputs;
  va_start(outputs, in);
  for (int32_t part = 0; part < op->count; ++part) {
    int8_t *out = va_arg(outputs, int8_t *);
    const int32_t bytes = op->bytes[part];
    const int8_t *next = in;
    for (int32_t i = 0; i < op->repeats; ++i) {
      memcpy(out, next, (size_t)bytes);
      out += bytes;
      next += stride;
    }
    in += bytes;
  }
  va_end(outputs);
}
