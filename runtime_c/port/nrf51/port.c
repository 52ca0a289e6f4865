/* nRF51 and nRF52, which has the same UART beside a newer one (nRF51 Series Reference Manual,
 * chapter 29; nRF52840 product specification, chapters "UART", "GPIO" and "CLOCK"). */
#include <stddef.h>
#include <stdint.h>

#include "../cortexm/cortexm.h"
#include "tinyml_port.h"

#define CLOCK_HFCLKSTART REG32(0x40000000u)
#define CLOCK_HFCLKSTARTED REG32(0x40000100u)
#define GPIO_OUTSET REG32(0x50000508u)
#define GPIO_CONFIGURE(pin) REG32(0x50000700u + 4u * (pin))
#define GPIO_OUTPUT 3u /* and its input buffer is off */
#define GPIO_INPUT 0u
#define UART(offset) REG32(0x40002000u + (offset))
#define UART_STARTRX UART(0x000u)
#define UART_STARTTX UART(0x008u)
#define UART_RXDRDY UART(0x108u)
#define UART_TXDRDY UART(0x11Cu)
#define UART_ENABLE UART(0x500u)
#define UART_PSELTXD UART(0x50Cu)
#define UART_PSELRXD UART(0x514u)
#define UART_RXD UART(0x518u)
#define UART_TXD UART(0x51Cu)
#define UART_BAUDRATE UART(0x524u)

#define PATIENCE 10000u

/* The crystal, for an exact baud rate; without one, and in emulators, the internal oscillator
 * stays. */
static void start_crystal(void) {
  CLOCK_HFCLKSTARTED = 0;
  CLOCK_HFCLKSTART = 1;
  for (uint32_t i = 0; i < PATIENCE && !CLOCK_HFCLKSTARTED; ++i) {
  }
}

void tinyml_port_init(void) {
  start_crystal();
  GPIO_OUTSET = 1u << TINYML_PORT_TX_PIN;
  GPIO_CONFIGURE(TINYML_PORT_TX_PIN) = GPIO_OUTPUT;
  GPIO_CONFIGURE(TINYML_PORT_RX_PIN) = GPIO_INPUT;
  UART_PSELTXD = TINYML_PORT_TX_PIN;
  UART_PSELRXD = TINYML_PORT_RX_PIN;
  /* The register holds baud * 2^32 / 16 MHz, of which the low 12 bits are not used. */
  UART_BAUDRATE = (uint32_t)(((uint64_t)TINYML_PORT_BAUD << 32) / 16000000u + 0x800u) & ~0xFFFu;
  UART_ENABLE = 4;
  UART_STARTRX = 1;
  UART_STARTTX = 1;
  tinyml_port_counter_init(TINYML_PORT_CLOCK_HZ);
}

int tinyml_port_read(void) {
  while (!UART_RXDRDY) {
  }
  UART_RXDRDY = 0; /* before reading: the next byte raises it again */
  return (int)(UART_RXD & 0xFFu);
}

void tinyml_port_write(const uint8_t *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    UART_TXDRDY = 0;
    UART_TXD = data[i];
    while (!UART_TXDRDY) {
    }
  }
}
