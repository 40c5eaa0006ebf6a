/* SPDX-License-Identifier: MIT
 *
 * The observer that keeps a model's pieces in memory while graphs are computed. Another is the recorder; neither knows
 * the other.
 */
#ifndef TAT_MANAGE_MANAGER_H
#define TAT_MANAGE_MANAGER_H

#include <stdint.h>

#include "agent/observer.h"
#include "manage/options.h"

extern const struct observer manager;

/* Before there is a second thread. From then on the manager waits for a graph with weights to manage. */
void manager_configure(const struct manage_options * options);

/* The program is about to unmap that range. Any thread. */
void manager_unmaps(const void * at, uint64_t bytes);

#endif
