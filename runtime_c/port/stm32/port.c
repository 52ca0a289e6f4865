/* The serial port of an STM32: which one, on which pins, the board's data say.
 *
 * There are two generations of its registers: that of the STM32F4 (RM0090, chapter 30), and that
 * of all families since (RM0385, chapter 31), which low-power ones have, too. GPIO ports are the
 * same in all. */
#include <stddef.h>
#include <stdint.h>

#include "stm32.h"
#include "tinyml_port.h"

/* Pins are numbered through: port A has 0 to 15, port B 16 to 31. */
#define PORT(pin) ((pin) / 16u)
#define NUMBER(pin) ((pin) % 16u)

#define GPIO(pin, offset) REG32(TINYML_PORT_GPIO_BASE + 0x400u * PORT(pin) + (offset))
#define MODER 0x00u
#define OSPEEDR 0x08u
#define PUPDR 0x0Cu
#define AFR(pin) (0x20u + 4u * (NUMBER(pin) / 8u))

#if TINYML_PORT_UART_GENERATION == 1
#define UART_SR REG32(TINYML_PORT_UART_BASE + 0x00u)
#define UART_RDR REG32(TINYML_PORT_UART_BASE + 0x04u)
#define UART_TDR UART_RDR
#define UART_BRR REG32(TINYML_PORT_UART_BASE + 0x08u)
#define UART_CR1 REG32(TINYML_PORT_UART_BASE + 0x0Cu)
#define CR1_UE (1u << 13)
#else
#define UART_CR1 REG32(TINYML_PORT_UART_BASE + 0x00u)
#define UART_CR3 REG32(TINYML_PORT_UART_BASE + 0x08u)
#define UART_BRR REG32(TINYML_PORT_UART_BASE + 0x0Cu)
#define UART_SR REG32(TINYML_PORT_UART_BASE + 0x1Cu)
#define UART_RDR REG32(TINYML_PORT_UART_BASE + 0x24u)
#define UART_TDR REG32(TINYML_PORT_UART_BASE + 0x28u)
#define CR1_UE (1u << 0)
#define CR3_OVRDIS (1u << 12)
#endif
#define CR1_RE (1u << 2)
#define CR1_TE (1u << 3)
#define SR_RXNE (1u << 5)
#define SR_TXE (1u << 7)

/* `field` of `width` bits per pin becomes `value`. */
static uint32_t with_field(uint32_t old, uint32_t pin, uint32_t width, uint32_t value) {
  const uint32_t position = pin * width;
  const uint32_t mask = ((UINT32_C(1) << width) - 1u) << position;
  return (old & ~mask) | (value << position);
}

static void hand_over(uint32_t pin) {
  REG32(TINYML_PORT_GPIO_ENABLE) |= UINT32_C(1) << PORT(pin);
  (void)REG32(TINYML_PORT_GPIO_ENABLE); /* the clock takes two cycles to arrive */
  GPIO(pin, AFR(pin)) =
      with_field(GPIO(pin, AFR(pin)), NUMBER(pin) % 8u, 4u, TINYML_PORT_UART_FUNCTION);
  GPIO(pin, OSPEEDR) = with_field(GPIO(pin, OSPEEDR), NUMBER(pin), 2u, 2u); /* high speed */
  GPIO(pin, PUPDR) = with_field(GPIO(pin, PUPDR), NUMBER(pin), 2u, 1u); /* open, it idles high */
  GPIO(pin, MODER) = with_field(GPIO(pin, MODER), NUMBER(pin), 2u, 2u); /* alternate function */
}

/* clock_hz / baud, rounded; low-power ones count in 1/256. All in 32 bits: a division of 64 bits is
 * a kilobyte of code. */
static uint32_t divider(uint32_t clock_hz) {
  const uint32_t parts = TINYML_PORT_UART_LOW_POWER ? 256u : 1u;
  const uint32_t whole = clock_hz / TINYML_PORT_BAUD, rest = clock_hz % TINYML_PORT_BAUD;
  return parts * whole + (parts * rest + TINYML_PORT_BAUD / 2u) / TINYML_PORT_BAUD;
}

static void start_uart(uint32_t clock_hz) {
  REG32(TINYML_PORT_UART_ENABLE) |= UINT32_C(1) << TINYML_PORT_UART_ENABLE_BIT;
  (void)REG32(TINYML_PORT_UART_ENABLE);
  hand_over(TINYML_PORT_TX_PIN);
  hand_over(TINYML_PORT_RX_PIN);
  UART_BRR = divider(clock_hz);
#if TINYML_PORT_UART_GENERATION != 1
  UART_CR3 |= CR3_OVRDIS; /* a lost byte is found by the link; an error flag would stop it */
#endif
  UART_CR1 = CR1_TE | CR1_RE | CR1_UE;
}

void tinyml_port_init(void) {
#if TINYML_PORT_CACHES
  tinyml_port_caches_on();
#endif
  const stm32_clocks clocks = stm32_start_clocks();
  start_uart(TINYML_PORT_UART_BUS == 1 ? clocks.apb1 : clocks.apb2);
  tinyml_port_counter_init(clocks.core);
}

int tinyml_port_read(void) {
  while (!(UART_SR & SR_RXNE)) {
  }
  /* In the first generation this also clears an overrun, which the status has shown. */
  return (int)(UART_RDR & 0xFFu);
}

void tinyml_port_write(const uint8_t *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    while (!(UART_SR & SR_TXE)) {
    }
    UART_TDR = data[i];
  }
}
