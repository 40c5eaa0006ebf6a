/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/hot/hot.h"
#include "analysis/units.h"

enum { SHOWN = 20, HEAT_SIZE = 512 };

static const char * slice_name(const struct hot * h, uint32_t slice) {
    return h->subject->tensors[h->slices.tensor[slice]].name;
}

/* Per token of prompt and generation. */
static double per_token(const struct hot * h, double reads) {
    return h->tokens ? reads / (double) h->tokens : 0;
}

/* ---- tables ---- */

static void add_slice(const struct hot * h, struct result * r, const struct heat * w) {
    const uint16_t expert = slice_expert(&h->slices, w->slice);
    const struct tat_tensor * t = &h->subject->tensors[h->slices.tensor[w->slice]];
    json_t * row = result_row(r);
    result_put_text(r, row, "tensor", t->name);
    result_put_count(r, row, "tensor_id", h->slices.tensor[w->slice]);
    result_put_layer(r, row, "layer", t->layer);
    if (expert != TAT_NO_EXPERT) { result_put_count(r, row, "expert", expert); }
    result_put_text(r, row, "type", t->type_name);
    result_put_count(r, row, "slice_bytes", slice_bytes(&h->slices, h->subject, w->slice));
    result_put_count(r, row, "accesses", w->accesses);
    result_put_count(r, row, "bytes", w->bytes);
    result_put_real(r, row, "share", ratio(w->bytes, h->bytes));
    result_put_count(r, row, "tensor_ns", w->ns);
    result_put_real(r, row, "reads_per_byte", w->reads);
    result_put_real(r, row, "reads_per_token", per_token(h, w->reads));
}

/* Without a column for experts if there are none. */
static void add_hottest(const struct hot * h, struct result * r) {
    static const struct result_column all[] = {
        { "tensor", "tensor", UNIT_TEXT },     { "expert", "expert", UNIT_NUMBER },
        { "slice_bytes", "size", UNIT_BYTES }, { "reads_per_token", "reads/token", UNIT_INDEX },
        { "bytes", "bytes read", UNIT_BYTES }, { "tensor_ns", "tensor's time", UNIT_NS },
    };
    enum { EXPERT = 1, ALL = sizeof all / sizeof all[0] };
    struct result_column columns[ALL];
    size_t n = 0;
    for (size_t i = 0; i < ALL; i++) {
        if (i != EXPERT || h->slices.stacked) { columns[n++] = all[i]; }
    }
    result_table(r, "hottest", "Whose bytes are read most often (of equals, those that take longest)", SHOW_ALWAYS,
                 columns, n);
    for (uint32_t i = 0; i < h->slices.count && i < SHOWN && h->heat[i].accesses; i++) { add_slice(h, r, &h->heat[i]); }
}

struct sum {
    uint64_t slices, size, accesses, bytes;
};

static void add_to(struct sum * sum, const struct hot * h, const struct heat * w) {
    sum->slices++;
    sum->size += slice_bytes(&h->slices, h->subject, w->slice);
    sum->accesses += w->accesses;
    sum->bytes += w->bytes;
}

#define SUM_COLUMNS                                                                                                    \
    { "slices", "weights", UNIT_COUNT }, { "size_bytes", "their size", UNIT_BYTES },                                   \
        { "accesses", "accesses", UNIT_COUNT }, { "bytes", "bytes read", UNIT_BYTES },                                 \
        { "byte_share", "share", UNIT_SHARE }, {                                                                       \
        "reads_per_token", "reads/token", UNIT_INDEX                                                                   \
    }

static json_t * add_sum(const struct hot * h, struct result * r, const char * key, const char * name,
                        const struct sum * sum) {
    json_t * row = result_row(r);
    result_put_text(r, row, key, name);
    result_put_count(r, row, "slices", sum->slices);
    result_put_count(r, row, "size_bytes", sum->size);
    result_put_count(r, row, "accesses", sum->accesses);
    result_put_count(r, row, "bytes", sum->bytes);
    result_put_real(r, row, "byte_share", ratio(sum->bytes, h->bytes));
    result_put_real(r, row, "reads_per_byte", ratio(sum->bytes, sum->size));
    result_put_real(r, row, "reads_per_token", per_token(h, ratio(sum->bytes, sum->size)));
    return row;
}

