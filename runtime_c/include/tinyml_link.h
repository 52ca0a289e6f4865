/* tinyml: the device side of the serial link.
 *
 * Serves one model to a host over the port's serial line. A firmware is:
 *
 *   #include "kws.h"
 *   #include "tinyml_link.h"
 *   #include "tinyml_port.h"
 *
 *   static uint8_t arena[KWS_ARENA_BYTES]
 *       __attribute__((section(".arena"), aligned(TINYML_ALIGNMENT)));
 *   static tinyml_link_record records[KWS_OUTPUTS_OBSERVED];
 *
 *   int main(void) {
 *     const tinyml_link_config config = {
 *         .model = &kws_info, .arena = arena, .build = "gcc 12.2 -O2",
 *         .records = records, .record_capacity = KWS_OUTPUTS_OBSERVED};
 *     tinyml_port_init();
 *     return tinyml_link_serve(&config);
 *   }
 *
 * (On hosts `section` is left out.)
 *
 * Frames. A frame is COBS-encoded and ends with 0x00. Decoded, little-endian:
 *
 *   u8 command | u16 sequence | payload | u32 CRC-32 (IEEE) of all that precedes
 *
 * A request with a wrong CRC, or longer than TINYML_LINK_PAYLOAD allows, gets no
 * answer: the host repeats it under the same sequence number. Every request may
 * be executed again without harm, except INVOKE, which overwrites its inputs, and
 * PUSH; so a repeated one is answered again, not run again, and any of them runs
 * only if the inputs in memory have the CRC-32 that the request states.
 *
 * The answer is: u8 command | 0x80, u16 sequence, u8 tinyml_link_status, payload.
 *
 *   HELLO   ()                                      -> tinyml_link_hello
 *   READ    (u8 space, u16 index, u32 offset, u16 n) -> u32 size of the space, data
 *   WRITE   (u16 input, u32 offset, data)            -> ()
 *   INVOKE  (u32 CRC of all inputs, u8 options, u16 stop_op, u16 stop_output, u32 stop_bytes)
 *                                                    -> tinyml_link_invoked
 *   PAINT   (u8 pattern)                             -> ()
 *   MARKS   (u8 pattern)                             -> u32 arena, more, stack (bytes touched)
 *   FILL    (u16 input, u8 kind, u32 seed, u32, u32) -> ()
 *   PUSH    (as INVOKE, with the CRC of the row; u16 row) -> tinyml_link_invoked
 *   SERVE   (u32 number, data)                       -> no answer: it is one, to a WANT
 *   TRAIN   (as INVOKE; u32 CRC of the target, f32 rate, u32 seed, u32 number of the sample)
 *                                                    -> tinyml_link_invoked
 *
 * FILL makes an input on the spot: TINYML_LINK_WORDS from a mask and a pattern,
 * TINYML_LINK_FLOATS from a lowest value and a step (link/fill.h).
 *
 * Where the input comes row by row (in the answer to HELLO `row_bytes` is not 0, `pixel_bytes`
 * is), it is never there as a whole. WRITE fills a buffer of one row, with `offset` counted in it,
 * and PUSH hands that over: row 0 begins a frame, with its options, and any other must be the one
 * after the last (TINYML_LINK_BAD_ROW if not). `model_status` is TINYML_MORE as long as rows are to
 * come; ticks and records are those of the frame so far. Or FILL leaves a recipe, and INVOKE makes
 * each row from it and hands it over, after it has made all of them once for their CRC. INVOKE and
 * PAINT end the frame that PUSH has begun.
 *
 * Where the input is pulled (neither is 0), there is no place for any of it: the model reads pieces
 * of it while it runs. INVOKE makes them from the recipe that FILL has left, after it has made the
 * whole input once for its CRC. Or, with TINYML_LINK_SERVED, it asks the host for each, in a WANT
 * frame (u8 0x7d, u16 sequence of the INVOKE, u32 number, u32 offset in the input, u16 n), and
 * waits for a SERVE of that sequence, number and length; numbers count from 1 in each INVOKE, and a
 * number is never used for two questions. While it waits it puts its question again whenever
 * the INVOKE arrives again, so a host repeats that as always, and answers every WANT. Any other
 * request ends the inference with TINYML_ERROR_READ, and is lost itself. The CRC that an INVOKE
 * with TINYML_LINK_SERVED states is not looked at: the answer has that of all that was read.
 *
 * Where the model learns (`training` is not NULL), TRAIN is an INVOKE that learns, and is like it
 * in everything: it runs once, its calls are observed as ops of their own, from 0. WRITE takes the
 * target as input TINYML_LINK_TARGET, and sets what lasts as TINYML_LINK_PARAMETERS_INPUT and
 * TINYML_LINK_STATE_INPUT; READ reads it.
 *
 * Where ops run row by row or tile by tile, an output is observed in pieces (rows, or parts of
 * them), and only some of it is in memory at a time. Its record adds the pieces up, in the order
 * in which they are computed, also those that tiles share. INVOKE with
 * TINYML_LINK_STOP stops after the piece with which `stop_bytes` bytes of the
 * output are there, or more: with 1 after the first piece, which has the whole
 * output of an op that runs at once; with the size of all pieces after the last. The
 * record then has the CRC of what came before, so that a host can find the first
 * row that differs and read it.
 *
 * Where something lasts from one run of the model to the next, INVOKE resets it first, so that
 * every request gives the same; with TINYML_LINK_RESUME it goes on from the run before.
 *
 * READ gives fewer than n bytes at the end of the space, where a frame is full, or
 * where a second arena begins: to the host, that follows on the first.
 *
 * A BUSY frame (u8 0x7e, u16 sequence of the request, u16 op) is sent when
 * an INVOKE or a PUSH starts (op 0xffff), at the first piece of every output, and at every
 * TINYML_LINK_BUSY_PIECES pieces after that, so that a host can tell busy from
 * dead. After a processor fault the device sends FAULT frames (u8 0x7f,
 * u16 0, u32 pc, u32 lr, u32 cause) in answer to everything.
 */
