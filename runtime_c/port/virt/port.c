/* QEMU's RISC-V machine "virt": a UART like the 16550 (TL16C550C data sheet, SLLS177). Its rate
 * means nothing there. */
#include <stddef.h>
#include <stdint.h>

#include "tinyml_port.h"

#define UART(offset) (*(volatile uint8_t *)(uintptr_t)(TINYML_PORT_UART_BASE + (offset)))
#define UART_DATA UART(0u)
#define UART_FCR UART(2u)
#define UART_LCR UART(3u)
#define UART_LSR UART(5u)

#define LSR_DATA_READY 0x01u
#define LSR_TX_EMPTY 0x20u

void tinyml_port_init(void) {
  UART_LCR = 0x03u; /* eight bits, no parity */
  UART_FCR = 0x07u; /* both queues on and empty */
  (void)UART_DATA;  /* QEMU takes in more only when something is read, even where it was dropped */
  tinyml_port_counter_reset();
}

int tinyml_port_read(void) {
  while (!(UART_LSR & LSR_DATA_READY)) {
  }
  return (int)UART_DATA;
}

void tinyml_port_write(const uint8_t *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    while (!(UART_LSR & LSR_TX_EMPTY)) {
    }
    UART_DATA = data[i];
  }
}
