/* SPDX-License-Identifier: MIT
 *
 * The weights of a graph that can be managed: in which mappings of which files they lie, and the pieces that they are
 * cut into.
 */
#ifndef TAT_MANAGE_MANAGED_MODEL_H
#define TAT_MANAGE_MANAGED_MODEL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "manage/graph_uses.h"
#include "manage/resident.h"
#include "manage/schedule.h"
#include "plan/pieces.h"

enum { MANAGED_FILES_MAX = 64 };

struct managed_file {
    struct resident_file file;
    uint32_t number; /* as files.h numbers it */
    char path[PATH_MAX];
    struct pieces pieces;
    uint32_t first; /* the model's number of its first piece */
    uint64_t device;
};

struct managed_model {
    struct managed_file * file;
    uint32_t n_files;
    struct resident_piece * piece;
    uint32_t n_pieces;
    uint64_t page_bytes;
};

/* Finds the weights that the graph needs, and cuts them. `uses` is filled in too; the caller frees both, whatever is
 * returned. Takes the registry's lock. False: memory. */
bool managed_model_find(struct managed_model * model, const struct host * host, struct ggml_cgraph * graph,
                        uint32_t rule, struct graph_uses * uses);
void managed_model_free(struct managed_model * model);

/* What another graph needs of this model; what lies elsewhere is left out. */
bool managed_model_uses(struct managed_model * model, const struct host * host, struct ggml_cgraph * graph,
                        uint32_t rule, struct graph_uses * uses);

/* How many bytes the kernel reads at a fault in its first file, where the program does not say. */
uint64_t managed_model_read_ahead(const struct managed_model * model);

struct piece_range {
    uint32_t first, count;
};

/* The pieces that hold a range of weights which are no experts'. None: it lies elsewhere. */
struct piece_range managed_model_pieces(const struct managed_model * model, const char * at, uint64_t bytes);

/* A graph's uses in pieces, as many as there are uses, and what is to be done for them. The caller frees both. NULL:
 * memory, and then there is no schedule. */
struct schedule_use * managed_model_schedule(const struct managed_model * model, const struct graph_uses * uses,
                                             uint32_t * count, struct schedule * schedule);

#endif
