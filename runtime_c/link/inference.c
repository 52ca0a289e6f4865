#include <string.h>

#include "server.h"
#include "tinyml_port.h"

static void send_busy(uint16_t op) {
  tinyml_link_begin(BUSY);
  tinyml_frame_put(&server->out, &op, sizeof op);
  tinyml_frame_end(&server->out);
}

/* The record of an output, a new one at its first piece; NULL if there is no room for it. */
static tinyml_link_record *find_record(uint16_t op, uint16_t output) {
  tinyml_link_record *const records = server->config->records;
  if (server->count > server->config->record_capacity) return NULL;
  /* From the end: an op that runs on its own is the last one. */
  for (uint16_t i = server->count; i > 0; --i) {
    if (records[i - 1].op == op && records[i - 1].output == output) return &records[i - 1];
  }
  if (server->count++ == server->config->record_capacity) return NULL;
  tinyml_link_record *const record = &records[server->count - 1];
  *record = (tinyml_link_record){.op = op, .output = output};
  return record;
}

/* Ticks of a piece after the first, without what counting adds; the fraction is carried on. */
static uint64_t without_overhead(uint64_t ticks) {
  server->debt += server->invoked.overhead;
  const uint32_t whole = server->debt / TINYML_LINK_CALIBRATIONS;
  server->debt %= TINYML_LINK_CALIBRATIONS;
  return ticks > whole ? ticks - whole : 0;
}

/* Only what runs between two calls is counted, and nothing of what is done here.
 * The counter starts anew every time: in the same phase, so that counts repeat exactly. */
static int observe(void *user, uint16_t op, uint16_t output, const void *data, size_t bytes) {
  uint64_t ticks = tinyml_port_ticks() + server->carried;
  int stop = 0;
  (void)user;
  if (!server->quiet) {
    const uint16_t seen = server->count;
    tinyml_link_record *const record = find_record(op, output);
    if (record != NULL) {
      if (record->bytes > 0) ticks = without_overhead(ticks);
      if (server->options & TINYML_LINK_CHECKSUMS) {
        record->crc = tinyml_crc32(record->crc, data, bytes);
      }
      record->bytes += (uint32_t)bytes;
      record->ticks =
          ticks < UINT32_MAX - record->ticks ? record->ticks + (uint32_t)ticks : UINT32_MAX;
    }
    if (server->count != seen || ++server->pieces == TINYML_LINK_BUSY_PIECES) {
      send_busy(op);
      server->pieces = 0;
    }
    if ((server->options & TINYML_LINK_STOP) && op == server->stop_op &&
        output == server->stop_output) {
      stop = bytes >= server->stop_left;
      server->stop_left -= (uint32_t)bytes;
    }
  }
  server->total += ticks;
  server->carried = 0;
  tinyml_port_counter_reset();
  return stop;
}

/* A fixed number of instructions, whatever they are. */
static uint64_t ticks_of_a_spin(void) {
  tinyml_port_counter_reset();
  for (volatile uint16_t i = 0; i < TINYML_LINK_SPIN_TURNS; ++i) {
  }
  return tinyml_port_ticks();
}

/* By how many ticks runs of the same instructions differ. A counter that does not move while
 * thousands of them run (a clock that is read too coarsely) counts no instructions either. */
static uint32_t spread_of_spins(void) {
  uint64_t least = UINT64_MAX;
  uint64_t most = 0;
  for (unsigned i = 0; i < TINYML_LINK_SPINS; ++i) {
    const uint64_t ticks = ticks_of_a_spin();
    if (ticks < least) least = ticks;
    if (ticks > most) most = ticks;
  }
  return least == 0 ? UINT32_MAX : (uint32_t)(most - least);
}

