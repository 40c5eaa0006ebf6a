/* SPDX-License-Identifier: MIT
 *
 * What costs most, and what would help at best. Each bound is about generated tokens alone and changes one thing; none
 * can be added to another.
 */
#include <stdio.h>

#include "analysis/storage/section.h"
#include "analysis/units.h"

/* Of generated tokens, each a graph of its own. */
struct pace {
    uint64_t tokens;
    double token_ns, blocked_ns;
    double compute_ns; /* of operations alone: without waiting, other programs or what is unexplained */
    double read, again, in_vain, wanted; /* bytes a token */
    double rate;                         /* bytes a second that the disk gave while it was busy; 0: not known */
    double best;                         /* that `tat doctor --disk` found; 0: not measured */
};

static double value_of(struct result * r, const char * name) {
    return json_number_value(json_object_get(result_values(r), name));
}

/* From what the other parts of the section found. */
static struct pace pace_of(const struct joined * j, const struct cache * c, struct result * r) {
    const struct came_sum * sum = &c->when[TAT_PHASE_GENERATE];
    const double page_bytes = (double) j->bytes.page_bytes;
    struct pace p = { .tokens = recorded_tokens(j).recorded };
    if (!p.tokens) { return p; }
    const double tokens = (double) p.tokens;
    p.token_ns = value_of(r, "token_ns");
    p.blocked_ns = value_of(r, "token_blocked_ns");
    p.compute_ns = value_of(r, "token_compute_ns");
    p.read = (double) sum->came * page_bytes / tokens;
    p.again = (double) sum->again * page_bytes / tokens;
    p.in_vain = (double) (sum->evicted + sum->unused) * page_bytes / tokens;
    p.wanted = (double) c->wanted[TAT_PHASE_GENERATE] / tokens;
    p.rate = value_of(r, "disk_busy_bytes_per_second");
    p.best = value_of(r, "disk_best_bytes_per_second");
    return p;
}

static json_t * add_bound(struct result * r, const struct pace * p, const char * what, const char * rests_on,
                          double ns) {
    json_t * row = result_row(r);
    if (ns < 0) { ns = 0; }
    result_put_text(r, row, "if", what);
    result_put_count(r, row, "token_ns", (uint64_t) ns);
    result_put_real(r, row, "tokens_per_second", ns > 0 ? 1e9 / ns : 0);
    result_put_real(r, row, "times", ns > 0 ? p->token_ns / ns : 0);
    result_put_text(r, row, "rests_on", rests_on);
    return row;
}

/* What waiting would be if the disk had to read fewer bytes: it shrinks no faster than they do. */
static double without(const struct pace * p, double bytes) {
    return p->token_ns - p->blocked_ns * (p->read > 0 && bytes < p->read ? bytes / p->read : 1);
}

static void add_bounds(const struct pace * p, struct result * r) {
    static const struct result_column columns[] = { { "if", "if", UNIT_TEXT },
                                                    { "token_ns", "mean token", UNIT_NS },
                                                    { "tokens_per_second", "tokens/s", UNIT_PER_SECOND },
                                                    { "times", "times as fast", UNIT_FACTOR },
                                                    { "rests_on", "because", UNIT_TEXT } };
    const double compute = p->token_ns - p->blocked_ns;
    result_table(r, "bounds", "What would help generated tokens, at best", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    add_bound(r, p, "nothing changed", "measured", p->token_ns);
    add_bound(r, p, "nothing was waited for", "the time in faults falls away", compute);
    if (p->compute_ns > 0 && p->compute_ns < compute) {
        add_bound(r, p, "nothing but computing took time", "waiting, other programs and what is unexplained fall away",
                  p->compute_ns);
    }
    if (p->read <= 0) { return; }
    if (p->again > 0) {
        add_bound(r, p, "no page was read again", "waiting shrinks with the bytes", without(p, p->again));
    }
    if (p->in_vain > 0) {
        add_bound(r, p, "no page was read in vain", "waiting shrinks with the bytes", without(p, p->in_vain));
    }
    const double useful = p->read - p->in_vain, best = p->best > p->rate ? p->best : p->rate;
    if (best > 0) {
        const double disk = useful / best * 1e9;
        add_bound(r, p, "reads ran beside computing, in time",
                  "the longer of computing and reading what was used, at the disk's best",
                  disk > compute ? disk : compute);
    }
}

static void say_cost(const struct joined * j, const struct pace * p, struct result * r) {
    char text[6][UNITS_SIZE], recorded[RECORDED_SIZE];
    const double share = p->blocked_ns / p->token_ns;
    if (p->read <= 0) {
        result_answer(
            r, "What does storage cost, and what would help?",
            "Waiting in page faults takes %s of the %s that a generated token takes on average. What was read "
            "while tokens were generated is %s.%s",
            format_share(text[0], share), format_duration(text[1], (uint64_t) p->token_ns),
            p->rate > 0 ? "nothing" : "not known", say_recorded(j, recorded, sizeof recorded));
        return;
    }
    const bool again = p->in_vain < p->read / 2; /* what is in vain is mostly read again, too */
    result_answer(
        r, "What does storage cost, and what would help?",
        "Waiting takes %s of the %s that a generated token takes on average: %s are read for each, where its "
        "operations "
        "touch %s. %s %s: %s a token. Without any waiting a token would take %s.%s",
        format_share(text[0], share), format_duration(text[1], (uint64_t) p->token_ns),
        format_mean_bytes(text[2], p->read), format_mean_bytes(text[3], p->wanted),
        again ? "Most costs what had been in memory before and is" : "Most costs what is read ahead and leaves",
        again ? "read again" : "memory before it is touched", format_mean_bytes(text[4], again ? p->again : p->in_vain),
        format_duration(text[5], (uint64_t) (p->token_ns - p->blocked_ns)), say_recorded(j, recorded, sizeof recorded));
}

void add_verdict(const struct joined * j, const struct cache * c, struct result * r) {
    const struct pace p = pace_of(j, c, r);
    if (!p.tokens || p.token_ns <= 0 || p.blocked_ns <= 0) { return; }
    say_cost(j, &p, r);
    add_bounds(&p, r);
}
