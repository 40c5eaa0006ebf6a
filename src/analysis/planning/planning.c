/* SPDX-License-Identifier: MIT */
#include "analysis/planning/planning.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/disk_kept.h"
#include "analysis/machine.h"
#include "analysis/managed_run.h"
#include "analysis/one_weight.h"
#include "analysis/planning/needs.h"
#include "analysis/run_metadata.h"
#include "analysis/storage/storage.h"
#include "analysis/token_times.h"
#include "plan/reading.h"
#include "plan/reserve.h"

enum {
    READS_MOST = 1 << 17,   /* of the tokens that are simulated one by one */
    READ_AHEAD = 128 << 10, /* the kernel's own, where that of the disk is not known */
};

const uint32_t plan_leads[LEADS_TRIED] = { 0, 1, 2, 4, 8, 16, 32, LEAD_EARLIEST };

/* ---- reading the trace ---- */

struct walk {
    struct planning * p;
    struct one_weight weights;
};

static bool take(const struct tat_access * records, size_t count, void * user) {
    struct walk * w = user;
    records = one_weight_records(&w->weights, records, count);
    if (!records) { return false; }
    references_feed(&w->p->references, records, count);
    course_feed(&w->p->course, records, count);
    return !w->p->references.failed && !w->p->course.failed;
}

static int read_trace(struct planning * p, struct tat_error * error) {
    const struct subject * s = p->subject;
    struct walk walk = { .p = p, .weights = one_weight_of(s->trace) };
    const bool begun = references_begin(&p->references, s) && course_begin(&p->course, &p->references, READS_MOST);
    int status = begun ? subject_expand(s, take, &walk, error) : -1;
    references_end(&p->references);
    course_end(&p->course);
    const bool good = begun && !walk.weights.failed && !p->references.failed && !p->course.failed;
    one_weight_free(&walk.weights);
    if (status >= 0 && tat_trace_trouble(s->trace, error) != 0) { return -1; }
    return good && status >= 0 ? 0 : good ? -1 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

/* ---- how long computing takes ---- */

/* More was read than a run reads that has memory enough. One that was managed waits for the manager, too. */
static bool has_waits(const struct planning * p) {
    const struct machine machine = machine_of(p->subject);
    const uint64_t model = p->subject->model_bytes;
    bool is_limited;
    json_t * metadata = run_metadata(p->subject->trace);
    uint64_t once = 0;
    run_memory(metadata, &is_limited);
    json_decref(metadata);
    for (uint32_t i = 0; i < p->n_pieces; i++) { once += p->piece[i].bytes; }
    if (once < model) { once = model; }
    return p->was_managed || (machine.process && machine.disk_bytes > once + (is_limited ? once / 4 : once));
}

/* What a managed run did besides waiting for what the manager read, and mapping that. */
static double share_managed(const struct subject * s) {
    struct managed_run m;
    if (!managed_run_read(s->trace, &m)) { return 0; }
    const double all = (double) m.ns, mapped = PREDICT_MAP_NS_PER_BYTE * (double) m.token_read;
    const double computing = all - (double) m.wait_ns - mapped;
    managed_run_free(&m);
    return all > 0 && computing > 0 ? computing / all : 0;
}

/* Of a run that waited for its disk, the waits are left out where they were recorded, from all tokens alike. */
static double share_computing(struct planning * p) {
    const double managed = share_managed(p->subject);
    if (managed > 0) {
        p->compute_source = COMPUTE_WITHOUT_READS;
        return managed;
    }
    const struct storage_pace pace = storage_pace_of(p->subject);
    p->compute_source = COMPUTE_MEASURED;
    if (pace.compute_ns > 0 && pace.token_ns > 0) {
        p->compute_source = COMPUTE_WITHOUT_FAULTS;
        return pace.compute_ns < pace.token_ns ? pace.compute_ns / pace.token_ns : 1;
    }
    if (has_waits(p)) { p->compute_source = COMPUTE_WITH_WAITS; }
    return 1;
}

/* What a token takes on average, as what a run delivers is an average too. A stall that no other run would have counts
 * as twice the median. */
static double usual_mean(const uint64_t * sorted, size_t n) {
    enum { STALLED = 2 };
    const uint64_t most = STALLED * percentile(sorted, n, 50);
    double sum = 0;
    for (size_t i = 0; i < n; i++) { sum += (double) (sorted[i] < most ? sorted[i] : most); }
    return n ? sum / (double) n : 0;
}

static bool find_compute(struct planning * p) {
    const struct references * r = &p->references;
    const double share = share_computing(p);
    uint64_t * each = calloc((size_t) r->marks.count + 1, sizeof *each);
    p->compute_ns = calloc((size_t) r->marks.count + 1, sizeof *p->compute_ns);
    p->tokens = calloc((size_t) r->marks.count + 1, sizeof *p->tokens);
    const bool good = each && p->compute_ns && p->tokens;
    for (size_t m = 0; m < r->marks.count && good; m++) {
        if (mark_phase(r, m) != TAT_PHASE_GENERATE) { continue; }
        const struct tat_evaluation * e = &p->subject->evaluations[mark_at(r, m)->evaluation];
        p->compute_ns[p->n_graphs] = (double) (e->end_ns - e->begin_ns) * share;
        p->tokens[p->n_graphs] = e->n_tokens;
        each[p->n_graphs] = (uint64_t) (p->compute_ns[p->n_graphs] / (e->n_tokens ? e->n_tokens : 1));
        p->n_graphs++;
    }
    if (good && p->n_graphs) { qsort(each, p->n_graphs, sizeof *each, by_value); }
    if (good) { p->token_compute_ns = usual_mean(each, p->n_graphs); }
    free(each);
    if (p->n_timed > p->n_graphs) { p->n_timed = p->n_graphs; }
    for (uint32_t i = 0; i < p->needs.count; i++) {
        struct plan_need * need = &LIST(struct plan_need, p->needs)[i];
        need->at = (uint64_t) ((double) need->at * share);
        need->until = (uint64_t) ((double) need->until * share);
        need->known = (uint64_t) ((double) need->known * share);
    }
    for (uint32_t i = 0; i < p->n_stages; i++) { p->stage_at[i] = (uint64_t) ((double) p->stage_at[i] * share); }
    return good;
}

/* ---- what the machine has ---- */

uint64_t planning_mean_expert(const struct planning * p) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < p->n_pieces; i++) { n += p->item[i].is_expert; }
    return n ? p->expert_bytes / n : PIECE_MOST;
}

