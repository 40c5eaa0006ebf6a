/* SPDX-License-Identifier: MIT
 *
 * What `tat run` managed, and what came of it: beside what a plan said, what this memory, disk and policy allow, and
 * what other policies would have found. The same code as `tat plan` finds that, of the recorded tokens.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/managed_run.h"
#include "analysis/planning/planning.h"
#include "analysis/units.h"

struct state {
    const struct subject * subject;
};

/* What the run delivered, and could have. Tokens a second; 0: not known. */
struct found {
    const struct managed_run * run;
    struct planning planning;
    struct plan_outcome outcome; /* of the same placement and policy */
    double token_ns, disk_rate;
    uint64_t stays; /* bytes of experts for which the policy has room */
    double hits[4];
};

static const struct policy_kind * const policies[] = { &policy_lru, &policy_frequency, &policy_cycle, NULL };
static const char * const policy_keys[] = { "lru", "frequency", "cycle", "min" };

static double per_token(uint64_t sum, const struct managed_run * m) {
    return ratio(sum, m->tokens);
}

static uint64_t pool_of(const struct managed_placement * p) {
    uint64_t sum = 0;
    const uint64_t parts[] = { p->pinned, p->ring, p->cache };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        sum = parts[i] > UINT64_MAX - sum ? UINT64_MAX : sum + parts[i];
    }
    return sum;
}

/* ---- what could have been ---- */

/* What the manager was allowed to do, as its placement shows. */
static unsigned strategies_of(const struct managed_placement * p) {
    return (p->pinned ? PLACE_MAY_PIN : 0) | (p->streamed ? PLACE_MAY_STREAM : 0) | (p->cached ? PLACE_MAY_CACHE : 0);
}

