/* SPDX-License-Identifier: MIT
 *
 * What of a model should be in memory when it does not fit, and what that would gain: `tat plan`. Of a recorded run:
 * which pieces its tokens needed, when, and how long computing took.
 */
#ifndef TAT_ANALYSIS_PLANNING_PLANNING_H
#define TAT_ANALYSIS_PLANNING_PLANNING_H

#include "analysis/caching/cache_string.h"
#include "analysis/caching/course.h"
#include "analysis/result.h"
#include "plan/pieces.h"
#include "plan/placement.h"
#include "plan/predict.h"
#include "plan/timeline.h"

/* ---- what is asked ---- */

struct planning_request {
    uint64_t memory_bytes;
    /* What takes memory beside the model. The KV cache counts only where the trace does not tell it. */
    uint64_t kv_bytes, compute_bytes, program_bytes, library_bytes; /* compute: for a whole batch */
    uint64_t context;                                               /* tokens; 0: not known */
    double disk_rate;                                               /* bytes a second, given; 0: what `disk` says */
    const json_t * disk;                                            /* as disk_kept has it; NULL: nothing is known */
    const char * disk_name;                                         /* of it */
    struct tat_scope tokens;                                        /* which the plan is made from */
    uint32_t model;                                                 /* as in struct tat_analysis_options */
};

/* The plan as an answer (analysis/result.h), with keys of its own (doc/plan.md); the caller owns it. NULL with *error.
 * values.gate says whether there is anything to do. */
json_t * planning_make(const struct tat_trace * trace, const struct planning_request * request,
                       struct tat_error * error);

/* What each token read, in order, and how many tokens had that order; the caller owns it. NULL with *error. */
json_t * planning_access_pattern(const struct tat_trace * trace, const struct planning_request * request,
                                 struct tat_error * error);

/* ---- what the run needed ---- */

/* A piece that tokens need, in the order in which they need them. */
struct plan_piece {
    uint64_t offset, bytes; /* in the file; whole pages */
    uint64_t uses;          /* by generated graphs */
    uint32_t file;          /* index */
    uint32_t tensor;        /* the first one that needs it */
    uint32_t layer;
    uint16_t expert; /* or TAT_NO_EXPERT */
};

/* A generated graph's need of a piece, on the clock of computing alone (course.h). */
struct plan_need {
    uint64_t at, until, known;
    uint64_t operation; /* how many there are before its own */
    uint32_t item;      /* index among pieces */
    uint32_t graph, stage;
};

struct planning {
    const struct subject * subject;
    const struct planning_request * request;
    struct references references;
    struct course course;

    struct plan_piece * piece;
    struct placement_item * item; /* by piece */
    uint32_t n_pieces;
    uint32_t * item_of;         /* by place in the files: the piece's index; needs.h */
    uint32_t * first_item;      /* by slice: the place of its first piece */
    uint32_t * n_items;         /* by slice: how many pieces it has, side by side */
    struct list needs;          /* struct plan_need */
    uint32_t * expert_of;       /* by piece: its expert's number */
    struct cache_string string; /* of experts alone, which are kept with all their slices */
    uint64_t stack_bytes;       /* all experts of the largest stack */
    uint64_t chosen_bytes;      /* the most of a layer's experts that a generated graph needs */
    double * compute_ns;        /* by generated graph */
    uint64_t * tokens;          /* by generated graph */
    uint32_t n_graphs;          /* generated ones; of these, needs has those of the first n_timed */
    uint32_t n_timed;
    uint32_t n_stages;
    uint64_t * stage_at; /* by stage: when it begins */

    uint64_t needed_bytes, dense_bytes, expert_bytes; /* of pieces */
    uint64_t copied_bytes;                            /* of weights in memory of the program's own */
    uint64_t kv_bytes;
    uint64_t budget, spare;  /* for pieces; kept free for what may come, so that page cache has it */
    bool was_managed;        /* `tat run` recorded it */
    double token_compute_ns; /* the mean, without waits as far as they are known */
    enum { COMPUTE_MEASURED, COMPUTE_WITHOUT_FAULTS, COMPUTE_WITHOUT_READS, COMPUTE_WITH_WAITS } compute_source;
    struct predict_costs costs;
    struct timeline_machine machine;
    double plain_rate; /* of page faults with read-ahead */
    uint64_t read_ahead;
    bool cut_failed; /* the tensors overlap */
};