#ifndef TINYML_LINK_H
#define TINYML_LINK_H

#include "tinyml.h"
#include "tinyml_training.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TINYML_LINK_PROTOCOL 7

/* Data bytes that fit into one frame; sets the size of the receive buffer. */
#if !defined(TINYML_LINK_PAYLOAD) && defined(__AVR__)
#define TINYML_LINK_PAYLOAD 32 /* a request fits the 64 bytes in which Arduino gathers them */
#elif !defined(TINYML_LINK_PAYLOAD)
#define TINYML_LINK_PAYLOAD 192
#endif

/* How often the observer measures itself before an inference. */
#define TINYML_LINK_CALIBRATIONS 256

/* Runs of the same instructions, of turns of a loop each, that show whether ticks count them. */
#define TINYML_LINK_SPINS 8
#define TINYML_LINK_SPIN_TURNS 512

/* A BUSY frame for every row would take longer than the row. */
#define TINYML_LINK_BUSY_PIECES 64

typedef enum {
  TINYML_LINK_OK = 0,
  TINYML_LINK_BAD_COMMAND = 1, /* no such command */
  TINYML_LINK_BAD_LENGTH = 2,  /* the payload does not have the command's length */
  TINYML_LINK_BAD_RANGE = 3,   /* an index or offset outside of what there is */
  TINYML_LINK_BAD_INPUTS = 4,  /* the inputs in memory are not those the host means */
  TINYML_LINK_MODEL_ERROR = 5, /* the model refused to run; see `model_status` */
  TINYML_LINK_BAD_ROW = 6      /* not the row after the last one */
} tinyml_link_status;

/* Spaces for READ; `index` counts tensors and is 0 elsewhere. */
enum {
  TINYML_LINK_NAME = 0, /* text, as the next two */
  TINYML_LINK_IDENTITY = 1,
  TINYML_LINK_BUILD = 2,
  TINYML_LINK_INPUT_REGIONS = 3,  /* tinyml_region[] */
  TINYML_LINK_OUTPUT_REGIONS = 4, /* tinyml_region[] */
  TINYML_LINK_INPUT = 5,          /* not where it comes in pieces */
  TINYML_LINK_OUTPUT = 6,
  TINYML_LINK_ARENA = 7,
  TINYML_LINK_RECORDS = 8,    /* tinyml_link_record[], as many as the last INVOKE left */
  TINYML_LINK_PARAMETERS = 9, /* what learns */
  TINYML_LINK_STATE = 10      /* what is remembered from one sample to the next */
};

