/* SPDX-License-Identifier: MIT
 *
 * Which parts of the model the bytes belong to, all layers together.
 */
#include <stdlib.h>

#include "analysis/analysis.h"
#include "analysis/parts.h"
#include "analysis/units.h"

struct component {
    unsigned component;
    uint64_t tensors, tensor_bytes, accesses, bytes, generate_bytes;
};

struct state {
    const struct subject * subject;
    struct component part[PARTS];
    struct access_counter accesses;
    uint64_t total;
};

enum { PER_TOKEN = 6 }; /* a column that has a meaning only if tokens were generated */

static const struct result_column columns[] = {
    { "component", "part", UNIT_TEXT },
    { "tensors", "tensors", UNIT_COUNT },
    { "tensor_bytes", "size", UNIT_BYTES },
    { "accesses", "accesses", UNIT_COUNT },
    { "bytes", "touched", UNIT_BYTES },
    { "share", "share", UNIT_SHARE },
    [PER_TOKEN] = { "bytes_per_token", "bytes/token", UNIT_BYTES },
};

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (!s) { return NULL; }
    s->subject = subject;
    for (unsigned i = 0; i < PARTS; i++) { s->part[i].component = i; }
    for (uint32_t i = 0; i < subject->n_tensors; i++) {
        struct component * part = &s->part[part_of(&subject->tensors[i])];
        if (!counts_once(subject, i)) { continue; }
        part->tensors++;
        part->tensor_bytes += subject->tensors[i].bytes;
    }
    return s;
}

static void tally(void * state, const struct tat_tally * t) {
    struct state * s = state;
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        const uint64_t accesses = access_counter_step(&s->accesses, t, i);
        if (!is_inference(phase_of(a))) { continue; }
        struct component * part = &s->part[part_of(&s->subject->tensors[a->tensor])];
        const uint64_t bytes = a->bytes * t->evaluations;
        part->accesses += accesses;
        part->bytes += bytes;
        s->total += bytes;
        if (phase_of(a) == TAT_PHASE_GENERATE) { part->generate_bytes += bytes; }
    }
}

static int most_bytes(const void * a, const void * b) {
    const struct component *x = a, *y = b;
    if (x->bytes != y->bytes) { return x->bytes < y->bytes ? 1 : -1; }
    return (int) x->component - (int) y->component;
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    const uint64_t tokens = s->subject->phase[TAT_PHASE_GENERATE].tokens;
    char share[UNITS_SIZE];
    qsort(s->part, PARTS, sizeof s->part[0], most_bytes);
    result_table(r, "components", NULL, SHOW_ALWAYS, columns, tokens ? PER_TOKEN + 1 : PER_TOKEN);
    result_put_count(r, result_values(r), "bytes", s->total);
    for (unsigned i = 0; i < PARTS && s->part[i].bytes; i++) {
        const struct component * part = &s->part[i];
        json_t * row = result_row(r);
        result_put_text(r, row, "component", part_name(part->component));
        result_put_count(r, row, "tensors", part->tensors);
        /* Intermediate results share memory, so the sum of their sizes means nothing. */
        if (part->component != ACTIVATIONS) { result_put_count(r, row, "tensor_bytes", part->tensor_bytes); }
        result_put_count(r, row, "accesses", part->accesses);
        result_put_count(r, row, "bytes", part->bytes);
        result_put_real(r, row, "share", ratio(part->bytes, s->total));
        if (tokens) { result_put_real(r, row, "bytes_per_token", ratio(part->generate_bytes, tokens)); }
    }
    if (s->total) {
        result_headline(r, "Most bytes belong to %s: %s of all.", part_name(s->part[0].component),
                        format_share(share, ratio(s->part[0].bytes, s->total)));
        result_note(r,
                    "Prompt and generation; an access is one operand of one executed operation, or one expert of it.%s",
                    tokens ? " Bytes/token: touched for each generated token." : "");
    } else {
        result_headline(r, "Neither a prompt nor a generated token touched anything.");
    }
    free(s);
}

const struct analysis components_analysis = {
    .name = "components",
    .title = "Parts of the model",
    .begin = begin,
    .tally = tally,
    .finish = finish,
};
