/* SPDX-License-Identifier: MIT */
#include "analysis/order/gaps.h"

#include <stdio.h>
#include <stdlib.h>

#include "analysis/units.h"

/* ---- counting ---- */

/* Sorts tensors by file, and within a file by component: neighbours share a place. */
struct key {
    uint32_t file, component, tensor;
};

static int by_place(const void * a, const void * b) {
    const struct key *x = a, *y = b;
    if (x->file != y->file) { return x->file < y->file ? -1 : 1; }
    return (x->component > y->component) - (x->component < y->component);
}

static void number_places(struct gaps * g, const struct key * keys, uint32_t n) {
    uint32_t all = 0, own = 0, next = 0;
    for (uint32_t i = 0; i < n; i++) {
        const bool new_file = i == 0 || keys[i].file != keys[i - 1].file;
        if (new_file) { all = next++; }
        if (new_file || keys[i].component != keys[i - 1].component) { own = next++; }
        g->tensor[keys[i].tensor] = (struct gap_tensor){ all, own, keys[i].component };
    }
}

bool gaps_begin(struct gaps * g, const struct subject * subject) {
    const size_t n = subject->n_tensors;
    struct key * keys = malloc((n + 1) * sizeof *keys);
    uint32_t used = 0;
    *g = (struct gaps){ .subject = subject };
    g->tensor = calloc(n + 1, sizeof g->tensor[0]);
    g->place = calloc(2 * n + 1, sizeof g->place[0]);
    if (!keys || !g->tensor || !g->place) {
        free(keys);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct tat_tensor * t = &subject->tensors[i];
        if (!is_in_file(t)) { continue; }
        keys[used++] = (struct key){ t->file, (uint32_t) t->component, i };
        g->copied |= t->memory == TAT_MEMORY_COPY;
    }
    if (used) { qsort(keys, used, sizeof *keys, by_place); }
    number_places(g, keys, used);
    free(keys);
    return true;
}

void gaps_free(struct gaps * g) {
    free(g->tensor);
    free(g->place);
}

/* ---- telling ---- */

static void add_bin(struct gap_bin * to, const struct gap_bin * bin) {
    to->accesses += bin->accesses;
    to->bytes += bin->bytes;
}

struct gap_shares gap_shares(const struct gap_counts * c) {
    struct gap_shares s = { .sequential = c->forward[0] };
    for (int i = 1; i < GAP_BINS; i++) {
        struct gap_bin * to = i <= GAP_BINS_NEAR ? &s.near : &s.random;
        add_bin(to, &c->forward[i]);
        add_bin(to, &c->backward[i]);
    }
    add_bin(&s.all, &s.sequential);
    add_bin(&s.all, &s.near);
    add_bin(&s.all, &s.random);
    return s;
}

static const struct result_column kind_columns[] = {
    { "kind", "where an access begins", UNIT_TEXT }, { "accesses", "accesses", UNIT_COUNT },
    { "share", "of accesses", UNIT_SHARE },          { "bytes", "bytes read", UNIT_BYTES },
    { "share_of_bytes", "of bytes", UNIT_SHARE },
};

static const struct result_column part_columns[] = {
    { "component", "part of the model", UNIT_TEXT },
    { "accesses", "accesses", UNIT_COUNT },
    { "sequential", "sequential", UNIT_SHARE },
    { "near", "near", UNIT_SHARE },
    { "random", "random", UNIT_SHARE },
    { "random_of_bytes", "random bytes", UNIT_SHARE },
    { "mean_gap_bytes", "mean gap", UNIT_BYTES },
};

static const struct result_column bin_columns[] = {
    { "distance", "gap", UNIT_TEXT },
    { "forward", "forwards", UNIT_COUNT },
    { "backward", "backwards", UNIT_COUNT },
    { "share", "of accesses", UNIT_SHARE },
    { "share_of_bytes", "of bytes", UNIT_SHARE },
};

