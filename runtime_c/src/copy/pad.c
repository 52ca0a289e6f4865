#include <string.h>

#include "tinyml_kernels.h"

/* Fills `bytes` bytes with the padding value; returns the byte after them. */
static int8_t *fill(const tinyml_pad_op *op, int8_t *out, int32_t bytes) {
  if (op->element_bytes == 1) {
    memset(out, (int)(op->value & 0xff), (size_t)bytes);
  } else if (op->element_bytes == 2) {
    int16_t *element = (int16_t *)(void *)out;
    for (int32_t n = bytes / 2; n > 0; --n) *element++ = (int16_t)op->value;
  } else {
    int32_t *element = (int32_t *)(void *)out;
    for (int32_t n = bytes / 4; n > 0; --n) *element++ = op->value;
  }
  return out + bytes;
}

void tinyml_pad(const tinyml_pad_op *op, const tinyml_span *span, const int8_t *const *rows,
                int8_t *out) {
  const int32_t out_bytes = op->before_bytes + op->in_bytes + op->after_bytes;
  const int8_t *in = rows[0];
  if (in == NULL) {
    fill(op, out, span->out_width * out_bytes);
    return;
  }
  int32_t x = 0;
  if (span->pad_left > 0) {
    x = span->pad_left < span->out_width ? span->pad_left : span->out_width;
    out = fill(op, out, x * out_bytes);
  } else {
    in -= span->pad_left * op->in_bytes;
  }
  for (; x < span->out_width && x - span->pad_left < span->in_width; ++x) {
    out = fill(op, out, op->before_bytes);
    memcpy(out, in, (size_t)op->in_bytes);
    in += op->in_bytes;
    out = fill(op, out + op->in_bytes, op->after_bytes);
  }
  fill(op, out, (span->out_width - x) * out_bytes);
}
