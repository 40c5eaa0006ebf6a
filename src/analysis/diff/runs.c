/* SPDX-License-Identifier: MIT
 *
 * Which runs are compared, which repeat each other, and what else is not the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "analysis/command_line.h"
#include "analysis/diff/diff.h"
#include "analysis/units.h"
#include "format/file_names.h"

/* The folder of a run, or the file if it stands alone. */
static const char * trace_name(const struct profile * p, char name[static 64]) {
    const char * path = tat_trace_path(p->subject.trace);
    const char * file = strrchr(path, '/');
    size_t n = file ? (size_t) (file - path) : 0;
    const char * start = file;
    if (!n || strcmp(file + 1, TRACE_FILE) != 0) { return last_part(path); }
    while (start > path && start[-1] != '/') { start--; }
    snprintf(name, 64, "%.*s", (int) (n - (size_t) (start - path)), start);
    return name;
}

static const char * model_name(const struct profile * p) {
    const struct tat_model * model = subject_model(&p->subject);
    return model ? model->name : "unknown";
}

static void add_runs(const struct diff * d, struct result * r) {
    static const struct result_column columns[] = {
        { "run", "run", UNIT_TEXT },     { "setup", "setup", UNIT_NUMBER },  { "trace", "trace", UNIT_TEXT },
        { "model", "model", UNIT_TEXT }, { "prompt", "prompt", UNIT_COUNT }, { "generated", "generated", UNIT_COUNT },
    }; /* the program is named only if it differs, so that the table stays narrow */
    char name[64];
    result_table(r, "runs", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < d->n_runs; i++) {
        const struct profile * p = &d->run[i];
        json_t * row = result_row(r);
        result_put_text(r, row, "run", p->label);
        result_put_count(r, row, "setup", p->group + 1);
        result_put_text(r, row, "trace", trace_name(p, name));
        result_put_text(r, row, "path", tat_trace_path(p->subject.trace));
        result_put_text(r, row, "model", model_name(p));
        result_put_count(r, row, "prompt", p->subject.phase[TAT_PHASE_PROMPT].tokens);
        result_put_count(r, row, "generated", p->subject.phase[TAT_PHASE_GENERATE].tokens);
        result_put_text(r, row, "program", last_part(tat_trace_header(p->subject.trace)->program));
    }
}

/* ---- differences ---- */

/* An argument; with its value, if it is an option that takes one. */
static void say_argument(const json_t * command, size_t i, char * text, size_t size) {
    const bool takes = command_takes_value(command, i);
    snprintf(text, size, "%.40s%s%.40s", command_argument(command, i), takes ? " " : "",
             takes ? command_argument(command, i + 1) : "");
}

/* The first argument that differs. It is shown after its option if it is that option's value, else with its own
 * value. */
static void say_command(const struct profile * a, const struct profile * b, char * text, size_t size) {
    const json_t *x = json_object_get(a->metadata, "command"), *y = json_object_get(b->metadata, "command");
    char from[96], to[96];
    size_t i = 0;
    while (i < json_array_size(x) && i < json_array_size(y) && !diff_argument_differs(x, y, i)) { i++; }
    if (i && command_takes_value(x, i - 1) && command_takes_value(y, i - 1)) {
        snprintf(text, size, "command: %.40s \"%.60s\" became \"%.60s\"", command_argument(x, i - 1),
                 command_argument(x, i), command_argument(y, i));
        return;
    }
    say_argument(x, i, from, sizeof from);
    say_argument(y, i, to, sizeof to);
    snprintf(text, size, "command: \"%s\" became \"%s\"", from, to);
}

