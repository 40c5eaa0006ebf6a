/* SPDX-License-Identifier: MIT
 *
 * A question asked of a trace: one file each, and one line of the table in analysis.c. One pass over the access records
 * feeds all that were asked for; who needs neither their order nor the time of each takes the tally, which is quicker.
 */
#ifndef TAT_ANALYSIS_ANALYSIS_H
#define TAT_ANALYSIS_ANALYSIS_H

#include "analysis/result.h"
#include "tat/analysis.h"
#include "tat/sums.h"
#include "tat/trace.h"

struct phase_total {
    uint64_t evaluations, tokens, outputs, ns;
};

/* What every section may want to know of the trace, found once. */
struct subject {
    const struct tat_trace * trace;
    const struct tat_tensor * tensors;
    const struct tat_template * templates;
    const struct tat_evaluation * evaluations;
    const struct tat_event * events;
    const struct tat_model_file * files;
    const struct tat_model * models;
    uint32_t n_tensors, n_templates, n_evaluations, n_events, n_files, n_models;
    const struct subject * run;                  /* the whole trace, which this may be a part of */
    bool is_part;                                /* the part of one of several models */
    bool some_tokens, some_layers;               /* only those of options.scope */
    uint64_t model_bytes;                        /* bytes of the model's files, with its adapters */
    struct tat_analysis_options options;         /* defaults filled in */
    struct phase_total phase[TAT_PHASE_COUNT];   /* of evaluations that were recorded in full */
    struct phase_total outside[TAT_PHASE_COUNT]; /* of evaluations whose tokens were not asked for */
    /* Ubatches that another backend computed in part. What the trace has of them gives neither bytes nor rates, so no
     * figure includes them: in `evaluations` theirs have the phase "other", and nobody walks over them. */
    struct phase_total elsewhere[TAT_PHASE_COUNT];
    uint64_t n_elsewhere, n_ubatches; /* ubatches that take tokens */
    struct tat_evaluation * own;      /* a copy of the trace's, if there are such ubatches; else NULL */
    bool * is_elsewhere;              /* by evaluation; likewise */
};

/* `options`: may be NULL. False: no memory. Free it in any case. */
bool subject_begin(struct subject * s, const struct tat_trace * trace, const struct tat_analysis_options * options);
void subject_free(struct subject * s);

/* Like tat_trace_tally and tat_trace_expand, but without records of ubatches that were computed elsewhere in part. */
int subject_tally(const struct subject * s, tat_tally_sink sink, void * user, struct tat_error * error);
int subject_expand(const struct subject * s, tat_access_sink sink, void * user, struct tat_error * error);

/* Of the evaluation's rows, as far as they were recorded and there is room. Returns how many were recorded. */
size_t subject_positions(const struct subject * s, uint32_t evaluation, int64_t * positions, size_t room);

/* The subject's model; if it has several, the first that computes. NULL: none is known. */
const struct tat_model * subject_model(const struct subject * subject);
bool subject_has_model(const struct subject * subject, uint32_t number);

struct analysis {
    const char * name; /* the section's, for --section and in the JSON */
    const char * title;
    bool slow;               /* answered only if it is named */
    const char * all_layers; /* why it is always about all layers, for its title; NULL: it can be about some */
    void * (*begin)(const struct subject * subject); /* NULL: no memory */
    /* Either may be NULL. */
    void (*feed)(void * state, const struct tat_access * records, size_t count);
    void (*tally)(void * state, const struct tat_tally * tally);
    void (*finish)(void * state, struct result * result); /* frees the state */
};

extern const struct analysis speed_analysis;
extern const struct analysis run_analysis;
extern const struct analysis phases_analysis;
extern const struct analysis tokens_analysis;
extern const struct analysis components_analysis;
extern const struct analysis hot_analysis;
extern const struct analysis layers_analysis;
extern const struct analysis time_analysis;
extern const struct analysis order_analysis;
extern const struct analysis attention_analysis;
extern const struct analysis experts_analysis;
extern const struct analysis caching_analysis;
extern const struct analysis storage_analysis;
extern const struct analysis managed_analysis;

/* All sections, in the order in which they are shown; ends with NULL. */
extern const struct analysis * const analyses[];

/* Runs the sections named (if `count` is 0, all but slow ones) and returns {name: result}, which the caller owns. NULL
 * on failure. */
json_t * analyses_run(const struct tat_trace * trace, const char * const * names, size_t count,
                      const struct tat_analysis_options * options, struct tat_error * error);

/* Inference itself: load, warm-up and graphs without tokens never count in it. */
static inline bool is_inference(enum tat_phase phase) {
    return phase != TAT_PHASE_WARMUP && phase != TAT_PHASE_OTHER;
}

/* All phases of inference together. */
static inline struct phase_total inference_total(const struct subject * s) {
    struct phase_total total = { 0 };
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        if (!is_inference((enum tat_phase) p)) { continue; }
        total.evaluations += s->phase[p].evaluations;
        total.tokens += s->phase[p].tokens;
        total.outputs += s->phase[p].outputs;
        total.ns += s->phase[p].ns;
    }
    return total;
}

/* One more than the highest layer number: what is kept by layer needs so many places, not as many as numbers allow. */
static inline uint32_t layer_span(const struct subject * s) {
    return tat_matrix_columns(s->trace, TAT_BY_LAYER) - 1;
}

static inline enum tat_phase phase_of(const struct tat_access * a) {
    return (enum tat_phase)(a->flags >> TAT_ACCESS_PHASE_SHIFT & 7);
}

/* When tensors are counted, one weight of a model file counts once. */
static inline bool counts_once(const struct subject * s, uint32_t tensor) {
    return s->tensors[tensor].weight == tensor;
}

enum holder { HOLDS_WEIGHT, HOLDS_STATE, HOLDS_ACTIVATION, HOLDERS };

static inline enum holder holder_of(const struct tat_tensor * t) {
    return t->kind == TAT_TENSOR_WEIGHT ? HOLDS_WEIGHT : t->kind == TAT_TENSOR_STATE ? HOLDS_STATE : HOLDS_ACTIVATION;
}

#endif