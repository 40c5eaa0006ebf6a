/* SPDX-License-Identifier: MIT
 *
 * Which weights are hot and which cold; what is read again, and what never.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/again.h"
#include "analysis/analysis.h"
#include "analysis/parts.h"
#include "analysis/ranges.h"
#include "analysis/slices.h"
#include "analysis/units.h"

enum { SHOWN = 20 };

struct heat {
    uint64_t accesses, bytes, ns; /* ns: of its tensor */
    uint32_t slice;
};

struct tensor_heat {
    uint64_t ns, unique;
};

struct state {
    const struct subject * subject;
    struct slices          slices;
    struct heat *          heat;   /* by slice; sorted in the end */
    struct tensor_heat *   tensor; /* by tensor */
    struct ranges          touched;
    struct again *         again;
    struct access_counter  counter;
    uint64_t               bytes, accesses;
    uint64_t               unclear; /* accesses to experts that are not known */
    bool                   approximate;
};

static void drop(struct state * s) {
    slices_free(&s->slices);
    free(s->heat);
    free(s->tensor);
    free(s);
}

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (!s) { return NULL; }
    s->subject = subject;
    if (slices_find(&s->slices, subject)) {
        s->heat   = calloc((size_t) s->slices.count + 1, sizeof *s->heat);
        s->again  = again_begin(subject);
        s->tensor = calloc((size_t) subject->n_tensors + 1, sizeof *s->tensor);
    }
    if (!s->heat || !s->again || !s->tensor) {
        bool failed = false;
        again_end(s->again, &failed);
        drop(s);
        return NULL;
    }
    for (uint32_t i = 0; i < s->slices.count; i++) { s->heat[i].slice = i; }
    return s;
}

/* ------------------------------------------------------------------------------------------------------- counting */

static void tally(void * state, const struct tat_tally * t) {
    struct state * s = state;
    again_tally(s->again, t);
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        if (s->subject->tensors[a->tensor].kind != TAT_TENSOR_WEIGHT || !is_inference(phase_of(a))) { continue; }
        const uint64_t accesses = access_counter_step(&s->counter, t, i);
        if (t->ns) { s->tensor[a->tensor].ns += t->owner_ns[i]; }
        if (a->bytes == 0) { continue; }
        const uint32_t slice = slice_of(&s->slices, a);
        s->accesses += accesses;
        s->bytes += a->bytes * t->evaluations;
        s->approximate |= (a->flags & TAT_ACCESS_APPROXIMATE) != 0;
        ranges_add(&s->touched, access_range(s->subject, a, a->tensor));
        again_add(s->again, t, a);
        if (slice == NO_SLICE) {
            s->unclear += accesses;
            continue;
        }
        s->heat[slice].accesses += accesses;
        s->heat[slice].bytes += a->bytes * t->evaluations;
    }
}

/* --------------------------------------------------------------------------------------------------------- ranking */

/* By accesses, then by time; sizes settle nothing. */
static int hottest(const void * a, const void * b) {
    const struct heat *x = a, *y = b;
    if (x->accesses != y->accesses) { return x->accesses < y->accesses ? 1 : -1; }
    if (x->ns != y->ns) { return x->ns < y->ns ? 1 : -1; }
    return x->slice < y->slice ? -1 : x->slice > y->slice;
}

/* Where the hot end, the cold begin, in the ranking. */
struct cuts {
    uint32_t hot, cold;
    bool     tied;    /* the last of the hot and the next */
    bool     uniform; /* the last of the hot and the first of the cold are touched as often */
};

static struct cuts cut(const struct state * s) {
    const uint32_t n    = s->slices.count;
    struct cuts    cuts = { (uint32_t) ceil(s->subject->options.hot_share * n),
                            n - (uint32_t) floor(s->subject->options.cold_share * n), false, false };
    if (cuts.cold < cuts.hot) { cuts.cold = cuts.hot; }
    const uint32_t first_cold = cuts.cold < n ? cuts.cold : n - 1;
    cuts.uniform              = n && s->heat[cuts.hot - 1].accesses == s->heat[first_cold].accesses;
    cuts.tied                 = n && cuts.hot < n && s->heat[cuts.hot - 1].accesses == s->heat[cuts.hot].accesses;
    return cuts;
}

static const char * slice_name(const struct state * s, uint32_t slice) {
    return s->subject->tensors[s->slices.tensor[slice]].name;
}

static double density(const struct state * s, const struct heat * h) {
    return ratio(h->accesses, slice_bytes(&s->slices, s->subject, h->slice));
}

