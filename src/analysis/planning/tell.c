/* SPDX-License-Identifier: MIT
 *
 * The plan for people: the verdict first, then strategies, memory, and what would be done.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "analysis/disk_kept.h"
#include "analysis/machine.h"
#include "analysis/planning/planning.h"
#include "analysis/units.h"
#include "plan/reserve.h"

/* ---- strategies ---- */

static void put_real(struct result * r, json_t * row, const char * key, double value) {
    if (value > 0) { result_put_real(r, row, key, value); }
}

static void put_outcome(struct result * r, json_t * row, const struct plan_outcome * o) {
    put_real(r, row, "read_bytes_per_token", o->bound.read_bytes);
    if (o->hit_share >= 0) { result_put_real(r, row, "hit_share", o->hit_share); }
    put_real(r, row, "disk_ns", o->bound.known ? o->bound.disk_ns : 0);
    put_real(r, row, "compute_ns", o->bound.compute_ns);
    put_real(r, row, "tokens_per_second_overlapped", predict_per_second(o->bound.known ? o->bound.overlapped_ns : 0));
    put_real(r, row, "tokens_per_second_serial", predict_per_second(o->bound.known ? o->bound.serial_ns : 0));
    put_real(r, row, "tokens_per_second", predict_per_second(o->token_ns));
    put_real(r, row, "wait_ns", o->lost.waited);
    put_real(r, row, "taken_ns", o->lost.taken);
    put_real(r, row, "p50_ns", o->p50_ns);
    put_real(r, row, "p99_ns", o->p99_ns);
}

static json_t * add_row(struct result * r, const char * name, const char * title, const struct plan_outcome * o) {
    json_t * row = result_row(r);
    result_put_text(r, row, "name", name);
    result_put_text(r, row, "strategy", title);
    put_outcome(r, row, o);
    return row;
}

struct strategies {
    const char *name, *title;
    const struct result_column * columns;
    size_t count;
    bool are_timed; /* those of which no time is known are left out */
};

static bool is_in(const struct strategies * s, const struct plan_outcome * o) {
    return !s->are_timed || o->token_ns > 0;
}

static void add_strategies(const struct planning * p, const struct plan_found * f, struct result * r,
                           const struct strategies * s) {
    bool any = is_in(s, &f->plain) || (f->is_measured && is_in(s, &f->measured));
    for (unsigned i = 0; i < f->n_rows; i++) { any |= is_in(s, &f->row[i].outcome); }
    if (!any) { return; }
    result_table(r, s->name, s->title, SHOW_ALWAYS, s->columns, s->count);
    if (is_in(s, &f->plain)) { add_row(r, "mmap", "plain mmap", &f->plain); }
    if (f->is_measured && p->was_managed) {
        add_row(r, "run-measured", "tat run, measured", &f->measured);
    } else if (f->is_measured) {
        add_row(r, "mmap-measured", "plain mmap, measured", &f->measured);
    }
    for (unsigned i = 0; i < f->n_rows; i++) {
        const struct plan_row * row = &f->row[i];
        if (!is_in(s, &row->outcome)) { continue; }
        json_t * o = add_row(r, row->strategy->name, row->strategy->title, &row->outcome);
        result_put(r, o, "chosen", json_boolean(row == f->chosen));
        result_put(r, o, "hindsight", json_boolean((row->strategy->may & PLACE_MAY_CACHE) && !row->strategy->policy));
    }
}

static void add_bounds(const struct planning * p, const struct plan_found * f, struct result * r) {
    static const struct result_column bounds[] = {
        { "strategy", "strategy", UNIT_TEXT },
        { "read_bytes_per_token", "read", UNIT_BYTES },
        { "hit_share", "hits", UNIT_SHARE },
        { "disk_ns", "disk", UNIT_NS },
        { "compute_ns", "compute", UNIT_NS },
        { "tokens_per_second_overlapped", "at best/s", UNIT_PER_SECOND },
        { "tokens_per_second_serial", "in turn/s", UNIT_PER_SECOND },
    };
    static const struct result_column times[] = {
        { "strategy", "strategy", UNIT_TEXT }, { "tokens_per_second", "tokens/s", UNIT_PER_SECOND },
        { "wait_ns", "waits", UNIT_NS },       { "taken_ns", "managing", UNIT_NS },
        { "p50_ns", "median token", UNIT_NS }, { "p99_ns", "99 % within", UNIT_NS },
    };
    const struct strategies all[] = {
        { "bounds", "Bounds, by strategy: what a token reads, and how many tokens/s that allows", bounds,
          sizeof bounds / sizeof *bounds, false },
        { "times", "Expected, of the recorded tokens one by one", times, sizeof times / sizeof *times, true },
    };
    add_strategies(p, f, r, &all[0]);
    add_strategies(p, f, r, &all[1]);
}

