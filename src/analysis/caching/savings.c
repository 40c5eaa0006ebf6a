/* SPDX-License-Identifier: MIT
 *
 * What caches save, by policy and size, in shares of the bytes read.
 */
#include <stdio.h>
#include <string.h>

#include "analysis/caching/caching.h"

unsigned caching_min(const struct caching * s) {
    return s->outcomes.n_strategies - 1;
}

unsigned caching_lru(const struct caching * s) {
    unsigned strategy = 0;
    while (strategy < caching_min(s) && policy_kinds[strategy] != &policy_lru) { strategy++; }
    return strategy;
}

const char * caching_name(const struct caching * s, unsigned strategy) {
    return strategy == caching_min(s) ? "min" : policy_kinds[strategy]->name;
}

const char * caching_title(const struct caching * s, unsigned strategy) {
    return strategy == caching_min(s) ? "MIN (Belady), the optimum" : policy_kinds[strategy]->title;
}

/* What a strategy has to know. */
static const char * knowledge(const struct caching * s, unsigned strategy) {
    if (strategy == caching_min(s)) { return "the future"; }
    return policy_kinds[strategy]->knowledge == POLICY_HINDSIGHT ? "use counts" : "the past";
}

static struct outcome outcome_of(const struct cache_string * c, struct again again) {
    const uint64_t wanted = sum(c->wanted), read = sum(c->first) + again.all + sum(c->rows);
    const uint64_t generated = again.generated + c->rows.generated, more = c->first.generated + generated;
    return (struct outcome){
        .saved = wanted ? 1 - (double) read / (double) wanted : 0,
        .saved_generated = c->wanted.generated ? 1 - (double) more / (double) c->wanted.generated : 0,
        .again_per_token = ratio(generated, c->tokens),
    };
}

struct outcome caching_outcome(const struct caching * s, unsigned strategy, unsigned size) {
    return outcome_of(&s->string, s->outcomes.again[strategy][size]);
}

double caching_outcome_of_none(const struct caching * s) {
    return outcome_of(&s->string, (struct again){ sum(s->string.repeat), s->string.repeat.generated }).saved;
}

unsigned caching_asked(unsigned number) {
    return number == ASKED - 1 ? GIVEN : PARTS / 4 * (number + 1) - 1;
}

unsigned caching_best(const struct caching * s, unsigned size,
                      double (*figure)(const struct caching * s, struct outcome)) {
    unsigned best = caching_lru(s);
    for (unsigned i = 0; i < caching_min(s); i++) {
        if (policy_kinds[i]->knowledge == POLICY_HINDSIGHT) { continue; }
        const double this = figure(s, caching_outcome(s, i, size)), most = figure(s, caching_outcome(s, best, size));
        if (this > most) { best = i; }
    }
    return best;
}

unsigned caching_told(const struct caching * s, char text[static 2 * UNITS_SIZE]) {
    const unsigned size = s->outcomes.capacity[GIVEN] ? GIVEN : PARTS / 2 - 1;
    char bytes[UNITS_SIZE];
    snprintf(text, 2 * UNITS_SIZE, size == GIVEN ? "%s for weights" : "half of the weights in memory (%s)",
             format_bytes(bytes, s->outcomes.capacity[size]));
    return size;
}

static double saved(const struct caching * s, struct outcome outcome) {
    (void) s;
    return outcome.saved;
}

static double saved_generated(const struct caching * s, struct outcome outcome) {
    (void) s;
    return outcome.saved_generated;
}

unsigned caching_best_saving(const struct caching * s, unsigned size) {
    return caching_best(s, size, saved);
}

static void say_savings(const struct caching * s, struct result * r) {
    char cache[2 * UNITS_SIZE], graphs[64], lru[UNITS_SIZE], min[UNITS_SIZE], other[UNITS_SIZE], text[512];
    const unsigned size = caching_told(s, cache), best = caching_best_saving(s, size);
    caching_graphs(s, graphs);
    snprintf(
        text, sizeof text,
        "With %s,%s%s LRU saves %s of the bytes read from them, the best online policy (%s) %s; the optimum, which "
        "knows the future, %s.",
        cache, graphs, *graphs ? "," : "", format_share(lru, caching_outcome(s, caching_lru(s), size).saved),
        caching_title(s, best), format_share(other, caching_outcome(s, best, size).saved),
        format_share(min, caching_outcome(s, caching_min(s), size).saved));
    if (s->reads.all - s->reads.rows == s->reads.touched) {
        snprintf(text, sizeof text, "No weight is read twice: a cache has nothing to save.");
    }
    result_headline(r, "%s", text);
    result_answer(r, "What would a cache save?", "%s", text);
}

void caching_by_size(const struct caching * s, struct result * r, const struct by_size * table) {
    static const char * const keys[ASKED] = { "at_25", "at_50", "at_75", "at_given" };
    const struct result_column columns[] = {
        { "policy", "policy", UNIT_TEXT }, { "knows", "knows", UNIT_TEXT },  { keys[0], "25 %", table->unit },
        { keys[1], "50 %", table->unit },  { keys[2], "75 %", table->unit }, { keys[3], "given", table->unit },
    };
    const unsigned asked = s->outcomes.capacity[GIVEN] ? ASKED : ASKED - 1;
    result_table(r, table->name, table->title, table->show, columns, 2 + asked);
    for (unsigned i = 0; i < s->outcomes.n_strategies; i++) {
        json_t * row = result_row(r);
        result_put_text(r, row, "policy", caching_title(s, i));
        result_put_text(r, row, "knows", knowledge(s, i));
        for (unsigned a = 0; a < asked; a++) {
            result_put_real(r, row, keys[a], table->figure(s, caching_outcome(s, i, caching_asked(a))));
        }
    }
}

void caching_savings(const struct caching * s, struct result * r) {
    static const struct by_size all = {
        "savings", "Share of the bytes read that a cache saves, if it holds so much of the weights", UNIT_SHARE,
        SHOW_ALWAYS, saved
    };
    static const struct by_size generated = {
        "generation", "The same for what generated tokens read, after the prompt has filled the cache", UNIT_SHARE,
        SHOW_ASKED, saved_generated
    };
    caching_by_size(s, r, &all);
    if (s->string.wanted.generated) { caching_by_size(s, r, &generated); }
    say_savings(s, r);
}
