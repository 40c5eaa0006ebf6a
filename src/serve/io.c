/* SPDX-License-Identifier: MIT
 *
 * Page faults and requests to the disk, each with what it was for: of a window of time, those that took longest.
 */
#include <stdlib.h>

#include "analysis/result.h"
#include "serve/endpoint.h"
#include "tat/storage.h"

enum { EVENTS_USUAL = 2000, EVENTS_MOST = 20000 };

struct window {
    int64_t t0, t1;
    uint64_t limit;
};

/* ---- events of a window ---- */

static bool is_in(const struct tat_placed * e, const struct window * w) {
    return e->end_ns >= w->t0 && e->begin_ns < w->t1;
}

static int64_t duration_of(const struct tat_placed * e) {
    return e->end_ns - e->begin_ns;
}

/* Events in this run's files before those of other programs. */
static int worthiest_first(const void * left, const void * right) {
    const bool ours = (*(const struct tat_placed * const *) left)->file;
    const bool theirs = (*(const struct tat_placed * const *) right)->file;
    if (ours != theirs) { return ours ? -1 : 1; }
    const int64_t a = duration_of(*(const struct tat_placed * const *) left);
    const int64_t b = duration_of(*(const struct tat_placed * const *) right);
    return (a < b) - (a > b);
}

/* Places in the array, which are the order of the events. */
static int in_order(const void * left, const void * right) {
    const struct tat_placed * a = *(const struct tat_placed * const *) left;
    const struct tat_placed * b = *(const struct tat_placed * const *) right;
    return (a > b) - (a < b);
}

/* Those of the window in their order; if there are too many, the longest of those in files of this run, then others.
 * *found is how many there are, *count how many are given. NULL: no memory. */
static const struct tat_placed ** events_of(const struct tat_placed * all, size_t n, const struct window * w,
                                            size_t * found, size_t * count) {
    const struct tat_placed ** events = malloc((n + 1) * sizeof *events);
    *found = 0;
    if (!events) { return NULL; }
    for (size_t i = 0; i < n; i++) {
        if (is_in(&all[i], w)) { events[(*found)++] = &all[i]; }
    }
    *count = *found;
    if (*found > w->limit) {
        *count = (size_t) w->limit;
        qsort(events, *found, sizeof *events, worthiest_first);
        qsort(events, *count, sizeof *events, in_order);
    }
    return events;
}

/* ---- as JSON ---- */

static json_t * event_json(const struct served * served, const struct tat_placed * e) {
    const struct tat_tensor * t = e->tensor < served->subject.n_tensors ? &served->subject.tensors[e->tensor] : NULL;
    const bool has_op = e->node != TAT_NO_NUMBER && e->op < tat_trace_n_ops(served->trace);
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:o, s:o, s:o?, s:o, s:o, s:o, s:o, s:o, s:o?, s:s, s:s}", "start_ns",
        (json_int_t) e->begin_ns, "duration_ns", (json_int_t) duration_of(e), "offset", (json_int_t) e->offset, "bytes",
        (json_int_t) e->bytes, "file", number_or_null(e->file != 0, e->file), "tensor_id",
        number_or_null(e->tensor != TAT_NO_NUMBER, e->tensor), "tensor", t ? result_text(t->name) : json_null(),
        "layer", number_or_null(e->layer != TAT_NO_LAYER, e->layer), "expert",
        number_or_null(e->expert != TAT_NO_EXPERT, e->expert), "graph",
        number_or_null(e->evaluation != TAT_NO_NUMBER, e->evaluation), "node",
        number_or_null(e->node != TAT_NO_NUMBER, e->node), "token", number_or_null(e->token != TAT_NO_NUMBER, e->token),
        "op", has_op ? result_text(tat_trace_op_name(served->trace, e->op)) : json_null(), "place",
        tat_place_name((enum tat_place) e->place), "when", tat_when_name((enum tat_when) e->when));
}

/* Adds "NAME" and "n_NAME" to the answer. `major`: of faults, by event; NULL for requests. */
static bool put_events(json_t * answer, const char * name, const char * count_name, const struct served * served,
                       const struct tat_placed * all, size_t n, const struct window * w,
                       const struct tat_io_fault * faults) {
    size_t found, count;
    const struct tat_placed ** events = events_of(all, n, w, &found, &count);
    if (!events) { return false; }
    json_t * array = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t * event = event_json(served, events[i]);
        if (faults) {
            json_object_set_new(event, "major", json_boolean(faults[events[i]->event].flags & TAT_IO_MAJOR));
        }
        json_array_append_new(array, event);
    }
    free(events);
    return json_object_set_new(answer, name, array) == 0 &&
           json_object_set_new(answer, count_name, json_integer((json_int_t) found)) == 0;
}

static json_t * answer_of(const struct served * served, const struct tat_io * io, const struct tat_storage * storage,
                          const struct window * w) {
    json_t * answer = json_pack("{s:i, s:b}", "schema", SERVE_SCHEMA, "cut", (int) storage->cut);
    if (put_events(answer, "faults", "n_faults", served, storage->faults, storage->n_faults, w, io->faults) &&
        put_events(answer, "requests", "n_requests", served, storage->requests, storage->n_requests, w, NULL)) {
        return answer;
    }
    json_decref(answer);
    return NULL;
}

static int read_window(const struct request * request, struct window * w, struct tat_error * error) {
    uint64_t t0 = 0, t1 = INT64_MAX, limit = EVENTS_USUAL;
    if (request_count(request, "t0", 0, INT64_MAX, &t0, error) != 0 ||
        request_count(request, "t1", 0, INT64_MAX, &t1, error) != 0 ||
        request_count(request, "limit", 1, EVENTS_MOST, &limit, error) != 0) {
        return -1;
    }
    /* What happened before the first graph, as loading, has times below 0: it is there unless a beginning is given. */
    *w = (struct window){ request_text(request, "t0") ? (int64_t) t0 : INT64_MIN, (int64_t) t1, limit };
    return 0;
}

/* ---- events joined with the trace, once ---- */

struct joined_io {
    struct tat_io io;
    struct tat_storage storage;
};

void joined_io_free(struct joined_io * j) {
    if (!j) { return; }
    tat_storage_free(&j->storage);
    tat_io_free(&j->io);
    free(j);
}

static struct joined_io * join(const struct tat_trace * trace, struct tat_error * error) {
    struct joined_io * j = calloc(1, sizeof *j);
    if (!j) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    if (tat_storage_read(trace, &j->io, error) != 0) {
        free(j);
        return NULL;
    }
    const char * mismatch = tat_storage_mismatch(trace, &j->io);
    if (mismatch) { tat_fail(error, TAT_ERROR_NO, "the I/O events are not of this run: %s", mismatch); }
    if (!mismatch && tat_storage_join(trace, &j->io, false, &j->storage, error) == 0) { return j; }
    joined_io_free(j);
    return NULL;
}

static struct answer answer_io(struct served * served, const struct request * request) {
    struct window w;
    struct tat_error error;
    if (read_window(request, &w, &error) != 0) { return answer_error(&error); }
    pthread_mutex_lock(&served->asking);
    if (!served->io) { served->io = join(served->trace, &error); }
    const struct joined_io * j = served->io;
    pthread_mutex_unlock(&served->asking);
    return j ? answer_json(answer_of(served, &j->io, &j->storage, &w)) : answer_error(&error);
}

const struct endpoint io_endpoints[] = {
    { "io", "t0 t1 limit", PACE_SLOW, answer_io },
    { 0 },
};
