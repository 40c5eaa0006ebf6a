/* SPDX-License-Identifier: MIT
 *
 * What is kept of a run to compare it with others: sums by name, not records, so that many runs fit into memory.
 */
#ifndef TAT_ANALYSIS_DIFF_PROFILE_H
#define TAT_ANALYSIS_DIFF_PROFILE_H

#include "analysis/analysis.h"
#include "analysis/caveats.h"
#include "analysis/choices.h"
#include "analysis/slices.h"

/* Prompt and generation together, or generation alone. */
enum scope { SCOPE_ALL, SCOPE_GENERATE, SCOPES };

struct use {
    double accesses, bytes, ns;
};

/* A weight, or a part of the KV cache. Numbers differ between traces, so model and name identify it. If several tensors
 * of a model have the same name (a repacked copy), they count as one. */
struct touched {
    const char * name;
    enum tat_tensor_kind kind;
    enum tat_component component;
    uint32_t model; /* by order of loading, from 1; 0: not known */
    uint16_t layer;
    uint64_t size;
    uint32_t first_slice, n_slices; /* in `slice_accesses` of the profile */
    struct use use[SCOPES];
};

struct operation_time {
    const char * name;
    uint64_t ns[SCOPES];
};

/* An evaluation that generated, and the order in which it read weights. */
struct reading {
    uint32_t evaluation;
    uint64_t weights, slices; /* hashes of the sequences of names, and of names with experts */
};

struct profile {
    struct tat_trace * part; /* the model compared, in a trace of several; or NULL */
    struct subject subject;
    struct slices slices;
    struct touched * tensors; /* by kind, model, name */
    struct operation_time * operations;
    struct choices * choices; /* by layer, those only that have any */
    struct list readings;     /* struct reading */
    uint64_t * slice_accesses;
    double * token_ns;     /* for each generated token that was evaluated alone */
    uint64_t * name_hash;  /* by tensor of the trace; 0: no weight */
    uint32_t * touched_of; /* by tensor of the trace: index of `tensors`, or UINT32_MAX */
    uint32_t n_tensors, n_operations, n_choices, n_token_ns;
    uint64_t shape_hash; /* over the prompt's ubatches */
    uint64_t ids_hash;   /* over its token ids, if they were recorded */
    uint64_t model_hash; /* the model's files, with its adapters */
    uint64_t halves;     /* tokens in each half that `choices` counts */
    bool has_ids, failed;
    json_t * metadata;       /* or NULL */
    char label[24];          /* "A" */
    char doubt[CAVEAT_SIZE]; /* caveat_prompt */
    uint32_t group;          /* runs that repeat each other have the same, from 0 */
};

/* False: no memory; some parts may be there. Close it in either case. */
bool profile_open(struct profile * p, const struct tat_trace * trace);
void profile_close(struct profile * p);

/* Makes `choices` count two halves of that many tokens each, from the first token on. False: no memory. */
bool profile_halve(struct profile * p, uint64_t tokens);

/* Whether two runs routed every token alike, as repeats of one greedy run do. Such runs are one sample of what experts
 * are used. */
bool profile_chose_alike(const struct profile * a, const struct profile * b);

/* The tokens and the time of a scope, in evaluations that were recorded in full. */
struct phase_total profile_total(const struct profile * p, enum scope scope);

/* Compares tensors of one kind, for sorting. */
int touched_order(const struct touched * a, const struct touched * b);

#endif
