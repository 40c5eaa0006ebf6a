/* SPDX-License-Identifier: MIT */
#include "analysis/analysis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/about.h"
#include "analysis/caveats.h"
#include "analysis/one_weight.h"
#include "analysis/ubatches.h"
#include "tat/analysis.h"

const struct analysis * const analyses[] = {
    &speed_analysis,   &run_analysis,     &phases_analysis,  &tokens_analysis,  &components_analysis,
    &hot_analysis,     &layers_analysis,  &time_analysis,    &order_analysis,   &attention_analysis,
    &experts_analysis, &storage_analysis, &managed_analysis, &caching_analysis, NULL,
};

static const struct analysis * find(const char * name) {
    for (size_t i = 0; analyses[i]; i++) {
        if (strcmp(analyses[i]->name, name) == 0) { return analyses[i]; }
    }
    return NULL;
}

enum { READ_AHEAD_MAX = 1024 };

/* The power of two that is not below. */
static uint64_t block_above(uint64_t bytes) {
    uint64_t block = 512;
    while (block < bytes && block < 1 << 24) { block *= 2; }
    return block;
}

static struct tat_analysis_options with_defaults(const struct tat_analysis_options * given) {
    struct tat_analysis_options o = given ? *given : (struct tat_analysis_options){ 0 };
    if (!(o.hot_share > 0 && o.hot_share <= 1)) { o.hot_share = 0.1; }
    if (!(o.cold_share > 0 && o.cold_share <= 1)) { o.cold_share = 0.5; }
    if (o.cache_unit > TAT_CACHE_EXPERT) { o.cache_unit = block_above(o.cache_unit); }
    if (o.read_ahead > READ_AHEAD_MAX || o.read_ahead & (o.read_ahead - 1)) { o.read_ahead = 0; }
    return o;
}

static void leave_out(const struct ubatch * u, void * user) {
    struct subject * s = user;
    s->n_ubatches += u->takes_tokens;
    if (!ubatch_is_partial(u)) { return; }
    s->n_elsewhere += u->takes_tokens;
    if (!s->own) {
        s->own = calloc((size_t) s->n_evaluations + 1, sizeof *s->own);
        s->is_elsewhere = calloc((size_t) s->n_evaluations + 1, sizeof *s->is_elsewhere);
        if (s->own) { memcpy(s->own, s->evaluations, s->n_evaluations * sizeof *s->own); }
    }
    for (uint32_t i = 0; s->own && s->is_elsewhere && i < u->count; i++) {
        struct tat_evaluation * e = &s->own[u->evaluations[i]];
        struct phase_total * p = &s->elsewhere[e->phase];
        p->evaluations++;
        p->tokens += e->n_tokens;
        s->is_elsewhere[u->evaluations[i]] = true;
        e->phase = TAT_PHASE_OTHER;
        e->flags |= TAT_EVALUATION_OUTSIDE;
    }
}

bool subject_begin(struct subject * s, const struct tat_trace * trace, const struct tat_analysis_options * options) {
    *s = (struct subject){ .trace = trace, .options = with_defaults(options), .run = s };
    s->tensors = tat_trace_tensors(trace, &s->n_tensors);
    s->templates = tat_trace_templates(trace, &s->n_templates);
    s->evaluations = tat_trace_evaluations(trace, &s->n_evaluations);
    s->events = tat_trace_events(trace, &s->n_events);
    s->files = tat_trace_model_files(trace, &s->n_files);
    s->models = tat_trace_models(trace, &s->n_models);
    for (uint32_t i = 0; i < s->n_models; i++) {
        if (s->models[i].is_chosen) { s->model_bytes += s->models[i].bytes; }
    }
    /* Missing evaluations may be the ones that computed what others read. */
    const struct tat_trace_summary * t = tat_trace_summary(trace);
    const bool has_gaps = t->evaluations_emitted > t->evaluations_stored || t->orphan_evaluations > 0;
    const bool good = has_gaps || (ubatches_each(trace, leave_out, s) >= 0 && !s->own == !s->is_elsewhere &&
                                   (s->own || !s->n_elsewhere));
    if (good && s->own) { s->evaluations = s->own; }
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (s->is_elsewhere && s->is_elsewhere[i]) { continue; }
        struct phase_total * p = &(e->flags & TAT_EVALUATION_OUTSIDE ? s->outside : s->phase)[e->phase];
        p->evaluations++;
        p->tokens += e->n_tokens;
        p->outputs += e->n_outputs;
        p->ns += e->end_ns - e->begin_ns;
    }
    return good;
}

