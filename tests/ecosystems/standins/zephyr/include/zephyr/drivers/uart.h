/* In place of Zephyr in the tests: a serial port on standard input and output. */
#include <stdlib.h>
#include <unistd.h>
#include <zephyr/device.h>

static inline int uart_poll_in(const struct device *dev, unsigned char *p_char) {
  const ssize_t count = read(dev->file, p_char, 1);
  if (count == 0) exit(0);
  return count == 1 ? 0 : -1;
}

static inline void uart_poll_out(const struct device *dev, unsigned char out_char) {
  (void)dev;
  if (write(1, &out_char, 1) != 1) exit(1);
}
