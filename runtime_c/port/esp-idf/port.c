/* ESP-IDF: the link runs over UART 0, which sdkconfig.defaults keeps free of messages, and time is
 * that of the system's timer. */
#include <stddef.h>
#include <stdint.h>

#include "driver/uart.h"
#include "esp_err.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "tinyml_port.h"

#define LINK UART_NUM_0
#define RECEIVE_BYTES 1024

static int64_t start;

void tinyml_port_init(void) {
  const uart_config_t config = {
      .baud_rate = TINYML_PORT_BAUD,
      .data_bits = UART_DATA_8_BITS,
      .parity = UART_PARITY_DISABLE,
      .stop_bits = UART_STOP_BITS_1,
      .flow_ctrl = UART_HW_FLOWCTRL_DISABLE,
      .source_clk = UART_SCLK_DEFAULT,
  };
  ESP_ERROR_CHECK(uart_driver_install(LINK, RECEIVE_BYTES, 0, 0, NULL, 0));
  ESP_ERROR_CHECK(uart_param_config(LINK, &config));
  tinyml_port_counter_reset();
}

int tinyml_port_read(void) {
  uint8_t byte;
  while (uart_read_bytes(LINK, &byte, 1, portMAX_DELAY) != 1) {
  }
  return byte;
}

void tinyml_port_write(const uint8_t *data, size_t bytes) {
  size_t sent = 0;
  while (sent < bytes) {
    const int count = uart_write_bytes(LINK, data + sent, bytes - sent);
    if (count > 0) sent += (size_t)count;
  }
}

void tinyml_port_counter_reset(void) { start = esp_timer_get_time(); }

uint64_t tinyml_port_ticks(void) { return (uint64_t)(esp_timer_get_time() - start); }

tinyml_port_scale tinyml_port_counter_scale(void) {
  const tinyml_port_scale scale = {TINYML_UNIT_NANOSECONDS, 1000, 1, 0};
  return scale;
}

void tinyml_port_paint_stack(uint8_t pattern) { (void)pattern; }

uint32_t tinyml_port_stack_used(uint8_t pattern) {
  (void)pattern;
  return 0; /* not known: FreeRTOS keeps its own account */
}
