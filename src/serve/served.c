/* SPDX-License-Identifier: MIT */
#include "serve/served.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "format/follow.h"
#include "system/clock.h"

#define LOOK_NS     UINT64_C(500000000) /* between looks at a trace that grows */
#define NEVER       UINT64_MAX
#define LONG_TOKENS 4096
#define KEPT_BYTES  (UINT64_C(64) << 20)

struct served_list * served_new(const struct served_options * options) {
    struct served_list * list = calloc(1, sizeof *list);
    if (list) { list->options = *options; }
    return list;
}

/* What is known of the trace as it was. The pyramid can be made on, unless phases changed. */
static void forget(struct served * s) {
    joined_io_free(s->io);
    view_records_free(s->records);
    file_reads_free(s->reads);
    subject_free(&s->subject);
    s->io = NULL;
    s->records = NULL;
    s->reads = NULL;
    s->subject = (struct subject){ 0 };
}

static void forget_sums(struct served * s) {
    pyramid_free(s->pyramid);
    s->pyramid = NULL;
    s->outgrown = false;
}

/* False, with *error: no memory. */
static bool learn(struct served * s, struct tat_error * error) {
    if (!subject_begin(&s->subject, s->trace, NULL)) {
        tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", s->path);
        return false;
    }
    s->records = view_records_new(s->trace, error);
    return s->records != NULL;
}

static void close_one(struct served * s) {
    forget(s);
    forget_sums(s);
    follow_close(s->follow);
    tat_trace_close(s->whole);
    kept_free(s->kept);
    vocabularies_free(s->vocabularies);
    pthread_mutex_destroy(&s->summing);
    pthread_mutex_destroy(&s->reading);
    pthread_mutex_destroy(&s->asking);
    pthread_rwlock_destroy(&s->lock);
    free(s->name);
    free(s->path);
    free(s);
}

void served_free(struct served_list * list) {
    if (!list) { return; }
    for (size_t i = 0; i < list->count; i++) { close_one(list->at[i]); }
    free(list->at);
    free(list);
}

/* ---- sums for pictures ---- */

/* Those of a trace that has ended are kept. */
static int make_sums(struct served * s, const struct token_axis * axis, pyramid_progress progress,
                     struct tat_error * error) {
    struct pyramid * old = s->pyramid;
    s->pyramid = old ? pyramid_extend(old, &s->subject, axis, error)
                     : pyramid_make(&s->subject, axis, progress, (void *) s->options, error);
    s->outgrown = false;
    pyramid_free(old);
    if (!s->pyramid) { return -1; }
    if (!s->running && s->options->keep_sums) { s->options->keep_sums(s->trace, s->pyramid); }
    return 0;
}

const struct pyramid * served_pyramid(struct served * s) {
    struct token_axis axis;
    struct tat_error error;
    pthread_mutex_lock(&s->summing);
    if ((!s->pyramid || s->outgrown) && token_axis_begin(&axis, &s->subject)) {
        if (axis.n_tokens >= LONG_TOKENS) { make_sums(s, &axis, NULL, &error); }
        token_axis_free(&axis);
    }
    const struct pyramid * pyramid = s->outgrown ? NULL : s->pyramid;
    pthread_mutex_unlock(&s->summing);
    if (pyramid && !s->running) { s->pictured = true; }
    return pyramid;
}

const struct file_reads * served_reads(struct served * s) {
    struct tat_error error;
    pthread_mutex_lock(&s->reading);
    if (!s->reads) { s->reads = file_reads_make(&s->subject, &error); }
    const struct file_reads * reads = s->reads;
    pthread_mutex_unlock(&s->reading);
    return reads;
}

bool served_is_to_prepare(const struct served * s) {
    return s->pictured && !s->prepared;
}

void served_prepare(struct served * s) {
    s->prepared = true;
    served_begin(s);
    served_reads(s);
    if (s->records) { view_records_prepare(s->records); }
    served_end(s);
}

static bool tell_progress(uint32_t done, uint32_t all, void * user) {
    const struct served_options * o = user;
    return o->progress(o->user, done, all);
}

/* A first look. It is no error if there is no memory: pictures then take longer. */
static int find_sums(struct served * s, struct tat_error * error) {
    struct token_axis axis;
    const struct served_options * o = s->options;
    int status = 0;
    if (s->running || !token_axis_begin(&axis, &s->subject)) { return 0; }
    if (axis.n_tokens >= LONG_TOKENS) {
        s->pyramid = o->find_sums ? o->find_sums(&s->subject, &axis) : NULL;
        if (!s->pyramid) { status = make_sums(s, &axis, o->progress ? tell_progress : NULL, error); }
    }
    token_axis_free(&axis);
    return status != 0 && error->kind == TAT_ERROR_NO ? -1 : 0;
}

