#include <string.h>

#include "server.h"
#include "tinyml_port.h"

tinyml_link_status tinyml_link_learn(const uint8_t *fields) {
  const tinyml_link_config *config = server->config;
  const tinyml_training_info *training = config->training;
  const uint32_t bits = get32(fields + INVOKE_FIELDS + 4);
  float rate;
  float loss = 0.0f;
  server->next_row = 0;
  if (!tinyml_link_has_inputs(get32(fields)) ||
      tinyml_crc32(0, config->target, training->target_bytes) != get32(fields + INVOKE_FIELDS)) {
    return TINYML_LINK_BAD_INPUTS;
  }
  memcpy(&rate, &bits, sizeof rate);
  tinyml_link_start(fields);
  memmove(config->arena + training->input_offset, config->arena + config->model->inputs[0].offset,
          config->model->inputs[0].bytes);
  tinyml_link_count_on();
  const tinyml_status status =
      training->learn(&server->model, config->target, rate, get32(fields + INVOKE_FIELDS + 8),
                      get32(fields + INVOKE_FIELDS + 12), &loss);
  server->total += tinyml_port_ticks() + server->carried;
  memcpy(&server->invoked.loss, &loss, sizeof loss);
  return tinyml_link_report(status);
}