static double kept_rate(const struct planning * p, const char * how, const char * order, uint64_t block,
                        unsigned depth) {
    const struct planning_request * q = p->request;
    return q->disk_rate > 0 ? q->disk_rate : disk_kept_rate(q->disk, how, order, block, depth);
}

/* What is left to the kernel is needed whole, so the kernel reads ahead; what is given up, page by page. Where that
 * could not be measured, as another program has the file in memory, it is one such read after the other. */
static void find_costs(struct planning * p) {
    const struct planning_request * q = p->request;
    const double given = q->disk_rate;
    p->costs.stream_rate = kept_rate(p, "direct", "sequential", PIECE_MOST, READING_AT_ONCE);
    p->costs.miss_rate = kept_rate(p, "direct", "random", planning_mean_expert(p), READING_AT_ONCE);
    p->plain_rate = given > 0 ? given : disk_kept_most(q->disk, "mapped", "sequential");
    p->costs.map_ns_per_byte = PREDICT_MAP_NS_PER_BYTE;
    p->costs.compute_ns = p->compute_source == COMPUTE_WITH_WAITS ? 0 : p->token_compute_ns;
    const json_int_t ahead = json_integer_value(json_object_get(q->disk, "read_ahead_bytes"));
    p->read_ahead = ahead > 0 ? (uint64_t) ahead : READ_AHEAD;
    if (!(p->plain_rate > 0)) { p->plain_rate = kept_rate(p, "direct", "sequential", p->read_ahead, 1); }
    p->costs.fault_rate = p->plain_rate;
    p->costs.given_up_rate = kept_rate(p, "mapped, MADV_RANDOM", "random", PLAN_PAGE, 1);
    if (!(p->costs.given_up_rate > 0)) { p->costs.given_up_rate = kept_rate(p, "direct", "random", PLAN_PAGE, 1); }
}

