/* In place of the pico-sdk in the tests: its standard input and output are those of the process. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if STANDIN_USB == STANDIN_UART
#error "one of the two"
#endif

static inline void stdio_init_all(void) {}

static inline int getchar_timeout_us(uint32_t timeout_us) {
  const int byte = getchar();
  (void)timeout_us;
  if (byte == EOF) exit(0);
  return byte;
}

static inline int putchar_raw(int c) { return putchar(c); }

static inline void stdio_flush(void) { fflush(stdout); }

static inline uint64_t time_us_64(void) {
  static uint64_t now;
  return ++now;
}