/* ---------------------------------------------------------------------------------------------------------- tables */

static const struct result_column slice_columns[] = {
    { "tensor", "tensor", UNIT_TEXT },         { "expert", "expert", UNIT_NUMBER },
    { "slice_bytes", "size", UNIT_BYTES },     { "accesses", "accesses", UNIT_COUNT },
    { "bytes", "bytes touched", UNIT_BYTES },  { "share", "of all", UNIT_SHARE },
    { "tensor_ns", "tensor's time", UNIT_NS },
};

static void add_slice(const struct state * s, struct result * r, const struct heat * h) {
    const uint16_t            expert = slice_expert(&s->slices, h->slice);
    const struct tat_tensor * t      = &s->subject->tensors[s->slices.tensor[h->slice]];
    json_t *                  row    = result_row(r);
    result_put_text(r, row, "tensor", t->name);
    result_put_count(r, row, "tensor_id", s->slices.tensor[h->slice]);
    result_put_layer(r, row, "layer", t->layer);
    if (expert != TAT_NO_EXPERT) { result_put_count(r, row, "expert", expert); }
    result_put_text(r, row, "type", t->type_name);
    result_put_count(r, row, "slice_bytes", slice_bytes(&s->slices, s->subject, h->slice));
    result_put_count(r, row, "accesses", h->accesses);
    result_put_count(r, row, "bytes", h->bytes);
    result_put_real(r, row, "share", ratio(h->bytes, s->bytes));
    result_put_count(r, row, "tensor_ns", h->ns);
    result_put_real(r, row, "accesses_per_byte", density(s, h));
}

static void add_hottest(const struct state * s, struct result * r) {
    result_table(r, "hottest", "Touched most often (where that ties: longest)", SHOW_ALWAYS, slice_columns,
                 sizeof slice_columns / sizeof slice_columns[0]);
    for (uint32_t i = 0; i < s->slices.count && i < SHOWN && s->heat[i].accesses; i++) { add_slice(s, r, &s->heat[i]); }
}

/* The best to keep, if room is short: most accesses for a byte of memory. A selection of few among many. */
static void add_densest(const struct state * s, struct result * r) {
    const struct heat * best[SHOWN];
    uint32_t            n = 0;
    result_table(r, "densest", "Most accesses for each byte of their size", SHOW_ASKED, slice_columns,
                 sizeof slice_columns / sizeof slice_columns[0]);
    for (uint32_t i = 0; i < s->slices.count && s->heat[i].accesses; i++) {
        uint32_t at = n;
        while (at > 0 && density(s, best[at - 1]) < density(s, &s->heat[i])) { at--; }
        if (at == SHOWN) { continue; }
        n += n < SHOWN;
        memmove(&best[at + 1], &best[at], (n - at - 1) * sizeof best[0]);
        best[at] = &s->heat[i];
    }
    for (uint32_t i = 0; i < n; i++) { add_slice(s, r, best[i]); }
}

struct sum {
    uint64_t slices, size, accesses, bytes;
};

static void add_to(struct sum * sum, const struct state * s, const struct heat * h) {
    sum->slices++;
    sum->size += slice_bytes(&s->slices, s->subject, h->slice);
    sum->accesses += h->accesses;
    sum->bytes += h->bytes;
}

#define SUM_COLUMNS                                                                                                    \
    { "slices", "weights", UNIT_COUNT }, { "size_bytes", "their size", UNIT_BYTES },                                   \
        { "accesses", "accesses", UNIT_COUNT }, { "access_share", "share", UNIT_SHARE },                               \
        { "bytes", "bytes touched", UNIT_BYTES }, {                                                                    \
        "reads_per_byte", "reads of a byte", UNIT_FACTOR                                                               \
    }

static json_t * add_sum(const struct state * s, struct result * r, const char * key, const char * name,
                        const struct sum * sum) {
    json_t * row = result_row(r);
    result_put_text(r, row, key, name);
    result_put_count(r, row, "slices", sum->slices);
    result_put_count(r, row, "size_bytes", sum->size);
    result_put_count(r, row, "accesses", sum->accesses);
    result_put_real(r, row, "access_share", ratio(sum->accesses, s->accesses));
    result_put_count(r, row, "bytes", sum->bytes);
    result_put_real(r, row, "reads_per_byte", ratio(sum->bytes, sum->size));
    return row;
}

