/* SPDX-License-Identifier: MIT
 *
 * Attention layer by layer: cells and bytes of the KV cache against the layer's weights, and windows that slide.
 */
#include <inttypes.h>
#include <string.h>

#include "analysis/attention/attention.h"
#include "analysis/units.h"

static const struct result_column columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "cells", "cells read", UNIT_COUNT },
    { "visible_cells", "seen", UNIT_FACTOR },
    { "kv_distinct_bytes_per_token", "KV read/token", UNIT_BYTES },
    { "kv_written_bytes_per_token", "written", UNIT_BYTES },
    { "weight_bytes_per_token", "weights/token", UNIT_BYTES },
    { "kv_of_weights", "KV of weights", UNIT_SHARE },
};

static const struct result_column state_columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "state_read_bytes_per_token", "state read/token", UNIT_BYTES },
    { "state_written_bytes_per_token", "written", UNIT_BYTES },
    { "weight_bytes_per_token", "weights/token", UNIT_BYTES },
};

/* How many cells the layer's cache has room for; 0: its shape does not tell, as in old versions. */
static uint64_t room(const struct attention * a, uint32_t layer) {
    for (uint32_t i = 0; i < a->subject->n_tensors; i++) {
        const struct tat_tensor * t = &a->subject->tensors[i];
        if (t->kind == TAT_TENSOR_STATE && t->component == TAT_COMPONENT_KV_K && t->layer == layer) {
            return t->ne[1] > 1 ? t->ne[1] * t->ne[2] : 0;
        }
    }
    return 0;
}

static void add_layer(const struct attention * a, struct result * r, uint32_t number) {
    const struct attention_layer * l = &a->layer[number];
    json_t * row = result_row(r);
    const uint64_t cells = l->evaluations ? room(a, number) : 0;
    result_put_layer(r, row, "layer", number);
    if (l->evaluations) {
        result_put_real(r, row, "cells", l->cells / (double) l->evaluations);
        result_put(r, row, "slides", json_boolean(l->narrower));
        result_put_count(r, row, "most_visible_cells", l->most_visible);
    }
    if (cells) { result_put_count(r, row, "room_cells", cells); }
    if (l->masked) { result_put_real(r, row, "visible_cells", l->visible / (double) l->masked); }
    result_put_real(r, row, "kv_read_bytes_per_token", per_token(a, l->cache.read));
    result_put_real(r, row, "kv_written_bytes_per_token", per_token(a, l->cache.written));
    result_put_real(r, row, "state_read_bytes_per_token", per_token(a, l->state.read));
    result_put_real(r, row, "state_written_bytes_per_token", per_token(a, l->state.written));
    result_put_real(r, row, "weight_bytes_per_token", per_token(a, l->weights));
    result_put_real(r, row, "kv_distinct_bytes_per_token", per_token(a, l->distinct));
    if (l->cache.read) { result_put_real(r, row, "kv_of_weights", ratio(l->distinct, l->weights)); }
}

static void say_windows(const struct attention * a, struct result * r) {
    uint64_t sliding = 0, all = 0, widest = 0, most = 0;
    for (uint32_t i = 0; i < a->span; i++) {
        const struct attention_layer * l = &a->layer[i];
        all += l->most_visible > 0;
        sliding += l->narrower;
        if (l->narrower && l->most_visible > widest) { widest = l->most_visible; }
        if (l->most_visible > most) { most = l->most_visible; }
    }
    if (all == 0) { return; }
    result_put_count(r, result_values(r), "sliding_layers", sliding);
    if (sliding) {
        result_line(r, "windows",
                    "%" PRIu64 " of %" PRIu64 " layers see no more than the last %" PRIu64
                    " cells, the others up to %" PRIu64,
                    sliding, all, widest, most);
    } else {
        result_line(r, "windows", "no sliding window was seen: all layers see the same cells, up to %" PRIu64, most);
    }
}

void attention_show_layers(struct attention * a, struct result * r) {
    const bool tokens = a->subject->phase[TAT_PHASE_GENERATE].tokens > 0;
    say_windows(a, r);
    if (a->cache_bytes) {
        result_table(r, "layers", "KV cache by layer, for a generated token", SHOW_ASKED, columns,
                     sizeof columns / sizeof columns[0]);
    } else {
        result_table(r, "layers", "State by layer, for a generated token", SHOW_ASKED, state_columns,
                     sizeof state_columns / sizeof state_columns[0]);
    }
    for (uint32_t i = 0; i < a->span && tokens; i++) {
        const struct attention_layer * l = &a->layer[i];
        if (l->evaluations + l->cache.read + l->cache.written + l->state.read) { add_layer(a, r, i); }
    }
}
