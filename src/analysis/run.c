/* SPDX-License-Identifier: MIT
 *
 * What ran, on what, and whether the trace has all of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analysis/analysis.h"
#include "analysis/caveats.h"
#include "analysis/machine.h"
#include "analysis/model_names.h"
#include "analysis/run_metadata.h"
#include "analysis/units.h"

struct state {
    const struct subject * subject;
    json_t * metadata; /* or NULL */
};

static void * begin(const struct subject * subject) {
    struct state * s = malloc(sizeof *s);
    if (s) { *s = (struct state){ subject, run_metadata(subject->trace) }; }
    return s;
}

/* From the first event, as a rule loading, to the last. */
static uint64_t duration(const struct subject * s) {
    int64_t from = 0, to = 0;
    for (uint32_t i = 0; i < s->n_events; i++) {
        if (s->events[i].at_ns < from) { from = s->events[i].at_ns; }
        if (s->events[i].at_ns > to) { to = s->events[i].at_ns; }
    }
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        if ((int64_t) s->evaluations[i].end_ns > to) { to = (int64_t) s->evaluations[i].end_ns; }
    }
    return (uint64_t) to - (uint64_t) from;
}

static void add_program(const struct state * s, struct result * r) {
    const struct tat_file_header * h = tat_trace_header(s->subject->trace);
    const time_t seconds = (time_t) (h->start_realtime_ns / 1000000000u);
    struct tm parts;
    char start[40] = "unknown", text[UNITS_SIZE];
    if (gmtime_r(&seconds, &parts)) { strftime(start, sizeof start, "%Y-%m-%d %H:%M:%S UTC", &parts); }
    result_line(r, "program", "%s, process %" PRIu32, h->program, h->pid);
    result_line(r, "start", "%s, lasting %s", start, format_duration(text, duration(s->subject)));
    result_put_text(r, result_values(r), "program", h->program);
    result_put_count(r, result_values(r), "pid", h->pid);
    result_put_count(r, result_values(r), "start_realtime_ns", h->start_realtime_ns);
    result_put_count(r, result_values(r), "duration_ns", duration(s->subject));
    result_put_text(r, result_values(r), "ggml_version", h->ggml_version);
}

static void add_host(const struct state * s, struct result * r) {
    const json_t * host = json_object_get(s->metadata, "host");
    const char * cpu = json_string_value(json_object_get(host, "cpu"));
    const char * kernel = json_string_value(json_object_get(host, "kernel"));
    json_int_t memory = json_integer_value(json_object_get(host, "memory_bytes"));
    char text[UNITS_SIZE];
    if (!cpu || !kernel || memory < 0) { return; }
    result_line(r, "host", "%s, %" JSON_INTEGER_FORMAT " processors, %s of memory, kernel %s", cpu,
                json_integer_value(json_object_get(host, "cpus")), format_bytes(text, (uint64_t) memory), kernel);
    result_put(r, result_values(r), "host", json_deep_copy(host));
}

/* What tat record --memory and --cold made of it. */
static void add_pressure(const struct state * s, struct result * r) {
    const json_t * pressure = json_object_get(s->metadata, "pressure");
    const json_int_t kills = json_integer_value(json_object_get(pressure, "oom_kills"));
    const json_int_t peak = json_integer_value(json_object_get(pressure, "peak_bytes"));
    const size_t cold = json_array_size(json_object_get(pressure, "cold_files"));
    char limit[UNITS_SIZE], most[UNITS_SIZE];
    bool is_limited;
    const uint64_t memory = run_memory(s->metadata, &is_limited);
    if (run_was_managed(s->metadata)) {
        result_line(r, "managed", "tat run managed the model's memory: times and reads are not those of plain mmap");
    }
    if (!pressure) { return; }
    if (is_limited) {
        result_line(r, "memory", "limited to %s, of which at most %s were in use%s", format_bytes(limit, memory),
                    peak > 0 ? format_bytes(most, (uint64_t) peak) : "an unknown part",
                    kills > 0 ? "; the kernel killed for want of memory" : "");
    }
    if (cold) {
        result_line(r, "cold", "%zu file%s evicted from the page cache beforehand", cold, cold == 1 ? "" : "s");
    }
    result_put(r, result_values(r), "pressure", json_deep_copy(pressure));
}

static const struct tat_model * model_with(const struct subject * s, uint32_t number) {
    for (uint32_t i = 0; i < s->n_models; i++) {
        if (s->models[i].number == number) { return &s->models[i]; }
    }
    return NULL;
}

