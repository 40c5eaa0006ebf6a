/* SPDX-License-Identifier: MIT
 *
 * What was read of the model's files, for what, and how often.
 */
#include <stdio.h>
#include <stdlib.h>

#include "analysis/storage/section.h"
#include "analysis/units.h"

enum { SHOWN = 15 };

/* ---- by what it was for ---- */

struct place_sum {
    uint64_t events, parts, bytes;
};

static bool is_placed(enum tat_place place) {
    return place <= TAT_PLACE_IN_VAIN && place != TAT_PLACE_UNWANTED;
}

/* A request counts where most of its bytes are. */
static void sum_requests(const struct joined * j, struct place_sum * sums) {
    for (size_t i = 0, next; i < j->n_requests; i = next) {
        const struct tat_placed * most = &j->requests[i];
        for (next = i; next < j->n_requests && j->requests[next].event == j->requests[i].event; next++) {
            const struct tat_placed * p = &j->requests[next];
            sums[p->place].parts++;
            sums[p->place].bytes += p->bytes;
            if (p->bytes > most->bytes) { most = p; }
        }
        sums[most->place].events++;
    }
}

static void add_requests(const struct joined * j, struct result * r) {
    static const struct result_column columns[] = { { "place", "for", UNIT_TEXT },
                                                    { "requests", "requests", UNIT_COUNT },
                                                    { "requests_share", "of requests", UNIT_SHARE },
                                                    { "parts", "parts", UNIT_COUNT },
                                                    { "bytes", "bytes", UNIT_BYTES },
                                                    { "bytes_share", "of bytes", UNIT_SHARE } };
    struct place_sum sums[TAT_PLACES] = { 0 }, all = { 0 };
    sum_requests(j, sums);
    if (j->no_waits) { /* for an operation, be it before it waited or not */
        sums[TAT_PLACE_OPERATION].events += sums[TAT_PLACE_AHEAD].events;
        sums[TAT_PLACE_OPERATION].parts += sums[TAT_PLACE_AHEAD].parts;
        sums[TAT_PLACE_OPERATION].bytes += sums[TAT_PLACE_AHEAD].bytes;
        sums[TAT_PLACE_AHEAD] = (struct place_sum){ 0 };
    }
    for (int i = 0; i < TAT_PLACES; i++) {
        all.events += sums[i].events;
        all.bytes += sums[i].bytes;
    }
    if (!all.events) { return; }
    result_table(r, "requests", "Requests to the disk", SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (int i = 0; i < TAT_PLACES; i++) {
        if (!sums[i].events && !sums[i].bytes) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "place", tat_place_name((enum tat_place) i));
        result_put_count(r, row, "requests", sums[i].events);
        result_put_real(r, row, "requests_share", ratio(sums[i].events, all.events));
        result_put_count(r, row, "parts", sums[i].parts);
        result_put_count(r, row, "bytes", sums[i].bytes);
        result_put_real(r, row, "bytes_share", ratio(sums[i].bytes, all.bytes));
    }
    result_note(r,
                "A request counts once, where most of its bytes are. It has a part for each weight that it reads of, "
                "and a part is an operation's as a whole if the operation waited for any page of it; the columns "
                "\"waited for\" count that page alone.");
}

/* Of what was read of the model's files, the share whose slice and fate are known. */
static void put_placed(const struct joined * j, const struct cache * c, const struct reading * reading,
                       struct result * r) {
    uint64_t placed = 0, all = 0;
    if (reading->source == READ_REQUESTS) {
        for (size_t i = 0; i < j->n_requests; i++) {
            const struct tat_placed * p = &j->requests[i];
            all += p->file ? p->bytes : 0;
            placed += p->file && is_placed((enum tat_place) p->place) ? p->bytes : 0;
        }
    } else if (reading->source == READ_PAGES) {
        all = c->all.came;
        placed = all - c->all.beside - c->all.unknown;
    }
    if (all) { result_put_real(r, result_values(r), "placed_share", ratio(placed, all)); }
}

/* ---- by phase ---- */

#define CAME_COLUMNS                                                                                                   \
    { "read_bytes", "read", UNIT_BYTES }, { "again_bytes", "read again", UNIT_BYTES },                                 \
        { "demanded_bytes", "waited for", UNIT_BYTES }, { "ahead_bytes", "read ahead", UNIT_BYTES }, {                 \
        "in_vain_bytes", "in vain", UNIT_BYTES                                                                         \
    }