static void add_sets(const struct hot * h, struct result * r, const struct cuts * cuts, struct sum sums[3]) {
    static const char * const names[] = { "hot", "between", "cold" };
    static const struct result_column columns[] = { { "set", "set", UNIT_TEXT }, SUM_COLUMNS };
    result_table(r, "sets", "Hot and cold", cuts->uniform ? SHOW_NEVER : SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < h->slices.count; i++) {
        add_to(&sums[i < cuts->hot ? 0 : i < cuts->cold ? 1 : 2], h, &h->heat[i]);
    }
    for (int i = 0; i < 3; i++) { add_sum(h, r, "set", names[i], &sums[i]); }
}

/* Layers by thirds, and what belongs to none: embedding, output. */
static void add_depths(const struct hot * h, struct result * r, struct sum sums[4]) {
    static const char * const names[] = { "early layers", "middle layers", "late layers", "no layer" };
    static const struct result_column columns[] = { { "depth", "depth", UNIT_TEXT }, SUM_COLUMNS };
    uint32_t layers = 0;
    if (h->subject->some_layers) { return; } /* thirds are of all layers */
    for (uint32_t i = 0; i < h->slices.count; i++) {
        const uint16_t layer = h->subject->tensors[h->slices.tensor[i]].layer;
        if (layer != TAT_NO_LAYER && layer >= layers) { layers = layer + 1u; }
    }
    for (uint32_t i = 0; i < h->slices.count; i++) {
        const uint16_t layer = h->subject->tensors[h->slices.tensor[h->heat[i].slice]].layer;
        add_to(&sums[layer == TAT_NO_LAYER ? 3 : layer * 3u / layers], h, &h->heat[i]);
    }
    result_table(r, "depths", "By depth", SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < 4; i++) {
        if (!sums[i].slices) { continue; }
        json_t * row = add_sum(h, r, "depth", names[i], &sums[i]);
        if (i == 3) { continue; }
        result_put_count(r, row, "layer_first", (i * layers + 2) / 3);
        result_put_count(r, row, "layer_last", ((i + 1) * layers + 2) / 3 - 1);
    }
}

struct missing {
    uint64_t bytes, of;
    uint32_t whole; /* tensors */
};

static struct missing add_untouched(const struct hot * h, struct result * r) {
    static const struct result_column columns[] = {
        { "tensor", "tensor", UNIT_TEXT },
        { "tensor_bytes", "size", UNIT_BYTES },
        { "untouched_bytes", "never read", UNIT_BYTES },
        { "untouched_share", "of it", UNIT_SHARE },
    };
    struct missing m = { 0 };
    result_table(r, "untouched", "Never read by prompt and generation", SHOW_ASKED, columns,
                 sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < h->subject->n_tensors; i++) {
        const struct tat_tensor * t = &h->subject->tensors[i];
        if (t->kind != TAT_TENSOR_WEIGHT || !counts_once(h->subject, i)) { continue; }
        m.of += t->bytes;
        if (h->tensor[i].unique >= t->bytes) { continue; }
        const uint64_t bytes = t->bytes - h->tensor[i].unique;
        m.bytes += bytes;
        m.whole += bytes == t->bytes;
        json_t * row = result_row(r);
        result_put_text(r, row, "tensor", t->name);
        result_put_count(r, row, "tensor_id", i);
        result_put_count(r, row, "tensor_bytes", t->bytes);
        result_put_count(r, row, "untouched_bytes", bytes);
        result_put_real(r, row, "untouched_share", ratio(bytes, t->bytes));
    }
    return m;
}