static const struct result_column component_bin_columns[] = {
    { "component", "part", UNIT_TEXT },
    { "distance", "gap", UNIT_TEXT },
    { "forward", "forwards", UNIT_COUNT },
    { "backward", "backwards", UNIT_COUNT },
};

static const char * sequence_name(int sequence) {
    return sequence == GAP_ALL ? "all" : tat_component_name((enum tat_component) sequence);
}

static void add_kind(struct result * r, const char * kind, const struct gap_bin * bin, const struct gap_bin * all) {
    json_t * row = result_row(r);
    result_put_text(r, row, "kind", kind);
    result_put_count(r, row, "accesses", bin->accesses);
    result_put_real(r, row, "share", ratio(bin->accesses, all->accesses));
    result_put_count(r, row, "bytes", bin->bytes);
    result_put_real(r, row, "share_of_bytes", ratio(bin->bytes, all->bytes));
}

static void add_kinds(struct result * r, const struct gap_shares * s) {
    if (s->all.accesses == 0) { return; }
    add_kind(r, "sequential: where the one before ended", &s->sequential, &s->all);
    add_kind(r, "near: within 128 KiB of that", &s->near, &s->all);
    add_kind(r, "random: elsewhere", &s->random, &s->all);
}

static void add_shares(struct result * r, const struct gaps * g, int sequence) {
    const struct gap_counts * c = &g->counts[sequence];
    const struct gap_shares s = gap_shares(c);
    if (s.all.accesses + c->first.accesses == 0) { return; }
    json_t * row = result_row(r);
    result_put_text(r, row, "component", sequence_name(sequence));
    result_put_count(r, row, "accesses", s.all.accesses + c->first.accesses);
    result_put_count(r, row, "bytes", s.all.bytes + c->first.bytes);
    result_put_count(r, row, "first_accesses", c->first.accesses);
    result_put_count(r, row, "sequential_accesses", s.sequential.accesses);
    result_put_count(r, row, "near_accesses", s.near.accesses);
    result_put_count(r, row, "random_accesses", s.random.accesses);
    result_put_count(r, row, "sequential_bytes", s.sequential.bytes);
    result_put_count(r, row, "near_bytes", s.near.bytes);
    result_put_count(r, row, "random_bytes", s.random.bytes);
    result_put_count(r, row, "gap_bytes", c->distance);
    if (s.all.accesses == 0) { return; }
    result_put_real(r, row, "sequential", ratio(s.sequential.accesses, s.all.accesses));
    result_put_real(r, row, "near", ratio(s.near.accesses, s.all.accesses));
    result_put_real(r, row, "random", ratio(s.random.accesses, s.all.accesses));
    result_put_real(r, row, "sequential_of_bytes", ratio(s.sequential.bytes, s.all.bytes));
    result_put_real(r, row, "near_of_bytes", ratio(s.near.bytes, s.all.bytes));
    result_put_real(r, row, "random_of_bytes", ratio(s.random.bytes, s.all.bytes));
    result_put_real(r, row, "mean_gap_bytes", ratio(c->distance, s.all.accesses));
}

uint64_t gap_bin_from(int bin) {
    return bin ? 1ull << (bin - 1) : 0;
}

uint64_t gap_bin_to(int bin) {
    return bin == 0 ? 1 : bin < 64 ? 1ull << bin : UINT64_MAX;
}

const char * gap_bin_text(char text[static GAP_BIN_TEXT], int bin) {
    char from[UNITS_SIZE], to[UNITS_SIZE];
    snprintf(text, GAP_BIN_TEXT, "%s to %s", format_bytes(from, gap_bin_from(bin)), format_bytes(to, gap_bin_to(bin)));
    if (bin == 0) { snprintf(text, GAP_BIN_TEXT, "none"); }
    return text;
}

