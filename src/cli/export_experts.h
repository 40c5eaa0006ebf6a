/* SPDX-License-Identifier: MIT
 *
 * The part of `tat export` that writes counts of experts and what follows from them.
 */
#ifndef TAT_CLI_EXPORT_EXPERTS_H
#define TAT_CLI_EXPORT_EXPERTS_H

#include <stdbool.h>
#include <stdint.h>

#include <argp.h>

#include "cli/access_options.h"
#include "tat/error.h"

enum { EXPERT_RUNS_MAX = 64 };

enum { KEY_EXPERT_COUNTS = 1280, KEY_EXPERT_MASK, KEY_OVERRIDE, KEY_MEMORY, KEY_PER_LAYER };

/* Rows of an option table. */
#define EXPERT_OPTIONS                                                                                                 \
    { "expert-counts",                                                                                                 \
      KEY_EXPERT_COUNTS,                                                                                               \
      NULL,                                                                                                            \
      0,                                                                                                               \
      "Instead of records, write how often each expert was chosen: layer,expert,count. Several TRACEs of one model "   \
      "are "                                                                                                           \
      "added up. Of filters, --phases and --model apply",                                                              \
      3 },                                                                                                             \
        { "expert-mask",                                                                                               \
          KEY_EXPERT_MASK,                                                                                             \
          NULL,                                                                                                        \
          0,                                                                                                           \
          "Instead of records, write which experts to keep in memory: layer,expert,count,bytes,keep. Those chosen "    \
          "most "                                                                                                      \
          "often "                                                                                                     \
          "for their size are kept, up to --memory or --per-layer",                                                    \
          3 },                                                                                                         \
        { "override-tensor",                                                                                           \
          KEY_OVERRIDE,                                                                                                \
          NULL,                                                                                                        \
          0,                                                                                                           \
          "Instead of records, write a value for llama.cpp's option -ot. It leaves the experts of those layers to "    \
          "the CPU "                                                                                                   \
          "that "                                                                                                      \
          "do not fit into --memory. llama.cpp can only place all experts of a layer together",                        \
          3 },                                                                                                         \
        { "memory", KEY_MEMORY, "SIZE", 0, "Memory for experts alone, such as 8G", 3 }, {                              \
        "per-layer", KEY_PER_LAYER, "NUMBER", 0, "How many experts of each layer to keep", 3                           \
    }

struct export_experts {
    enum { EXPERTS_NOTHING, EXPERTS_COUNTS, EXPERTS_MASK, EXPERTS_RULES } what;
    uint64_t memory;    /* 0: not given */
    uint32_t per_layer; /* likewise */
    bool json;
    const char * model;
    unsigned phases;
    const char * traces[EXPERT_RUNS_MAX];
    int n_traces; /* 0: the newest */
};

/* One of the options above, or a trace. ARGP_ERR_UNKNOWN: neither. */
error_t export_experts_parse(struct export_experts * request, int key, char * argument, struct argp_state * state);

/* After the last option: what goes with what. `access`: the filters that were given. */
void export_experts_complete(struct export_experts * request, const struct access_options * access, const char * format,
                             struct argp_state * state);

/* To `path`, or standard output if that is NULL. 0, or -1 with *error. */
int export_experts(const struct export_experts * request, const char * path, struct tat_error * error);

#endif
