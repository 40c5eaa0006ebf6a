/* SPDX-License-Identifier: MIT
 *
 * Page faults, placed: which byte of the model was wanted, by which operation, for which token.
 */
#ifndef TAT_ANALYSIS_STORAGE_STORAGE_H
#define TAT_ANALYSIS_STORAGE_STORAGE_H

#include "analysis/analysis.h"
#include "tat/io.h"

/* How far a fault could be placed; the first that is true. */
enum place {
    PLACE_OPERATION, /* an operation that ran at that time touches the page */
    PLACE_OUTSIDE,   /* a weight's page, while no graph was computed: loading, or between two graphs */
    PLACE_UNWANTED,  /* a weight's page, while a graph was computed none of whose operations at that time touches it */
    PLACE_NO_WEIGHT, /* in the model's file, but in no tensor of the trace: its header, or a tensor nobody used */
    PLACE_OTHER_FILE,
    PLACE_NO_FILE, /* in the program, its libraries, or memory that was swapped out */
    PLACE_OTHER_PROCESS,
    PLACES
};

#define NO_EVALUATION UINT32_MAX
#define NO_TENSOR     UINT32_MAX

struct placed_fault {
    struct tat_io_fault fault;
    enum place place;
    uint64_t file_offset; /* of the byte; where there is a file */
    uint32_t file;        /* number of the model file; 0: none */
    uint32_t tensor;      /* the weight, or NO_TENSOR */
    uint16_t expert;      /* of its stack, or TAT_NO_EXPERT */
    uint16_t op;          /* of PLACE_OPERATION */
    uint32_t evaluation;  /* that was computed at that time, or NO_EVALUATION */
};

/* Thread time, without what others ran in its place. */
static inline uint64_t fault_stall(const struct tat_io_fault * f) {
    return f->duration_ns - f->preempted_ns;
}

static inline bool is_major(const struct tat_io_fault * f) {
    return f->flags & TAT_IO_MAJOR;
}

struct placed_faults {
    struct placed_fault * at; /* by the fault's end */
    size_t count;
    uint64_t ignored, lost, damaged_bytes;
    bool partial, ended; /* as in struct tat_io */
};

/* The I/O events beside the trace. 1: none were recorded; 0, and tat_io_free frees them; or -1 with *error. */
int io_events_read(struct tat_io * io, const struct tat_trace * trace, struct tat_error * error);

/* The faults among them. 0, or -1 with *error. Free it in any case. */
int faults_place(struct placed_faults * faults, const struct subject * subject, const struct tat_io * io,
                 struct tat_error * error);
void placed_faults_free(struct placed_faults * faults);

#endif
