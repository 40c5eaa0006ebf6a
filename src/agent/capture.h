/* SPDX-License-Identifier: MIT
 *
 * Reads, while the graph runs, the values that decide which bytes are touched: row ids, expert ids and weights,
 * positions, masks. Hot path: no lock, no allocation, no system call.
 */
#ifndef TAT_AGENT_CAPTURE_H
#define TAT_AGENT_CAPTURE_H

#include "agent/graph_template.h"
#include "format/buffer.h"

/* Appends one capture: the number of values, then the values. `node` is the consumer whose callback fired, so the
 * producers of its operands are complete. Writes a count of 0 if the operand cannot be read. */
void capture_read(const struct ggml_layout * l, const struct ggml_tensor * node, const struct capture * capture,
                  struct tat_out * out);

#endif
