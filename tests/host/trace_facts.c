/* SPDX-License-Identifier: MIT */
#include "trace_facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WRONG(...) tat_fail(error, TAT_ERROR_NO, __VA_ARGS__)

struct expansion {
    const struct tat_tensor * tensors;
    uint32_t n_tensors;
    uint64_t records, last_ns;
    uint64_t * node_ns;
    const char * wrong;
};

/* From the first to the last byte that a record touches. */
static uint64_t span(const struct tat_trace * trace, const struct tat_access * a) {
    if (!(a->flags & TAT_ACCESS_STRIDED)) { return a->bytes; }
    const struct tat_layout layout = tat_trace_layout(trace, a->layout);
    return layout.stride * (a->rows - 1) + layout.run_bytes;
}

struct checker {
    const struct tat_trace * trace;
    struct expansion x;
    uint32_t file; /* the file that weights are read from */
};

/* Other programs make a node last longer, now this and now that; where it always lasts, it is the node. */
static void note_least(uint64_t * least, uint64_t ns) {
    if (ns == 0) { ns = 1; }
    if (*least == 0 || ns < *least) { *least = ns; }
}

static bool check_records(const struct tat_access * records, size_t count, void * user) {
    struct checker * c = user;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records[i];
        if (a->tensor >= c->x.n_tensors) {
            c->x.wrong = "a record names a tensor that is not there";
            continue;
        }
        const struct tat_tensor * t = &c->x.tensors[a->tensor];
        const uint64_t from = t->file ? t->file_offset : 0;
        const bool fixed = t->kind == TAT_TENSOR_WEIGHT || t->kind == TAT_TENSOR_STATE;
        if (fixed && (a->offset < from || a->offset - from + span(c->trace, a) > t->bytes)) {
            c->x.wrong = "a record lies outside its tensor";
        }
        if (t->kind == TAT_TENSOR_WEIGHT && a->bytes) {
            if (c->file && c->file != t->file) { c->x.wrong = "weights of two files in one graph"; }
            c->file = t->file;
        }
        if (a->start_ns < c->x.last_ns) { c->x.wrong = "times go back"; }
        c->x.last_ns = a->start_ns;
        if (a->node < NODES_TIMED && a->operand == 0) { note_least(&c->x.node_ns[a->node], a->duration_ns); }
    }
    c->x.records += count;
    return true;
}

/* An evaluation that continues the context and model of the one before extends that one's line. */
static void add_served(const struct tat_trace * trace, const struct tat_evaluation * e, uint32_t file,
                       struct trace_facts * f) {
    static char before[256];
    uint32_t n;
    const struct tat_model_file * files = tat_trace_model_files(trace, &n);
    if (file == 0 || file > n) { return; }
    const char * slash = strrchr(files[file - 1].path, '/');
    char now[256];
    snprintf(now, sizeof now, "%u:%s:", e->context, slash ? slash + 1 : files[file - 1].path);
    const size_t used = strlen(f->served);
    char * last = strrchr(f->served, '-');
    if (used == 0 || strcmp(now, before) != 0) {
        snprintf(f->served + used, sizeof f->served - used, "%s%s%u-%u", used ? "," : "", now, e->token_first,
                 e->token_first + e->n_tokens - 1);
    } else if (last) {
        const size_t at = (size_t) (last + 1 - f->served);
        snprintf(f->served + at, sizeof f->served - at, "%u", e->token_first + e->n_tokens - 1);
    }
    memcpy(before, now, sizeof before);
}

