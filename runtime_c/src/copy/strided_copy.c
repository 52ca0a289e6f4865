#include <string.h>

#include "tinyml_kernels.h"

/* Copies n elements of `size` bytes that lie `step` bytes apart; returns the byte after the copy.
 */
static int8_t *gather(int8_t *out, const int8_t *in, int32_t n, int32_t size, int32_t step) {
  if (step == size) {
    memcpy(out, in, (size_t)(n * size));
    return out + n * size;
  }
  if (size == 1) {
    for (; n > 0; --n, in += step) *out++ = *in;
    return out;
  }
  for (; n > 0; --n, in += step, out += size) memcpy(out, in, (size_t)size);
  return out;
}

void tinyml_strided_copy(const tinyml_strided_copy_op *op, const int8_t *in, int8_t *out) {
  enum { LAST = TINYML_STRIDED_RANK - 1 };
  const int32_t size = op->element_bytes;
  int32_t index[LAST] = {0};
  in += op->offset * size;
  for (;;) {
    out = gather(out, in, op->sizes[LAST], size, op->strides[LAST] * size);
    /* Step the outer dimensions like an odometer. */
    int32_t d = LAST - 1;
    for (; d >= 0; --d) {
      in += op->strides[d] * size;
      if (++index[d] < op->sizes[d]) break;
      in -= op->sizes[d] * op->strides[d] * size;
      index[d] = 0;
    }
    if (d < 0) return;
  }
}
