/* SPDX-License-Identifier: MIT
 *
 * Foresees which experts the next router of a graph will choose, and has them read where the disk is idle. Only for
 * graphs of one token.
 */
#ifndef TAT_MANAGE_FORESIGHT_H
#define TAT_MANAGE_FORESIGHT_H

#include "agent/observer.h"
#include "manage/early_routers.h"
#include "manage/foresee.h"
#include "manage/managed_model.h"

struct foresight;

/* Of a graph and its schedule, which must outlive it. What it learns it shares with other graphs: *foresee, which is
 * made if it is NULL. NULL: memory, or the graph's routers are not those. */
struct foresight * foresight_new(struct foresee ** foresee, enum foresee_method method,
                                 const struct managed_model * model, const struct graph_call * call,
                                 const struct graph_uses * uses, const struct schedule * schedule);
void foresight_free(struct foresight * foresight); /* NULL is allowed */

/* A router chose: foresees the next one's choice. Returns the slices of the experts that may come, the likeliest expert
 * first, or none while too few of those came that were not in memory; they live until the next call. */
struct pieces_asked foresight_chosen(struct foresight * foresight, const struct host * host, struct ggml_cgraph * graph,
                                     uint32_t router, const uint8_t * chosen, const struct resident * resident);

#endif