static void say_facet(const struct profile * a, const struct profile * b, enum facet facet, char * text, size_t size) {
    const struct tat_file_header *x = tat_trace_header(a->subject.trace), *y = tat_trace_header(b->subject.trace);
    switch (facet) {
        case FACET_MODEL: snprintf(text, size, "model: %.80s became %.80s", model_name(a), model_name(b)); return;
        case FACET_PROMPT:
            snprintf(text, size, "prompt: %" PRIu64 " tokens, then %" PRIu64 "%s",
                     a->subject.phase[TAT_PHASE_PROMPT].tokens, b->subject.phase[TAT_PHASE_PROMPT].tokens,
                     a->shape_hash == b->shape_hash ? ", other ones" : "");
            return;
        case FACET_COMMAND: say_command(a, b, text, size); return;
        case FACET_PROGRAM: snprintf(text, size, "program: %.100s became %.100s", x->program, y->program); return;
        case FACET_GGML: snprintf(text, size, "ggml: %.63s became %.63s", x->ggml_version, y->ggml_version); return;
        case FACET_THREADS:
            snprintf(text, size, "threads: %" PRIu32 " became %" PRIu32, a->subject.evaluations[0].n_threads,
                     b->subject.evaluations[0].n_threads);
            return;
        default: snprintf(text, size, "another machine"); return;
    }
}

/* If the model or program differs, so does the command: that goes without saying. */
static void add_differences(const struct diff * d, struct result * r) {
    static const struct result_column columns[] = { { "from", "from", UNIT_TEXT },
                                                    { "to", "to", UNIT_TEXT },
                                                    { "difference", "difference", UNIT_TEXT } };
    result_table(r, "setups", NULL, SHOW_NEVER, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 1; i < d->n_sides && d->n_groups > 1; i++) {
        const struct profile *a = d->side[0].run[0], *b = d->side[i].run[0];
        const unsigned facets = diff_facets(a, b);
        char all[1024];
        int used = 0;
        for (unsigned f = 0; f < FACETS; f++) {
            char text[256];
            if (!(facets & 1u << f)) { continue; }
            say_facet(a, b, (enum facet)(1u << f), text, sizeof text);
            json_t * row = result_row(r);
            result_put_text(r, row, "from", d->side[0].label);
            result_put_text(r, row, "to", d->side[i].label);
            result_put_text(r, row, "difference", text);
            if (1u << f == FACET_COMMAND && facets & (FACET_MODEL | FACET_PROGRAM)) { continue; }
            used += snprintf(all + used, sizeof all - (size_t) used, "%s%s", used ? "; " : "", text);
            if (used >= (int) sizeof all) { used = sizeof all - 1; }
        }
        char label[64];
        snprintf(label, sizeof label, "%s to %s", d->side[0].label, d->side[i].label);
        result_line(r, label, "%s", all);
    }
}

static void say(const struct diff * d, struct result * r) {
    size_t repeated = 0;
    for (size_t i = 0; i < d->n_sides; i++) { repeated += d->side[i].n > 1; }
    if (d->n_groups == 1) {
        result_headline(r, "%zu runs of one setup: they repeat each other, so what differs is chance.", d->n_runs);
    } else if (repeated) {
        result_headline(r, "%zu runs of %" PRIu32 " setups, %zu of them repeated.", d->n_runs, d->n_groups, repeated);
    } else {
        result_headline(r, "%zu runs, each of another setup.", d->n_runs);
    }
    result_note(
        r,
        "Runs repeat each other, and share a setup, where model files, the prompt's tokens, command line (but for the "
        "seed), program, ggml's version, threads and processor are the same, as far as the traces and their "
        "trace_metadata.json tell.");
}

static void note_unknown(const struct diff * d, struct result * r) {
    size_t commands = 0, ids = 0;
    for (size_t i = 0; i < d->n_runs; i++) {
        commands += json_array_size(json_object_get(d->run[i].metadata, "command")) == 0;
        ids += !d->run[i].has_ids;
    }
    if (commands) { result_note(r, "Of %zu of them the command line is not known.", commands); }
    if (ids) { result_note(r, "Of %zu of them the prompt's tokens are not known, but only how many.", ids); }
}

static void note_same(const struct diff * d, struct result * r) {
    for (size_t i = 1; i < d->n_runs; i++) {
        const struct profile * before = diff_recorded_before(d, i);
        if (!before) { continue; }
        result_note(r, "%s is the same recording as %s: it repeats nothing, and counts once.", d->run[i].label,
                    before->label);
    }
}

static void answer(const struct diff * d, struct result * r) {
    say(d, r);
    result_put_count(r, result_values(r), "setups", d->n_groups);
    add_runs(d, r);
    add_differences(d, r);
    note_unknown(d, r);
    note_same(d, r);
}

const struct diff_section diff_runs = { "runs", "The runs", answer };
