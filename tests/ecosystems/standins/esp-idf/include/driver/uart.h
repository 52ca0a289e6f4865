/* In place of ESP-IDF in the tests: UART 0 on standard input and output. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "esp_err.h"

#define UART_NUM_0 0
#define UART_DATA_8_BITS 3
#define UART_PARITY_DISABLE 0
#define UART_STOP_BITS_1 1
#define UART_HW_FLOWCTRL_DISABLE 0
#define UART_SCLK_DEFAULT 0

typedef struct {
  int baud_rate, data_bits, parity, stop_bits, flow_ctrl;
  uint8_t rx_flow_ctrl_thresh;
  int source_clk;
} uart_config_t;

static inline esp_err_t uart_driver_install(int port, int receive, int send, int depth, void *queue,
                                            int flags) {
  return port != 0 || receive <= 128 || send != 0 || depth != 0 || queue != NULL || flags != 0;
}

static inline esp_err_t uart_param_config(int port, const uart_config_t *config) {
  return port != 0 || config->baud_rate != 115200;
}

static inline int uart_read_bytes(int port, void *data, uint32_t length, uint32_t ticks) {
  const int count = (int)read(port, data, length);
  (void)ticks;
  if (count == 0) exit(0);
  return count;
}

static inline int uart_write_bytes(int port, const void *data, size_t size) {
  return (int)write(port + 1, data, size);
}
