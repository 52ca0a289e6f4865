#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdlib.h>

#include "tinyml_threads.h"

/* The layer that runs: its parts are taken one after the other, by whoever is free. */
typedef struct {
  tinyml_rows_fn rows;
  uint8_t *arena;
  int32_t count;
  int32_t workers;
  int32_t next; /* part that nobody has taken */
  int32_t left; /* parts that are not done */
} layer_parts;

static pthread_mutex_t callers = PTHREAD_MUTEX_INITIALIZER; /* whose layer runs */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;    /* of what follows */
static pthread_cond_t begun = PTHREAD_COND_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static layer_parts layer;
static int32_t threads; /* beside the callers */

/* Takes parts until there are none. Called with the lock, which is given up meanwhile. */
static void take_parts(void) {
  while (layer.next < layer.workers) {
    const layer_parts mine = layer;
    layer.next++;
    (void)pthread_mutex_unlock(&lock);
    const int32_t whole = mine.count / mine.workers, more = mine.count % mine.workers;
    const int32_t part = mine.next;
    const int32_t first = part * whole + (part < more ? part : more);
    mine.rows(mine.arena, first, first + whole + (part < more), part);
    (void)pthread_mutex_lock(&lock);
    if (--layer.left == 0) (void)pthread_cond_signal(&done);
  }
}

static void *serve(void *unused) {
  (void)unused;
  (void)pthread_mutex_lock(&lock);
  for (;;) {
    take_parts();
    (void)pthread_cond_wait(&begun, &lock);
  }
  return NULL;
}

static int start_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, serve, NULL) != 0) return 0;
  (void)pthread_detach(thread);
  return 1;
}

/* Starts what is missing of so many threads, or of as many as the environment allows. Every call
 * does the same once they are there, so that counts of instructions repeat. */
static void have_threads(int32_t wanted) {
  const char *const most = getenv("TINYML_THREADS");
  if (most != NULL && wanted > atoi(most) - 1) wanted = (int32_t)atoi(most) - 1;
  while (threads < wanted && start_thread()) threads++;
}

void tinyml_share_rows(tinyml_rows_fn rows, uint8_t *arena, int32_t count, int32_t workers) {
  (void)pthread_mutex_lock(&callers);
  (void)pthread_mutex_lock(&lock);
  have_threads(workers - 1);
  layer = (layer_parts){rows, arena, count, workers, 0, workers};
  (void)pthread_cond_broadcast(&begun);
  take_parts();
  while (layer.left > 0) (void)pthread_cond_wait(&done, &lock);
  (void)pthread_mutex_unlock(&lock);
  (void)pthread_mutex_unlock(&callers);
}