static void add_files(const struct subject * s, struct result * r) {
    json_t * files = json_array();
    result_put(r, result_values(r), "model_files", files);
    for (uint32_t i = 0; i < s->n_files; i++) {
        const struct tat_model * model = model_with(s, s->files[i].model);
        json_t * file = json_object();
        result_put_text(r, file, "path", s->files[i].path);
        result_put_count(r, file, "bytes", s->files[i].size);
        result_put_count(r, file, "model", s->files[i].model);
        result_put_text(r, file, "part", tat_part_name(model ? model->part : TAT_PART_UNKNOWN));
        json_array_append_new(files, file);
    }
}

/* Writes a line for each model and for what is used with one; `--model` takes the number and the name. */
static void add_models(const struct subject * s, struct result * r) {
    add_files(s, r);
    for (uint32_t i = 0; i < s->n_models; i++) {
        const struct tat_model * m = &s->models[i];
        const struct tat_model * of = m->of ? model_with(s, m->of) : NULL;
        char bytes[UNITS_SIZE], files[48] = "", graphs[64] = "";
        if (m->n_files > 1) { snprintf(files, sizeof files, " in %" PRIu32 " files", m->n_files); }
        if (s->n_models > 1 && m->n_evaluations) {
            snprintf(graphs, sizeof graphs, ", number %" PRIu32 ", %" PRIu32 " evaluation%s", m->number,
                     m->n_evaluations, m->n_evaluations == 1 ? "" : "s");
        }
        result_line(r, tat_part_name(m->part), "%s, %s%s%s%s%s", m->path, format_bytes(bytes, m->bytes), files, graphs,
                    of ? ", for " : "", of ? of->name : "");
    }
    if (!s->n_files) { result_line(r, "model", "none was found: tensors have no place in a file"); }
}

/* Says what a node's time means. */
static void add_times(const struct subject * s, struct result * r) {
    uint32_t exact = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) { exact += (s->evaluations[i].flags & TAT_EVALUATION_EXACT) != 0; }
    result_put_count(r, result_values(r), "exact_evaluations", exact);
    if (exact == 0) {
        result_line(r, "times", "of a node: thread 0's, with the wait at the barrier before it");
    } else {
        result_line(r, "times", "of a node: until its slowest thread had finished%s",
                    exact < s->n_evaluations ? ", but for some evaluations" : "");
    }
}

static void add_graphs(const struct subject * s, struct result * r) {
    uint32_t threads = 0, contexts = 0, known = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        if (s->evaluations[i].n_threads > threads) { threads = s->evaluations[i].n_threads; }
        if (s->evaluations[i].context > contexts) { contexts = s->evaluations[i].context; }
    }
    for (uint32_t i = 0; i < s->n_templates; i++) { known += s->templates[i].known; }
    result_line(r, "graphs",
                "%" PRIu32 " evaluation%s of %" PRIu32 " different graph%s, %" PRIu32 " context%s, %" PRIu32
                " thread%s",
                s->n_evaluations, s->n_evaluations == 1 ? "" : "s", known, known == 1 ? "" : "s", contexts,
                contexts == 1 ? "" : "s", threads, threads == 1 ? "" : "s");
    result_put_count(r, result_values(r), "evaluations", s->n_evaluations);
    result_put_count(r, result_values(r), "graphs", known);
    result_put_count(r, result_values(r), "contexts", contexts);
    result_put_count(r, result_values(r), "threads", threads);
}

/* Counts evaluations that are in no table. */
struct left_out {
    uint64_t lost;
    uint64_t unmatched; /* their records cannot be made */
    uint64_t outside;   /* of tokens that were not asked for */
};

static struct left_out count_left_out(const struct subject * s) {
    const struct tat_trace_summary * t = tat_trace_summary(s->trace);
    struct left_out x = { .lost = t->orphan_evaluations };
    for (int reason = 1; reason < TAT_LOSS_COUNT; reason++) { x.lost += t->lost[reason]; }
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        x.unmatched += (s->evaluations[i].flags & TAT_EVALUATION_UNMATCHED) != 0;
    }
    for (int phase = 0; phase < TAT_PHASE_COUNT; phase++) { x.outside += s->outside[phase].evaluations; }
    return x;
}

static void say_losses(struct result * r, const struct tat_trace_summary * t) {
    for (int reason = 1; reason < TAT_LOSS_COUNT; reason++) {
        if (!t->lost[reason]) { continue; }
        result_line(r, "LOST", "%" PRIu64 " evaluations: %s", t->lost[reason],
                    tat_loss_name((enum tat_loss_reason) reason));
    }
    if (t->orphan_evaluations) {
        result_line(r, "LOST", "%" PRIu32 " evaluations, whose graph is not in the trace", t->orphan_evaluations);
    }
    if (t->events_lost) { result_line(r, "LOST", "%" PRIu64 " events", t->events_lost); }
    if (t->damaged_bytes || t->undecodable_blocks) {
        result_line(r, "DAMAGED", "%" PRIu64 " bytes and %" PRIu32 " blocks could not be read", t->damaged_bytes,
                    t->undecodable_blocks);
    }
}

