/* SPDX-License-Identifier: MIT
 *
 * The placed events for other programs: what the section counts, in the structs of include/tat/faults.h.
 */
#include "tat/faults.h"

#include <stdlib.h>

#include "analysis/storage/storage.h"

static const uint8_t fault_places[TAT_PLACES] = {
    [TAT_PLACE_OPERATION] = TAT_FAULT_IN_OPERATION, [TAT_PLACE_OUTSIDE] = TAT_FAULT_OUTSIDE,
    [TAT_PLACE_UNWANTED] = TAT_FAULT_UNWANTED,      [TAT_PLACE_HEADER] = TAT_FAULT_NO_WEIGHT,
    [TAT_PLACE_NO_WEIGHT] = TAT_FAULT_NO_WEIGHT,    [TAT_PLACE_OTHER_FILE] = TAT_FAULT_OTHER_FILE,
    [TAT_PLACE_NO_FILE] = TAT_FAULT_NO_FILE,        [TAT_PLACE_OTHER_PROCESS] = TAT_FAULT_OTHER_PROCESS,
};
static_assert(TAT_NO_EVALUATION == TAT_NO_NUMBER && TAT_NO_TENSOR == TAT_NO_NUMBER, "");

struct tat_faults {
    const struct tat_trace * trace;
    struct tat_io io;
    struct tat_fault * faults;
    size_t n_faults;
};

static struct tat_fault exported(const struct joined * j, const struct tat_placed * p) {
    const struct tat_io_fault * f = fault_of(j, p);
    return (struct tat_fault){
        .end_ns = p->end_ns,
        .duration_ns = f->duration_ns,
        .preempted_ns = f->preempted_ns,
        .address = f->address,
        .file_offset = p->file ? p->offset : 0,
        .pid = f->pid,
        .tid = f->tid,
        .flags = f->flags,
        .place = fault_places[p->place],
        .file = p->file,
        .tensor = p->tensor,
        .evaluation = p->evaluation,
        .op = p->place == TAT_PLACE_OPERATION ? p->op : TAT_NO_OP,
        .expert = p->expert,
    };
}

/* 0, or -1 with *error. */
static int place(struct tat_faults * storage, struct tat_error * error) {
    struct subject subject;
    struct joined j = { 0 };
    const bool good = subject_begin(&subject, storage->trace, NULL);
    int status =
        good ? join_faults(&j, &subject, &storage->io, error) : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    if (status == 0) {
        storage->faults = calloc(storage->io.n_faults + 1, sizeof *storage->faults);
        status = storage->faults ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    }
    for (size_t i = 0; status == 0 && i < storage->io.n_faults; i++) {
        storage->faults[storage->n_faults++] = exported(&j, &j.faults[i]);
    }
    join_free(&j);
    subject_free(&subject);
    return status;
}

struct tat_faults * tat_faults_open(const struct tat_trace * trace, struct tat_error * error) {
    struct tat_faults * storage = calloc(1, sizeof *storage);
    if (!storage) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    storage->trace = trace;
    int status = io_events_read(&storage->io, trace, error);
    if (status > 0) {
        tat_fail(error, TAT_ERROR_NO, "%s: I/O events were not recorded: `tat record --io` does that",
                 tat_trace_path(trace));
    } else if (status == 0) {
        status = place(storage, error);
    }
    if (status == 0) { return storage; }
    tat_faults_close(storage);
    return NULL;
}

void tat_faults_close(struct tat_faults * storage) {
    if (!storage) { return; }
    tat_io_free(&storage->io);
    free(storage->faults);
    free(storage);
}

const struct tat_io * tat_faults_events(const struct tat_faults * storage) {
    return &storage->io;
}

const struct tat_fault * tat_faults_all(const struct tat_faults * storage, size_t * count) {
    *count = storage->n_faults;
    return storage->faults;
}

/* ---- filters ---- */

/* A record of the byte that was wanted, while it was waited for. */
static struct tat_access as_access(const struct tat_fault * f, const struct tat_tensor * tensors) {
    const uint64_t end = f->end_ns > 0 ? (uint64_t) f->end_ns : 0;
    const uint64_t begin = end > f->duration_ns ? end - f->duration_ns : 0;
    return (struct tat_access){
        .start_ns = begin,
        .duration_ns = end - begin > UINT32_MAX ? UINT32_MAX : (uint32_t) (end - begin),
        .offset = f->file_offset,
        .bytes = 1,
        .tensor = f->tensor,
        .evaluation = f->evaluation,
        .layer = f->tensor == TAT_NO_TENSOR ? TAT_NO_LAYER : tensors[f->tensor].layer,
        .op = f->op,
        .expert = f->expert,
        .head_first = TAT_NO_HEAD,
        .rows = 1,
        .flags = f->end_ns < 0 ? TAT_ACCESS_UNTIMED : 0,
    };
}

int tat_faults_choose(const struct tat_faults * storage, const struct tat_filter * filter, bool * chosen,
                      struct tat_error * error) {
    uint32_t n_tensors;
    const struct tat_tensor * tensors = tat_trace_tensors(storage->trace, &n_tensors);
    struct tat_access * records = malloc((storage->n_faults + 1) * sizeof *records);
    if (!records) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    for (size_t i = 0; i < storage->n_faults; i++) { records[i] = as_access(&storage->faults[i], tensors); }
    const int status = tat_filter_choose(filter, records, storage->n_faults, chosen, error);
    free(records);
    return status;
}
