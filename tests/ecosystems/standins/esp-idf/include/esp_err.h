/* In place of ESP-IDF in the tests. */
#ifndef STANDIN_ESP_ERR_H
#define STANDIN_ESP_ERR_H
#include <stdlib.h>

typedef int esp_err_t;

#define ESP_ERROR_CHECK(x) \
  do {                     \
    if ((x) != 0) abort(); \
  } while (0)
#endif