/* Writes a line for everything that is missing, or one that nothing is. */
static void add_completeness(const struct subject * s, struct result * r) {
    const struct tat_trace_summary * t = tat_trace_summary(s->trace);
    const struct left_out x = count_left_out(s);
    say_losses(r, t);
    if (x.unmatched) {
        result_line(r, "UNCLEAR", "%" PRIu64 " evaluations whose callbacks fit no known rule: they are in no table",
                    x.unmatched);
    }
    if (!t->ended) {
        result_line(r, "END",
                    "the process did not come to its end in the trace: it was killed, crashed, or still runs");
    }
    if (t->evaluations_filtered) {
        result_line(r, "left out", "%" PRIu64 " evaluations, as was asked for when recording", t->evaluations_filtered);
    }
    if (x.outside) {
        result_line(r, "left out",
                    "%" PRIu64 " evaluations of tokens that were not asked for (--tokens): they are in no table",
                    x.outside);
    }
    char reason[CAVEAT_SIZE], all[2 * CAVEAT_SIZE];
    if (*caveat_elsewhere(s, reason)) {
        result_line(r, "ELSEWHERE", "%s", reason);
    } else if (!x.lost && !t->events_lost && !t->damaged_bytes && !t->undecodable_blocks && !x.unmatched) {
        result_line(r, "losses", "none; `tat verify` proves it");
    }
    result_put_text(r, result_values(r), "caveats", caveats(s, all));
    result_put_count(r, result_values(r), "lost_evaluations", x.lost);
    result_put_count(r, result_values(r), "filtered_evaluations", t->evaluations_filtered);
    result_put_count(r, result_values(r), "outside_evaluations", x.outside);
    result_put_count(r, result_values(r), "lost_events", t->events_lost);
    result_put_count(r, result_values(r), "damaged_bytes", t->damaged_bytes);
    result_put_count(r, result_values(r), "unmatched_evaluations", x.unmatched);
    result_put(r, result_values(r), "ended", json_boolean(t->ended));
}

static void add_trace(const struct subject * s, struct result * r) {
    const struct tat_trace_summary * t = tat_trace_summary(s->trace);
    char text[UNITS_SIZE];
    result_line(r, "trace", "%s, %s", tat_trace_path(s->trace), format_bytes(text, t->used_bytes));
    result_put_text(r, result_values(r), "trace", tat_trace_path(s->trace));
    result_put_count(r, result_values(r), "trace_bytes", t->used_bytes);
}

static uint64_t evaluated(const struct subject * s, enum tat_phase phase) {
    return s->phase[phase].tokens + s->outside[phase].tokens + s->elsewhere[phase].tokens;
}

static void set_headline(const struct subject * s, struct result * r) {
    const char * program = last_part(tat_trace_header(s->trace)->program);
    if (s->n_evaluations == 0) {
        result_headline(r, "%s computed no graph: there is nothing to report.", program);
        return;
    }
    const uint64_t prompt = evaluated(s, TAT_PHASE_PROMPT);
    const uint64_t generate = evaluated(s, TAT_PHASE_GENERATE), mixed = evaluated(s, TAT_PHASE_MIXED);
    const uint64_t verify = evaluated(s, TAT_PHASE_VERIFY), unknown = evaluated(s, TAT_PHASE_UNKNOWN);
    char p[UNITS_SIZE], g[UNITS_SIZE], time[UNITS_SIZE], count[UNITS_SIZE], more[4 * UNITS_SIZE] = "";
    char * model = model_names(s->trace);
    int used = 0;
    if (verify) { used = snprintf(more, sizeof more, ", %s of drafts", format_count(count, verify)); }
    if (unknown) {
        snprintf(more + used, sizeof more - (size_t) used, ", %s of an unknown phase", format_count(count, unknown));
    }
    result_headline(r, "%s evaluated %s prompt and %s generated tokens%s with %s in %s.", program,
                    format_count(p, prompt), format_count(g, generate + mixed), more, model ? model : "a model",
                    format_duration(time, duration(s)));
    free(model);
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    set_headline(s->subject, r);
    add_program(s, r);
    add_models(s->subject, r);
    add_host(s, r);
    add_pressure(s, r);
    add_graphs(s->subject, r);
    add_times(s->subject, r);
    const struct machine machine = machine_of(s->subject);
    machine_say(&machine, r);
    add_trace(s->subject, r);
    add_completeness(s->subject, r);
    json_decref(s->metadata);
    free(s);
}

const struct analysis run_analysis = {
    .name = "run",
    .all_layers = "what was run, and on which machine, is the same for all of them",
    .title = "The run",
    .begin = begin,
    .finish = finish,
};
