#include "tinyml_kernels.h"
#include "tinyml_mve.h"

/* All filters, of at most one step, over a row: the weights of four of them stay in registers while
 * the pixels pass. There are no registers for limits of the output but those of a byte, nor for the
 * exact rescale, nor a second predicate for channels that do not fill a block. */
static int32_t is_short(const tinyml_conv_1x1_s8_mve_op *op) {
  const tinyml_mve_filters *f = &op->filters;
  return op->in_channels <= TINYML_MVE_STEP && f->act_min == INT8_MIN && f->act_max == INT8_MAX &&
         f->exact == 0 && f->out_channels % 4 == 0;
}

static __attribute__((noinline)) void filter_short(const tinyml_conv_1x1_s8_mve_op *op,
                                                   const int8_t *in, int32_t pixels, int8_t *out) {
  const int32_t n = op->in_channels, channels = op->filters.out_channels;
  const int32_t step = op->stride_x * n, zero_point = op->filters.output_zero_point;
  const int32_t *w = op->filters.blocks;
  for (int32_t channel = 0; channel < channels; channel += 4) {
    const int8_t *x = in;
    int8_t *to = out + channel;
    __asm__ volatile(
        "vldrw.u32 q4, [%[w]], #16\n"
        "vldrw.u32 q5, [%[w]], #16\n"
        "vldrw.u32 q6, [%[w]], #16\n"
        "vldrw.u32 q7, [%[w]], #16\n"
        "vldrw.u32 q1, [%[w]], #16\n"
        "vldrw.u32 q2, [%[w]], #16\n"
        "vldrw.u32 q3, [%[w]], #16\n"
        "ldr lr, %[n]\n"
        "vctp.8 lr\n"
        "ldr lr, %[pixels]\n"
        "dls lr, lr\n"
        "1:\n"
        "vpst\n"
        "vldrbt.u8 q0, [%[x]]\n"
        "add %[x], %[x], %[step]\n"
        "vmladav.s8 r0, q0, q4\n"
        "vmladav.s8 r2, q0, q5\n"
        "vmladav.s8 r4, q0, q6\n"
        "vmladav.s8 r6, q0, q7\n"
        "vmov q0[2], q0[0], r0, r4\n"
        "vmov q0[3], q0[1], r2, r6\n"
        "vadd.i32 q0, q0, q1\n"
        "vqrdmulh.s32 q0, q0, q2\n"
        "vrshl.s32 q0, q0, q3\n"
        "vqmovnb.s32 q0, q0\n" /* saturates where the zero point and a byte cannot tell */
        "vqadd.s16 q0, q0, %[zero_point]\n"
        "vqmovnb.s16 q0, q0\n"
        "vstrb.32 q0, [%[to]]\n"
        "add %[to], %[to], %[channels]\n"
        "le lr, 1b\n"
        : [w] "+r"(w), [x] "+r"(x), [to] "+l"(to)
        : [n] "m"(n), [pixels] "m"(pixels), [step] "r"(step), [zero_point] "r"(zero_point),
          [channels] "r"(channels)
        : "r0", "r2", "r4", "r6", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc",
          "memory");
  }
}

void tinyml_conv_1x1_s8_mve(const tinyml_conv_1x1_s8_mve_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out) {
  const int32_t n = op->in_channels;
  const int32_t full = n / TINYML_MVE_STEP, tail = n % TINYML_MVE_STEP;
  const int32_t step = op->stride_x * n;
  const int32_t channels = op->filters.out_channels;
  const int8_t *in = rows[0];
  int32_t x = 0;
  if (is_short(op)) {
    filter_short(op, in, span->out_width, out);
    return;
  }
  for (; x + 2 <= span->out_width; x += 2, in += 2 * step, out += 2 * channels) {
    tinyml_mve_filter2(&op->filters, in, in + step, full, tail, out);
  }
  if (x < span->out_width) tinyml_mve_filter1(&op->filters, in, full, tail, 0, out);
}