/* ---- */

static void note_file(struct served * s) {
    if (stat(tat_trace_path(s->trace), &s->file) != 0) { s->file = (struct stat){ 0 }; }
}

/* What may grow is read block by block from now on. */
static int open_trace(const struct served_list * list, struct served * s, struct tat_error * error) {
    bool revised;
    s->trace = s->whole;
    s->running = list->options.is_running(s->path, s->whole);
    s->looked_ns = NEVER;
    if (!s->running) {
        note_file(s);
        return 0;
    }
    s->follow = follow_open(s->path, error);
    if (!s->follow || follow_read(s->follow, &revised, error) != 0) { return -1; }
    s->trace = follow_trace(s->follow);
    s->looked_ns = clock_ns();
    tat_trace_close(s->whole);
    s->whole = NULL;
    return 0;
}

static struct served * new_one(const char * path, const char * name) {
    struct served * s = calloc(1, sizeof *s);
    if (!s) { return NULL; }
    pthread_rwlock_init(&s->lock, NULL);
    pthread_mutex_init(&s->asking, NULL);
    pthread_mutex_init(&s->summing, NULL);
    pthread_mutex_init(&s->reading, NULL);
    s->path = strdup(path);
    s->name = strdup(name);
    s->kept = kept_new(KEPT_BYTES);
    s->vocabularies = vocabularies_new();
    if (s->path && s->name && s->kept && s->vocabularies) { return s; }
    close_one(s);
    return NULL;
}

int served_add(struct served_list * list, struct tat_trace * trace, const char * path, const char * name,
               struct tat_error * error) {
    struct served ** more = reallocarray(list->at, list->count + 1, sizeof *more);
    struct served * s = more ? new_one(path, name) : NULL;
    if (more) { list->at = more; }
    if (!s) {
        tat_trace_close(trace);
        return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", path);
    }
    s->whole = trace;
    s->options = &list->options;
    if (open_trace(list, s, error) == 0 && learn(s, error) && find_sums(s, error) == 0) {
        list->at[list->count++] = s;
        return 0;
    }
    close_one(s);
    return -1;
}

/* ---- a trace that grows ---- */

/* The program has ended: from now on the trace is what every other command sees. */
static void settle(struct served * s, struct tat_trace * whole) {
    follow_close(s->follow);
    s->follow = NULL;
    s->trace = s->whole = whole;
    s->running = false;
    s->looked_ns = NEVER;
    note_file(s);
}

/* Looks for more. If there is any, what was found out about the trace is forgotten before the trace changes, as it
 * points into it. */
static void look(const struct served_list * list, struct served * s) {
    struct tat_error error;
    bool revised = false;
    uint32_t before, after;
    tat_trace_evaluations(s->trace, &before);
    struct tat_trace * whole = list->options.is_running(s->path, s->trace) ? NULL : tat_trace_open(s->path, &error);
    if (!whole && !follow_has_more(s->follow)) { return; }
    forget(s);
    s->outgrown = s->pyramid != NULL;
    if (whole) {
        settle(s, whole);
    } else {
        follow_read(s->follow, &revised, &error); /* if it fails, there is what was read before */
    }
    if (whole || revised) { forget_sums(s); }
    learn(s, &error);
    tat_trace_evaluations(s->trace, &after);
    if (!whole && !revised && after == before) { return; }
    s->revision++;
    kept_clear(s->kept);
}

/* Whether a look is due, of those who ask at the same time for one. */
static bool is_due(struct served * s) {
    const uint64_t now = clock_ns();
    uint64_t looked = s->looked_ns;
    return looked != NEVER && looked + LOOK_NS <= now && atomic_compare_exchange_strong(&s->looked_ns, &looked, now);
}

void served_look(const struct served_list * list, struct served * s) {
    if (!is_due(s) || pthread_rwlock_trywrlock(&s->lock) != 0) { return; }
    if (s->running) { look(list, s); }
    pthread_rwlock_unlock(&s->lock);
}

/* ---- */

static bool is_same_time(const struct timespec * a, const struct timespec * b) {
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int served_check(const struct served * s, struct tat_error * error) {
    struct stat now;
    if (s->running || stat(tat_trace_path(s->trace), &now) != 0 || now.st_ino != s->file.st_ino ||
        now.st_dev != s->file.st_dev ||
        (now.st_size == s->file.st_size && is_same_time(&now.st_mtim, &s->file.st_mtim))) {
        return 0;
    }
    return tat_fail(error, TAT_ERROR_INPUT, "%s was changed after it had been opened: end tat and start it again",
                    tat_trace_path(s->trace));
}

void served_begin(struct served * s) {
    pthread_rwlock_rdlock(&s->lock);
}

void served_end(struct served * s) {
    pthread_rwlock_unlock(&s->lock);
}
