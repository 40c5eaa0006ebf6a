/* SPDX-License-Identifier: MIT
 *
 * Which access records are wanted, and the walk over those alone: evaluations without any are not expanded.
 */
#ifndef TAT_EXPORT_ACCESS_FILTER_H
#define TAT_EXPORT_ACCESS_FILTER_H

#include "tat/trace.h"

/* From `first` to `last`, both included. */
struct access_range {
    uint64_t first, last;
};
#define ACCESS_RANGE_ALL ((struct access_range){ 0, UINT64_MAX })

/* "5", "3:8", "3:", ":8". NULL, or what is wrong with it, in words. */
const char * access_range_parse(const char * text, struct access_range * range);

enum { ACCESS_NAMES_MAX = 64 };

/* Any of them; none: all. */
struct access_names {
    const char * name[ACCESS_NAMES_MAX];
    size_t count;
};

struct access_filter {
    struct access_range token; /* of its context; warm-up and graphs without tokens have none */
    struct access_range layer; /* what belongs to no layer is in none but the range of all */
    struct access_range evaluation;
    struct access_names tensors; /* globs */
    struct access_names ops;     /* as ggml names them, in any case */
    unsigned phases;             /* bits: 1 << enum tat_phase; 0: all */
    unsigned kinds;              /* bits: 1 << enum tat_tensor_kind; 0: all */
    uint32_t context;            /* 0: all */
    const char * model; /* as tat_trace_find_model takes it: of its graphs, or, of an adapter, its weights; NULL: all */
};
#define ACCESS_FILTER_ALL                                                                                              \
    ((struct access_filter){ .token = ACCESS_RANGE_ALL, .layer = ACCESS_RANGE_ALL, .evaluation = ACCESS_RANGE_ALL })

/* The bit of a phase, or of a kind ("weights", "kv", "activations", "inputs") by its name, or 0. */
unsigned access_phase_bit(const char * name);
unsigned access_kind_bit(const char * name);

/* Calls the sink with the records that pass, in order, as runs of neighbours. Returns 0, 1 if the sink ended it, or -1
 * with *error: a filter that names no operation or tensor of the trace has TAT_ERROR_NO. */
int access_filter_each(const struct access_filter * filter, const struct tat_trace * trace, tat_access_sink sink,
                       void * user, struct tat_error * error);

#endif