void subject_free(struct subject * s) {
    free(s->own);
    free(s->is_elsewhere);
}

/* The next evaluations of which nothing was computed elsewhere, beginning at `from`: up to the one returned. */
static uint32_t next_whole(const struct subject * s, uint32_t * from) {
    while (s->is_elsewhere && *from < s->n_evaluations && s->is_elsewhere[*from]) { ++*from; }
    uint32_t to = s->is_elsewhere ? *from : s->n_evaluations;
    while (to < s->n_evaluations && !s->is_elsewhere[to]) { to++; }
    return to;
}

int subject_tally(const struct subject * s, tat_tally_sink sink, void * user, struct tat_error * error) {
    int status = 0;
    for (uint32_t from = 0, to; status == 0 && (to = next_whole(s, &from)) > from; from = to) {
        status = tat_trace_tally(s->trace, from, to, sink, user, error);
    }
    return status;
}

int subject_expand(const struct subject * s, tat_access_sink sink, void * user, struct tat_error * error) {
    int status = 0;
    for (uint32_t from = 0, to; status == 0 && (to = next_whole(s, &from)) > from; from = to) {
        status = tat_trace_expand(s->trace, from, to, sink, user, error);
    }
    return status;
}

size_t subject_positions(const struct subject * s, uint32_t evaluation, int64_t * positions, size_t room) {
    const struct tat_template * t = &s->templates[s->evaluations[evaluation].template_id];
    uint32_t c = 0;
    while (c < t->n_captures && t->captures[c].kind != TAT_CAPTURE_POSITIONS) { c++; }
    return c < t->n_captures ? tat_trace_capture(s->trace, evaluation, c, positions, room) : 0;
}

const struct tat_model * subject_model(const struct subject * s) {
    const struct tat_model * first = NULL;
    for (uint32_t i = 0; i < s->n_models; i++) {
        const struct tat_model * m = &s->models[i];
        if (!m->is_chosen) { continue; }
        if (m->n_evaluations) { return m; }
        if (!first) { first = m; }
    }
    return first;
}

bool subject_has_model(const struct subject * s, uint32_t number) {
    for (uint32_t i = 0; i < s->n_models; i++) {
        if (s->models[i].number == number) { return s->models[i].is_chosen; }
    }
    return true;
}

struct running {
    const struct analysis * analysis;
    void * state;
    json_t * result;
};

/* One walk, for sections that are about the same part of the trace. */
struct pass {
    const struct subject * subject;
    struct running * running;
    size_t count;
    bool feed, tally; /* whether any section wants them */
    struct one_weight weights;
    char doubt[CAVEAT_SIZE];
};

static bool feed_all(const struct tat_access * records, size_t count, void * user) {
    struct pass * pass = user;
    records = one_weight_records(&pass->weights, records, count);
    for (size_t i = 0; records && i < pass->count; i++) {
        const struct running * r = &pass->running[i];
        if (r->analysis->feed) { r->analysis->feed(r->state, records, count); }
    }
    return records != NULL;
}

static bool tally_all(const struct tat_tally * tally, void * user) {
    struct pass * pass = user;
    struct tat_tally t = *tally;
    t.records = one_weight_records(&pass->weights, tally->records, tally->count);
    for (size_t i = 0; t.records && i < pass->count; i++) {
        const struct running * r = &pass->running[i];
        if (r->analysis->tally) { r->analysis->tally(r->state, &t); }
    }
    return t.records != NULL;
}

