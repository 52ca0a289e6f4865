/* What the parts of the link share: the state of the server, and what each does for the others. */
#ifndef TINYML_LINK_SERVER_H
#define TINYML_LINK_SERVER_H

#include "crc32.h"
#include "frame.h"
#include "tinyml_link.h"

/* What a frame is: requests, and what the target sends that is no answer to one. */
enum {
  HELLO = 1,
  READ = 2,
  WRITE = 3,
  INVOKE = 4,
  PAINT = 5,
  MARKS = 6,
  FILL = 7,
  PUSH = 8,
  SERVE = 9,
  TRAIN = 10
};
enum { WANT = 0x7d, BUSY = 0x7e, FAULT = 0x7f, ANSWER = 0x80 };

#define HEADER_BYTES 3u /* command, sequence */
#define WRITE_FIELDS 6u /* what precedes the data of a WRITE: the longest request */
#define INVOKE_FIELDS 13u
#define FILL_FIELDS 15u
#define PUSH_FIELDS 15u
#define TRAIN_FIELDS (INVOKE_FIELDS + 16u)
#define SERVE_FIELDS 4u /* what precedes its data */
#define NO_OP UINT16_C(0xffff)

typedef struct {
  const tinyml_link_config *config;
  tinyml_frame_out out;
  tinyml_frame_in in;
  uint8_t request[HEADER_BYTES + WRITE_FIELDS + TINYML_LINK_PAYLOAD + 4u];
  uint8_t command; /* of the request that is carried out; SERVE may have overwritten it */
  uint16_t sequence;

  /* Where the input comes in pieces: FILL leaves a recipe here. */
  uint8_t recipe_valid;
  uint8_t recipe[FILL_FIELDS];

  /* The last INVOKE or PUSH, as long as no other request came after it. */
  uint8_t invoked_valid;
  uint8_t invoked_answer; /* tinyml_link_status */
  uint16_t invoked_sequence;
  tinyml_link_invoked invoked;

  /* The inference that runs, if need be over several PUSHes. */
  tinyml_model model;
  uint16_t next_row; /* that PUSH has to bring; 0: no frame has begun */
  uint8_t quiet;     /* no BUSY frames: the observer measures itself */
  uint8_t options;
  uint16_t stop_op;
  uint16_t stop_output;
  uint32_t stop_left; /* bytes of that output to go */
  uint16_t count;
  uint16_t pieces;  /* since the last BUSY frame */
  uint32_t wanted;  /* pieces of the input asked of the host */
  uint32_t debt;    /* overhead not yet taken out, in ticks / TINYML_LINK_CALIBRATIONS */
  uint64_t total;   /* ticks spent outside of the observer */
  uint64_t carried; /* those between the last piece and the end of a push, or a read of input */
} tinyml_link_state;

extern tinyml_link_state tinyml_link_server;

static tinyml_link_state *const server = &tinyml_link_server;

static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | (unsigned)p[1] << 8); }

static inline uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }

/* link.c: where byte `offset` of the arena lies, the second one counted on. */
uint8_t *tinyml_link_place(uint32_t offset);

/* link.c: begins a frame under the sequence number of the request. */
void tinyml_link_begin(uint8_t command);

/* input.c: each carries out a request, or says why not. */
tinyml_link_status tinyml_link_write(const uint8_t *fields, size_t bytes);
tinyml_link_status tinyml_link_fill(const uint8_t *fields);

/* input.c: whether the inputs are there, or can be made, and have this CRC-32. */
int tinyml_link_has_inputs(uint32_t crc);

/* input.c: makes row `row` where the input comes row by row. */
void tinyml_link_make_row(uint32_t row);

/* inference.c: INVOKE and PUSH. They fill in `invoked`. */
tinyml_link_status tinyml_link_run(const uint8_t *fields);
tinyml_link_status tinyml_link_push(const uint8_t *fields);

/* inference.c: what comes before and after anything that is observed and counted. */
void tinyml_link_start(const uint8_t *fields);
tinyml_link_status tinyml_link_report(tinyml_status status);

/* inference.c: from the first to the second, time is in no count. */
void tinyml_link_stop_counting(void);
void tinyml_link_count_on(void);

#endif
