/* Arm MPS2 and MPS3 boards: the CMSDK APB UART (DDI 0479, chapter 4). */
#include <stddef.h>
#include <stdint.h>

#include "../cortexm/cortexm.h"
#include "tinyml_port.h"

#define UART_DATA REG32(TINYML_PORT_UART_BASE + 0x00u)
#define UART_STATE REG32(TINYML_PORT_UART_BASE + 0x04u)
#define UART_CTRL REG32(TINYML_PORT_UART_BASE + 0x08u)
#define UART_BAUDDIV REG32(TINYML_PORT_UART_BASE + 0x10u)

#define STATE_TX_FULL 1u
#define STATE_RX_FULL 2u

void tinyml_port_init(void) {
  UART_BAUDDIV = TINYML_PORT_CLOCK_HZ / TINYML_PORT_BAUD;
  UART_CTRL = 3; /* transmitter and receiver on */
  tinyml_port_counter_init(TINYML_PORT_CLOCK_HZ);
}

int tinyml_port_read(void) {
  while (!(UART_STATE & STATE_RX_FULL)) {
  }
  return (int)(UART_DATA & 0xFFu);
}

void tinyml_port_write(const uint8_t *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    while (UART_STATE & STATE_TX_FULL) {
    }
    UART_DATA = data[i];
  }
}
