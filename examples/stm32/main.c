/* An application on an STM32 that calls the generated library: it looks at the drawings again and
 * again, and says what it sees over the board's serial port. */
#include "recognise.h"
#include "tinyml_port.h"

/* The board's linker script has a place for it. */
static uint8_t arena[DIGITS_INT8_ARENA_BYTES]
    __attribute__((section(".arena"), aligned(TINYML_ALIGNMENT)));

static void report(const char *text, int bytes) {
  tinyml_port_write((const uint8_t *)text, (size_t)bytes);
}

/* Called by the port when the processor faults. */
void tinyml_port_on_fault(const uint32_t *frame, uint32_t cause) {
  (void)frame;
  (void)cause;
  report("fault\n", 6);
  for (;;) {
  }
}

int main(void) {
  digits_int8_t model;
  tinyml_port_init();
  if (digits_int8_init(&model, arena, sizeof arena) != TINYML_OK) {
    report("no model\n", 9);
    return 1;
  }
  for (;;) {
    for (int i = 0; i < recognise_count(); i++) {
      char line[RECOGNISE_LINE];
      report(line, recognise(&model, i, line));
    }
  }
}
