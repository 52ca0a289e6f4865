/* A model by hand for testing the link: five ops, two inputs, two outputs, and a few ways to die.
 *
 *   arena: a[64] b[300] x[64] y[64] z[300] p[2][2] q[100][2]        in 1024 bytes
 *   op 0:  x = a + 1
 *   op 1:  y = x, after a loop of LOOP_UNIT * a[0] turns
 *   op 2:  z = b backwards (output 0), and y ^= 0x55 in place (output 1); then wipes a and b
 *   op 3:  p = z + 3, in 100 rows of which two are held, each after a loop of ROW_UNIT * a[0] turns
 *   op 4:  q = each row of p and the one before it, xored; a row as soon as p has it
 *
 * a[1] chooses a fate for op 1: see FATE_*. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tinyml_link.h"
#include "tinyml_port.h"

#define ARENA_BYTES 1024u
#define A 0u
#define B 64u
#define X 364u
#define Y 428u
#define Z 492u
#define P 792u
#define Q 796u
#define ROWS 100u
#define ROW_BYTES 2u
#define RECORDS 6u
#define LOOP_UNIT 1000u
#define ROW_UNIT 5u

enum { FATE_FAULT = 0xED, FATE_HANG = 0xEC, FATE_OVERFLOW = 0xEE, FATE_REFUSE = 0xEB };

static uint32_t initialised = 0x600DF00Du; /* in .data: wrong if the startup code did not copy it */
static uint32_t zeroed;                    /* in .bss */

static uint32_t overflow(uint32_t depth) {
  volatile uint32_t frame[16];
  frame[depth % 16u] = depth;
  if (depth > 1000000u) return frame[depth % 16u];
  return overflow(frame[depth % 16u] + 1u) + frame[depth % 16u];
}

/* Faults where the floating-point unit is not switched on. */
static int floats_work(void) {
  volatile float three = 3.0f;
  return three * 1.5f == 4.5f;
}

/* Two instructions a turn. */
static void spin(uint32_t turns) {
  if (turns == 0) return;
#if defined(__arm__)
  __asm volatile(".syntax unified\n 1: subs %0, #1\n bne 1b\n" : "+l"(turns)::"cc");
#elif defined(__riscv)
  __asm volatile("1: addi %0, %0, -1\n bnez %0, 1b\n" : "+r"(turns));
#else
  while (turns > 0) {
    turns = turns - 1u;
    __asm volatile("" ::: "memory");
  }
#endif
}

static int tell(const tinyml_model *model, uint16_t op, uint16_t output, size_t at, size_t bytes) {
  const tinyml_observer *observer = model->observer;
  return observer && observer->on_output(observer->user, op, output, model->arena + at, bytes);
}

static tinyml_status invoke(tinyml_model *model) {
  uint8_t *arena = model->arena;
  if (initialised != 0x600DF00Du || zeroed != 0 || !floats_work()) return TINYML_ERROR_NULL;
  for (size_t i = 0; i < 64; ++i) arena[X + i] = (uint8_t)(arena[A + i] + 1u);
  if (tell(model, 0, 0, X, 64)) return TINYML_STOPPED;

  const uint32_t turns = arena[A];
  const uint32_t fate = arena[A + 1];
  if (fate == FATE_REFUSE) return TINYML_ERROR_ALIGNMENT;
  if (fate == FATE_OVERFLOW) zeroed = overflow(0);
  if (fate == FATE_HANG) {
    for (volatile uint32_t forever = 1; forever;) {
    }
  }
#if defined(__arm__)
  if (fate == FATE_FAULT) __asm volatile("udf #0");
#elif defined(__riscv)
  if (fate == FATE_FAULT) __asm volatile("unimp");
#else
  if (fate == FATE_FAULT) __builtin_trap();
#endif
  spin(LOOP_UNIT * turns);
  memcpy(arena + Y, arena + X, 64);
  if (tell(model, 1, 0, Y, 64)) return TINYML_STOPPED;

  for (size_t i = 0; i < 300; ++i) arena[Z + i] = arena[B + 299 - i];
  for (size_t i = 0; i < 64; ++i) arena[Y + i] ^= 0x55u;
  memset(arena + A, 0x77, X);
  if (tell(model, 2, 0, Z, 300)) return TINYML_STOPPED;
  if (tell(model, 2, 1, Y, 64)) return TINYML_STOPPED;

  for (size_t row = 0; row < ROWS; ++row) {
    const size_t at = ROW_BYTES * row;
    const size_t now = P + ROW_BYTES * (row % 2u);
    const size_t before = P + ROW_BYTES * ((row + 1u) % 2u);
    spin(ROW_UNIT * turns);
    for (size_t i = 0; i < ROW_BYTES; ++i) arena[now + i] = (uint8_t)(arena[Z + at + i] + 3u);
    if (tell(model, 3, 0, now, ROW_BYTES)) return TINYML_STOPPED;
    for (size_t i = 0; i < ROW_BYTES; ++i) {
      arena[Q + at + i] = arena[now + i] ^ (row > 0 ? arena[before + i] : 0u);
    }
    if (tell(model, 4, 0, Q + at, ROW_BYTES)) return TINYML_STOPPED;
  }
  return TINYML_OK;
}

#if defined(__arm__) || defined(__riscv)
__attribute__((section(".arena")))
#endif
static uint8_t arena[ARENA_BYTES] __attribute__((aligned(TINYML_ALIGNMENT)));
static tinyml_link_record records[RECORDS];

int main(void) {
  static const tinyml_region inputs[] = {{A, 64}, {B, 300}};
  static const tinyml_region outputs[] = {{Y, 64}, {Z, 300}};
  static const tinyml_model_info info = {
      .name = "toy",
      .identity = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
      .arena_bytes = ARENA_BYTES,
      .op_count = 5,
      .input_count = 2,
      .output_count = 2,
      .inputs = inputs,
      .outputs = outputs,
      .invoke = invoke};
  const tinyml_link_config config = {.model = &info,
                                     .arena = arena,
                                     .records = records,
                                     .record_capacity = RECORDS,
                                     .build = "test " __VERSION__};
  tinyml_port_init();
  return tinyml_link_serve(&config);
}