static int find(struct found * f, const struct subject * subject, struct planning_request * request,
                struct tat_error * error) {
    const struct managed_run * m = f->run;
    const struct managed_placement * p = &m->placement;
    const struct plan_strategy strategy = { "run", "run", strategies_of(p), p->cached ? &policy_cycle : NULL };
    const uint64_t pool = pool_of(p);
    *request = (struct planning_request){ .memory_bytes = m->limit ? m->limit : pool, .disk_rate = f->disk_rate };
    if (planning_begin(&f->planning, subject, request, error) != 0) { return -1; }
    bool good = planning_evaluate(&f->planning, pool, &strategy, LEAD_EARLIEST, NULL, &f->outcome);
    f->stays = p->cache - placement_scratch(p->cache, f->planning.stack_bytes, f->planning.chosen_bytes);
    for (size_t i = 0; i < sizeof policies / sizeof *policies && p->cache && f->planning.expert_bytes && good; i++) {
        f->hits[i] = planning_hit_share(&f->planning, f->stays, policies[i]);
        good = f->hits[i] >= 0;
    }
    return good ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

/* ---- what the plan said ---- */

struct promise {
    double rate, read, hits; /* below 0, or 0 of a rate: it does not say */
};

static const json_t * chosen_of(const json_t * plan) {
    size_t i;
    const json_t * row;
    json_array_foreach(json_object_get(json_object_get(json_object_get(plan, "tables"), "bounds"), "rows"), i, row) {
        if (json_is_true(json_object_get(row, "chosen"))) { return row; }
    }
    return NULL;
}

static double number_in(const json_t * object, const char * name, double otherwise) {
    const json_t * number = json_object_get(object, name);
    return json_is_number(number) && json_number_value(number) >= 0 ? json_number_value(number) : otherwise;
}

static struct promise promise_of(const struct managed_run * m) {
    const json_t * values = json_object_get(m->plan, "values");
    return (struct promise){ m->predicted, number_in(values, "read_bytes_per_token", -1),
                             number_in(chosen_of(m->plan), "hit_share", -1) };
}

/* ---- in words ---- */

static void say_placement(const struct managed_run * m, struct result * r) {
    const struct managed_placement * p = &m->placement;
    char a[UNITS_SIZE], b[UNITS_SIZE], c[UNITS_SIZE], d[UNITS_SIZE], e[UNITS_SIZE], f[UNITS_SIZE];
    result_line(
        r, "placement",
        "%s pinned, %s streamed through %s, %s for %s of experts, %s left to the kernel; read by %s, %s the page "
        "cache",
        format_bytes(a, p->pinned), format_bytes(b, p->streamed), format_bytes(c, p->ring), format_bytes(d, p->cache),
        format_bytes(e, p->cached), format_bytes(f, p->left), *m->reader ? m->reader : "an unknown reader",
        m->is_direct ? "past" : "through");
    json_t * v = result_values(r);
    result_put_count(r, v, "limit_bytes", m->limit);
    result_put_count(r, v, "pinned_bytes", p->pinned);
    result_put_count(r, v, "streamed_bytes", p->streamed);
    result_put_count(r, v, "ring_bytes", p->ring);
    result_put_count(r, v, "cached_bytes", p->cached);
    result_put_count(r, v, "cache_bytes", p->cache);
    result_put_count(r, v, "left_bytes", p->left);
}

static void say_reads(const struct found * f, struct result * r) {
    const struct managed_run * m = f->run;
    char a[UNITS_SIZE], b[UNITS_SIZE], c[UNITS_SIZE];
    json_t * v = result_values(r);
    result_put_count(r, v, "read_bytes", m->read);
    result_put_real(r, v, "read_bytes_per_token", per_token(m->token_read, m));
    result_put_real(r, v, "disk_bytes_per_second", f->disk_rate);
    result_line(r, "read",
                "%s a generated token, %s in all, prompt and first loads included; %s/s while reads were under way",
                format_mean_bytes(a, per_token(m->token_read, m)), format_bytes(b, m->read),
                format_mean_bytes(c, f->disk_rate));
    if (!m->token_wanted) { return; }
    result_put_real(r, v, "hit_share", ratio(m->token_kept, m->token_wanted));
    result_put_real(r, v, "found_share", ratio(m->token_held, m->token_wanted));
    result_line(r, "experts", "%s of their bytes were in memory when they were chosen: %s kept, the rest read ahead",
                format_share(a, ratio(m->token_held, m->token_wanted)),
                format_share(b, ratio(m->token_kept, m->token_wanted)));
}

static void say_waits(const struct managed_run * m, struct result * r) {
    char a[UNITS_SIZE], b[UNITS_SIZE], c[UNITS_SIZE];
    json_t * v = result_values(r);
    result_put_real(r, v, "wait_share", ratio(m->wait_ns, m->ns));
    result_put_real(r, v, "wait_ns_per_token", per_token(m->wait_ns, m));
    result_put_count(r, v, "disk_ns", m->disk_ns);
    result_put_count(r, v, "map_ns", m->map_ns);
    result_put_count(r, v, "major_faults", m->major_faults);
    result_line(r, "waits", "%s of the time, %s a token, for what tat reads", format_share(a, ratio(m->wait_ns, m->ns)),
                format_duration(b, (uint64_t) per_token(m->wait_ns, m)));
    result_line(r, "mapping", "%s pieces in and %s out, %s of the managing thread's time", format_count(a, m->loads),
                format_count(b, m->drops), format_duration(c, m->map_ns));
}

/* What is predicted, and the bound, are of a machine of one's own. */
static void say_others(const struct managed_run * m, struct result * r) {
    char share[UNITS_SIZE], processors[64] = "", disk[64] = "";
    json_t * v = result_values(r);
    if (m->others.processors > 0) {
        snprintf(processors, sizeof processors, "%.2f of %" PRIu32 " processors", m->others.processors,
                 m->others.count);
        result_put_real(r, v, "other_processors", m->others.processors);
    }
    if (m->others.disk > 0) {
        snprintf(disk, sizeof disk, "%s of what the disk moved", format_share(share, m->others.disk));
        result_put_real(r, v, "other_disk_share", m->others.disk);
    }
    if (!*processors && !*disk) { return; }
    result_line(r, "BUSY", "other programs took %s%s%s meanwhile, so the run was slower than on a machine of its own",
                processors, *processors && *disk ? " and " : "", disk);
}

static void say_bound(const struct found * f, struct result * r) {
    const struct plan_outcome * o = &f->outcome;
    char rate[UNITS_SIZE], share[UNITS_SIZE], disk[UNITS_SIZE], compute[UNITS_SIZE];
    if (!o->bound.known || !(f->token_ns > 0) || !(o->bound.overlapped_ns > 0)) { return; }
    json_t * v = result_values(r);
    result_put_real(r, v, "bound_tokens_per_second", predict_per_second(o->bound.overlapped_ns));
    result_put_real(r, v, "bound_share", o->bound.overlapped_ns / f->token_ns);
    result_put_real(r, v, "bound_read_bytes_per_token", o->bound.read_bytes);
    result_line(r, "bound",
                "%s tokens/s with this memory, this policy and all reads behind computing (reading %s, computing %s): "
                "the run reached %s of it",
                format_rate(rate, predict_per_second(o->bound.overlapped_ns)),
                format_duration(disk, (uint64_t) o->bound.disk_ns),
                format_duration(compute, (uint64_t) o->bound.compute_ns),
                format_share(share, o->bound.overlapped_ns / f->token_ns));
}

static void say_trouble(const struct managed_run * m, struct result * r) {
    char a[UNITS_SIZE], b[UNITS_SIZE];
    json_t * v = result_values(r);
    result_put_count(r, v, "errors", m->errors);
    result_put_count(r, v, "checked", m->checked);
    result_put_count(r, v, "wrong", m->wrong);
    result_put(r, v, "handed_back", json_boolean(m->handed_back));
    result_put(r, v, "ended", json_boolean(m->has_ended));
    if (m->wrong) {
        result_line(r, "WRONG", "%s of %s pieces differed from the file", format_count(a, m->wrong),
                    format_count(b, m->checked));
    }
    if (m->errors) { result_line(r, "errors", "%s pieces could not be read or mapped", format_count(a, m->errors)); }
    if (m->handed_back) {
        const double rate = 1e9 * ratio(m->after_tokens, m->after_ns);
        char after[96] = "";
        if (rate > 0) {
            snprintf(after, sizeof after, ": %s tokens/s for %s more tokens, which are in no other figure",
                     format_rate(a, rate), format_count(b, m->after_tokens));
            result_put_real(r, v, "after_tokens_per_second", rate);
        }
        result_put_count(r, v, "after_tokens", m->after_tokens);
        result_line(r, "stopped", "the kernel's page cache took over before the end%s", after);
    }
    if (!m->has_ended) {
        result_line(r, "end", "the program ended without its last line: figures are of a moment before");
    }
}

static void say_headline(const struct found * f, const struct promise * promise, struct result * r) {
    char delivered[UNITS_SIZE], predicted[UNITS_SIZE], error[UNITS_SIZE];
    const double rate = predict_per_second(f->token_ns);
    json_t * v = result_values(r);
    result_put_count(r, v, "generated_tokens", f->run->tokens);
    if (!(rate > 0)) {
        result_headline(r, "No token was generated while the model was managed.");
        return;
    }
    result_put_real(r, v, "tokens_per_second", rate);
    if (!(promise->rate > 0)) {
        result_headline(r, "Delivered %s tokens/s. Nobody had predicted how many.", format_rate(delivered, rate));
        return;
    }
    result_put_real(r, v, "predicted_tokens_per_second", promise->rate);
    result_put_real(r, v, "prediction_error", promise->rate / rate - 1);
    result_headline(r, "Predicted %s tokens/s, delivered %s: the prediction is off by %s.",
                    format_rate(predicted, promise->rate), format_rate(delivered, rate),
                    format_change(error, promise->rate / rate - 1));
}

/* ---- tables ---- */

static void add_row(struct result * r, const char * what, double read, double hits, double rate) {
    json_t * row = result_row(r);
    result_put_text(r, row, "what", what);
    if (read >= 0) { result_put_real(r, row, "read_bytes_per_token", read); }
    if (hits >= 0) { result_put_real(r, row, "hit_share", hits); }
    if (rate > 0) { result_put_real(r, row, "tokens_per_second", rate); }
}

static void add_compared(const struct found * f, const struct promise * promise, struct result * r) {
    static const struct result_column columns[] = {
        { "what", "", UNIT_TEXT },
        { "read_bytes_per_token", "read a token", UNIT_BYTES },
        { "hit_share", "hits", UNIT_SHARE },
        { "tokens_per_second", "tokens/s", UNIT_PER_SECOND },
    };
    const struct managed_run * m = f->run;
    const struct plan_outcome * o = &f->outcome;
    result_table(r, "compared", "This run, beside what was to be expected", SHOW_ALWAYS, columns, 4);
    add_row(r, "this run", per_token(m->token_read, m), m->token_wanted ? ratio(m->token_kept, m->token_wanted) : -1,
            predict_per_second(f->token_ns));
    if (m->plan || promise->rate > 0) { add_row(r, "predicted before", promise->read, promise->hits, promise->rate); }
    add_row(r, m->token_held > m->token_kept ? "simulated, without foreseeing" : "simulated, same memory",
            o->bound.read_bytes, o->hit_share, predict_per_second(o->token_ns));
    add_row(r, "its bound", o->bound.read_bytes, o->hit_share,
            predict_per_second(o->bound.known ? o->bound.overlapped_ns : 0));
}

static void add_policies(const struct found * f, struct result * r) {
    static const struct result_column columns[] = {
        { "policy", "policy", UNIT_TEXT },
        { "hit_share", "hits", UNIT_SHARE },
    };
    char title[160], bytes[UNITS_SIZE];
    if (!f->run->placement.cache || !f->planning.expert_bytes) { return; }
    snprintf(title, sizeof title, "Experts' bytes in memory: this run, and policies simulated with the same %s",
             format_bytes(bytes, f->stays));
    result_table(r, "policies", title, SHOW_ALWAYS, columns, 2);
    for (size_t i = 0; i <= sizeof policies / sizeof *policies; i++) {
        json_t * row = result_row(r);
        const struct policy_kind * kind = i ? policies[i - 1] : NULL;
        result_put_text(r, row, "name", i ? policy_keys[i - 1] : "run");
        result_put_text(r, row, "policy", !i ? "this run" : kind ? kind->title : "hindsight (MIN)");
        result_put_real(r, row, "hit_share", i ? f->hits[i - 1] : ratio(f->run->token_kept, f->run->token_wanted));
    }
}

/* Seconds as they passed: each line has sums, a row what came since the line before. */
static void add_course(const struct managed_run * m, uint32_t pid, struct result * r) {
    static const struct result_column columns[] = {
        { "at_ns", "at", UNIT_NS },           { "tokens", "tokens", UNIT_COUNT },
        { "read_bytes", "read", UNIT_BYTES }, { "wait_share", "waited", UNIT_SHARE },
        { "hit_share", "hits", UNIT_SHARE },
    };
    const json_t *line, *before = NULL;
    uint64_t began = 0;
    size_t i;
    result_table(r, "course", "As time passed, since the first line", SHOW_ASKED, columns, 5);
    json_array_foreach(json_object_get(m->file, "lines"), i, line) {
        const uint64_t at = managed_figure(line, "at_ns");
        if (managed_line_is(line, "begin", pid)) { began = at; }
        if (!managed_line_is(line, "so_far", pid) && !managed_line_is(line, "end", pid)) { continue; }
        const char * const kept = json_object_get(line, "token_kept") ? "token_kept" : "token_held";
        const char * const names[] = { "tokens", "token_read", "ns", "wait_ns", "token_wanted", kept };
        uint64_t more[6];
        for (size_t n = 0; n < 6; n++) {
            const uint64_t now = managed_figure(line, names[n]), then = managed_figure(before, names[n]);
            more[n] = now > then ? now - then : 0;
        }
        json_t * row = result_row(r);
        result_put_count(r, row, "at_ns", at > began ? at - began : 0);
        result_put_count(r, row, "tokens", more[0]);
        result_put_count(r, row, "read_bytes", more[1]);
        if (more[2]) { result_put_real(r, row, "wait_share", ratio(more[3], more[2])); }
        if (more[4]) { result_put_real(r, row, "hit_share", ratio(more[5], more[4])); }
        before = line;
    }
}

/* ---- all ---- */

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (s) { s->subject = subject; }
    return s;
}

