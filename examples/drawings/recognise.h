/* What the examples for C share: the digits network, shown the drawings of drawings.inc. */
#ifndef RECOGNISE_H
#define RECOGNISE_H

#include "digits_int8.h"

/* So many bytes hold any line. */
#define RECOGNISE_LINE 80

/* How many drawings there are. */
int recognise_count(void);

/* Shows the network drawing `index`. Writes what it says as text, with a line feed at the end and
 * no 0, to `line`: which digit it sees, and its int8 outputs, one for each digit. Returns the
 * length, or 0 when the model returned an error. */
int recognise(digits_int8_t *model, int index, char line[RECOGNISE_LINE]);

#endif