/* ---- memory ---- */

static void add_sweep(const struct planning * p, const struct plan_found * f, struct result * r) {
    static const struct result_column columns[] = {
        { "share", "of the model", UNIT_SHARE },
        { "memory_bytes", "memory", UNIT_BYTES },
        { "read_bytes_per_token", "read", UNIT_BYTES },
        { "hit_share", "hits", UNIT_SHARE },
        { "tokens_per_second", "tokens/s", UNIT_PER_SECOND },
        { "plain_tokens_per_second", "mmap/s", UNIT_PER_SECOND },
        { "cache_bytes", "for experts", UNIT_BYTES },
        { "note", "note", UNIT_TEXT },
    };
    result_table(r, "memory", "More memory, and less: this plan, and plain mmap", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof *columns);
    for (int i = 0; i < SWEEP_SHARES; i++) {
        const struct plan_sweep_row * s = &f->sweep[i];
        json_t * row = result_row(r);
        result_put_real(r, row, "share", s->share);
        result_put_count(r, row, "memory_bytes", s->memory);
        result_put_count(r, row, "budget_bytes", s->budget);
        const enum predict_gate gate = predict_gate(p->needed_bytes, s->budget, 0, 0);
        if (gate == GATE_FITS || gate == GATE_NO_ROOM) {
            result_put_text(r, row, "note", gate == GATE_FITS ? "all fits" : "no room");
        }
        if (!s->budget) { continue; }
        put_outcome(r, row, &s->best);
        put_real(r, row, "plain_tokens_per_second", predict_per_second(s->plain.token_ns));
        put_real(r, row, "plain_read_bytes_per_token", s->plain.bound.read_bytes);
        result_put_count(r, row, "pinned_bytes", s->best.placement.pinned);
        result_put_count(r, row, "cache_bytes", s->best.placement.cache);
        result_put_count(r, row, "ring_bytes", s->best.placement.ring);
    }
}

/* Hits of experts, by policy and size of the cache. False: memory. */
static bool add_hits(const struct planning * p, const struct plan_found * f, struct result * r) {
    static const struct policy_kind * const kinds[] = { &policy_lru, &policy_frequency, &policy_cycle, NULL };
    static const char * const keys[] = { "lru", "frequency", "cycle", "min" };
    static const struct result_column columns[] = {
        { "cache_bytes", "that stay", UNIT_BYTES }, { "lru", "LRU", UNIT_SHARE },
        { "frequency", "frequency", UNIT_SHARE },   { "cycle", "cycle", UNIT_SHARE },
        { "min", "hindsight: MIN", UNIT_SHARE },
    };
    enum { SIZES = 8 };
    if (!p->expert_bytes || !f->chosen) { return true; }
    const uint64_t most = f->chosen->outcome.placement.cache;
    result_table(r, "hits", "Experts' bytes that generated tokens find in memory, by policy and size", SHOW_ASKED,
                 columns, sizeof columns / sizeof *columns);
    for (int i = 0; i <= SIZES; i++) {
        const uint64_t capacity = i ? p->expert_bytes / SIZES * (uint64_t) i
                                    : most - placement_scratch(most, p->stack_bytes, p->chosen_bytes);
        if (!capacity) { continue; }
        json_t * row = result_row(r);
        result_put_count(r, row, "cache_bytes", capacity);
        for (int k = 0; k < 4; k++) {
            const double share = planning_hit_share(p, capacity, kinds[k]);
            if (share < 0) { return false; }
            result_put_real(r, row, keys[k], share);
        }
    }
    return true;
}

/* ---- what would be done ---- */

static void add_leads(const struct plan_found * f, struct result * r) {
    static const struct result_column columns[] = {
        { "layers", "layers ahead", UNIT_TEXT },
        { "tokens_per_second", "tokens/s", UNIT_PER_SECOND },
        { "ahead_bytes", "most ahead", UNIT_BYTES },
    };
    if (!(f->lead[0].token_ns > 0)) { return; }
    result_table(r, "ahead", "Reads that begin so many layers before they are needed", SHOW_ASKED, columns, 3);
    for (int i = 0; i < LEADS_TRIED; i++) {
        char name[32];
        json_t * row = result_row(r);
        snprintf(name, sizeof name, plan_leads[i] == LEAD_EARLIEST ? "earliest" : "%" PRIu32, plan_leads[i]);
        result_put_text(r, row, "layers", name);
        result_put_real(r, row, "tokens_per_second", predict_per_second(f->lead[i].token_ns));
        result_put_count(r, row, "ahead_bytes", f->lead[i].ahead_bytes);
    }
}

