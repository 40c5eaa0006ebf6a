/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "analysis/caching/curves.h"

enum { REFERENCES_MAX = 1 << 19 }; /* that are looked at, whole graphs: each is simulated hundreds of times */

static void add_reads(struct simulation * s, const struct references * r, size_t mark, bool generated, bool * read) {
    for (size_t i = mark_at(r, mark)->first; i < mark_at(r, mark + 1)->first; i++) {
        const uint32_t ref = reference_at(r, i);
        const uint64_t bytes = reference_extent(r, ref).bytes;
        s->reads.all += bytes;
        if (ref >= r->slices.count) {
            s->rows += bytes;
            s->rows_generated += generated ? bytes : 0;
            continue;
        }
        s->value[ref]++;
        if (read[ref]) { continue; }
        read[ref] = true;
        s->reads.first += bytes;
        s->reads.generated_first += generated ? bytes : 0;
    }
}

bool simulation_begin(struct simulation * s, const struct references * r) {
    *s = (struct simulation){ .references = r };
    s->value = calloc((size_t) r->slices.count + 1, sizeof *s->value);
    bool * read = calloc((size_t) r->slices.count + 1, sizeof *read);
    if (s->value && read) {
        size_t count = 0;
        for (size_t m = 0; m < r->marks.count && count < REFERENCES_MAX; m++) {
            const bool generated = mark_phase(r, m) == TAT_PHASE_GENERATE;
            count += mark_at(r, m + 1)->first - mark_at(r, m)->first;
            if (count > 2 * REFERENCES_MAX) { break; } /* a graph that no real model has */
            add_reads(s, r, m, generated, read);
            s->reads.graphs++;
            if (generated) { s->reads.tokens += r->subject->evaluations[mark_at(r, m)->evaluation].n_tokens; }
        }
    }
    s->items = (struct policy_items){ r->bytes, s->value, r->slices.count };
    const bool good = s->value && read;
    free(read);
    return good;
}

void simulation_end(struct simulation * s) {
    free(s->value);
}

bool simulate(const struct simulation * s, const struct policy_kind * kind, uint64_t capacity,
              struct simulated * found) {
    const struct references * r = s->references;
    struct policy * policy = policy_new(kind, capacity, &s->items);
    uint64_t missed[2] = { s->rows - s->rows_generated, s->rows_generated };
    if (!policy) { return false; }
    for (size_t m = 0; m < s->reads.graphs; m++) {
        const bool generated = mark_phase(r, m) == TAT_PHASE_GENERATE;
        uint64_t bytes = 0;
        for (size_t i = mark_at(r, m)->first; i < mark_at(r, m + 1)->first; i++) {
            const uint32_t ref = reference_at(r, i);
            if (ref < r->slices.count) { bytes += r->bytes[ref] - policy_access(policy, ref); }
        }
        missed[generated] += bytes;
    }
    policy_free(policy);
    *found = (struct simulated){ missed[0] + missed[1] - s->reads.first, missed[1] - s->reads.generated_first };
    return true;
}