/* What observations find where nothing runs between them. */
static void calibrate(const tinyml_observer *observer) {
  server->quiet = 1;
  server->total = 0;
  for (unsigned i = 0; i < TINYML_LINK_CALIBRATIONS; ++i) {
    tinyml_port_counter_reset();
    (void)observer->on_output(observer->user, NO_OP, 0, NULL, 0);
  }
  server->quiet = 0;
  server->invoked.overhead = (uint32_t)server->total;
  server->invoked.jitter = spread_of_spins();
}

void tinyml_link_stop_counting(void) { server->carried += without_overhead(tinyml_port_ticks()); }

void tinyml_link_count_on(void) { tinyml_port_counter_reset(); }

void tinyml_link_start(const uint8_t *fields) {
  static const tinyml_observer observer = {observe, NULL};
  send_busy(NO_OP);
  server->model = (tinyml_model){server->config->arena, &observer, 0, server->config->more};
  server->options = fields[4];
  server->stop_op = get16(fields + 5);
  server->stop_output = get16(fields + 7);
  server->stop_left = get32(fields + 9);
  server->count = 0;
  server->pieces = 0;
  server->wanted = 0;
  server->debt = 0;
  server->carried = 0;
  if (server->config->model->reset != NULL && !(server->options & TINYML_LINK_RESUME)) {
    (void)server->config->model->reset(&server->model);
  }
  calibrate(&observer);
  server->total = 0;
}

tinyml_link_status tinyml_link_report(tinyml_status status) {
  server->invoked.ticks_low = (uint32_t)server->total;
  server->invoked.ticks_high = (uint32_t)(server->total >> 32);
  server->invoked.model_status = (int16_t)status;
  server->invoked.record_count = server->count;
  return status < 0 ? TINYML_LINK_MODEL_ERROR : TINYML_LINK_OK;
}

/* What follows the last piece goes to the first piece of the next row, or to the total. */
static tinyml_status push_row(void) {
  tinyml_link_count_on();
  const tinyml_status status = server->config->model->push_row(&server->model, server->config->row);
  tinyml_link_stop_counting();
  if (status != TINYML_MORE) server->total += server->carried;
  return status;
}

static tinyml_status run_at_once(void) {
  const tinyml_model_info *model = server->config->model;
  tinyml_link_count_on();
  const tinyml_status status = model->pull != NULL
                                   ? model->pull(&server->model, server->config->read, NULL)
                                   : model->invoke(&server->model);
  server->total += tinyml_port_ticks() + server->carried;
  return status;
}

tinyml_link_status tinyml_link_run(const uint8_t *fields) {
  const tinyml_model_info *model = server->config->model;
  const int served = (fields[4] & TINYML_LINK_SERVED) != 0;
  server->next_row = 0;
  if (served && model->pull == NULL) return TINYML_LINK_BAD_RANGE;
  if (!served && !tinyml_link_has_inputs(get32(fields))) return TINYML_LINK_BAD_INPUTS;
  tinyml_link_start(fields);
  if (model->push_row == NULL) return tinyml_link_report(run_at_once());
  tinyml_status status = TINYML_MORE;
  for (uint32_t row = 0; status == TINYML_MORE; ++row) {
    tinyml_link_make_row(row);
    status = push_row();
  }
  return tinyml_link_report(status);
}

tinyml_link_status tinyml_link_push(const uint8_t *fields) {
  const tinyml_model_info *model = server->config->model;
  const uint16_t row = get16(fields + INVOKE_FIELDS);
  if (model->push_row == NULL) return TINYML_LINK_BAD_COMMAND;
  if (tinyml_crc32(0, server->config->row, (size_t)model->row_bytes) != get32(fields)) {
    return TINYML_LINK_BAD_INPUTS;
  }
  if (row != 0 && row != server->next_row) return TINYML_LINK_BAD_ROW;
  if (row == 0) {
    tinyml_link_start(fields);
  } else {
    send_busy(NO_OP);
  }
  const tinyml_status status = push_row();
  server->next_row = status == TINYML_MORE ? (uint16_t)(row + 1u) : 0;
  return tinyml_link_report(status);
}
