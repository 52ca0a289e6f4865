#define TINYML_DEPTHWISE_SIZE 5
#include "tinyml_dsp_depthwise.h"
#include "tinyml_kernels.h"

void tinyml_depthwise_conv_5x5_s8_dsp(const tinyml_depthwise_conv_square_s8_dsp_op *op,
                                      const tinyml_span *span, const int8_t *const *rows,
                                      int8_t *out) {
  depthwise(op, span, rows, out);
}