/* Where the program's threads leave a processor to the thread that manages, it takes nothing from them. */
static void find_machine(struct planning * p) {
    const struct planning_request * q = p->request;
    const struct machine machine = machine_of(p->subject);
    p->machine = (struct timeline_machine){ .at_once = READING_AT_ONCE,
                                            .together = q->disk_rate <= 0 && disk_kept_tells_together(q->disk),
                                            .guesses_at_once = READING_GUESSES_AT_ONCE,
                                            .map_ns_per_byte = p->costs.map_ns_per_byte,
                                            .start_ns = PREDICT_START_NS,
                                            .wake_ns = PREDICT_WAKE_NS,
                                            .taken = machine.threads >= machine.processors };
    const bool all_compute = machine.threads >= machine.processors;
    if (q->disk_rate > 0 || !disk_kept_bursts(q->disk, false, &p->machine.disk) ||
        !disk_kept_bursts(q->disk, all_compute, &p->machine.while_computing)) {
        p->machine.disk = p->machine.while_computing = disk_bursts_of_rate(p->costs.miss_rate);
    }
}

static void find_kv(struct planning * p) {
    const struct subject * s = p->subject;
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        if (s->tensors[i].kind == TAT_TENSOR_STATE && counts_once(s, i)) { p->kv_bytes += s->tensors[i].bytes; }
    }
    if (!p->kv_bytes) { p->kv_bytes = p->request->kv_bytes; }
}

/* What is left of so much memory, as the manager finds it. */
static uint64_t budget_of(const struct planning * p, uint64_t memory) {
    const struct planning_request * q = p->request;
    const uint64_t parts[] = { p->kv_bytes,      plan_growth(p->request->compute_bytes),
                               q->program_bytes, q->library_bytes,
                               p->copied_bytes,  plan_reserve(memory) };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) { memory -= parts[i] < memory ? parts[i] : memory; }
    return memory;
}

int planning_begin(struct planning * p, const struct subject * subject, const struct planning_request * request,
                   struct tat_error * error) {
    json_t * metadata = run_metadata(subject->trace);
    *p = (struct planning){ .subject = subject, .request = request, .was_managed = run_was_managed(metadata) };
    json_decref(metadata);
    if (read_trace(p, error) != 0) { return -1; }
    if (!planning_find_needs(p) || !find_compute(p)) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    find_costs(p);
    find_machine(p);
    find_kv(p);
    p->budget = budget_of(p, request->memory_bytes);
    p->spare = plan_growth(request->compute_bytes) + plan_reserve(request->memory_bytes);
    return 0;
}

void planning_end(struct planning * p) {
    references_free(&p->references);
    course_free(&p->course);
    cache_string_free(&p->string);
    free(p->piece);
    free(p->item);
    free(p->item_of);
    free(p->expert_of);
    free(p->first_item);
    free(p->n_items);
    free(p->needs.data);
    free(p->compute_ns);
    free(p->tokens);
    free(p->stage_at);
}

/* ---- strategies ---- */

enum { PIN = PLACE_MAY_PIN, STREAM = PLACE_MAY_STREAM, CACHE = PLACE_MAY_CACHE, ALL = PIN | STREAM | CACHE };

static const struct plan_strategy dense_strategies[] = {
    { "pin", "pinned alone", PIN, NULL },
    { "stream", "streamed alone", STREAM, NULL },
    { "pin+stream", "pinned, streamed", PIN | STREAM, NULL },
};
static const struct plan_strategy expert_strategies[] = {
    { "cache-frequency", "experts alone: frequency", CACHE, &policy_frequency },
    { "cache-cycle", "experts alone: cycle", CACHE, &policy_cycle },
    { "all-lru", "all, experts: LRU", ALL, &policy_lru },
    { "all-frequency", "all, experts: frequency", ALL, &policy_frequency },
    { "all-cycle", "all, experts: cycle", ALL, &policy_cycle },
    { "all-min", "all, hindsight (MIN)", ALL, NULL },
};

static bool add_rows(const struct planning * p, struct plan_found * f, const struct plan_strategy * strategies,
                     size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct plan_row * row = &f->row[f->n_rows++];
        row->strategy = &strategies[i];
        if (!planning_evaluate(p, p->budget, row->strategy, LEAD_EARLIEST, NULL, &row->outcome)) { return false; }
    }
    return true;
}

