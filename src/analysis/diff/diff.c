/* SPDX-License-Identifier: MIT */
#include "analysis/diff/diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct diff_section * const sections[] = { &diff_runs, &diff_tensors, &diff_experts, &diff_order,
                                                        &diff_time, &diff_layers,  &diff_patterns };
enum { SECTIONS = sizeof sections / sizeof sections[0] };

const char * tat_diff_name(unsigned index) {
    return index < SECTIONS ? sections[index]->name : NULL;
}

const char * tat_diff_title(unsigned index) {
    return index < SECTIONS ? sections[index]->title : NULL;
}

const char * diff_scope_name(const struct diff * d) {
    return d->scope == SCOPE_GENERATE ? "generated token" : "token";
}

/* ---- groups ---- */

static bool both_differ(const json_t * a, const json_t * b) {
    return a && b && !json_equal(a, b);
}

static bool is_seed(const json_t * argument) {
    const char * text = json_string_value(argument);
    return text && (strcmp(text, "-s") == 0 || strcmp(text, "--seed") == 0);
}

static bool sets_seed(const json_t * argument) {
    const char * text = json_string_value(argument);
    return text && strncmp(text, "--seed=", sizeof "--seed=" - 1) == 0;
}

/* Repeated runs may have other seeds. */
bool diff_argument_differs(const json_t * a, const json_t * b, size_t i) {
    if (i && is_seed(json_array_get(a, i - 1)) && is_seed(json_array_get(b, i - 1))) { return false; }
    if (sets_seed(json_array_get(a, i)) && sets_seed(json_array_get(b, i))) { return false; }
    return !json_equal(json_array_get(a, i), json_array_get(b, i));
}

static bool commands_differ(const struct profile * a, const struct profile * b) {
    const json_t *x = json_object_get(a->metadata, "command"), *y = json_object_get(b->metadata, "command");
    bool differ = json_array_size(x) != json_array_size(y);
    for (size_t i = 0; i < json_array_size(x) && !differ; i++) { differ = diff_argument_differs(x, y, i); }
    return differ && json_array_size(x) && json_array_size(y);
}

static bool machines_differ(const struct profile * a, const struct profile * b) {
    const json_t *x = json_object_get(a->metadata, "host"), *y = json_object_get(b->metadata, "host");
    return both_differ(json_object_get(x, "cpu"), json_object_get(y, "cpu")) ||
           both_differ(json_object_get(x, "cpus"), json_object_get(y, "cpus"));
}

static uint32_t threads_of(const struct profile * p) {
    return p->subject.n_evaluations ? p->subject.evaluations[0].n_threads : 0;
}

unsigned diff_facets(const struct profile * a, const struct profile * b) {
    const struct tat_file_header *x = tat_trace_header(a->subject.trace), *y = tat_trace_header(b->subject.trace);
    unsigned facets = 0;
    if (a->model_hash != b->model_hash) { facets |= FACET_MODEL; }
    if (a->shape_hash != b->shape_hash || (a->has_ids && b->has_ids && a->ids_hash != b->ids_hash)) {
        facets |= FACET_PROMPT;
    }
    if (commands_differ(a, b)) { facets |= FACET_COMMAND; }
    if (strcmp(x->program, y->program) != 0) { facets |= FACET_PROGRAM; }
    if (strcmp(x->ggml_version, y->ggml_version) != 0) { facets |= FACET_GGML; }
    if (threads_of(a) != threads_of(b)) { facets |= FACET_THREADS; }
    if (machines_differ(a, b)) { facets |= FACET_MACHINE; }
    return facets;
}

/* A group is the runs that repeat its first run. */
static void find_groups(struct diff * d) {
    for (size_t i = 0; i < d->n_runs; i++) {
        size_t first = 0;
        while (first < i && diff_facets(&d->run[first], &d->run[i]) != 0) { first++; }
        d->run[i].group = first < i ? d->run[first].group : d->n_groups++;
    }
}

static void set_label(struct side * side) {
    enum { NAMED = 4 };
    size_t used = 0;
    for (size_t i = 0; i < side->n && i < NAMED && used < sizeof side->label; i++) {
        used +=
            (size_t) snprintf(side->label + used, sizeof side->label - used, "%s%s", i ? "+" : "", side->run[i]->label);
    }
    if (side->n > NAMED && used < sizeof side->label) { strcpy(side->label + used - 2, "..."); }
}

const struct profile * diff_recorded_before(const struct diff * d, size_t run) {
    const struct tat_file_header * h = tat_trace_header(d->run[run].subject.trace);
    for (size_t i = 0; i < run; i++) {
        const struct tat_file_header * other = tat_trace_header(d->run[i].subject.trace);
        if (d->run[i].group != d->run[run].group) { continue; } /* one of them was cut short */
        if (memcmp(h->run_id, other->run_id, sizeof h->run_id) == 0 && h->pid == other->pid) { return &d->run[i]; }
    }
    return NULL;
}

