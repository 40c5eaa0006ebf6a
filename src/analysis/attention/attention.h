/* SPDX-License-Identifier: MIT
 *
 * What is counted of attention, and who shows it: one file a matter. attention.c has the records counted and puts the
 * section together.
 */
#ifndef TAT_ANALYSIS_ATTENTION_ATTENTION_H
#define TAT_ANALYSIS_ATTENTION_ATTENTION_H

#include "analysis/analysis.h"
#include "format/access_heads.h"
#include "format/list.h"

/* Of a tensor: whether its records matter here. */
enum attention_class { NOT_OURS, OUR_WEIGHT, OUR_CACHE, OUR_STATE };

struct traffic {
    uint64_t read, written;
};

/* Attention in one layer of one graph. */
struct attention_node {
    uint32_t template_id;
    uint16_t layer;
    uint32_t mask;    /* its capture, or UINT32_MAX */
    uint64_t cells;   /* of the KV cache that it reads, of all streams */
    uint64_t streams; /* of sequences that are kept apart; a query sees cells of its own */
};

/* One evaluation of inference. */
struct attention_step {
    struct traffic cache, state;
    uint64_t weights;
    double cells, visible; /* a layer, and a query of it: means over layers */
    uint32_t layers;       /* with attention */
    bool known;            /* the masks of all of them: */
    /* bytes read of cells: written by the evaluation itself; before it, and seen; seen by no query */
    double fresh, cached, hidden;
};

/* Of the generated tokens. */
struct attention_layer {
    struct traffic cache, state;
    uint64_t weights;
    uint64_t evaluations; /* with attention in this layer */
    uint64_t masked;      /* of those, with a mask that is known */
    double cells, visible;
    /* Of all evaluations of inference: */
    uint64_t most_visible; /* cells that a query saw */
    bool narrower;         /* than another layer in the same evaluation */
    /* Bytes of the cache read in the evaluation `now` - 1. */
    uint64_t now_read;
    uint32_t now;
};

struct visible {
    uint64_t queries, sum, most, seen; /* seen: different cells that any query sees */
    uint64_t bad;                      /* not captured, or not as many rows as streams need */
};

/* A run of accesses in the sample, by layer and part. */
struct touch {
    uint16_t layer;
    uint8_t component;
    bool write;
    uint64_t bytes;
};

struct attention {
    const struct subject * subject;
    uint8_t * class;                /* by tensor */
    struct attention_step * step;   /* by evaluation */
    struct attention_layer * layer; /* by number; one more, for what is of no layer */
    uint32_t span;                  /* layers */
    struct traffic part[TAT_COMPONENT_COUNT][TAT_PHASE_COUNT];
    uint64_t cache_bytes; /* of the whole KV cache */
    struct list nodes;    /* struct attention_node, by template, then in the order of execution */
    /* The evaluation at hand. */
    uint32_t at; /* UINT32_MAX: none */
    bool counts;
    /* One generated token, the last, of which order and heads are told. UINT32_MAX: there is none. */
    uint32_t sample;
    struct list touches; /* struct touch */
    struct access_heads * heads;
    struct head_bytes * by_head; /* heads.c */
    size_t n_by_head;
    bool split_block; /* heads share blocks of a quantised type */
    bool failed;
};

/* cells.c: the nodes of all templates; what an evaluation's masks let through. */
bool attention_find_nodes(struct attention * a);
void attention_end_step(struct attention * a);

/* order.c, heads.c: a record of the sample. */
void attention_touch(struct attention * a, const struct tat_access * record);
bool attention_begin_heads(struct attention * a);
void attention_split(struct attention * a, const struct tat_access * record);
void attention_free_heads(struct attention * a);

void attention_show_growth(struct attention * a, struct result * r);
void attention_show_layers(struct attention * a, struct result * r);
void attention_show_order(struct attention * a, struct result * r);
void attention_show_heads(struct attention * a, struct result * r);

/* "Q", "K cache": what a component is called in the order of a layer. NULL: it has no part in attention. */
const char * attention_part(enum tat_component component);

/* Bytes a generated token reads or writes; 0 where none was generated. */
static inline double per_token(const struct attention * a, uint64_t bytes) {
    return ratio(bytes, a->subject->phase[TAT_PHASE_GENERATE].tokens);
}

#endif
