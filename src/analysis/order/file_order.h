/* SPDX-License-Identifier: MIT
 *
 * In which order the tensors of a model file would have to stand for inference to read the file from front to back; and
 * how far apart reads are under an order.
 *
 * A tensor goes where most of it is read. That matters where a model's embedding is its output matrix too: one row of
 * it is read first, and all of it last.
 */
#ifndef TAT_ANALYSIS_ORDER_FILE_ORDER_H
#define TAT_ANALYSIS_ORDER_FILE_ORDER_H

#include "analysis/order/gaps.h"

struct file_order {
    uint32_t * tensor; /* numbers of the model's tensors, of all its files; the one that is read first comes first */
    uint32_t n_read;   /* so many of these are read; the rest keep the order that they have in the file */
    uint64_t tokens;   /* evaluations that the trace has for it; 0: it is by name */
    bool generated;    /* these generated tokens; else they read a prompt */
};

/* By name alone: layer by layer, in the order in which llama.cpp's graphs use the parts of a layer. False: no memory.
 */
bool file_order_by_name(struct file_order * o, const struct tat_gguf * gguf);

/* As a trace of this model has it. `trace`: of one model. Returns 0, or -1 with *error (TAT_ERROR_NO: no evaluation of
 * it reads this file's tensors). */
int file_order_by_trace(struct file_order * o, const struct tat_gguf * gguf, const struct tat_trace * trace,
                        struct tat_error * error);

void file_order_free(struct file_order * o);

/* What reading costs if tensors stand in certain places. */
struct file_seeks {
    struct gap_counts gaps;
    uint64_t tokens;  /* evaluations that were counted */
    uint64_t span;    /* from the first to the last byte that one reads, summed over evaluations and files */
    uint64_t borders; /* places inside a page of 4 KiB where one tensor, or one expert's part of it, follows another */
};

/* `place`: by tensor, where it begins in its file. `trace`: as above; NULL: each tensor is read once, whole, in the
 * order `o`. Returns 0, or -1 with *error. */
int file_seeks_count(struct file_seeks * seeks, const struct file_order * o, const struct tat_gguf * gguf,
                     const uint64_t * place, const struct tat_trace * trace, struct tat_error * error);

#endif