static void say_placement(const struct planning * p, const struct plan_found * f, struct result * r) {
    const struct placement * x = &f->chosen->outcome.placement;
    char a[UNITS_SIZE], b[UNITS_SIZE], c[UNITS_SIZE];
    result_line(r, "pin", "%s of the %s that tokens need, hottest per byte first: what each token reads%s",
                format_bytes(a, x->pinned), format_bytes(b, p->needed_bytes),
                x->streamed ? ", evenly over its order" : "");
    if (x->streamed) {
        const double given_up = f->chosen->outcome.reads.given_up;
        char more[96] = "";
        if (given_up > 0) {
            snprintf(more, sizeof more, "; there is no room in it for %s a token, which are left to page faults",
                     format_mean_bytes(c, given_up));
        }
        result_line(r, "stream", "%s, through %s of memory%s", format_bytes(a, x->streamed), format_bytes(b, x->ring),
                    more);
    }
    if (x->cached) {
        result_line(r, "cache", "%s of experts, in %s of memory, by %s: %s are found there", format_bytes(a, x->cached),
                    format_bytes(b, x->cache), f->chosen->strategy->policy->title,
                    format_share(c, f->chosen->outcome.hit_share));
    }
    if (x->left) { result_line(r, "leave", "%s to the file", format_bytes(a, x->left)); }
    if (!x->streamed && !x->cached) { return; }
    char distance[64] = "as early as there is room";
    if (f->lead_layers != LEAD_EARLIEST) {
        snprintf(distance, sizeof distance,
                 f->lead_layers ? "%" PRIu32 " layer%s before it is needed" : "when it is needed", f->lead_layers,
                 f->lead_layers == 1 ? "" : "s");
    }
    result_line(r, "read", "in the order of the graph, %s%s; at most %s ahead", distance,
                x->cached ? ", an expert when its router has chosen it" : "",
                format_bytes(a, f->chosen->outcome.ahead_bytes));
}

static void say_knee(const struct planning * p, const struct plan_found * f, struct result * r) {
    char at[UNITS_SIZE], rate[UNITS_SIZE], cache[UNITS_SIZE], share[UNITS_SIZE];
    if (f->knee < 0) { return; }
    const struct plan_sweep_row * k = &f->sweep[f->knee];
    result_line(r, "enough", "%s, %s of the model: %s tokens/s; more memory gives 3 %% at most",
                format_bytes(at, k->memory), format_share(share, k->share),
                format_rate(rate, predict_per_second(k->best.token_ns)));
    result_put_count(r, result_values(r), "knee_memory_bytes", k->memory);
    if (!p->expert_bytes) { return; }
    const uint64_t most = f->chosen->outcome.placement.cache;
    const uint64_t wanted = p->request->memory_bytes > k->memory ? k->best.placement.cache : most;
    result_put_count(r, result_values(r), "recommended_cache_bytes", wanted);
    if (wanted) { result_line(r, "cache size", "%s for experts with this memory", format_bytes(cache, wanted)); }
}

/* ---- what it goes by ---- */

static void say_memory(const struct planning * p, struct result * r) {
    const struct planning_request * q = p->request;
    char memory[UNITS_SIZE], kv[UNITS_SIZE], compute[UNITS_SIZE], program[UNITS_SIZE], left[UNITS_SIZE],
        copied[UNITS_SIZE], kernel[UNITS_SIZE], libraries[UNITS_SIZE], more[96] = "";
    if (p->copied_bytes) {
        snprintf(more, sizeof more, ", weights that the program has copied or repacked %s",
                 format_bytes(copied, p->copied_bytes));
    }
    result_line(r, "memory",
                "of %s, the KV cache takes %s, compute buffers %s, the program about %s, its libraries %s%s, the "
                "kernel %s: %s is left for the "
                "model",
                format_bytes(memory, q->memory_bytes), format_bytes(kv, p->kv_bytes),
                format_bytes(compute, plan_growth(q->compute_bytes)), format_bytes(program, q->program_bytes),
                format_bytes(libraries, q->library_bytes), more, format_bytes(kernel, plan_reserve(q->memory_bytes)),
                p->budget ? format_bytes(left, p->budget) : "nothing");
}

