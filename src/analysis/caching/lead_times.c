/* SPDX-License-Identifier: MIT
 *
 * How far ahead of its use a read from the disk must begin, and how long computing waits otherwise. Of what the best
 * online policy reads again, while generated tokens are computed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/caching/caching.h"
#include "analysis/caching/lead.h"

enum { LEADS = 8, EARLIEST = LEADS - 1, SHOWN = 3 };

/* In layers, one after the other as they are computed; the last is as early as can be. */
static const uint32_t leads[LEADS] = { 0, 1, 2, 4, 8, 16, 32, UINT32_MAX };

struct lead_times {
    const struct caching * s;
    const struct course * course;
    uint32_t n, n_graphs, n_stages; /* a stage is a stretch of reads of one layer */
    uint64_t tokens;
    double ns_a_byte;
    uint64_t * missed; /* by read: bytes */
    uint64_t * before; /* by read: when the slice was used last, 0: never; it cannot be read sooner */
    uint32_t * stage;  /* by read */
    uint32_t * first;  /* by stage: its first read */
    struct lead_read * reads;
    double * stall[LEADS]; /* by read */
    double * foreseen;     /* by read, as if routers were known: of one lead at a time */
    uint64_t ahead[LEADS]; /* bytes */
    double sum[LEADS], sum_foreseen[LEADS];
    bool experts;
};

static uint32_t layer_of(const struct lead_times * l, uint32_t read) {
    const struct references * r = &l->s->references;
    return r->subject->tensors[r->slices.tensor[course_at(l->course, read)->slice]].layer;
}

/* ---- what is read ---- */

/* Policies see the prompt too: its reads fill the cache. */
static bool find_missed(struct lead_times * l, unsigned strategy, uint64_t capacity) {
    const struct cache_string * c = &l->s->string;
    const struct policy_items items = { c->bytes, c->value, c->n_items };
    struct policy * policy = policy_new(policy_kinds[strategy], capacity, &items);
    uint32_t i = 0, read = 0;
    for (uint32_t g = 0; g < c->graphs.count && read < l->n && policy; g++) {
        for (; i < graph_at(c, g)->end; i++) {
            const uint64_t missed = c->bytes[item_at(c, i)] - policy_access(policy, item_at(c, i));
            if (graph_at(c, g)->generated && read < l->n) { l->missed[read++] = missed; }
        }
    }
    policy_free(policy);
    l->n = read;
    return policy;
}

static bool find_before(struct lead_times * l) {
    uint64_t * used = calloc((size_t) l->s->references.slices.count + 1, sizeof *used);
    for (uint32_t i = 0; i < l->n && used; i++) {
        const struct course_read * read = course_at(l->course, i);
        l->before[i] = used[read->slice];
        used[read->slice] = read->until;
    }
    free(used);
    return used;
}

static void find_stages(struct lead_times * l) {
    for (uint32_t i = 0; i < l->n; i++) {
        const bool same = i && layer_of(l, i) == layer_of(l, i - 1) &&
                          course_at(l->course, i)->graph == course_at(l->course, i - 1)->graph;
        if (!same) { l->first[l->n_stages++] = i; }
        l->stage[i] = l->n_stages - 1;
        l->experts |= course_at(l->course, i)->known > 0;
    }
}

static void count_tokens(struct lead_times * l) {
    const struct references * r = &l->s->references;
    uint32_t graph = 0;
    l->n_graphs = l->n ? course_at(l->course, l->n - 1)->graph + 1 : 0;
    for (size_t m = 0; m < r->marks.count && graph < l->n_graphs; m++) {
        if (mark_phase(r, m) != TAT_PHASE_GENERATE) { continue; }
        if (graph++) { l->tokens += r->subject->evaluations[mark_at(r, m)->evaluation].n_tokens; }
    }
}

/* ---- waiting ---- */

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t begins(const struct lead_times * l, uint32_t i, uint32_t lead, bool foreseen) {
    const struct course_read * read = course_at(l->course, i);
    const uint32_t stage = l->stage[i];
    if (lead == 0) { return read->at; }
    uint64_t from = l->before[i];
    if (lead <= stage) {
        from = later(from, lead == UINT32_MAX ? 0 : course_at(l->course, l->first[stage - lead])->at);
    }
    if (!foreseen) { from = later(from, read->known); }
    return from < read->at ? from : read->at;
}

/* The first graph, which has nothing before it, does not count. */
static bool find_stalls(struct lead_times * l, unsigned lead, bool foreseen, double * stall, double * sum) {
    uint64_t ahead = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        l->reads[i] = (struct lead_read){ begins(l, i, leads[lead], foreseen), course_at(l->course, i)->at,
                                          l->missed[i], (double) l->missed[i] * l->ns_a_byte };
    }
    if (!lead_find_stalls(l->reads, l->n, stall, &ahead)) { return false; }
    if (!foreseen) { l->ahead[lead] = ahead; }
    for (uint32_t i = 0; i < l->n; i++) { *sum += course_at(l->course, i)->graph ? stall[i] : 0; }
    return true;
}