/* What the manager does: all that helps, experts by the policy that it has. */
static void choose(struct plan_found * f, bool experts) {
    for (unsigned i = 0; i < f->n_rows; i++) {
        const struct plan_strategy * s = f->row[i].strategy;
        if (experts ? s->may == ALL && s->policy == &policy_cycle : s->may == (PIN | STREAM)) {
            f->chosen = &f->row[i];
        }
    }
}

/* ---- how much memory ---- */

/* The least memory with which all that tokens need fits. */
static uint64_t memory_for_all(const struct planning * p) {
    uint64_t below = 0, enough = p->needed_bytes;
    while (budget_of(p, enough) < p->needed_bytes && enough < UINT64_MAX / 4) {
        below = enough;
        enough *= 2;
    }
    while (enough - below > 1) {
        const uint64_t middle = below + (enough - below) / 2;
        *(budget_of(p, middle) < p->needed_bytes ? &below : &enough) = middle;
    }
    return enough;
}

static bool sweep(const struct planning * p, struct plan_found * f, struct plan_plain * plain) {
    static const unsigned percent[SWEEP_SHARES] = { 0, 100, 90, 80, 75, 70, 65, 60, 55, 50, 45, 40, 35, 25 };
    const uint64_t model = p->subject->model_bytes ? p->subject->model_bytes : p->needed_bytes;
    for (int i = 0; i < SWEEP_SHARES; i++) {
        struct plan_sweep_row * row = &f->sweep[i];
        row->memory = percent[i] ? (uint64_t) ((double) model * percent[i] / 100) : memory_for_all(p);
        row->share = (double) row->memory / (double) model;
        row->budget = budget_of(p, row->memory);
        if (!row->budget) { continue; }
        if (!planning_evaluate(p, row->budget, f->chosen->strategy, LEAD_EARLIEST, NULL, &row->best) ||
            !plan_plain_evaluate(p, plain, row->budget, &row->plain)) {
            return false;
        }
    }
    return true;
}

enum { ENOUGH_PERCENT = 97 };

/* The least memory that is nearly as fast as any. */
static void find_knee(struct plan_found * f) {
    double best = 0;
    f->knee = -1;
    for (int i = 0; i < SWEEP_SHARES; i++) {
        const double rate = predict_per_second(f->sweep[i].best.token_ns);
        if (rate > best) { best = rate; }
    }
    for (int i = 0; i < SWEEP_SHARES && best > 0; i++) {
        const bool enough = 100 * predict_per_second(f->sweep[i].best.token_ns) >= ENOUGH_PERCENT * best;
        if (enough && (f->knee < 0 || f->sweep[i].memory < f->sweep[f->knee].memory)) { f->knee = i; }
    }
}

/* The fewest layers ahead that wait no longer than the earliest does, but for a hundredth. */
static bool find_lead(const struct planning * p, struct plan_found * f) {
    f->lead_layers = LEAD_EARLIEST;
    for (int i = 0; i < LEADS_TRIED; i++) {
        if (!planning_evaluate(p, p->budget, f->chosen->strategy, plan_leads[i], NULL, &f->lead[i])) { return false; }
    }
    for (int i = LEADS_TRIED; i-- > 0;) {
        if (f->lead[i].token_ns <= 1.01 * f->lead[LEADS_TRIED - 1].token_ns) { f->lead_layers = plan_leads[i]; }
    }
    return true;
}

/* ---- all ---- */