static void add_sets(const struct state * s, struct result * r, const struct cuts * cuts, struct sum sums[3]) {
    static const char * const         names[]   = { "hot", "between", "cold" };
    static const struct result_column columns[] = { { "set", "set", UNIT_TEXT }, SUM_COLUMNS };
    result_table(r, "sets", "Hot and cold", cuts->uniform ? SHOW_NEVER : SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < s->slices.count; i++) {
        add_to(&sums[i < cuts->hot ? 0 : i < cuts->cold ? 1 : 2], s, &s->heat[i]);
    }
    for (int i = 0; i < 3; i++) { add_sum(s, r, "set", names[i], &sums[i]); }
}

/* Layers in thirds, and what belongs to none: embedding, output. */
static void add_depths(const struct state * s, struct result * r, struct sum sums[4]) {
    static const char * const         names[]   = { "early layers", "middle layers", "late layers", "no layer" };
    static const struct result_column columns[] = { { "depth", "depth", UNIT_TEXT }, SUM_COLUMNS };
    uint32_t                          layers    = 0;
    for (uint32_t i = 0; i < s->slices.count; i++) {
        const uint16_t layer = s->subject->tensors[s->slices.tensor[i]].layer;
        if (layer != TAT_NO_LAYER && layer >= layers) { layers = layer + 1u; }
    }
    for (uint32_t i = 0; i < s->slices.count; i++) {
        const uint16_t layer = s->subject->tensors[s->slices.tensor[s->heat[i].slice]].layer;
        add_to(&sums[layer == TAT_NO_LAYER ? 3 : layer * 3u / layers], s, &s->heat[i]);
    }
    result_table(r, "depths", "By depth", SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < 4; i++) {
        if (!sums[i].slices) { continue; }
        json_t * row = add_sum(s, r, "depth", names[i], &sums[i]);
        if (i == 3) { continue; }
        result_put_count(r, row, "layer_first", (i * layers + 2) / 3);
        result_put_count(r, row, "layer_last", ((i + 1) * layers + 2) / 3 - 1);
    }
}

static void set_unique(uint64_t tensor, uint64_t bytes, void * user) {
    ((struct state *) user)->tensor[tensor].unique = bytes;
}

struct missing {
    uint64_t bytes, of;
    uint32_t whole; /* tensors */
};