static bool begin(struct lead_times * l, const struct caching * s) {
    const size_t n = (size_t) s->course.reads.count + 1;
    *l = (struct lead_times){ .s = s, .course = &s->course, .n = s->course.reads.count };
    l->ns_a_byte = 1e9 / (double) s->subject->options.disk_bytes_per_second;
    l->missed = calloc(n, sizeof *l->missed);
    l->before = calloc(n, sizeof *l->before);
    l->stage = calloc(n, sizeof *l->stage);
    l->first = calloc(n, sizeof *l->first);
    l->reads = calloc(n, sizeof *l->reads);
    l->foreseen = calloc(n, sizeof *l->foreseen);
    bool good = l->missed && l->before && l->stage && l->first && l->reads && l->foreseen;
    for (unsigned i = 0; i < LEADS; i++) { good &= (l->stall[i] = calloc(n, sizeof *l->stall[i])) != NULL; }
    return good;
}

static void end(struct lead_times * l) {
    free(l->missed);
    free(l->before);
    free(l->stage);
    free(l->first);
    free(l->reads);
    free(l->foreseen);
    for (unsigned i = 0; i < LEADS; i++) { free(l->stall[i]); }
}

static bool find(struct lead_times * l, unsigned strategy, uint64_t capacity) {
    if (!find_missed(l, strategy, capacity) || !find_before(l)) { return false; }
    find_stages(l);
    count_tokens(l);
    for (unsigned i = 0; i < LEADS; i++) {
        if (!find_stalls(l, i, false, l->stall[i], &l->sum[i])) { return false; }
        if (l->experts && !find_stalls(l, i, true, l->foreseen, &l->sum_foreseen[i])) { return false; }
    }
    return true;
}

/* ---- for the report ---- */

static double per_token(const struct lead_times * l, double sum) {
    return l->tokens ? sum / (double) l->tokens : 0;
}

static const char * lead_name(char text[static 32], unsigned lead) {
    snprintf(text, 32, lead == EARLIEST ? "earliest" : "%" PRIu32, leads[lead]);
    return text;
}

static void add_leads(const struct lead_times * l, struct result * r) {
    static const struct result_column columns[] = {
        { "layers", "layers ahead", UNIT_TEXT },
        { "stall_ns", "wait/token", UNIT_NS },
        { "tokens_per_second", "tokens/s", UNIT_PER_SECOND },
        { "ahead_bytes", "most ahead", UNIT_BYTES },
        { "foreseen_stall_ns", "experts foreseen", UNIT_NS },
    };
    char name[32];
    const double compute = caching_token_seconds(l->s);
    result_table(r, "lead", "How long a token waits for reads that begin so many layers ahead", SHOW_ASKED, columns,
                 l->experts ? 5 : 4);
    for (unsigned i = 0; i < LEADS; i++) {
        json_t * row = result_row(r);
        result_put_text(r, row, "layers", lead_name(name, i));
        result_put_real(r, row, "stall_ns", per_token(l, l->sum[i]));
        result_put_real(r, row, "tokens_per_second", 1 / (compute + per_token(l, l->sum[i]) / 1e9));
        result_put_count(r, row, "ahead_bytes", l->ahead[i]);
        if (l->experts) { result_put_real(r, row, "foreseen_stall_ns", per_token(l, l->sum_foreseen[i])); }
    }
}

struct layer_times {
    double bytes, compute, stall[LEADS];
    double operations, known; /* sums over occurrences */
    uint64_t ahead, waits;    /* occurrences of which these are known */
    bool any;
};