static bool find(const struct planning * p, struct plan_found * f) {
    struct plan_plain plain;
    f->knee = -1;
    f->gate = predict_gate(p->needed_bytes, p->budget, 0, 0);
    f->classes = calloc((size_t) p->n_pieces + 1, sizeof *f->classes);
    if (!f->classes) { return false; }
    if (f->gate == GATE_UNSUPPORTED) { return true; }
    bool good = plan_plain_begin(p, &plain);
    if (good && p->budget) {
        good = plan_plain_evaluate(p, &plain, p->budget, &f->plain) &&
               add_rows(p, f, dense_strategies, sizeof dense_strategies / sizeof *dense_strategies);
    }
    if (good && p->budget && p->expert_bytes) {
        good = add_rows(p, f, expert_strategies, sizeof expert_strategies / sizeof *expert_strategies);
    }
    f->is_measured = plan_plain_measured(p, &f->measured);
    if (good && p->budget) {
        struct plan_outcome again;
        choose(f, p->expert_bytes > 0);
        good = planning_evaluate(p, p->budget, f->chosen->strategy, LEAD_EARLIEST, f->classes, &again) &&
               sweep(p, f, &plain) && find_lead(p, f);
        if (good) { find_knee(f); }
        const double without = f->is_measured ? f->measured.token_ns : f->plain.token_ns;
        f->gate = predict_gate(p->needed_bytes, p->budget, without, f->chosen->outcome.token_ns);
        if (f->gate == GATE_OPEN && p->compute_source == COMPUTE_WITH_WAITS) { f->gate = GATE_UNCLEAR; }
    }
    plan_plain_end(&plain);
    return good;
}

json_t * planning_file(struct result * r, const char * format) {
    static const char * const lists[] = { "pieces", "pin_list", "slices", "tokens" };
    const bool is_plan = json_object_get(r->json, lists[0]) != NULL;
    json_t * file = result_end(r);
    bool good = file && json_object_set_new(file, "format", json_string(format)) == 0 &&
                json_object_set_new(file, "version", json_integer(1)) == 0;
    for (int i = is_plan ? 0 : 2; i < (is_plan ? 2 : 4) && good; i++) {
        if (!json_object_get(file, lists[i])) { good = json_object_set_new(file, lists[i], json_array()) == 0; }
    }
    if (good) { return file; }
    json_decref(file);
    return NULL;
}

static json_t * plan_of(const struct subject * subject, const struct planning_request * request,
                        struct tat_error * error) {
    struct planning p;
    struct plan_found found = { 0 };
    struct result r;
    json_t * plan = NULL;
    bool good = false;
    const int status = planning_begin(&p, subject, request, error);
    if (status == 0) {
        good = find(&p, &found);
        result_begin(&r, "Plan");
        if (good) {
            planning_tell(&p, &found, &r);
            planning_describe(&p, &found, &r);
        }
        plan = planning_file(&r, "tat-plan");
        if (!good || !plan) {
            json_decref(plan);
            plan = NULL;
            tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        }
    }
    free(found.classes);
    planning_end(&p);
    return plan;
}

typedef json_t * (*planner)(const struct subject * subject, const struct planning_request * request,
                            struct tat_error * error);

/* Of the model and the tokens that were asked for. */
static json_t * of_part(const struct tat_trace * trace, const struct planning_request * q, planner make,
                        struct tat_error * error) {
    const struct tat_analysis_options options = { .model = q->model };
    struct subject run = { 0 }, part = { 0 };
    json_t * plan = NULL;
    const uint32_t number = q->model ? q->model : tat_trace_main_model(trace);
    struct tat_trace * of_model = number ? tat_trace_of_model(trace, number, error) : NULL;
    struct tat_trace * of_tokens = q->tokens.token_end && (!number || of_model)
                                       ? tat_trace_of_scope(of_model ? of_model : trace, &q->tokens, error)
                                       : NULL;
    const bool there = (!number || of_model) && (!q->tokens.token_end || of_tokens);
    if (there && subject_begin(&run, trace, &options) &&
        subject_begin(&part,
                      of_tokens  ? of_tokens
                      : of_model ? of_model
                                 : trace,
                      &options)) {
        part.run = &run;
        part.is_part = number > 0;
        part.some_tokens = of_tokens != NULL;
        plan = make(&part, q, error);
    } else if (there) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    }
    subject_free(&part);
    subject_free(&run);
    tat_trace_close(of_tokens);
    tat_trace_close(of_model);
    return plan;
}

json_t * planning_make(const struct tat_trace * trace, const struct planning_request * request,
                       struct tat_error * error) {
    return of_part(trace, request, plan_of, error);
}

json_t * planning_access_pattern(const struct tat_trace * trace, const struct planning_request * request,
                                 struct tat_error * error) {
    return of_part(trace, request, access_pattern_of, error);
}