/* Fills in all of it but for the strategies. 0, or -1 with *error. End it in any case. */
int planning_begin(struct planning * p, const struct subject * subject, const struct planning_request * request,
                   struct tat_error * error);
void planning_end(struct planning * p);

/* Bytes of an expert's slice; without experts, those of a piece. */
uint64_t planning_mean_expert(const struct planning * p);

/* ---- strategies.c ---- */

/* What a strategy makes of it, by generated token. */
struct plan_outcome {
    struct placement placement;
    struct predict_reads reads;
    struct token_cost bound;
    double hit_share;          /* of experts' bytes; below 0: none are cached */
    double token_ns;           /* the mean of computing, and that of what recorded ones lose; 0: not known */
    struct timeline_loss lost; /* of that */
    double p50_ns, p99_ns;
    uint64_t ahead_bytes; /* the most that was read before it was needed */
};

struct plan_strategy {
    const char * name;  /* "pin+stream" */
    const char * title; /* "pinned and streamed" */
    unsigned may;
    const struct policy_kind * policy; /* of PLACE_MAY_CACHE; NULL: Belady's MIN */
};

enum { LEAD_EARLIEST = UINT32_MAX };

/* `lead`: so many layers ahead do reads begin at the earliest. `classes`: by piece, or NULL. False: memory. */
bool planning_evaluate(const struct planning * p, uint64_t budget, const struct plan_strategy * strategy, uint32_t lead,
                       uint8_t * classes, struct plan_outcome * outcome);

/* Share of experts' bytes that generated tokens find in a cache of so many bytes. `kind` NULL: MIN. Below 0: memory. */
double planning_hit_share(const struct planning * p, uint64_t capacity, const struct policy_kind * kind);

/* ---- plain.c ---- */

/* Plain mmap, with so much memory for page cache. token_ns, p50_ns and p99_ns are of waiting for each read. */
struct plan_plain {
    struct cache_string string; /* of blocks */
    uint64_t * by_graph;        /* bytes read */
};
bool plan_plain_begin(const struct planning * p, struct plan_plain * plain); /* false: memory; end it in either case */
bool plan_plain_evaluate(const struct planning * p, struct plan_plain * plain, uint64_t capacity,
                         struct plan_outcome * outcome);
void plan_plain_end(struct plan_plain * plain);

/* The run itself, if it was recorded with as much memory, by plain mmap or managed. False: it was not. */
bool plan_plain_measured(const struct planning * p, struct plan_outcome * outcome);

/* Ends the result as a file of a format, in which lists are there even if they are empty. NULL: memory. */
json_t * planning_file(struct result * r, const char * format);

/* ---- access_pattern.c ---- */

json_t * access_pattern_of(const struct subject * subject, const struct planning_request * request,
                           struct tat_error * error);

/* ---- tell.c, describe.c ---- */

struct plan_sweep_row {
    uint64_t memory, budget;
    double share;
    struct plan_outcome best, plain;
};
enum { SWEEP_SHARES = 14, LEADS_TRIED = 8, STRATEGIES_MOST = 12 };

struct plan_row {
    const struct plan_strategy * strategy;
    struct plan_outcome outcome;
};

/* All that was found, for the tables. */
struct plan_found {
    struct plan_outcome plain, measured;
    bool is_measured;
    struct plan_row row[STRATEGIES_MOST];
    unsigned n_rows;
    const struct plan_row * chosen; /* in `row` */
    uint8_t * classes;              /* of the chosen one */
    struct plan_sweep_row sweep[SWEEP_SHARES];
    int knee; /* in `sweep`; -1: none */
    struct plan_outcome lead[LEADS_TRIED];
    uint32_t lead_layers; /* so far ahead must reads begin; LEAD_EARLIEST: as early as can be */
    enum predict_gate gate;
};

extern const uint32_t plan_leads[LEADS_TRIED];
void planning_tell(const struct planning * p, const struct plan_found * found, struct result * r);
void planning_describe(const struct planning * p, const struct plan_found * found, struct result * r);

#endif
