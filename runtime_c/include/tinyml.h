/* tinyml: what generated models and applications share.
 *
 * A generated model has no state but its instance and its arena: no malloc, no mutable globals.
 * Arena and buffers are aligned to TINYML_ALIGNMENT bytes.
 */
#ifndef TINYML_H
#define TINYML_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever generated code and runtime must change together. */
#define TINYML_RUNTIME_VERSION 6

#define TINYML_ALIGNMENT 8

typedef enum {
  TINYML_OK = 0,
  TINYML_STOPPED = 1,           /* the observer asked to stop: not an error */
  TINYML_MORE = 2,              /* more rows of the input are wanted: not an error */
  TINYML_ERROR_NULL = -1,       /* a required pointer is NULL */
  TINYML_ERROR_ARENA_SIZE = -2, /* the arena is smaller than the plan */
  TINYML_ERROR_ALIGNMENT = -3,  /* the arena is not aligned to TINYML_ALIGNMENT */
  TINYML_ERROR_READ = -4,       /* the application could not read a piece of the input */
  TINYML_ERROR_TARGET = -5      /* a label that is none of the classes */
} tinyml_status;

/* Reads the pixels [x, x + width) of row `y` of the input to `to`; a pixel is all its channels.
 * Called while a model runs whose input is pulled; a non-zero result ends the inference. */
typedef int (*tinyml_read_rows_fn)(void *user, int32_t y, int32_t x, int32_t width, void *to);

/* Called after op `op` (index in execution order) has produced the next `bytes`
 * bytes of its output `output` (0 for the first) at `data`; a non-zero result
 * stops the inference, which then returns TINYML_STOPPED. Where ops run row by
 * row, an output comes in pieces, in order, between those of other ops, and a
 * piece is good only until the call returns. Where they run tile by tile, a piece
 * is a part of a row; the pieces of a tile come from top to bottom, and what tiles
 * share comes once for each. */
typedef struct {
  int (*on_output)(void *user, uint16_t op, uint16_t output, const void *data, size_t bytes);
  void *user;
} tinyml_observer;

/* A model instance: the memory it works in. */
typedef struct {
  uint8_t *arena;
  const tinyml_observer *observer; /* NULL: none */
  uint32_t step; /* how far a frame is whose rows come one by one; 0: none has begun */
  uint8_t *more; /* of a model with two arenas, the second; else not used */
} tinyml_model;

/* A byte range of the arena. Where that is in two pieces, the second follows on the first. */
typedef struct {
  uint32_t offset;
  uint32_t bytes;
} tinyml_region;

/* A model described as data, for code that serves any model (serial link, tests). */
typedef struct {
  const char *name;
  const char *identity; /* 64 hex digits: SHA-256 over model, plan and generator */
  uint32_t arena_bytes; /* in all */
  uint32_t more_bytes;  /* of them, in a second arena; 0: there is one */
  uint16_t op_count;
  uint16_t input_count;
  uint16_t output_count;
  const tinyml_region *inputs;  /* where invoke reads inputs; overwritten by invoke */
  const tinyml_region *outputs; /* where invoke leaves outputs */
  tinyml_status (*invoke)(tinyml_model *model); /* NULL where the input comes in pieces */
  /* Where the only input does, it has no place in the arena: inputs[0].offset is 0. */
  uint32_t row_bytes;   /* of a whole row; 0 where inputs lie in the arena */
  uint32_t pixel_bytes; /* where it is pulled, else 0 */
  /* Takes the next row, of a new frame if model->step is 0 (see TINYML_MORE); or NULL. */
  tinyml_status (*push_row)(tinyml_model *model, const void *row);
  /* Runs the model, which reads the input in pieces; or NULL. */
  tinyml_status (*pull)(tinyml_model *model, tinyml_read_rows_fn read, void *user);
  /* Makes what lasts from one invoke to the next what it was at first; NULL where nothing does. */
  tinyml_status (*reset)(tinyml_model *model);
} tinyml_model_info;

#ifdef __cplusplus
}
#endif

#endif