static void put_distance(struct result * r, json_t * row, int bin) {
    char text[GAP_BIN_TEXT];
    result_put_text(r, row, "distance", gap_bin_text(text, bin));
    result_put_count(r, row, "from_bytes", gap_bin_from(bin));
    result_put_count(r, row, "to_bytes", gap_bin_to(bin));
}

static void add_bins(struct result * r, const struct gaps * g, int sequence, bool with_component) {
    const struct gap_counts * c = &g->counts[sequence];
    const struct gap_shares s = gap_shares(c);
    for (int i = 0; i < GAP_BINS; i++) {
        const struct gap_bin *f = &c->forward[i], *b = &c->backward[i];
        if (f->accesses + b->accesses == 0) { continue; }
        json_t * row = result_row(r);
        if (with_component) { result_put_text(r, row, "component", sequence_name(sequence)); }
        put_distance(r, row, i);
        result_put_count(r, row, "forward", f->accesses);
        result_put_count(r, row, "backward", b->accesses);
        result_put_count(r, row, "forward_bytes", f->bytes);
        result_put_count(r, row, "backward_bytes", b->bytes);
        result_put_real(r, row, "share", ratio(f->accesses + b->accesses, s.all.accesses));
        result_put_real(r, row, "share_of_bytes", ratio(f->bytes + b->bytes, s.all.bytes));
    }
}

static void answer(const struct gap_shares * s, struct result * r) {
    char sequential[UNITS_SIZE], near[UNITS_SIZE], random[UNITS_SIZE], bytes[UNITS_SIZE];
    const double share = ratio(s->sequential.accesses, s->all.accesses);
    const char * word = share >= 0.95 ? "Yes" : share <= 0.05 ? "No" : "Partly";
    result_answer(r, "Are weights read in the order of the file?",
                  "%s: %s of the accesses begin where the one before ended, %s within 128 KiB of it, and %s elsewhere. "
                  "Those elsewhere read %s of the bytes.",
                  word, format_share(sequential, share), format_share(near, ratio(s->near.accesses, s->all.accesses)),
                  format_share(random, ratio(s->random.accesses, s->all.accesses)),
                  format_share(bytes, ratio(s->random.bytes, s->all.bytes)));
}

void gaps_tell(const struct gaps * g, struct result * r) {
    const struct gap_shares s = gap_shares(&g->counts[GAP_ALL]);
    result_table(r, "order", NULL, SHOW_ALWAYS, kind_columns, sizeof kind_columns / sizeof kind_columns[0]);
    add_kinds(r, &s);
    if (s.all.accesses == 0) { return; }
    result_note(
        r, "An access is one operand of one executed operation, or one expert of it, in prompt and generation. The gap "
           "before an access is the distance from the end of the one before to its beginning, in the same file.");
    if (g->copied) {
        result_note(r,
                    "Some weights were copied out of the file when they were loaded (repacked). They are read from the "
                    "copy, but counted at their place in the file.");
    }
    if (g->approximate) {
        result_note(r, "Of some accesses only the bounds are known; their gaps are measured from these.");
    }
    answer(&s, r);
}

void gaps_tell_parts(const struct gaps * g, struct result * r) {
    result_table(r, "components", "By part of the model: gaps between accesses of the same part", SHOW_ASKED,
                 part_columns, sizeof part_columns / sizeof part_columns[0]);
    add_shares(r, g, GAP_ALL);
    for (int i = 0; i < GAP_ALL; i++) { add_shares(r, g, i); }
    result_table(r, "gaps", "Gaps before accesses", SHOW_ASKED, bin_columns,
                 sizeof bin_columns / sizeof bin_columns[0]);
    add_bins(r, g, GAP_ALL, false);
    result_table(r, "gaps_by_component", NULL, SHOW_NEVER, component_bin_columns,
                 sizeof component_bin_columns / sizeof component_bin_columns[0]);
    for (int i = 0; i < GAP_ALL; i++) { add_bins(r, g, i, true); }
}
