/* SPDX-License-Identifier: MIT
 *
 * What came of managing a model's memory, as `tat run --record` left it beside the trace (doc/format.md).
 */
#ifndef TAT_ANALYSIS_MANAGED_RUN_H
#define TAT_ANALYSIS_MANAGED_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "tat/trace.h"

#define MANAGED_FILE      "managed.json"
#define MANAGED_PLAN_FILE "plan.json"

/* Bytes. */
struct managed_placement {
    uint64_t pinned, streamed, ring, cached, cache, left;
};

/* What others took while a model was managed; 0: nothing, or so little that it made no run slower. */
struct managed_others {
    double processors; /* on average: programs, and other machines */
    uint32_t count;    /* of processors */
    double disk;       /* share of the bytes that the model's disk read and wrote */
};

/* Of the trace's process. Figures that no line has are 0. */
struct managed_run {
    struct managed_placement placement; /* the last that is known */
    uint64_t limit, pool;
    uint64_t tokens, ns, wait_ns;                  /* generated, one a graph; their graphs' time; of that, waiting */
    uint64_t token_read, token_wanted, token_held; /* bytes for these tokens: read; of experts, wanted and found */
    uint64_t token_kept; /* of what was found, what the policy had kept: the rest was read ahead */
    uint64_t read, disk_ns, map_ns, loads, drops; /* of the whole run; disk_ns: a read was under way */
    uint64_t errors, given_up, checked, wrong, major_faults;
    uint64_t after_tokens, after_ns; /* generated after managing stopped; in none of the sums above */
    struct managed_others others;
    double predicted; /* tokens a second; 0: nobody did */
    bool has_ended, handed_back, is_direct;
    char reader[16];
    json_t * file; /* all that the manager said */
    json_t * plan; /* that the run went by; NULL: none */
};

/* False: it was not managed, or nothing says what came of that. Free it if true. */
bool managed_run_read(const struct tat_trace * trace, struct managed_run * run);
void managed_run_free(struct managed_run * run);

/* Of a line, 0 if it has no such figure. */
uint64_t managed_figure(const json_t * line, const char * name);

/* Of a line "so_far" or "end". What is predicted is for a machine of one's own. */
struct managed_others managed_others(const json_t * line);

/* Whether a line is of that kind, and of that process. */
bool managed_line_is(const json_t * line, const char * kind, uint32_t pid);

#endif
