#include "tinyml_kernels.h"
#include "tinyml_mve.h"

/* A gathering load looks up sixteen bytes. */
void tinyml_lut_8_mve(const tinyml_lut_8_op *op, const tinyml_span *span, const int8_t *const *rows,
                      int8_t *out) {
  const int8_t *in = rows[0];
  const int32_t n = span->out_width * op->channels;
  __asm__ volatile(
      "wlstp.8 lr, %[n], 2f              \n"
      "1: vldrb.u8 q0, [%[in]], #16      \n"
      "vldrb.u8 q1, [%[table], q0]       \n"
      "vstrb.8 q1, [%[out]], #16         \n"
      "letp lr, 1b                       \n"
      "2:                                \n"
      : [in] "+r"(in), [out] "+r"(out)
      : [n] "r"(n), [table] "r"(op->table)
      : "lr", "q0", "q1", "cc", "memory");
}