static struct missing add_untouched(const struct state * s, struct result * r) {
    static const struct result_column columns[] = {
        { "tensor", "tensor", UNIT_TEXT },
        { "tensor_bytes", "size", UNIT_BYTES },
        { "untouched_bytes", "never touched", UNIT_BYTES },
        { "untouched_share", "of it", UNIT_SHARE },
    };
    struct missing m = { 0 };
    result_table(r, "untouched", "Never touched by prompt and generation", SHOW_ASKED, columns,
                 sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < s->subject->n_tensors; i++) {
        const struct tat_tensor * t = &s->subject->tensors[i];
        if (t->kind != TAT_TENSOR_WEIGHT) { continue; }
        m.of += t->bytes;
        if (s->tensor[i].unique >= t->bytes) { continue; }
        const uint64_t bytes = t->bytes - s->tensor[i].unique;
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

/* ----------------------------------------------------------------------------------------------------------- words */

static void say_heat(const struct state * s, struct result * r, const struct cuts * cuts, const struct sum sets[3]) {
    char count[UNITS_SIZE], size[UNITS_SIZE], share[UNITS_SIZE], cold[UNITS_SIZE], text[512];
    if (cuts->uniform) {
        const uint64_t usual = s->heat[cuts->hot - 1].accesses;
        uint32_t       more = 0, less = 0;
        for (uint32_t i = 0; i < s->slices.count; i++) {
            more += s->heat[i].accesses > usual;
            less += s->heat[i].accesses < usual;
        }
        int at = snprintf(text, sizeof text,
                          "Uniform, no hot set: %" PRIu32 " of %" PRIu32 " weights are touched %s times each",
                          s->slices.count - more - less, s->slices.count, format_count(count, usual));
        if (more) {
            at += snprintf(text + at, sizeof text - (size_t) at, "; %" PRIu32 " more often (first %.100s, %s times)",
                           more, slice_name(s, s->heat[0].slice), format_count(count, s->heat[0].accesses));
        }
        snprintf(text + at, sizeof text - (size_t) at, less ? "; %" PRIu32 " less often." : ".", less);
    } else {
        snprintf(text, sizeof text,
                 "The hottest %.0f %% of the weights (%s, %s) get %s of the accesses, the coldest %.0f %% %s. First is "
                 "%.100s.",
                 100 * s->subject->options.hot_share, format_count(count, sets[0].slices),
                 format_bytes(size, sets[0].size), format_share(share, ratio(sets[0].accesses, s->accesses)),
                 100 * s->subject->options.cold_share, format_share(cold, ratio(sets[2].accesses, s->accesses)),
                 slice_name(s, s->heat[0].slice));
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

static void say_reuse(const struct state * s, struct result * r, const struct missing * m, uint64_t again) {
    const uint64_t unique = m->of - m->bytes;
    char           a[UNITS_SIZE], b[UNITS_SIZE], c[UNITS_SIZE], d[UNITS_SIZE], e[UNITS_SIZE];
    const uint64_t across = s->bytes - again > unique ? s->bytes - again - unique : 0;
    result_put_count(r, result_values(r), "bytes", s->bytes);
    result_put_count(r, result_values(r), "accesses", s->accesses);
    result_put_count(r, result_values(r), "unique_bytes", unique);
    result_put_count(r, result_values(r), "again_within_bytes", again);
    result_put_count(r, result_values(r), "again_across_bytes", across);
    result_put_count(r, result_values(r), "weight_bytes", m->of);
    result_put_count(r, result_values(r), "untouched_bytes", m->bytes);
    result_put_count(r, result_values(r), "untouched_tensors", m->whole);
    result_put_real(r, result_values(r), "reuse_factor", ratio(s->bytes, unique));
    result_line(r, "read again", "%s of %s in a later graph, %s within the same one; reuse factor %.1f",
                format_bytes(a, across), format_bytes(b, s->bytes), format_bytes(c, again), ratio(s->bytes, unique));
    result_line(r, "untouched", "%s of %s (%s), %" PRIu32 " tensors wholly", format_bytes(d, m->bytes),
                format_bytes(e, m->of), format_share(b, ratio(m->bytes, m->of)), m->whole);
    result_answer(
        r, "What is read again?",
        "Of %s touched, %s are read again by a later token's graph and %s again within one; each byte touched at "
        "all is read %.1f times.",
        format_bytes(b, s->bytes), a, c, ratio(s->bytes, unique));
    result_answer(r, "Which bytes are never touched?", "%s of the %s of weights (%s); %" PRIu32 " tensors wholly.", d,
                  e, format_share(b, ratio(m->bytes, m->of)), m->whole);
}

static void say_notes(const struct state * s, struct result * r, bool tied) {
    result_note(
        r, "Of weights, by prompt and generation. An access is one operand of one operation in one graph, whatever "
           "the number of its tokens; each expert counts as a weight of its own. Reads of a byte: bytes touched over "
           "size. The time is that of the operations that read the tensor.");
    if (tied) {
        result_note(r,
                    "The line between hot and the rest falls among weights that are touched as often: time decides.");
    }
    if (s->approximate) {
        result_note(r,
                    "Some operands were too scattered to list, or not recorded: of those the bounds count as touched.");
    }
    if (s->unclear) { result_note(r, "%" PRIu64 " accesses name no expert: they are in the sums only.", s->unclear); }
    if (s->slices.lumped) {
        result_note(r, "%" PRIu32 " stacks of experts count as one weight each.", s->slices.lumped);
    }
}

static void finish(void * state, struct result * r) {
    struct state * s       = state;
    struct sum     sets[3] = { 0 }, depths[4] = { 0 };
    ranges_each(&s->touched, set_unique, s);
    const uint64_t again = again_end(s->again, &r->failed);
    r->failed |= s->touched.failed;
    for (uint32_t i = 0; i < s->slices.count; i++) { s->heat[i].ns = s->tensor[s->slices.tensor[i]].ns; }
    if (s->accesses == 0 || s->slices.count == 0) {
        result_headline(r, "Neither a prompt nor a generated token touched a weight.");
        drop(s);
        return;
    }
    qsort(s->heat, s->slices.count, sizeof s->heat[0], hottest);
    const struct cuts cuts = cut(s);
    add_sets(s, r, &cuts, sets);
    say_heat(s, r, &cuts, sets);
    add_hottest(s, r);
    add_densest(s, r);
    add_depths(s, r, depths);
    const struct missing m = add_untouched(s, r);
    say_reuse(s, r, &m, again);
    say_depths(r, depths);
    say_notes(s, r, !cuts.uniform && cuts.tied);
    drop(s);
}

const struct analysis hot_analysis = {
    .name   = "hot",
    .title  = "Hot and cold",
    .begin  = begin,
    .tally  = tally,
    .finish = finish,
};