/* The sections that this pass is for. The section on the run is about all models and tokens. */
static int begin_all(struct pass * pass, const struct analysis * const * wanted, size_t count,
                     struct tat_error * error) {
    const struct subject * subject = pass->subject;
    const bool of_some = subject->options.scope.layer_end > 0;
    for (size_t i = 0; i < count; i++) {
        const struct analysis * a = wanted[i];
        if (of_some && subject->some_layers == (a->all_layers != NULL)) { continue; }
        void * state = a->begin(a == &run_analysis ? subject->run : subject);
        if (!state) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
        pass->running[pass->count++] = (struct running){ a, state, NULL };
        pass->feed |= a->feed != NULL;
        pass->tally |= a->tally != NULL;
    }
    return 0;
}

/* The reason why figures are missing stands before what they say, a doubt in them behind it. */
static void say_caveats(const struct subject * s, struct result * r, const struct analysis * analysis,
                        const char * doubt) {
    char reason[CAVEAT_SIZE];
    const bool is_left = inference_total(s).evaluations > 0, is_run = analysis == &run_analysis;
    if (*doubt) { result_note(r, "%s", doubt); }
    if (!is_run && *caveat_no_tokens(s, reason)) { result_headline(r, "%s", reason); }
    if (!*caveat_elsewhere(s, reason)) { return; }
    json_t * headline = json_incref(json_object_get(r->json, "headline"));
    result_headline(r, is_run ? "%s %s" : is_left ? "%s The others: %s" : "%s", reason, json_string_value(headline));
    json_decref(headline);
    if (!is_left && !is_run && analysis != &phases_analysis) { result_absent(r); }
}

/* Finishes every section, even if no result is wanted, because that frees the states. */
static void finish_all(struct pass * pass) {
    for (size_t i = 0; i < pass->count; i++) {
        struct running * running = &pass->running[i];
        const struct subject * about = running->analysis == &run_analysis ? pass->subject->run : pass->subject;
        struct result result;
        result_begin(&result, running->analysis->title);
        running->analysis->finish(running->state, &result);
        about_say(about, &result, running->analysis);
        say_caveats(pass->subject, &result, running->analysis, pass->doubt);
        running->result = result_end(&result);
    }
}

/* What a section missed may have been cut off the file; then that is the reason to tell. */
static bool can_be_read(const struct subject * subject, struct tat_error * error) {
    return tat_trace_trouble(subject->run->trace, error) == 0 && tat_trace_trouble(subject->trace, error) == 0;
}

