/* A plugin for QEMU's TCG: how often each block of code ran, and how often its end was left by
 * a jump. Argument: out=FILE. One line per block at the end: its address, how many instructions
 * it has, how often it ran, how often what ran next was not what lies behind it (all hexadecimal).
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

int qemu_plugin_version = 1;

typedef struct block {
  struct block *next;
  uint64_t address;
  uint64_t end; /* the address behind its last instruction */
  uint64_t instructions;
  uint64_t runs;
  uint64_t jumps;
} block;

static block *blocks;
static block *last;
static char *path;

/* Blocks are few: what has been translated before is found, so that no block has two entries. */
static block *find(uint64_t address, uint64_t instructions) {
  for (block *b = blocks; b != NULL; b = b->next) {
    if (b->address == address && b->instructions == instructions) return b;
  }
  return NULL;
}

static void on_run(unsigned core, void *user) {
  block *const now = user;
  (void)core;
  now->runs++;
  if (last != NULL && last->end != now->address) last->jumps++;
  last = now;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  const uint64_t count = qemu_plugin_tb_n_insns(tb);
  const uint64_t address = qemu_plugin_tb_vaddr(tb);
  block *b = find(address, count);
  (void)id;
  if (b == NULL) {
    const struct qemu_plugin_insn *end = qemu_plugin_tb_get_insn(tb, count - 1);
    b = calloc(1, sizeof *b);
    if (b == NULL) abort();
    b->address = address;
    b->end = qemu_plugin_insn_vaddr(end) + qemu_plugin_insn_size(end);
    b->instructions = count;
    b->next = blocks;
    blocks = b;
  }
  qemu_plugin_register_vcpu_tb_exec_cb(tb, on_run, QEMU_PLUGIN_CB_NO_REGS, b);
}

static void on_exit(qemu_plugin_id_t id, void *user) {
  FILE *const out = fopen(path, "w");
  (void)id;
  (void)user;
  if (out == NULL) abort();
  for (const block *b = blocks; b != NULL; b = b->next) {
    fprintf(out, "%" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "\n", b->address, b->instructions,
            b->runs, b->jumps);
  }
  if (fclose(out) != 0) abort();
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) return -1;
  path = strdup(argv[0] + 4);
  if (path == NULL) return -1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_atexit_cb(id, on_exit, NULL);
  return 0;
}