static void say(struct found * f, const struct subject * subject, struct result * r) {
    struct planning_request request;
    struct tat_error error;
    const struct promise promise = promise_of(f->run);
    const int status = find(f, subject, &request, &error);
    say_headline(f, &promise, r);
    say_placement(f->run, r);
    say_reads(f, r);
    say_waits(f->run, r);
    say_others(f->run, r);
    if (status == 0) {
        say_bound(f, r);
        add_compared(f, &promise, r);
        add_policies(f, r);
    } else {
        result_line(r, "bound", "not known: %s", error.message);
    }
    say_trouble(f->run, r);
    add_course(f->run, tat_trace_header(subject->trace)->pid, r);
    planning_end(&f->planning);
    result_note(r,
                "Generated tokens alone, save where all reads are meant. The bound and what is simulated are of the "
                "tokens that were recorded, with the rate at which this run read; computing is what the graphs took "
                "without waits. In what is simulated, experts are read once their router has chosen them.%s",
                subject->some_tokens ? " What the run came to is of all its tokens." : "");
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    struct managed_run run;
    if (managed_run_read(s->subject->trace, &run)) {
        struct found found = { .run = &run,
                               .token_ns = ratio(run.ns, run.tokens),
                               .disk_rate = 1e9 * ratio(run.read, run.disk_ns) };
        say(&found, s->subject, r);
        managed_run_free(&run);
    } else {
        result_headline(r, "The model's memory was not managed: `tat run --record` does that.");
        result_absent(r);
    }
    free(s);
}

const struct analysis managed_analysis = {
    .name = "managed",
    .title = "Memory that tat run managed",
    .all_layers = "memory is shared by all of them",
    .begin = begin,
    .finish = finish,
};