static void say_disk(const struct planning * p, struct result * r) {
    char a[UNITS_SIZE], b[UNITS_SIZE], c[UNITS_SIZE];
    const struct predict_costs * x = &p->costs;
    if (p->request->disk_rate > 0) {
        result_line(r, "disk", "%s/s, as given, for all reads", format_mean_bytes(a, p->request->disk_rate));
    } else if (x->stream_rate > 0) {
        result_line(r, "disk",
                    "%s: %s/s in order, %s/s for experts, past the page cache; %s/s by page faults, as "
                    "`tat doctor --disk` measured%s%s",
                    p->request->disk_name, format_mean_bytes(a, x->stream_rate), format_mean_bytes(b, x->miss_rate),
                    format_mean_bytes(c, x->fault_rate),
                    disk_kept_is_of_small_pages(p->request->disk)
                        ? "; it read into small pages: where the kernel makes large ones, measure again"
                        : "",
                    disk_kept_was_busy(p->request->disk)
                        ? "; other programs ran meanwhile: measure again on an idle machine"
                        : "");
    } else {
        result_line(r, "disk", "not measured, so no times: `tat doctor --disk MODEL` does that, or give --disk 1G/s");
    }
}

static void say_compute(const struct planning * p, struct result * r) {
    static const char * const sources[] = {
        [COMPUTE_MEASURED] = "as the trace measured it",
        [COMPUTE_WITHOUT_FAULTS] = "without the page faults that the trace recorded",
        [COMPUTE_WITHOUT_READS] = "without the waits for what `tat run` read",
        [COMPUTE_WITH_WAITS] = "with waits for the disk, which the trace does not tell apart, so no times",
    };
    const struct machine machine = machine_of(p->subject);
    char a[UNITS_SIZE];
    result_line(r, "compute", "%s a token on average, %s%s", format_duration(a, (uint64_t) p->token_compute_ns),
                sources[p->compute_source],
                machine_was_busy(&machine) ? "; the machine was busy, so an idle one computes faster" : "");
}

/* ---- the verdict ---- */

/* Bytes alone. `why` there is no more. */
static void say_reads(const struct planning * p, const struct plan_found * f, const char * why, char * text,
                      size_t size) {
    const bool is_measured = f->is_measured && !p->was_managed;
    char read[UNITS_SIZE], before[UNITS_SIZE];
    snprintf(text, size, "A token would read %s in place of %s with plain mmap%s.%s",
             format_mean_bytes(read, f->chosen->outcome.bound.read_bytes),
             format_mean_bytes(before, (is_measured ? &f->measured : &f->plain)->bound.read_bytes),
             is_measured ? ", measured" : "", why);
}

static void say_gain(const struct planning * p, const struct plan_found * f, char * text, size_t size) {
    const struct plan_outcome * o = &f->chosen->outcome;
    const struct plan_outcome * plain = f->is_measured ? &f->measured : &f->plain;
    char read[UNITS_SIZE], before[UNITS_SIZE], rate[UNITS_SIZE], than[UNITS_SIZE], times[UNITS_SIZE], best[UNITS_SIZE];
    format_mean_bytes(read, o->bound.read_bytes);
    format_mean_bytes(before, plain->bound.read_bytes);
    if (!(o->token_ns > 0) || !(plain->token_ns > 0)) {
        say_reads(p, f, f->gate == GATE_UNCLEAR ? "" : " How fast that is depends on the disk, which was not measured.",
                  text, size);
        return;
    }
    snprintf(times, sizeof times, "%.1f", plain->token_ns / o->token_ns);
    snprintf(text, size,
             "%s tokens/s in place of %s with plain mmap%s: %s times as many. A token reads %s in place of %s; "
             "%s tokens/s would be the most, if computing hid every read.",
             format_rate(rate, predict_per_second(o->token_ns)), format_rate(than, predict_per_second(plain->token_ns)),
             f->is_measured ? ", which the trace measured" : "", times, read, before,
             format_rate(best, predict_per_second(o->bound.overlapped_ns)));
}

enum { CONTEXT_SMALL = 512 }; /* tokens: a smaller one is not advised */