/* Adds the results to `all`. 0, or -1 with *error. */
static int answer(const struct subject * subject, const struct analysis * const * wanted, size_t count, json_t * all,
                  struct tat_error * error) {
    struct pass pass = { .subject = subject, .weights = one_weight_of(subject->trace) };
    pass.running = calloc(count + 1, sizeof *pass.running);
    if (!pass.running) { tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    int status = pass.running ? begin_all(&pass, wanted, count, error) : -1;
    if (status == 0 && pass.tally) { status = subject_tally(subject, tally_all, &pass, error); }
    if (status == 0 && pass.feed) { status = subject_expand(subject, feed_all, &pass, error); }
    caveat_prompt(subject->some_tokens ? subject->run : subject, pass.doubt);
    finish_all(&pass);
    bool memory = !pass.weights.failed;
    for (size_t i = 0; i < pass.count; i++) {
        memory &= json_object_set_new(all, pass.running[i].analysis->name, pass.running[i].result) == 0;
    }
    one_weight_free(&pass.weights);
    free(pass.running);
    if (status >= 0 && !memory) { status = tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    return can_be_read(subject, error) ? status : -1;
}

/* The part of a trace that the scope leaves, with all layers or with some; NULL with *error. */
static int answer_scope(const struct subject * base, bool some_layers, const struct analysis * const * wanted,
                        size_t count, json_t * all, struct tat_error * error) {
    struct tat_scope scope = base->options.scope;
    struct subject subject = *base;
    if (!some_layers) { scope.layer_first = scope.layer_end = 0; }
    struct tat_trace * trace = NULL;
    if (scope.token_end || scope.layer_end) {
        trace = tat_trace_of_scope(base->trace, &scope, error);
        if (!trace) { return -1; }
        if (!subject_begin(&subject, trace, &base->options)) {
            subject_free(&subject);
            tat_trace_close(trace);
            return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        }
    }
    subject.run = base->run;
    subject.is_part = base->is_part;
    subject.some_tokens = scope.token_end > 0;
    subject.some_layers = scope.layer_end > 0;
    const int status = answer(&subject, wanted, count, all, error);
    if (trace) { subject_free(&subject); }
    tat_trace_close(trace);
    return status;
}

/* As the sections were asked for. */
static json_t * in_order(json_t * found, const struct analysis * const * wanted, size_t count) {
    json_t * all = json_object();
    for (size_t i = 0; all && i < count; i++) {
        json_t * result = json_object_get(found, wanted[i]->name);
        if (result) { json_object_set(all, wanted[i]->name, result); }
    }
    json_decref(found);
    return all;
}

/* `part`: what all sections except the one on the run are about; NULL: the whole trace. */
static json_t * answer_all(const struct subject * run, const struct tat_trace * part,
                           const struct analysis * const * wanted, size_t count, struct tat_error * error) {
    struct subject base = *run;
    const bool good = !part || subject_begin(&base, part, &run->options);
    json_t * all = good ? json_object() : NULL;
    int status = all ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    base.run = run;
    base.is_part = part != NULL;
    for (int some = 0; status == 0 && some <= (run->options.scope.layer_end > 0); some++) {
        status = answer_scope(&base, some, wanted, count, all, error);
    }
    if (part) { subject_free(&base); }
    if (status == 0) { return in_order(all, wanted, count); }
    json_decref(all);
    return NULL;
}

/* Returns how many sections are wanted, or -1 with *error. `wanted` has room for all. */
static int choose(const char * const * names, size_t count, const struct analysis ** wanted, struct tat_error * error) {
    int n = 0;
    for (size_t i = 0; count ? i < count : analyses[i] != NULL; i++) {
        const struct analysis * a = count ? find(names[i]) : analyses[i];
        if (!a) { return tat_fail(error, TAT_ERROR_USAGE, "no section '%s'", names[i]); }
        if (count || !a->slow) { wanted[n++] = a; }
    }
    return n;
}

json_t * analyses_run(const struct tat_trace * trace, const char * const * names, size_t count,
                      const struct tat_analysis_options * options, struct tat_error * error) {
    struct subject run;
    json_t * all = NULL;
    const struct analysis ** wanted = calloc(count + sizeof analyses / sizeof analyses[0], sizeof *wanted);
    const bool good = subject_begin(&run, trace, options) && wanted;
    const int n = good ? choose(names, count, wanted, error) : -1;
    if (!good) { tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    if (n >= 0) {
        const uint32_t number = run.options.model ? run.options.model : tat_trace_main_model(trace);
        struct tat_trace * part = number ? tat_trace_of_model(trace, number, error) : NULL;
        if (!number || part) { all = answer_all(&run, part, wanted, (size_t) n, error); }
        tat_trace_close(part);
    }
    subject_free(&run);
    free(wanted);
    return all;
}

const char * tat_analysis_name(unsigned index) {
    return index < sizeof analyses / sizeof analyses[0] && analyses[index] ? analyses[index]->name : NULL;
}

const char * tat_analysis_title(unsigned index) {
    return index < sizeof analyses / sizeof analyses[0] && analyses[index] ? analyses[index]->title : NULL;
}

bool tat_analysis_is_slow(unsigned index) {
    return tat_analysis_name(index) && analyses[index]->slow;
}

char * tat_analyze(const struct tat_trace * trace, const char * const * names, size_t count,
                   const struct tat_analysis_options * options, struct tat_error * error) {
    json_t * all = analyses_run(trace, names, count, options, error);
    if (!all) { return NULL; }
    char * text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    if (!text) { tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    return text;
}
