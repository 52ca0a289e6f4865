/* Runs an AVR firmware in simavr, with UART 0 on standard input and output.
 *
 * Usage: avr FIRMWARE PROCESSOR HERTZ. Ends when standard input does. */
#include <fcntl.h>
#include <poll.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURN 4096 /* cycles between two looks at standard input */

static int ready; /* the receiver has room */

static void on_ready(avr_irq_t *irq, uint32_t value, void *user) {
  (void)irq;
  (void)value;
  (void)user;
  ready = 1;
}

static void on_full(avr_irq_t *irq, uint32_t value, void *user) {
  (void)irq;
  (void)value;
  (void)user;
  ready = 0;
}

static void on_output(avr_irq_t *irq, uint32_t value, void *user) {
  const uint8_t byte = (uint8_t)value;
  (void)irq;
  (void)user;
  if (write(STDOUT_FILENO, &byte, 1) != 1) exit(0);
}

/* Hands over what has arrived, as long as there is room. */
static void feed(avr_irq_t *input) {
  struct pollfd waiting = {.fd = STDIN_FILENO, .events = POLLIN};
  while (ready && poll(&waiting, 1, 0) > 0) {
    uint8_t byte;
    if (read(STDIN_FILENO, &byte, 1) != 1) exit(0);
    avr_raise_irq(input, byte);
  }
}

static avr_irq_t *line(avr_t *avr, int which) {
  return avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), which);
}

int main(int argc, char **argv) {
  static elf_firmware_t firmware;
  if (argc != 4 || elf_read_firmware(argv[1], &firmware) != 0) {
    fprintf(stderr, "usage: avr FIRMWARE PROCESSOR HERTZ\n");
    return 2;
  }
  avr_t *const avr = avr_make_mcu_by_name(argv[2]);
  if (avr == NULL) {
    fprintf(stderr, "simavr has no processor '%s'\n", argv[2]);
    return 2;
  }
  avr_init(avr);
  firmware.frequency = (uint32_t)strtoul(argv[3], NULL, 10);
  avr_load_firmware(avr, &firmware);
  avr->log = LOG_ERROR;
  uint32_t flags = 0; /* neither sleeps while the firmware polls, nor prints lines */
  avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
  avr_irq_register_notify(line(avr, UART_IRQ_OUTPUT), on_output, NULL);
  avr_irq_register_notify(line(avr, UART_IRQ_OUT_XON), on_ready, NULL);
  avr_irq_register_notify(line(avr, UART_IRQ_OUT_XOFF), on_full, NULL);
  for (;;) {
    const avr_cycle_count_t end = avr->cycle + TURN;
    while (avr->cycle < end) {
      const int state = avr_run(avr);
      if (state == cpu_Done || state == cpu_Crashed) {
        fprintf(stderr, "the processor stopped at pc 0x%05x\n", (unsigned)avr->pc);
        return 1;
      }
    }
    feed(line(avr, UART_IRQ_INPUT));
  }
}
