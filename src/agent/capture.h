/* SPDX-License-Identifier: MIT
 *
 * Reading the values on which the touched bytes depend, while the graph runs: row ids, expert ids and weights,
 * positions, masks. Hot path: no lock, no allocation, no system call.
 */
#ifndef TAT_AGENT_CAPTURE_H
#define TAT_AGENT_CAPTURE_H

#include "agent/graph_template.h"
#include "format/buffer.h"

/* Appends the count of values and the values of one capture. `node` is the consumer whose callback fired: the producers
 * of its operands are complete. Writes a count of 0 where the operand cannot be read. */
void capture_read(const struct ggml_layout * l, const struct ggml_tensor * node, const struct capture * capture,
                  struct tat_out * out);

#endif
