#define _GNU_SOURCE
/* A machine whose clock moves every 100 ms, for a process that loads this first. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GRAIN_NS 100000000

int clock_gettime(clockid_t clock, struct timespec *now) {
  const int done = (int)syscall(SYS_clock_gettime, clock, now);
  now->tv_nsec -= now->tv_nsec % GRAIN_NS;
  return done;
}