static int check_evaluation(const struct tat_trace * trace, uint32_t number, struct trace_facts * f,
                            struct tat_error * error) {
    uint32_t count;
    const struct tat_evaluation * e = &tat_trace_evaluations(trace, &count)[number];
    const struct tat_template * t = &tat_trace_templates(trace, &count)[e->template_id];
    const struct tat_expectation expected = tat_template_expect(t, e->rule);
    const bool partial = e->flags & (TAT_EVALUATION_ABORTED | TAT_EVALUATION_UNMATCHED);
    f->aborted += (e->flags & TAT_EVALUATION_ABORTED) != 0;
    f->unmatched += (e->flags & TAT_EVALUATION_UNMATCHED) != 0;
    f->relearned += (e->flags & TAT_EVALUATION_RELEARNED) != 0;
    f->cut += (e->flags & TAT_EVALUATION_CUT) != 0;
    f->outside += (e->flags & TAT_EVALUATION_OUTSIDE) != 0;
    f->exact += (e->flags & TAT_EVALUATION_EXACT) != 0;
    f->failed += e->status != 0;
    const uint32_t stamps = e->flags & TAT_EVALUATION_OUTSIDE ? 0 : e->n_callbacks;
    if (!partial && (e->n_callbacks != expected.n_callbacks || e->n_stamps != stamps)) {
        return WRONG("%s: evaluation %u: %u callbacks and %u times where %u are expected", tat_trace_path(trace),
                     number, e->n_callbacks, e->n_stamps, expected.n_callbacks);
    }
    if (expected.n_callbacks + expected.n_fused != expected.n_executable || e->end_ns < e->begin_ns) {
        return WRONG("%s: evaluation %u: does not add up", tat_trace_path(trace), number);
    }
    struct checker c = { .trace = trace };
    c.x.node_ns = f->node_ns;
    c.x.tensors = tat_trace_tensors(trace, &c.x.n_tensors);
    if (tat_trace_expand(trace, number, number + 1, check_records, &c, error) != 0) { return -1; }
    if (c.x.wrong) { return WRONG("%s: evaluation %u: %s", tat_trace_path(trace), number, c.x.wrong); }
    if (stamps == 0 && c.x.records) {
        return WRONG("%s: evaluation %u: records without times", tat_trace_path(trace), number);
    }
    if (!partial && stamps && c.x.records < expected.n_executable) {
        return WRONG("%s: evaluation %u: %" PRIu64 " records for %u nodes", tat_trace_path(trace), number, c.x.records,
                     expected.n_executable);
    }
    f->records += c.x.records;
    add_served(trace, e, c.file, f);
    return 0;
}

enum { WAITS_MOST = 4096 }; /* of one evaluation */

/* One wait for each node that has a time; their sum is a part of the evaluation's time. */
static int check_waits(const struct tat_trace * trace, uint32_t number, struct trace_facts * f,
                       struct tat_error * error) {
    struct tat_wait waits[WAITS_MOST];
    uint32_t n;
    size_t count;
    const struct tat_evaluation * e = &tat_trace_evaluations(trace, &n)[number];
    const bool exact = e->flags & TAT_EVALUATION_EXACT;
    uint64_t sum = 0;
    if (tat_trace_waits(trace, number, number + 1, waits, WAITS_MOST, &count, error) != 0) { return -1; }
    if (e->n_waits != (exact ? e->n_stamps : 0) || count > WAITS_MOST || count > e->n_waits) {
        return WRONG("%s: evaluation %u: %u waits, of %zu nodes, with %u times", tat_trace_path(trace), number,
                     e->n_waits, count, e->n_stamps);
    }
    for (size_t i = 0; i < count; i++) {
        sum += waits[i].ns;
        if (waits[i].node < NODES_TIMED) { note_least(&f->wait_ns[waits[i].node], waits[i].ns); }
    }
    if (sum > e->end_ns - e->begin_ns) {
        return WRONG("%s: evaluation %u: waits of %" PRIu64 " ns in %" PRIu64 " ns", tat_trace_path(trace), number, sum,
                     e->end_ns - e->begin_ns);
    }
    f->waits += count;
    return 0;
}

static int check_totals(const struct tat_trace * trace, bool killed, struct tat_error * error) {
    const struct tat_trace_summary * s = tat_trace_summary(trace);
    uint64_t lost = 0;
    uint32_t count;
    tat_trace_evaluations(trace, &count);
    for (int i = 0; i < TAT_LOSS_COUNT; i++) { lost += s->lost[i]; }
    if (s->undecodable_blocks || s->orphan_evaluations || (!killed && s->damaged_bytes)) {
        return WRONG("%s: %u blocks make no sense, %u orphans, %" PRIu64 " bytes damaged", tat_trace_path(trace),
                     s->undecodable_blocks, s->orphan_evaluations, s->damaged_bytes);
    }
    if (s->evaluations_emitted != s->evaluations_stored + lost || s->evaluations_stored != count) {
        return WRONG("%s: %" PRIu64 " evaluations emitted, %" PRIu64 " stored, %" PRIu64 " lost, %u found",
                     tat_trace_path(trace), s->evaluations_emitted, s->evaluations_stored, lost, count);
    }
    if (s->events_emitted != s->events_stored + s->events_lost) {
        return WRONG("%s: %" PRIu64 " events emitted, %" PRIu64 " stored, %" PRIu64 " lost", tat_trace_path(trace),
                     s->events_emitted, s->events_stored, s->events_lost);
    }
    return 0;
}

