/* SPDX-License-Identifier: MIT
 *
 * What is counted of the experts' choice, and who shows it: one file a matter. experts.c has it all counted and puts
 * the section together.
 */
#ifndef TAT_ANALYSIS_EXPERTS_EXPERTS_H
#define TAT_ANALYSIS_EXPERTS_EXPERTS_H

#include "analysis/experts/sequence.h"
#include "analysis/experts/vocabulary.h"

enum {
    EXPERT_COUNTERS_MAX = 1 << 17, /* experts of all layers; ten times what models have */
    EXPERT_USED_MAX = 64,          /* experts per token and layer up to which pairs are counted */
    EXPERT_CELLS_MAX = 1 << 22,    /* cells of a matrix over all layers: 256 experts in 64 layers */
};

/* Other: mixed, verify, unknown. */
enum expert_phase { EXPERTS_PROMPT, EXPERTS_GENERATE, EXPERTS_OTHER, EXPERT_PHASES };

/* The counters of one expert. */
struct expert_use {
    uint64_t chosen[EXPERT_PHASES];
    uint64_t trained; /* chosen in the first half of the tokens */
    uint64_t gated;   /* chosen with a known gate weight */
    double gates;     /* the sum of these weights */
};

static inline uint64_t expert_chosen(const struct expert_use * use) {
    return use->chosen[EXPERTS_PROMPT] + use->chosen[EXPERTS_GENERATE] + use->chosen[EXPERTS_OTHER];
}

/* How well two choices agree. */
struct agreement {
    uint64_t pairs;  /* pairs of choices compared */
    uint64_t same;   /* experts in both */
    uint64_t chosen; /* experts in the later one */
};

struct expert_layer {
    struct expert_use * use; /* by expert; NULL: the layer has none */
    uint32_t n_experts, n_used;
    uint64_t selections, rows;
    uint64_t slice_bytes;
    struct agreement last_token, last_layer;
    uint64_t * kinds; /* selections, [kind of token][expert]; NULL: unknown */
    uint32_t above;   /* the layer that routed before it, or TAT_NO_LAYER */
    /* Matrices [a][b], or NULL if they would be too large. They count how often ... */
    uint32_t * together; /* a token goes to both; a < b only */
    uint32_t * next;     /* a token goes to a, the next to b */
    uint32_t * trained;  /* the same, if the next token is in the first half */
    uint32_t * down;     /* a token of the first half goes to a in the layer above and to b here */
    /* The token before. */
    uint32_t * last; /* its experts, n_last of them */
    uint32_t n_last;
    uint64_t last_serial;
    bool has_last;
};

struct experts {
    const struct subject * subject;
    struct expert_layer * layer; /* by number; n_slots of them */
    uint32_t n_slots;
    struct vocabulary * vocabulary; /* NULL: there is none, or nobody asked for it yet */
    bool has_tokens;                /* the trace tells which tokens were computed */
    uint64_t tokens[TOKEN_KINDS];
    uint32_t * mark; /* by expert: `stamp` if it is in the set at hand */
    uint32_t stamp;
    uint64_t n_counters, n_cells;
    uint32_t n_layers;  /* layers that chose */
    uint64_t too_many;  /* selections of layers for which there is no room */
    bool cells_refused; /* some layers have no matrices */
    struct routing_faults faults;
    bool failed;
};

/* A layer's row, with what came before it in the sequence and in the token. */
struct expert_row {
    const uint32_t * ids;
    uint32_t n_used;
    const uint32_t * above; /* the same token's experts in the layer that routed before; NULL: unknown */
    uint32_t n_above;
    bool after_last; /* the layer's `last` holds the token before */
    bool first_half; /* in the first half of the context's tokens */
    int kind;        /* enum token_kind; -1: unknown */
};

/* Calls `see` for each placed row, in order; the layer's `last` is kept up to date. */
typedef void (*expert_row_sink)(struct experts * x, struct expert_layer * layer, const struct expert_row * row,
                                void * user);
void experts_each_row(struct experts * x, const struct routed * routed, expert_row_sink sink, void * user);

/* Marks a set. experts_marked then counts how many of another set are in it. */
void experts_mark(struct experts * x, const uint32_t * ids, uint32_t n);
uint32_t experts_marked(const struct experts * x, const uint32_t * ids, uint32_t n);

/* The share of the layer's tokens that go to an expert. */
static inline double expert_rate(const struct expert_layer * l, uint32_t expert) {
    return ratio(expert_chosen(&l->use[expert]), l->rows);
}

void experts_show_use(struct experts * x, struct result * r);        /* with the headline */
void experts_show_overlap(struct experts * x, struct result * r);    /* overlap with the tokens and layers before */
void experts_show_pairs(struct experts * x, struct result * r);      /* chosen together; one after the other */
void experts_show_special(struct experts * x, struct result * r);    /* by phase and kind of token */
void experts_show_prediction(struct experts * x, struct result * r); /* goes through the trace once more */

#endif