/* All weights in the order of the trace. */
static void add_tensors(const struct hot * h, struct result * r) {
    static const struct result_column columns[] = {
        { "tensor", "tensor", UNIT_TEXT },        { "tensor_bytes", "size", UNIT_BYTES },
        { "accesses", "accesses", UNIT_COUNT },   { "bytes", "touched", UNIT_BYTES },
        { "unique_bytes", "unique", UNIT_BYTES }, { "ns", "time", UNIT_NS },
    };
    result_table(r, "tensors", "All weights", SHOW_NEVER, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < h->subject->n_tensors; i++) {
        const struct tat_tensor * t = &h->subject->tensors[i];
        const struct tensor_heat * w = &h->tensor[i];
        if (t->kind != TAT_TENSOR_WEIGHT || !counts_once(h->subject, i)) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "tensor", t->name);
        result_put_count(r, row, "tensor_id", i);
        result_put_layer(r, row, "layer", t->layer);
        result_put_text(r, row, "component", tat_component_name(t->component));
        result_put_text(r, row, "type", t->type_name);
        result_put_count(r, row, "tensor_bytes", t->bytes);
        result_put_count(r, row, "accesses", w->accesses);
        result_put_count(r, row, "bytes", w->bytes);
        result_put_count(r, row, "unique_bytes", w->unique);
        result_put_count(r, row, "ns", w->ns);
    }
}

/* ---- words ---- */

/* "once", "3 times", "0.02 times". */
static const char * times(char text[static UNITS_SIZE], double rank) {
    if (rank == 1) { return "once"; }
    if (rank < 1) {
        snprintf(text, UNITS_SIZE, "%.2g", rank);
    } else {
        format_count(text, (uint64_t) rank);
    }
    strncat(text, " times", UNITS_SIZE - 1 - strlen(text));
    return text;
}

static void say_uniform(const struct hot * h, char text[static HEAT_SIZE], const struct cuts * cuts) {
    const double usual = h->heat[cuts->hot - 1].rank;
    char count[UNITS_SIZE];
    uint32_t more = 0, less = 0;
    for (uint32_t i = 0; i < h->slices.count; i++) {
        more += h->heat[i].rank > usual;
        less += h->heat[i].rank < usual;
    }
    int at = snprintf(text, HEAT_SIZE,
                      "Uniform, no hot set: %" PRIu32 " of %" PRIu32 " weights are read %s each, in %" PRIu64 " tokens",
                      h->slices.count - more - less, h->slices.count, times(count, usual), h->tokens);
    if (more) {
        at += snprintf(text + at, HEAT_SIZE - (size_t) at, "; %" PRIu32 " more often (first %.100s, %s)", more,
                       slice_name(h, h->heat[0].slice), times(count, h->heat[0].rank));
    }
    snprintf(text + at, HEAT_SIZE - (size_t) at, less ? "; %" PRIu32 " less often." : ".", less);
}

/* The first is named where it is alone in front. */
static void say_sets(const struct hot * h, char text[static HEAT_SIZE], const struct sum sets[3]) {
    char count[UNITS_SIZE], size[UNITS_SIZE];
    uint32_t first = 0;
    while (first < h->slices.count && h->heat[first].rank == h->heat[0].rank) { first++; }
    int at = snprintf(
        text, HEAT_SIZE,
        "A byte of the hottest %.0f %% of the weights (%s, %s) is read %.2f times per token, one of the coldest "
        "%.0f %% %.2f times.",
        100 * h->subject->options.hot_share, format_count(count, sets[0].slices), format_bytes(size, sets[0].size),
        per_token(h, ratio(sets[0].bytes, sets[0].size)), 100 * h->subject->options.cold_share,
        per_token(h, ratio(sets[2].bytes, sets[2].size)));
    if (first == 1) {
        snprintf(text + at, HEAT_SIZE - (size_t) at, " First is %.100s: %.2f times.", slice_name(h, h->heat[0].slice),
                 per_token(h, h->heat[0].reads));
    } else {
        snprintf(text + at, HEAT_SIZE - (size_t) at, " %s weights tie for first, with %.2f times.",
                 format_count(count, first), per_token(h, h->heat[0].rank));
    }
}

static void say_heat(const struct hot * h, struct result * r, const struct cuts * cuts, const struct sum sets[3]) {
    char text[HEAT_SIZE];
    if (cuts->uniform) {
        say_uniform(h, text, cuts);
    } else {
        say_sets(h, text, sets);
    }
    result_headline(r, "%s", text);
    result_answer(r, "Which weights are hot?", "%s", text);
    result_put(r, result_values(r), "uniform", json_boolean(cuts->uniform));
}

