/* A plugin for QEMU's TCG, for programs of Linux: tells a program how many instructions it has run.
 * Arguments: ask=FD, tell=FD, the two ends of a pipe. Whenever the program reads eight bytes from
 * `ask`, the count up to there is written to `tell` before. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qemu_plugin.h"

int qemu_plugin_version = 1;

static uint64_t count;
static uint64_t ask;
static int tell;

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &count,
                                           qemu_plugin_tb_n_insns(tb));
}

/* A read's arguments are the descriptor, the buffer and its size. That of a pipe for this purpose
 * is so high a number that no other system call's first argument is it. */
static void on_syscall(qemu_plugin_id_t id, unsigned core, int64_t number, uint64_t a1, uint64_t a2,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                       uint64_t a8) {
  (void)id, (void)core, (void)number, (void)a2, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (a1 == ask && a3 == sizeof count && write(tell, &count, sizeof count) != sizeof count) abort();
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
  (void)info;
  if (argc != 2 || strncmp(argv[0], "ask=", 4) != 0 || strncmp(argv[1], "tell=", 5) != 0) return -1;
  ask = strtoul(argv[0] + 4, NULL, 10);
  tell = (int)strtol(argv[1] + 5, NULL, 10);
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  return 0;
}
