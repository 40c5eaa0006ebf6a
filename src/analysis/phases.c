/* SPDX-License-Identifier: MIT
 *
 * Load, warm-up, prompt, generation: how long each took and what it touched.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/drafts.h"
#include "analysis/parts.h"
#include "analysis/run_metadata.h"
#include "analysis/token_times.h"
#include "analysis/units.h"

struct state {
    const struct subject * subject;
    struct access_counter counter;
    uint64_t accesses[TAT_PHASE_COUNT], bytes[TAT_PHASE_COUNT][HOLDERS];
    uint64_t median_token_ns; /* of generation, where each graph has one token; else 0 */
};

static const struct result_column columns[] = {
    { "phase", "phase", UNIT_TEXT },
    { "evaluations", "graphs", UNIT_COUNT },
    { "tokens", "tokens", UNIT_COUNT },
    { "ns", "time", UNIT_NS },
    { "tokens_per_second", "tokens/s", UNIT_PER_SECOND },
    { "weight_bytes", "weights", UNIT_BYTES },
    { "state_bytes", "KV cache", UNIT_BYTES },
    { "activation_bytes", "activations", UNIT_BYTES },
};

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (s) { s->subject = subject; }
    return s;
}

static void tally(void * state, const struct tat_tally * t) {
    struct state * s = state;
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        s->accesses[phase_of(a)] += access_counter_step(&s->counter, t, i);
        s->bytes[phase_of(a)][holder_of(&s->subject->tensors[a->tensor])] += a->bytes * t->evaluations;
    }
}

struct load {
    uint64_t count, ns;
};

enum { OPEN_MAX = 64 }; /* threads that load at the same time */

/* If there are several models, only those asked for count: by name, because the host may load by another path. */
static bool loads_model(const struct subject * s, const char * path) {
    for (uint32_t i = 0; s->is_part && i < s->n_models; i++) {
        if (strcmp(s->models[i].name, last_part(path)) == 0) { return s->models[i].is_chosen; }
    }
    return true;
}

/* A thread loads one model at a time. A dry run that only measures counts as a load too. */
static struct load loads(const struct subject * s) {
    struct load load = { 0 };
    const struct tat_event * open[OPEN_MAX] = { 0 };
    for (uint32_t i = 0; i < s->n_events; i++) {
        const struct tat_event * e = &s->events[i];
        if (e->type != TAT_EVENT_LOAD_BEGIN && e->type != TAT_EVENT_LOAD_END) { continue; }
        size_t at = 0;
        while (at < OPEN_MAX && open[at] && open[at]->thread != e->thread) { at++; }
        if (at == OPEN_MAX) { continue; }
        if (e->type == TAT_EVENT_LOAD_BEGIN) {
            open[at] = e;
        } else if (open[at]) {
            const bool ours = loads_model(s, open[at]->text);
            load.count += ours;
            load.ns += ours ? (uint64_t) (e->at_ns - open[at]->at_ns) : 0;
            for (; at < OPEN_MAX && open[at]; at++) { open[at] = at + 1 < OPEN_MAX ? open[at + 1] : NULL; }
        }
    }
    return load;
}

static void add_phase(const struct state * s, struct result * r, enum tat_phase phase) {
    const struct phase_total * p = &s->subject->phase[phase];
    if (!p->evaluations) { return; }
    json_t * row = result_row(r);
    result_put_text(r, row, "phase", tat_phase_name(phase));
    result_put_count(r, row, "evaluations", p->evaluations);
    result_put_count(r, row, "tokens", p->tokens);
    result_put_count(r, row, "ns", p->ns);
    if (p->tokens) { result_put_real(r, row, "tokens_per_second", 1e9 * ratio(p->tokens, p->ns)); }
    result_put_count(r, row, "accesses", s->accesses[phase]);
    result_put_count(r, row, "weight_bytes", s->bytes[phase][HOLDS_WEIGHT]);
    result_put_count(r, row, "state_bytes", s->bytes[phase][HOLDS_STATE]);
    result_put_count(r, row, "activation_bytes", s->bytes[phase][HOLDS_ACTIVATION]);
}

