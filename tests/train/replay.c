/* Runs on a bare Cortex-M under QEMU, or as a Linux program: replays recorded calls, compares. */
#include "replay.h"

#include <stdint.h>

#if defined(__arm__)
static void semihost(int32_t operation, const void *argument) {
  register int32_t first __asm__("r0") = operation;
  register const void *second __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(first) : "r"(second) : "memory");
}

static void print(const char *text) { semihost(4, text); }

static uint32_t ticks(void) { return 0xFFFFFFu - *(volatile uint32_t *)0xE000E018u; }

static void start_ticks(void) {
  *(volatile uint32_t *)0xE000E010u = 0;
  *(volatile uint32_t *)0xE000E014u = 0xFFFFFFu;
  *(volatile uint32_t *)0xE000E018u = 0;
  *(volatile uint32_t *)0xE000E010u = 5;
}
#else
#include <stdio.h>

static void print(const char *text) { fputs(text, stdout); }
static uint32_t ticks(void) { return 0; }
static void start_ticks(void) {}
#endif

static void number(uint32_t value) {
  char text[12];
  int at = 11;
  text[at] = 0;
  do {
    text[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  print(text + at);
}

static int replay(void) {
  for (uint32_t i = 0; i < CALLS; ++i) {
    start_ticks();
    const uint32_t before = ticks();
    calls[i].run();
    const uint32_t after = ticks();
    print(calls[i].name);
    print(" ");
    number((after - before) & 0xFFFFFFu); /* what there are of 24 bits */
    for (uint32_t k = 0; k < calls[i].count; ++k) {
      const result *r = &calls[i].results[k];
      for (uint32_t at = 0; at < r->bytes; ++at) {
        if (((const uint8_t *)r->got)[at] != ((const uint8_t *)r->want)[at]) {
          print(" differs in argument ");
          number(k);
          print(" at byte ");
          number(at);
          break;
        }
      }
    }
    print("\n");
  }
  print("end\n");
  return 0;
}

#if defined(__arm__)
void reset(void);
void reset(void) {
#if defined(__ARM_FP)
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
  __asm__ volatile("dsb\n isb");
#endif
  replay();
  const uint32_t reason[2] = {0x20026, 0};
  semihost(0x18, (const void *)(uintptr_t)reason[0]);
  for (;;) {
  }
}

extern uint32_t stack_top;
typedef struct {
  uint32_t *stack;
  void (*reset)(void);
} vector_table;
__attribute__((section(".vectors"), used)) static const vector_table vectors = {&stack_top, reset};

/* The compiler's own calls: this program has no C library. */
void *memcpy(void *to, const void *from, __SIZE_TYPE__ n);
void *memset(void *to, int value, __SIZE_TYPE__ n);
__attribute__((optimize("no-tree-loop-distribute-patterns"))) void *memcpy(void *to,
                                                                           const void *from,
                                                                           __SIZE_TYPE__ n) {
  for (__SIZE_TYPE__ i = 0; i < n; ++i) ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
  return to;
}
__attribute__((optimize("no-tree-loop-distribute-patterns"))) void *memset(void *to, int value,
                                                                           __SIZE_TYPE__ n) {
  for (__SIZE_TYPE__ i = 0; i < n; ++i) ((uint8_t *)to)[i] = (uint8_t)value;
  return to;
}
#else
int main(void) { return replay(); }
#endif