/* The operations that take as long as reading what a stage reads, before it; -1: the run has not as many. */
static double operations_ahead(const struct lead_times * l, uint32_t first, double ns) {
    const struct course_read * read = course_at(l->course, first);
    uint32_t low = 0, high = first + 1; /* the last read that is so early */
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if ((double) course_at(l->course, middle)->at + ns <= (double) read->at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low ? (double) (read->operation - course_at(l->course, low - 1)->operation) : -1;
}

static void add_stage(const struct lead_times * l, uint32_t stage, struct layer_times * layer) {
    const uint32_t first = l->first[stage], end = stage + 1 < l->n_stages ? l->first[stage + 1] : l->n;
    const uint64_t until = end < l->n ? course_at(l->course, end)->at : course_at(l->course, end - 1)->until;
    uint64_t missed = 0;
    layer->any = true;
    layer->compute += (double) (until - course_at(l->course, first)->at);
    for (uint32_t i = first; i < end; i++) {
        const struct course_read * read = course_at(l->course, i);
        missed += l->missed[i];
        for (unsigned lead = 0; lead < LEADS; lead++) { layer->stall[lead] += l->stall[lead][i]; }
        if (!read->known) { continue; }
        layer->known += (double) (read->at - read->known);
        layer->waits++;
    }
    layer->bytes += (double) missed;
    const double operations = operations_ahead(l, first, (double) missed * l->ns_a_byte);
    if (operations < 0) { return; }
    layer->operations += operations;
    layer->ahead++;
}

static void put_layer(const struct lead_times * l, struct result * r, uint32_t number, const struct layer_times * t) {
    json_t * row = result_row(r);
    result_put_layer(r, row, "layer", number);
    result_put_real(r, row, "bytes", per_token(l, t->bytes));
    result_put_real(r, row, "compute_ns", per_token(l, t->compute));
    if (t->ahead) { result_put_real(r, row, "operations", t->operations / (double) t->ahead); }
    result_put_real(r, row, "stall_0_ns", per_token(l, t->stall[0]));
    result_put_real(r, row, "stall_1_ns", per_token(l, t->stall[1]));
    result_put_real(r, row, "stall_2_ns", per_token(l, t->stall[2]));
    result_put_real(r, row, "stall_earliest_ns", per_token(l, t->stall[EARLIEST]));
    if (t->waits) { result_put_real(r, row, "known_ns", t->known / (double) t->waits); }
}

static bool add_layers(const struct lead_times * l, struct result * r) {
    static const struct result_column columns[] = {
        { "layer", "layer", UNIT_NUMBER },    { "bytes", "read again", UNIT_BYTES },
        { "compute_ns", "compute", UNIT_NS }, { "operations", "ops ahead", UNIT_COUNT },
        { "stall_0_ns", "wait: 0", UNIT_NS }, { "stall_1_ns", "1", UNIT_NS },
        { "stall_2_ns", "2", UNIT_NS },       { "stall_earliest_ns", "earliest", UNIT_NS },
        { "known_ns", "known", UNIT_NS },
    };
    const uint32_t span = layer_span(l->s->subject);
    struct layer_times * layers = calloc((size_t) span + 1, sizeof *layers);
    result_table(r, "lead_by_layer", "A token's waits by layer, for reads that begin 0, 1, 2 layers ahead", SHOW_ASKED,
                 columns, l->experts ? 9 : 8);
    for (uint32_t stage = 0; stage < l->n_stages && layers; stage++) {
        const uint32_t layer = layer_of(l, l->first[stage]);
        if (course_at(l->course, l->first[stage])->graph) { add_stage(l, stage, &layers[layer < span ? layer : span]); }
    }
    for (uint32_t i = 0; i <= span && layers; i++) {
        if (layers[i].any) { put_layer(l, r, i < span ? i : TAT_NO_LAYER, &layers[i]); }
    }
    free(layers);
    return layers;
}

static void say(const struct lead_times * l, struct result * r, const char * cache, const char * policy) {
    char w[SHOWN][UNITS_SIZE], read[UNITS_SIZE], bytes[UNITS_SIZE], foreseen[UNITS_SIZE], more[96] = "";
    const unsigned shown[SHOWN] = { 0, 1, EARLIEST };
    double sum = 0;
    for (uint32_t i = 0; i < l->n; i++) { sum += course_at(l->course, i)->graph ? (double) l->missed[i] : 0; }
    for (unsigned i = 0; i < SHOWN; i++) { format_duration(w[i], (uint64_t) per_token(l, l->sum[shown[i]])); }
    if (l->experts) {
        snprintf(more, sizeof more, ", %s if experts were foreseen",
                 format_duration(foreseen, (uint64_t) per_token(l, l->sum_foreseen[EARLIEST])));
    }
    result_answer(
        r, "How far ahead must reads begin?",
        "With %s, the best online policy (%s) reads %s again for each token, which takes the disk %s. A token "
        "waits %s for reads that begin when they are needed, %s where they begin one layer ahead, %s where they begin "
        "as early as possible%s.",
        cache, policy, format_mean_bytes(bytes, per_token(l, sum)),
        format_duration(read, (uint64_t) per_token(l, sum * l->ns_a_byte)), w[0], w[1], w[2], more);
    result_note(r,
                "Lead times are simulated, on %" PRIu32
                " generated graphs, for what the best online policy (%s) reads again with %s. Operations take as long "
                "as in this run, and the disk reads at the given rate, without a seek, always what is needed next. A "
                "read begins at the earliest when its weight was last used%s. What is read ahead takes room beside the "
                "cache: at most so much as \"most ahead\" says.",
                l->n_graphs, policy, cache,
                l->experts ? ", an expert's when its router is done (\"known\" says how long before its use)" : "");
}

bool caching_lead(const struct caching * s, struct result * r) {
    char cache[2 * UNITS_SIZE];
    struct lead_times l;
    const unsigned size = caching_told(s, cache), best = caching_least_again(s, size);
    if (s->subject->options.disk_bytes_per_second == 0 || s->string.unit != TAT_CACHE_SLICE) { return true; }
    bool good = begin(&l, s) && find(&l, best, s->outcomes.capacity[size]);
    if (good && l.tokens && caching_token_seconds(s) > 0) {
        add_leads(&l, r);
        good = add_layers(&l, r);
        say(&l, r, cache, caching_title(s, best));
    }
    end(&l);
    return good;
}
