/* SPDX-License-Identifier: MIT
 *
 * The machine a run was made on, for its metadata.
 */
#ifndef TAT_EXPORT_HOST_FACTS_H
#define TAT_EXPORT_HOST_FACTS_H

#include <jansson.h>

#include "tat/trace.h"

/* Kernel, processor, memory, the disk of the first model file; without the host's name in a private run. The caller
 * owns it. */
json_t * host_facts_json(const struct tat_trace * trace, bool is_private);

/* What tells this machine from others, as the facts have it too: processor, how many, memory. The caller owns it. */
json_t * host_identity_json(void);

#endif
