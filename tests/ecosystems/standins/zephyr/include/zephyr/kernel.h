/* In place of Zephyr in the tests: a counter that goes on by one, and a stack of its own. */
#include <stddef.h>
#include <stdint.h>

struct k_thread {
  struct {
    uintptr_t start;
    size_t size;
  } stack_info;
};

typedef struct k_thread *k_tid_t;

static inline k_tid_t k_current_get(void) {
  static struct k_thread thread;
  thread.stack_info.start = (uintptr_t)__builtin_frame_address(0) - 4096;
  thread.stack_info.size = 4096;
  return &thread;
}

static inline uint32_t k_cycle_get_32(void) {
  static uint32_t now = UINT32_MAX - 100;
  return ++now;
}

static inline int sys_clock_hw_cycles_per_sec(void) { return 1000000; }

static inline int32_t k_msleep(int32_t ms) {
  (void)ms;
  return 0;
}
