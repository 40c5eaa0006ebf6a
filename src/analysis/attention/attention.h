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

/* Whether a tensor's records matter here. */
enum attention_class { NOT_OURS, OUR_WEIGHT, OUR_CACHE, OUR_STATE };

struct traffic {
    uint64_t read, written;
};

/* Attention in one layer of one graph. */
struct attention_node {
    uint32_t template_id;
    uint16_t layer;
    uint32_t mask;    /* its capture, or UINT32_MAX */
    uint64_t cells;   /* cells of the KV cache that it reads, in all streams */
    uint64_t streams; /* separate sequences; a query sees cells of its own stream only */
};

/* One evaluation of inference. */
struct attention_step {
    struct traffic cache, state;
    uint64_t weights;
    uint64_t distinct;     /* bytes of the cache read, each once */
    double cells, visible; /* per layer, and per query of it: means over layers */
    uint32_t layers;       /* with attention */
    bool known;            /* the masks of all these layers are known, and with them: */
    /* bytes read of cells that the evaluation itself wrote; that were there before and are seen; that no query sees */
    double fresh, cached, hidden;
};

/* Sums over the generated tokens. */
struct attention_layer {
    struct traffic cache, state;
    uint64_t weights;
    uint64_t distinct;    /* as in attention_step */
    uint64_t evaluations; /* with attention in this layer */
    uint64_t masked;      /* of those, with a known mask */
    double cells, visible;
    /* Over all evaluations of inference: */
    uint64_t most_visible; /* cells that a query saw */
    bool narrower;         /* fewer cells than another layer in the same evaluation */
    /* Bytes of the cache read in evaluation `now` - 1, each once. */
    uint64_t now_read;
    uint32_t now;
};

struct visible {
    uint64_t queries, sum, most, seen; /* seen: how many different cells the queries see */
    uint64_t bad;                      /* not captured, or with fewer rows than the streams need */
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
    struct cache_extent * extent;   /* by tensor, distinct.c: read last of it */
    struct attention_layer * layer; /* by number, and one more for what belongs to no layer */
    uint32_t span;                  /* layers */
    struct traffic part[TAT_COMPONENT_COUNT][TAT_PHASE_COUNT];
    uint64_t cache_bytes; /* of the whole KV cache */
    struct list nodes;    /* struct attention_node, by template, then in the order of execution */
    /* About the evaluation at hand. */
    uint32_t at; /* UINT32_MAX: none */
    bool counts;
    /* The sample: the last generated token, whose order and heads are shown. UINT32_MAX: there is none. */
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

/* distinct.c: of the bytes that a record reads of the cache, those that its graph had not read before. */
bool attention_begin_distinct(struct attention * a);
uint64_t attention_new_bytes(struct attention * a, const struct tat_access * record);

/* order.c, heads.c: a record of the sample. */
void attention_touch(struct attention * a, const struct tat_access * record);
bool attention_begin_heads(struct attention * a);
void attention_split(struct attention * a, const struct tat_access * record);
void attention_free_heads(struct attention * a);

void attention_show_growth(struct attention * a, struct result * r);
void attention_show_layers(struct attention * a, struct result * r);
void attention_show_order(struct attention * a, struct result * r);
void attention_show_heads(struct attention * a, struct result * r);

/* What a component is called in the order of a layer: "Q", "K cache". NULL: it has no part in attention. */
const char * attention_part(enum tat_component component);

/* Bytes that a generated token reads or writes; 0: none was generated. */
static inline double per_token(const struct attention * a, uint64_t bytes) {
    return ratio(bytes, a->subject->phase[TAT_PHASE_GENERATE].tokens);
}

#endif
