/* SPDX-License-Identifier: MIT
 *
 * Bytes and time of each layer; which one is the bottleneck, slowest.c tells.
 */
#include <stdlib.h>

#include "analysis/analysis.h"
#include "analysis/layers/layers.h"
#include "analysis/parts.h"

struct layer {
    uint64_t accesses, weight, state_read, state_written, activation, ns;
    bool any;
};

enum { LAYERS = TAT_NO_LAYER + 1 }; /* the last one: what belongs to no layer */

struct spent {
    uint64_t ns, bytes;
};

struct state {
    const struct subject * subject;
    struct access_counter accesses;
    struct layer layer[LAYERS];
    uint32_t n_layers;           /* all numbers that occur are below */
    struct spent (*part)[PARTS]; /* by layer; time counts for the part that an operation reads */
};

static const struct result_column columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "accesses", "accesses", UNIT_COUNT },
    { "weight_bytes", "weights", UNIT_BYTES },
    { "state_read_bytes", "KV read", UNIT_BYTES },
    { "state_written_bytes", "KV written", UNIT_BYTES },
    { "activation_bytes", "activations", UNIT_BYTES },
    { "ns", "time", UNIT_NS },
    { "share", "share", UNIT_SHARE },
};

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (!s) { return NULL; }
    s->subject = subject;
    s->n_layers = layer_span(subject);
    s->part = calloc((size_t) s->n_layers + 1, sizeof *s->part);
    if (s->part) { return s; }
    free(s);
    return NULL;
}

static void tally(void * state, const struct tat_tally * t) {
    struct state * s = state;
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        const uint64_t accesses = access_counter_step(&s->accesses, t, i);
        if (!is_inference(phase_of(a))) { continue; }
        struct layer * layer = &s->layer[a->layer];
        const uint64_t bytes = a->bytes * t->evaluations;
        layer->any = true;
        layer->accesses += accesses;
        layer->ns += t->ns ? t->ns[i] : 0;
        if (a->layer < s->n_layers) {
            struct spent * spent = &s->part[a->layer][part_of(&s->subject->tensors[a->tensor])];
            spent->ns += t->owner_ns ? t->owner_ns[i] : 0;
            spent->bytes += bytes;
        }
        switch (holder_of(&s->subject->tensors[a->tensor])) {
            case HOLDS_WEIGHT: layer->weight += bytes; break;
            case HOLDS_STATE:
                *(a->flags & TAT_ACCESS_WRITE ? &layer->state_written : &layer->state_read) += bytes;
                break;
            default: layer->activation += bytes;
        }
    }
}

static void add_layer(struct result * r, uint32_t number, const struct layer * layer, uint64_t ns) {
    if (!layer->any) { return; }
    json_t * row = result_row(r);
    result_put_layer(r, row, "layer", number);
    result_put_count(r, row, "accesses", layer->accesses);
    result_put_count(r, row, "weight_bytes", layer->weight);
    result_put_count(r, row, "state_read_bytes", layer->state_read);
    result_put_count(r, row, "state_written_bytes", layer->state_written);
    result_put_count(r, row, "activation_bytes", layer->activation);
    result_put_count(r, row, "ns", layer->ns);
    result_put_real(r, row, "share", ratio(layer->ns, ns));
}

static uint64_t bytes_of(const struct layer * l) {
    return l->weight + l->state_read + l->state_written + l->activation;
}

/* False: memory. */
static bool say_slowest(const struct state * s, struct result * r) {
    uint64_t * bytes = calloc((size_t) s->n_layers + 1, sizeof *bytes);
    for (uint32_t i = 0; bytes && i < s->n_layers; i++) { bytes[i] = bytes_of(&s->layer[i]); }
    if (bytes) { layers_slowest(s->subject, r, bytes, s->n_layers); }
    free(bytes);
    return bytes != NULL;
}

static void add_parts(const struct state * s, struct result * r) {
    static const struct result_column part_columns[] = {
        { "layer", "layer", UNIT_NUMBER },
        { "component", "part", UNIT_TEXT },
        { "ns", "time", UNIT_NS },
        { "bytes", "touched", UNIT_BYTES },
    };
    result_table(r, "parts", "Layers by part of the model", SHOW_NEVER, part_columns,
                 sizeof part_columns / sizeof part_columns[0]);
    for (uint32_t i = 0; i < s->n_layers; i++) {
        for (unsigned p = 0; p < PARTS; p++) {
            const struct spent * spent = &s->part[i][p];
            if (!spent->ns && !spent->bytes) { continue; }
            json_t * row = result_row(r);
            result_put_layer(r, row, "layer", i);
            result_put_text(r, row, "component", part_name(p));
            result_put_count(r, row, "ns", spent->ns);
            result_put_count(r, row, "bytes", spent->bytes);
        }
    }
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    uint64_t ns = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < LAYERS; i++) { ns += s->layer[i].ns; }
    for (uint32_t i = 0; i < TAT_NO_LAYER; i++) { count += s->layer[i].any; }
    result_table(r, "layers", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    result_put_count(r, result_values(r), "layers", count);
    result_put_count(r, result_values(r), "ns", ns);
    for (uint32_t i = 0; i < LAYERS; i++) { add_layer(r, i, &s->layer[i], ns); }
    add_parts(s, r);
    if (!ns) {
        result_headline(r, "Neither a prompt nor a generated token was evaluated.");
    } else if (!count) {
        result_headline(r, "No operation names a layer.");
    } else {
        r->failed |= !say_slowest(s, r);
    }
    if (ns) {
        result_note(r, "Bytes touched by prompt and generation.%s",
                    s->subject->some_layers ? ""
                                            : " The row without a number is what belongs to no layer: token embedding, "
                                              "final norm, output.");
        result_note(r, "Time is thread 0's, from one operation's end to the next's: it includes waiting for the other "
                       "threads. Share: of it.");
    }
    free(s->part);
    free(s);
}

const struct analysis layers_analysis = {
    .name = "layers",
    .title = "Layers",
    .begin = begin,
    .tally = tally,
    .finish = finish,
};
