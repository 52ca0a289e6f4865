#include "tinyml_svdf.h"

TINYML_SVDF_KERNEL(tinyml_svdf_s8_state_s8, int8_t, INT8_MIN, INT8_MAX)
