#if (defined(__arm__) && !defined(__ARM_FEATURE_UNALIGNED)) || defined(__riscv)
#define TINYML_GATHER_COPY copy
#endif

#include <string.h>

#include "tinyml_filters.h"
#include "tinyml_kernels.h"

#if defined(TINYML_GATHER_COPY)
/* memcpy, which small C libraries do byte by byte; compilers that see a loop of bytes call it. */
static inline void copy(int8_t *to, const int8_t *from, int32_t n) {
  if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0) {
    for (; n >= 4; n -= 4, to += 4, from += 4) {
      uint32_t word;
      TINYML_LOAD_NO_EARLIER;
      memcpy(&word, __builtin_assume_aligned(from, 4), 4);
      memcpy(__builtin_assume_aligned(to, 4), &word, 4);
    }
  }
  for (; n > 0; --n) {
    TINYML_LOAD_NO_EARLIER;
    *to++ = *from++;
  }
}
#endif

#include "tinyml_gather.h"

void tinyml_conv_s8(const tinyml_conv_s8_op *op, const tinyml_span *span, const int8_t *const *rows,
                    int8_t *out, void *scratch) {
  const tinyml_conv_window *window = &op->window;
  const int32_t n = tinyml_conv_taps(window);
  const int32_t channels = op->filters.out_channels;
  int8_t *first = scratch;
  int32_t x = 0;
  for (; x + 2 <= span->out_width; x += 2, out += 2 * channels) {
    int8_t *second = tinyml_gather(window, span, rows, x, first);
    tinyml_gather(window, span, rows, x + 1, second);
    tinyml_filter2(&op->filters, first, second, n, out);
  }
  if (x < span->out_width) {
    tinyml_gather(window, span, rows, x, first);
    tinyml_filter1(&op->filters, first, n, 0, out);
  }
}