static void add_totals(const struct tat_trace * trace, struct trace_facts * f) {
    const struct tat_trace_summary * s = tat_trace_summary(trace);
    uint32_t count, n_events;
    f->traces++;
    f->ended += s->ended;
    f->emitted += s->evaluations_emitted;
    f->stored += s->evaluations_stored;
    f->callbacks_emitted += s->callbacks_emitted;
    f->callbacks_stored += s->callbacks_stored;
    f->events_emitted += s->events_emitted;
    f->events_stored += s->events_stored;
    f->events_lost += s->events_lost;
    f->damaged_bytes += s->damaged_bytes;
    f->undecodable += s->undecodable_blocks;
    f->orphans += s->orphan_evaluations;
    for (int i = 0; i < TAT_LOSS_COUNT; i++) {
        f->lost += s->lost[i];
        f->lost_by[i] += s->lost[i];
    }
    tat_trace_model_files(trace, &count);
    f->model_files += count;
    tat_trace_templates(trace, &count);
    f->templates += count;
    tat_trace_tensors(trace, &count);
    f->tensors += count;
    const struct tat_event * events = tat_trace_events(trace, &n_events);
    for (uint32_t i = 0; i < n_events; i++) {
        f->contexts += events[i].type == TAT_EVENT_CONTEXT;
        f->notes += events[i].type == TAT_EVENT_NOTE;
        f->own_reads += events[i].type == TAT_EVENT_OWN_READ;
    }
    const struct tat_tensor * tensors = tat_trace_tensors(trace, &count);
    for (uint32_t i = 0; i < count; i++) {
        f->in_file += tensors[i].memory == TAT_MEMORY_FILE;
        f->copied += tensors[i].memory == TAT_MEMORY_COPY && tensors[i].file;
        f->of_no_file += tensors[i].memory == TAT_MEMORY_COPY && !tensors[i].file;
    }
    tat_trace_evaluations(trace, &count);
    f->evaluations += count;
}

int trace_facts_add(struct trace_facts * facts, const char * path, bool killed, struct tat_error * error) {
    struct tat_trace * trace = tat_trace_open(path, error);
    if (!trace) { return -1; }
    uint32_t count;
    add_totals(trace, facts);
    int result = check_totals(trace, killed, error);
    tat_trace_evaluations(trace, &count);
    for (uint32_t i = 0; i < count && result == 0; i++) {
        result = check_evaluation(trace, i, facts, error);
        if (result == 0) { result = check_waits(trace, i, facts, error); }
    }
    tat_trace_close(trace);
    return result;
}

static uint64_t longest(const uint64_t * ns) {
    uint64_t most = 0;
    for (uint64_t node = 0; node < NODES_TIMED; node++) {
        if (ns[node] > ns[most]) { most = node; }
    }
    return most;
}

void trace_facts_print(const struct trace_facts * f) {
#define PRINT(field) printf(#field " %" PRIu64 "\n", f->field)
    PRINT(traces);
    PRINT(ended);
    PRINT(emitted);
    PRINT(stored);
    PRINT(lost);
    PRINT(callbacks_emitted);
    PRINT(callbacks_stored);
    PRINT(events_emitted);
    PRINT(events_stored);
    PRINT(events_lost);
    PRINT(evaluations);
    PRINT(templates);
    PRINT(contexts);
    PRINT(aborted);
    PRINT(unmatched);
    PRINT(relearned);
    PRINT(cut);
    PRINT(outside);
    PRINT(exact);
    PRINT(waits);
    printf("longest_node %" PRIu64 "\n", longest(f->node_ns));
    printf("longest_wait %" PRIu64 "\n", longest(f->wait_ns));
    printf("longest_wait_ms %" PRIu64 "\n", f->wait_ns[longest(f->wait_ns)] / 1000000);
    PRINT(failed);
    PRINT(damaged_bytes);
    PRINT(undecodable);
    PRINT(orphans);
    PRINT(records);
    PRINT(model_files);
    PRINT(notes);
    PRINT(tensors);
    printf("served %s\n", f->served);
    PRINT(own_reads);
    PRINT(in_file);
    PRINT(copied);
    PRINT(of_no_file);
    printf("lost_slots %" PRIu64 "\n", f->lost_by[TAT_LOSS_SLOTS]);
    printf("lost_space %" PRIu64 "\n", f->lost_by[TAT_LOSS_NO_SPACE]);
    printf("lost_max_size %" PRIu64 "\n", f->lost_by[TAT_LOSS_MAX_SIZE]);
    printf("lost_memory %" PRIu64 "\n", f->lost_by[TAT_LOSS_MEMORY]);
    printf("lost_layout %" PRIu64 "\n", f->lost_by[TAT_LOSS_LAYOUT]);
#undef PRINT
}