static void say_verdict(const struct planning * p, const struct plan_found * f, struct result * r) {
    char needed[UNITS_SIZE], left[UNITS_SIZE], text[512] = "";
    format_bytes(needed, p->needed_bytes);
    format_bytes(left, p->budget);
    if (f->chosen && f->gate != GATE_FITS) { say_gain(p, f, text, sizeof text); }
    switch (f->gate) {
        case GATE_OPEN: result_headline(r, "Worth it: %s", text); break;
        case GATE_UNCLEAR:
            result_headline(r, "Cannot be told from this trace: %s. %s %s", predict_gate_text(f->gate),
                            p->was_managed ? "`tat run` recorded it, and managed the memory: record with `tat record`, "
                                             "without --memory."
                                           : "Record with --io, or without --memory.",
                            text);
            break;
        case GATE_NO_GAIN: result_headline(r, "Nothing to do: %s. %s", predict_gate_text(f->gate), text); break;
        case GATE_FITS:
            result_headline(r, "Nothing to do: the %s that tokens need of the model fit in the %s left for it.", needed,
                            left);
            break;
        case GATE_NO_ROOM:
            result_headline(r, "Nothing can be done: %s. Give more%s.", predict_gate_text(f->gate),
                            p->request->context && p->request->context <= CONTEXT_SMALL
                                ? ""
                                : ", or let the program need less, as with a smaller context (-c 512)");
            break;
        case GATE_UNSUPPORTED:
            result_headline(r, "Nothing can be done: %s. %s", predict_gate_text(f->gate),
                            p->cut_failed     ? "Tensors of the file overlap."
                            : p->copied_bytes ? "The program has copied them (--no-mmap, or repacked: --no-repack "
                                                "prevents that)."
                                              : "No generated token read any.");
            break;
    }
    result_answer(r, "What would managing memory gain?", "%s", json_string_value(json_object_get(r->json, "headline")));
}

static void say_notes(const struct planning * p, const struct plan_found * f, struct result * r) {
    if (!f->chosen) { return; }
    result_note(
        r,
        "Bytes are of whole pages, per generated token, once the prompt has filled memory; first reads of what "
        "is pinned are not counted. Hits: experts' bytes found in memory (-: none), by online policies, which know the "
        "past; hindsight (MIN) knows the future and bounds them. At best: reading goes on while computing; "
        "in turn: it never does. Expected: reads begin as early as the ring has room, an expert's when its "
        "router has chosen it, always the next one needed first. No room: less than 8 MiB is left for the model.");
    result_note(r,
                "Plain mmap: as Linux's page cache would keep and evict what one thread touches, with its read-ahead. "
                "What it reads ahead and evicts before it is used is read again.");
    if (p->references.full || p->n_timed < p->n_graphs) {
        result_note(r, "Times are of the first %" PRIu32 " of %" PRIu32 " generated graphs.", p->n_timed, p->n_graphs);
    }
    if (p->request->disk_rate > 0) {
        result_note(r, "Page faults read slower than the rate that was given: plain mmap is slower than shown.");
    }
}

static void put_values(const struct planning * p, const struct plan_found * f, struct result * r) {
    static const char * const gates[] = { "open", "unsupported", "fits", "no_room", "unclear", "no_gain" };
    json_t * v = result_values(r);
    result_put_text(r, v, "gate", gates[f->gate]);
    result_put_count(r, v, "memory_bytes", p->request->memory_bytes);
    result_put_count(r, v, "budget_bytes", p->budget);
    result_put_count(r, v, "needed_bytes", p->needed_bytes);
    result_put_count(r, v, "dense_bytes", p->dense_bytes);
    result_put_count(r, v, "expert_bytes", p->expert_bytes);
    result_put_count(r, v, "generated_graphs", p->n_graphs);
    result_put_count(r, v, "timed_graphs", p->n_timed);
    result_put_real(r, v, "compute_ns", p->token_compute_ns);
    if (!f->chosen) { return; }
    result_put_text(r, v, "strategy", f->chosen->strategy->name);
    put_real(r, v, "tokens_per_second", predict_per_second(f->chosen->outcome.token_ns));
    put_real(r, v, "read_bytes_per_token", f->chosen->outcome.bound.read_bytes);
}

void planning_tell(const struct planning * p, const struct plan_found * f, struct result * r) {
    put_values(p, f, r);
    say_verdict(p, f, r);
    say_memory(p, r);
    if (f->gate == GATE_UNSUPPORTED) { return; }
    say_disk(p, r);
    say_compute(p, r);
    if (!f->chosen) { return; }
    if (f->gate != GATE_FITS) { say_placement(p, f, r); }
    say_knee(p, f, r);
    add_bounds(p, f, r);
    add_sweep(p, f, r);
    r->failed |= !add_hits(p, f, r);
    add_leads(f, r);
    say_notes(p, f, r);
}
