/* A program for Linux with the generated shared library. Several threads look at the drawings at
 * the same time, each with an instance of the model that has memory of its own. */
#include <pthread.h>
#include <stdio.h>

#include "recognise.h"

#define THREADS 4 /* cores of the Jetson Nano */
#define DRAWINGS_AT_MOST 64

typedef struct {
  uint8_t arena[DIGITS_INT8_ARENA_BYTES] __attribute__((aligned(TINYML_ALIGNMENT)));
  int first; /* of the drawings; its others are every THREADS-th */
  int failed;
} worker;

static worker workers[THREADS];
static char lines[DRAWINGS_AT_MOST][RECOGNISE_LINE];
static int lengths[DRAWINGS_AT_MOST];

static void *work(void *given) {
  worker *own = given;
  digits_int8_t model;
  own->failed = recognise_count() > DRAWINGS_AT_MOST ||
                digits_int8_init(&model, own->arena, sizeof own->arena) != TINYML_OK;
  for (int i = own->first; i < recognise_count() && !own->failed; i += THREADS) {
    lengths[i] = recognise(&model, i, lines[i]);
    own->failed = lengths[i] == 0;
  }
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS];
  int started = 0;
  for (; started < THREADS; started++) {
    workers[started].first = started;
    if (pthread_create(&threads[started], NULL, work, &workers[started]) != 0) {
      break;
    }
  }
  int failed = started < THREADS;
  for (int i = 0; i < started; i++) {
    pthread_join(threads[i], NULL);
    failed |= workers[i].failed;
  }
  if (failed) {
    fputs("failed\n", stderr);
    return 1;
  }
  for (int i = 0; i < recognise_count(); i++) {
    fwrite(lines[i], 1, (size_t)lengths[i], stdout);
  }
  return 0;
}