/* Of ubatches that another backend computed in part, only their number is told. */
static void add_elsewhere(const struct subject * s, struct result * r) {
    static const struct result_column elsewhere[] = {
        { "phase", "phase", UNIT_TEXT },
        { "evaluations", "graphs", UNIT_COUNT },
        { "tokens", "tokens", UNIT_COUNT },
    };
    if (!s->is_elsewhere) { return; }
    result_table(r, "elsewhere", "Computed elsewhere in part", SHOW_ALWAYS, elsewhere,
                 sizeof elsewhere / sizeof elsewhere[0]);
    for (int p = 0; p < TAT_PHASE_COUNT; p++) {
        if (!s->elsewhere[p].evaluations) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "phase", tat_phase_name((enum tat_phase) p));
        result_put_count(r, row, "evaluations", s->elsewhere[p].evaluations);
        result_put_count(r, row, "tokens", s->elsewhere[p].tokens);
    }
}

static void add_drafts(const struct subject * s, struct result * r) {
    const struct drafts d = drafts_count(s);
    char proposed[UNITS_SIZE], accepted[UNITS_SIZE], share[UNITS_SIZE], unclear[80] = "";
    r->failed |= d.failed;
    if (!s->phase[TAT_PHASE_VERIFY].evaluations) { return; }
    result_put_count(r, result_values(r), "checked_drafts", d.checks);
    result_put_count(r, result_values(r), "proposed_tokens", d.proposed);
    result_put_count(r, result_values(r), "accepted_tokens", d.accepted);
    result_put_count(r, result_values(r), "unclear_drafts", d.unclear);
    if (d.unclear) { snprintf(unclear, sizeof unclear, " Of %" PRIu64 " more the outcome is not known.", d.unclear); }
    result_note(r,
                "Verify: tokens that a draft proposes, each checked behind the token before it, and read again by the "
                "model that drafts. %" PRIu64 " checks whose outcome shows: %s tokens proposed, %s accepted (%s).%s",
                d.checks, format_count(proposed, d.proposed), format_count(accepted, d.accepted),
                format_share(share, ratio(d.accepted, d.proposed)), unclear);
}

/* Adds what the phases do not tell. */
static void add_doubts(const struct subject * s, struct result * r) {
    if (s->phase[TAT_PHASE_UNKNOWN].evaluations) {
        result_note(r, "Unknown: tokens of which the trace does not tell whether they are a prompt, a draft that is "
                       "checked, or generated.");
    }
}

/* Says why fewer tokens were evaluated than were asked for. */
static void add_asked(const struct subject * s, struct result * r) {
    const uint64_t generated = s->phase[TAT_PHASE_GENERATE].tokens + s->outside[TAT_PHASE_GENERATE].tokens;
    json_t * metadata = run_metadata(s->trace);
    const int64_t asked = s->some_tokens ? -1 : run_asked_tokens(metadata);
    json_decref(metadata);
    if (asked > 0) { result_put_count(r, result_values(r), "asked_tokens", (uint64_t) asked); }
    /* A draft model's tokens count as generated, and its target's are checked: neither is the number asked for. */
    if (s->phase[TAT_PHASE_VERIFY].tokens) { return; }
    if (asked > 0) {
        result_note(r,
                    "Asked for (-n): %" PRId64 " token%s; evaluated: %" PRIu64
                    ". The first is sampled from the prompt's last row, and the last one sampled is never evaluated%s.",
                    asked, asked == 1 ? "" : "s", generated,
                    (uint64_t) asked == generated + 1 ? "" : "; generation may also end early");
    } else if (generated && !s->some_tokens) {
        result_note(r, "The first token is sampled from the prompt's last row, and the last one sampled is never "
                       "evaluated: asking for 100 tokens evaluates 99.");
    }
}

