#include "tinyml_svdf.h"

TINYML_SVDF_KERNEL(tinyml_svdf_s8, int16_t, INT16_MIN, INT16_MAX)