static json_t * put_came(const struct joined * j, struct result * r, const struct came_sum * sum) {
    const uint64_t page_bytes = j->bytes.page_bytes;
    json_t * row = result_row(r);
    result_put_count(r, row, "read_bytes", sum->came * page_bytes);
    result_put_count(r, row, "again_bytes", sum->again * page_bytes);
    if (!j->no_waits) { /* else what was read ahead of its use cannot be told from what was waited for */
        result_put_count(r, row, "demanded_bytes", sum->demanded * page_bytes);
        result_put_count(r, row, "ahead_bytes", sum->ahead * page_bytes);
    }
    result_put_count(r, row, "in_vain_bytes", (sum->evicted + sum->unused) * page_bytes);
    return row;
}

static void add_phases(const struct joined * j, const struct cache * c, struct result * r) {
    static const struct result_column columns[] = { { "phase", "while", UNIT_TEXT },
                                                    { "wanted_bytes", "wanted", UNIT_BYTES },
                                                    CAME_COLUMNS,
                                                    { "amplification", "read / wanted", UNIT_FACTOR } };
    result_table(r, "reading", "What was read of the model's files", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (int i = 0; i < TAT_WHENS; i++) {
        if (!c->when[i].came && !c->wanted[i]) { continue; }
        json_t * row = put_came(j, r, &c->when[i]);
        result_put_text(r, row, "phase", tat_when_name((enum tat_when) i));
        if (!c->wanted[i]) { continue; }
        result_put_count(r, row, "wanted_bytes", c->wanted[i]);
        result_put_real(r, row, "amplification", ratio(c->when[i].came * j->bytes.page_bytes, c->wanted[i]));
    }
}

/* ---- by weight ---- */

struct slice_read {
    const struct came_sum * sum;
    uint32_t slice;
    uint16_t layer; /* TAT_NO_LAYER comes last */
};

static int by_again(const void * a, const void * b) {
    const struct slice_read *x = a, *y = b;
    if (x->sum->again != y->sum->again) { return x->sum->again > y->sum->again ? -1 : 1; }
    if (x->layer != y->layer) { return x->layer < y->layer ? -1 : 1; }
    return x->slice < y->slice ? -1 : x->slice > y->slice;
}

/* "blk.3.ffn_up.weight (18.4 MiB), ...", of the first few. */
static void answer_again(const struct joined * j, const struct cache * c, const struct slice_read * order, uint32_t n,
                         struct result * r) {
    enum { NAMED = 3 };
    const struct slices * slices = &j->bytes.slices;
    char names[512] = "", bytes[UNITS_SIZE], expert[24], recorded[RECORDED_SIZE];
    size_t used = 0;
    for (uint32_t i = 0; i < n && i < NAMED && order[i].sum->again && used < sizeof names; i++) {
        const uint16_t number = slice_expert(slices, order[i].slice);
        snprintf(expert, sizeof expert, number == TAT_NO_EXPERT ? "" : ", expert %u", number);
        used += (size_t) snprintf(names + used, sizeof names - used, "%s%.100s%s (%s)", i ? "; " : "",
                                  j->subject->tensors[slices->tensor[order[i].slice]].name, expert,
                                  format_bytes(bytes, order[i].sum->again * j->bytes.page_bytes));
    }
    say_recorded(j, recorded, sizeof recorded);
    static const char question[] = "Which weights were read from disk again?";
    if (!used) {
        result_answer(r, question, "None.%s", recorded);
        return;
    }
    result_answer(r, question, "%s came into memory again after they had left it, most of all %s.%s",
                  format_bytes(bytes, c->all.again * j->bytes.page_bytes), names, recorded);
}

void reread_tables(const struct joined * j, const struct cache * c, struct result * r) {
    static const struct result_column columns[] = { { "tensor", "tensor", UNIT_TEXT },
                                                    { "expert", "expert", UNIT_NUMBER },
                                                    { "wanted_bytes", "wanted", UNIT_BYTES },
                                                    CAME_COLUMNS };
    const struct slices * slices = &j->bytes.slices;
    struct slice_read * order = malloc(((size_t) slices->count + 1) * sizeof *order);
    r->failed |= c->source && !order;
    if (!c->source || !order) {
        free(order);
        return;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < slices->count; i++) {
        const uint16_t layer = j->subject->tensors[slices->tensor[i]].layer;
        if (c->slice[i].came || c->wanted_of[i]) { order[n++] = (struct slice_read){ &c->slice[i], i, layer }; }
    }
    qsort(order, n, sizeof *order, by_again);
    answer_again(j, c, order, n, r);
    for (int all = 0; all < 2; all++) {
        result_table(r, all ? "read_slices" : "reread", all ? NULL : "Weights that were read again most",
                     all ? SHOW_NEVER : SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
        for (uint32_t i = 0; i < n && (all || (i < SHOWN && order[i].sum->again)); i++) {
            const uint32_t slice = order[i].slice;
            json_t * row = put_came(j, r, order[i].sum);
            result_put_text(r, row, "tensor", j->subject->tensors[slices->tensor[slice]].name);
            result_put_count(r, row, "wanted_bytes", c->wanted_of[slice]);
            const uint16_t expert = slice_expert(slices, slice);
            if (expert != TAT_NO_EXPERT) { result_put_count(r, row, "expert", expert); }
        }
    }
    free(order);
}

static void add_came(struct came_sum * to, const struct came_sum * sum) {
    to->came += sum->came;
    to->again += sum->again;
    to->demanded += sum->demanded;
    to->ahead += sum->ahead;
    to->evicted += sum->evicted;
    to->unused += sum->unused;
}

static void add_layers(const struct joined * j, const struct cache * c, struct result * r) {
    static const struct result_column columns[] = { { "layer", "layer", UNIT_NUMBER }, CAME_COLUMNS };
    const struct slices * slices = &j->bytes.slices;
    const uint32_t layers = layer_span(j->subject);
    struct came_sum * sums = calloc((size_t) layers + 1, sizeof *sums);
    r->failed |= !sums;
    if (!sums) { return; }
    for (uint32_t i = 0; i < slices->count; i++) {
        const uint16_t layer = j->subject->tensors[slices->tensor[i]].layer;
        add_came(&sums[layer < layers ? layer : layers], &c->slice[i]);
    }
    result_table(r, "read_layers", "Read by layer", SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i <= layers; i++) {
        if (sums[i].came) { result_put_layer(r, put_came(j, r, &sums[i]), "layer", i == layers ? TAT_NO_LAYER : i); }
    }
    free(sums);
}

/* ---- all ---- */

static void put_values(const struct joined * j, const struct cache * c, const struct reading * x, struct result * r) {
    json_t * values = result_values(r);
    const uint64_t page_bytes = j->bytes.page_bytes;
    result_put_count(r, values, "wanted_bytes", x->wanted);
    if (x->source == READ_NOTHING) { return; }
    result_put_count(r, values, "disk_bytes", x->bytes);
    result_put_text(r, values, "disk_bytes_from", reading_source(x));
    if (x->wanted) { result_put_real(r, values, "read_amplification", ratio(x->bytes, x->wanted)); }
    put_placed(j, c, x, r);
    if (x->source > READ_PAGES) { return; }
    result_put_count(r, values, "unique_bytes", x->unique);
    if (x->unique) { result_put_real(r, values, "reread_factor", ratio(x->bytes, x->unique)); }
    if (!j->no_waits) {
        result_put_count(r, values, "demanded_bytes", c->all.demanded * page_bytes);
        result_put_count(r, values, "ahead_used_bytes", c->all.ahead * page_bytes);
        result_put_count(r, values, "ahead_late_bytes", c->all.late * page_bytes);
    }
    result_put_count(r, values, "evicted_before_use_bytes", c->all.evicted * page_bytes);
    if (j->until_ns == INT64_MAX) { result_put_count(r, values, "never_used_bytes", c->all.unused * page_bytes); }
}

static void say(const struct joined * j, const struct cache * c, const struct reading * x, struct result * r) {
    char wanted[UNITS_SIZE], bytes[UNITS_SIZE], unique[UNITS_SIZE], vain[UNITS_SIZE], share[UNITS_SIZE];
    const uint64_t in_vain = (c->all.evicted + c->all.unused) * j->bytes.page_bytes;
    if (x->source == READ_NOTHING) { return; }
    if (x->wanted) {
        result_line(r, "read", "%s from disk (%s) where operations wanted %s: %.2f times that",
                    format_bytes(bytes, x->bytes), reading_source(x), format_bytes(wanted, x->wanted),
                    ratio(x->bytes, x->wanted));
    } else {
        result_line(r, "read", "%s from disk (%s)", format_bytes(bytes, x->bytes), reading_source(x));
    }
    if (x->source > READ_PAGES || !x->unique) { return; }
    result_line(r, "again", "%s of it are different bytes: each was read %.2f times", format_bytes(unique, x->unique),
                ratio(x->bytes, x->unique));
    if (!c->all.came) { return; }
    result_line(r, "in vain", "%s were read and not touched before they left memory%s, %s of all pages",
                format_bytes(vain, in_vain), j->until_ns == INT64_MAX ? " or the run ended" : "",
                format_share(share, ratio(c->all.evicted + c->all.unused, c->all.came)));
}

void reading_tables(const struct joined * j, const struct cache * c, struct result * r) {
    const struct reading x = reading_of(j, c);
    put_values(j, c, &x, r);
    say(j, c, &x, r);
    add_requests(j, r);
    if (c->source) {
        add_phases(j, c, r);
        add_layers(j, c, r);
    }
    disk_tables(j, c, r);
    add_totals(j, c, &x, r);
}