bool diff_has_repeats(const struct diff * d) {
    bool repeats = false;
    for (size_t i = 0; i < d->n_sides; i++) { repeats |= d->side[i].n > 1; }
    return repeats;
}

static void find_sides(struct diff * d) {
    const bool single = d->n_groups == 1;
    d->n_sides = single ? d->n_runs : d->n_groups;
    for (size_t i = 0; i < d->n_runs; i++) {
        if (!single && diff_recorded_before(d, i)) { continue; }
        struct side * side = &d->side[single ? i : d->run[i].group];
        side->run[side->n++] = &d->run[i];
    }
    for (size_t i = 0; i < d->n_sides; i++) { set_label(&d->side[i]); }
}

/* "A" to "Z", then "R27". */
static void name_runs(struct diff * d) {
    for (size_t i = 0; i < d->n_runs; i++) {
        if (i < 26) {
            d->run[i].label[0] = (char) ('A' + i);
        } else {
            snprintf(d->run[i].label, sizeof d->run[i].label, "R%zu", i + 1);
        }
    }
}

/* ---- whole ---- */

/* The reason why figures of a run are missing stands before what they say, a doubt in them behind it. */
static void say_caveats(const struct diff * d, struct result * r) {
    char reason[CAVEAT_SIZE];
    for (size_t i = d->n_runs; i-- > 0;) {
        const struct profile * p = &d->run[i];
        if (*p->doubt) { result_note(r, "%s: %s", p->label, p->doubt); }
        if (!*caveat_elsewhere(&p->subject, reason)) { continue; }
        json_t * headline = json_incref(json_object_get(r->json, "headline"));
        result_headline(r, "%s: %s %s", p->label, reason, json_string_value(headline));
        json_decref(headline);
    }
}

static json_t * answer(const struct diff * d, const struct diff_section * section) {
    struct result result;
    result_begin(&result, section->title);
    section->answer(d, &result);
    say_caveats(d, &result);
    return result_end(&result);
}

static bool is_named(const char * name, const char * const * names, size_t n_names) {
    bool named = n_names == 0;
    for (size_t i = 0; i < n_names; i++) { named |= strcmp(names[i], name) == 0; }
    return named;
}

static json_t * answer_all(const struct diff * d, const char * const * names, size_t n_names) {
    json_t * all = json_object();
    bool failed = !all;
    for (size_t i = 0; i < SECTIONS; i++) {
        if (!is_named(sections[i]->name, names, n_names)) { continue; }
        failed |= json_object_set_new(all, sections[i]->name, answer(d, sections[i])) != 0;
    }
    if (failed) {
        json_decref(all);
        return NULL;
    }
    return all;
}

static int check(size_t count, const char * const * names, size_t n_names, struct tat_error * error) {
    if (count < 2 || count > TAT_DIFF_MOST) {
        return tat_fail(error, TAT_ERROR_USAGE, "%zu traces: 2 to %d can be compared", count, TAT_DIFF_MOST);
    }
    for (size_t i = 0; i < n_names; i++) {
        unsigned s = 0;
        while (s < SECTIONS && strcmp(sections[s]->name, names[i]) != 0) { s++; }
        if (s == SECTIONS) { return tat_fail(error, TAT_ERROR_USAGE, "no section '%s'", names[i]); }
    }
    return 0;
}

static bool open_all(struct diff * d, const struct tat_trace * const * traces, size_t count) {
    bool good = true;
    for (size_t i = 0; i < count && good; i++) { good = profile_open(&d->run[d->n_runs++], traces[i]); }
    d->scope = SCOPE_GENERATE;
    for (size_t i = 0; i < d->n_runs; i++) {
        if (profile_total(&d->run[i], SCOPE_GENERATE).tokens == 0) { d->scope = SCOPE_ALL; }
    }
    return good;
}

char * tat_diff(const struct tat_trace * const * traces, size_t count, const char * const * names, size_t n_names,
                struct tat_error * error) {
    if (check(count, names, n_names, error) != 0) { return NULL; }
    struct diff * d = calloc(1, sizeof *d);
    json_t * all = NULL;
    char * text = NULL;
    if (d && open_all(d, traces, count)) {
        name_runs(d);
        find_groups(d);
        find_sides(d);
        all = answer_all(d, names, n_names);
    }
    if (all) { text = json_dumps(all, JSON_COMPACT); }
    if (!text) { tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    json_decref(all);
    for (size_t i = 0; d && i < d->n_runs; i++) { profile_close(&d->run[i]); }
    free(d);
    return text;
}