static void set_headline(const struct state * s, struct result * r) {
    const struct phase_total * p = &s->subject->phase[TAT_PHASE_PROMPT];
    const struct phase_total * g = &s->subject->phase[TAT_PHASE_GENERATE];
    char prompt[UNITS_SIZE], generate[UNITS_SIZE], token[UNITS_SIZE], median[UNITS_SIZE + 32] = "";
    format_rate(prompt, 1e9 * ratio(p->tokens, p->ns));
    format_rate(generate, 1e9 * ratio(g->tokens, g->ns));
    if (s->median_token_ns) {
        snprintf(median, sizeof median, "; the median token took %s", format_duration(token, s->median_token_ns));
    }
    if (p->tokens && g->tokens) {
        result_headline(r, "The prompt ran at %s tokens/s, generation at %s%s.", prompt, generate, median);
    } else if (g->tokens) {
        result_headline(r, "Generation ran at %s tokens/s%s.", generate, median);
    } else if (p->tokens) {
        result_headline(r, "The prompt ran at %s tokens/s; no generated token was %s.", prompt,
                        s->subject->outside[TAT_PHASE_GENERATE].tokens ? "asked for (--tokens)" : "evaluated");
    } else if (s->subject->outside[TAT_PHASE_PROMPT].tokens + s->subject->outside[TAT_PHASE_GENERATE].tokens) {
        result_headline(r,
                        "None of the tokens that were asked for (--tokens) was evaluated, but %s prompt and %s "
                        "generated tokens before them.",
                        format_count(prompt, s->subject->outside[TAT_PHASE_PROMPT].tokens),
                        format_count(generate, s->subject->outside[TAT_PHASE_GENERATE].tokens));
    } else {
        result_headline(r, "Neither a prompt nor a generated token was evaluated.");
    }
}

/* How long the graphs took: what is usual, and what the slowest ones took. */
static void add_pace(struct state * s, struct result * r) {
    static const struct result_column pace[] = {
        { "phase", "phase", UNIT_TEXT }, { "evaluations", "graphs", UNIT_COUNT },
        { "p50_ns", "median", UNIT_NS }, { "p90_ns", "p90", UNIT_NS },
        { "p99_ns", "p99", UNIT_NS },    { "most_ns", "slowest", UNIT_NS },
    };
    result_table(r, "pace", "Time of a graph", SHOW_ALWAYS, pace, sizeof pace / sizeof pace[0]);
    for (int phase = 0; phase < TAT_PHASE_COUNT; phase++) {
        const struct phase_total * total = &s->subject->phase[phase];
        size_t n = 0;
        uint64_t * times =
            is_inference((enum tat_phase) phase) ? evaluation_times(s->subject, (enum tat_phase) phase, &n) : NULL;
        r->failed |= !times && is_inference((enum tat_phase) phase);
        if (n) {
            const struct spread spread = spread_of_sorted(times, n);
            json_t * row = result_row(r);
            result_put_text(r, row, "phase", tat_phase_name((enum tat_phase) phase));
            result_put_count(r, row, "evaluations", n);
            put_spread(r, row, &spread);
            result_put_count(r, row, "most_ns", times[n - 1]);
            const bool single = phase == TAT_PHASE_GENERATE && total->tokens == total->evaluations;
            if (single) { s->median_token_ns = spread.p50; }
        }
        free(times);
    }
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    const struct load load = loads(s->subject);
    result_table(r, "phases", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    result_put_count(r, result_values(r), "loads", load.count);
    if (load.count) {
        json_t * row = result_row(r);
        result_put_text(r, row, "phase", "load");
        result_put_count(r, row, "ns", load.ns);
    }
    for (int phase = 0; phase < TAT_PHASE_COUNT; phase++) { add_phase(s, r, (enum tat_phase) phase); }
    add_pace(s, r);
    set_headline(s, r);
    if (s->subject->n_evaluations) {
        result_note(r, "Time is that of computing graphs; sampling and all else between two graphs is not in it. Bytes "
                       "are those touched.");
    }
    if (load.count > 1) {
        result_note(
            r, "The model was loaded %" PRIu64 " times: llama.cpp may first load it without its weights, to measure.",
            load.count);
    }
    add_asked(s->subject, r);
    add_drafts(s->subject, r);
    add_doubts(s->subject, r);
    add_elsewhere(s->subject, r);
    free(s);
}

const struct analysis phases_analysis = {
    .name = "phases",
    .all_layers = "graphs are timed as wholes",
    .title = "Phases",
    .begin = begin,
    .tally = tally,
    .finish = finish,
};
