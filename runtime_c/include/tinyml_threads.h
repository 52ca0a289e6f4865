/* tinyml: layers whose rows threads share, on boards with an operating system. */
#ifndef TINYML_THREADS_H
#define TINYML_THREADS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most parts of one layer. */
#define TINYML_MOST_THREADS 64

/* Computes the rows [first, stop) of a layer; `worker` says whose scratch is used. */
typedef void (*tinyml_rows_fn)(uint8_t *arena, int32_t first, int32_t stop, int32_t worker);

/* Computes all rows in `workers` parts, by so many threads at the most, the caller among them, and
 * returns when all are there. The others are started when they are first wanted, and stay for what
 * comes next, as long as the process lives. Where the system gives fewer, or the environment
 * variable TINYML_THREADS says that fewer are wanted, those that there are compute all parts.
 * Any thread may call: layers of several callers take turns. */
void tinyml_share_rows(tinyml_rows_fn rows, uint8_t *arena, int32_t count, int32_t workers);

#ifdef __cplusplus
}
#endif

#endif