/* Inputs that WRITE takes beside those of the model. */
enum {
  TINYML_LINK_TARGET = 0xffff,
  TINYML_LINK_PARAMETERS_INPUT = 0xfffe,
  TINYML_LINK_STATE_INPUT = 0xfffd
};

/* Kinds of FILL. */
enum { TINYML_LINK_WORDS = 0, TINYML_LINK_FLOATS = 1 };

/* Options of INVOKE. */
enum {
  TINYML_LINK_CHECKSUMS = 1, /* fill in `crc` of the records */
  TINYML_LINK_STOP = 2,      /* stop at `stop_bytes` of output `stop_output` of op `stop_op` */
  TINYML_LINK_SERVED = 4,    /* ask the host for the input, which is pulled */
  TINYML_LINK_RESUME = 8     /* what lasts from one run to the next is as the last one left it */
};

typedef struct {
  uint16_t protocol;
  uint16_t payload;   /* TINYML_LINK_PAYLOAD */
  uint32_t unit;      /* tinyml_unit */
  uint32_t numerator; /* count = ticks * numerator / denominator */
  uint32_t denominator;
  uint32_t clock_hz;    /* processor clock; 0: not known */
  uint32_t arena_bytes; /* in all */
  uint32_t more_bytes;  /* of them, in a second arena */
  uint16_t op_count;
  uint16_t input_count;
  uint16_t output_count;
  uint16_t record_capacity;
  uint32_t row_bytes;   /* of the input where it comes in pieces, else 0 */
  uint32_t pixel_bytes; /* of the input where it is pulled, else 0 */
} tinyml_link_hello;

typedef struct {
  uint32_t ticks_low; /* of the whole inference, observer included in no part */
  uint32_t ticks_high;
  int16_t model_status;  /* tinyml_status */
  uint16_t record_count; /* outputs observed; record_capacity + 1 if there were too many */
  uint32_t overhead;     /* ticks per TINYML_LINK_CALIBRATIONS records that counting itself adds */
  uint32_t jitter;       /* by how many ticks runs of the same instructions differ, all ones where
                          * they take none: 0 if ticks are instructions */
  uint32_t read_crc;     /* CRC-32 of all pieces of an input that is pulled, in order; else 0 */
  uint32_t read_bytes;   /* of them, what was read twice counted twice */
  uint32_t loss;         /* after TRAIN, the bits of a float; else 0 */
} tinyml_link_invoked;

/* One output of one op, in the order of first pieces. */
typedef struct {
  uint16_t op;
  uint16_t output;
  uint32_t bytes;
  uint32_t crc;   /* CRC-32 of the output's bytes, if asked for */
  uint32_t ticks; /* for each piece since the one before, whoever's, less the observer's time; the
                   * overhead is in them once: that of pieces after the first is taken out */
} tinyml_link_record;

/* Carries out a TRAIN of these fields. */
typedef tinyml_link_status (*tinyml_link_learn_fn)(const uint8_t *fields);

typedef struct {
  const tinyml_model_info *model;
  uint8_t *arena;              /* all but model->more_bytes of the arena, aligned as it must be */
  uint8_t *more;               /* these; NULL where there are none */
  uint8_t *row;                /* model->row_bytes; NULL where the input does not come row by row */
  tinyml_link_record *records; /* room for one record per observed output */
  uint16_t record_capacity;
  const char *build; /* compiler and flags, for people */
  /* tinyml_link_read where the model pulls its input; NULL elsewhere, so that no other firmware
   * has to carry it. */
  tinyml_read_rows_fn read;
  /* Where the model learns, tinyml_link_learn, what it learns by, and room for a target; NULL
   * elsewhere. */
  tinyml_link_learn_fn learn;
  const tinyml_training_info *training;
  uint8_t *target;
} tinyml_link_config;

/* Reads a piece of the input, from the recipe or from the host. */
int tinyml_link_read(void *user, int32_t y, int32_t x, int32_t width, void *to);

/* For `learn` of the config. */
tinyml_link_status tinyml_link_learn(const uint8_t *fields);

/* Answers requests until the link is closed, which on a board is never. Returns 0. */
int tinyml_link_serve(const tinyml_link_config *config);

#ifdef __cplusplus
}
#endif

#endif