static void say_depths(struct result * r, const struct sum d[4]) {
    const double early = ratio(d[0].bytes, d[0].size), late = ratio(d[2].bytes, d[2].size);
    if (!d[0].size || !d[2].size) { return; }
    const double apart = early > late ? early / late : late / early;
    result_answer(
        r, "Are early layers hotter than late ones?",
        "%s: a byte of the first third of the layers is read %.1f times, one of the last third %.1f times, and one "
        "of what belongs to no layer (embedding, output) %.1f times.",
        apart < 1.05   ? "No"
        : early > late ? "Yes"
                       : "Less hot",
        early, late, ratio(d[3].bytes, d[3].size));
}

static void say_reuse(const struct hot * h, struct result * r, const struct missing * m) {
    const uint64_t unique = m->of - m->bytes;
    char a[UNITS_SIZE], b[UNITS_SIZE], c[UNITS_SIZE], d[UNITS_SIZE], e[UNITS_SIZE];
    const uint64_t across = h->bytes - h->again_bytes > unique ? h->bytes - h->again_bytes - unique : 0;
    result_put_count(r, result_values(r), "bytes", h->bytes);
    result_put_count(r, result_values(r), "accesses", h->accesses);
    result_put_count(r, result_values(r), "unique_bytes", unique);
    result_put_count(r, result_values(r), "again_within_bytes", h->again_bytes);
    result_put_count(r, result_values(r), "again_across_bytes", across);
    result_put_count(r, result_values(r), "weight_bytes", m->of);
    result_put_count(r, result_values(r), "untouched_bytes", m->bytes);
    result_put_count(r, result_values(r), "untouched_tensors", m->whole);
    result_put_real(r, result_values(r), "reuse_factor", ratio(h->bytes, unique));
    result_line(r, "re-read", "%s of %s in a later graph, %s within the same one; reuse factor %.1f",
                format_bytes(a, across), format_bytes(b, h->bytes), format_bytes(c, h->again_bytes),
                ratio(h->bytes, unique));
    result_line(r, "untouched", "%s of %s (%s), among them %" PRIu32 " whole tensors", format_bytes(d, m->bytes),
                format_bytes(e, m->of), format_share(b, ratio(m->bytes, m->of)), m->whole);
    result_answer(r, "What is read again?",
                  "Of %s read, %s are read again by a later graph and %s by the same graph. Each byte that is read at "
                  "all is read "
                  "%.1f times.",
                  format_bytes(b, h->bytes), a, c, ratio(h->bytes, unique));
    result_answer(r, "Which bytes are never read?",
                  "%s of the %s of weights (%s), among them %" PRIu32 " whole tensors.", d, e,
                  format_share(b, ratio(m->bytes, m->of)), m->whole);
}

static void say_notes(const struct hot * h, struct result * r, bool tied) {
    result_note(r, "Of weights, by prompt and generation; each expert counts as a weight of its own. Reads: bytes read "
                   "over size, so "
                   "that a row gathered from an embedding counts as what it is. A graph reads a weight once for all of "
                   "its tokens, "
                   "which is why a prompt lowers reads per token. An access is one operand of one operation in one "
                   "graph. The time "
                   "is that of the operations that read the tensor.");
    if (tied) {
        result_note(r, "The line between hot and the rest falls among weights that are read as often: time decides.");
    }
    if (h->approximate) {
        result_note(r,
                    "Some operands were too scattered to list, or not recorded: how many bytes of them were touched is "
                    "known, which ones is not, so unique and untouched bytes are estimates.");
    }
    if (h->unclear) { result_note(r, "%" PRIu64 " accesses name no expert: they are in the sums only.", h->unclear); }
    if (h->slices.lumped) {
        result_note(r, "%" PRIu32 " stacks of experts count as one weight each.", h->slices.lumped);
    }
}

void hot_report(const struct hot * h, const struct cuts * cuts, struct result * r) {
    struct sum sets[3] = { 0 }, depths[4] = { 0 };
    add_sets(h, r, cuts, sets);
    say_heat(h, r, cuts, sets);
    add_hottest(h, r);
    add_depths(h, r, depths);
    const struct missing m = add_untouched(h, r);
    add_tensors(h, r);
    say_reuse(h, r, &m);
    say_depths(r, depths);
    say_notes(h, r, !cuts->uniform && cuts->tied);
}
