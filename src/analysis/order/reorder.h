/* SPDX-License-Identifier: MIT
 *
 * How much nearer to file order weights could be read, if independent operations changed places.
 *
 * The distance of an order is the sum of the gaps between one read and the next, without their signs. Dependencies
 * leave some orders; the best of them is searched for (search.h). Below any order, legal or not, lies what one
 * pass in file order skips: the bytes between the first and the last read that are in none. No read passes over them,
 * so some gap must.
 */
#ifndef TAT_ANALYSIS_ORDER_REORDER_H
#define TAT_ANALYSIS_ORDER_REORDER_H

#include "analysis/analysis.h"
#include "format/list.h"

enum {
    REORDER_SAMPLES = 16,    /* sampled tokens, evenly spaced */
    REORDER_ELEMENTS = 4096, /* operations that read weights; more than any model has */
    REORDER_READS = 1 << 18,
};

/* A read by an operation that reads weights. Files are laid end to end. */
struct reorder_read {
    uint64_t from, end;
    uint32_t node;
};

struct reorder {
    const struct subject * subject;
    uint64_t * base; /* by a file's number: where it begins */
    bool wanted;
    struct list reads; /* struct reorder_read, of the current evaluation */
    uint64_t work;
    uint64_t sampled, too_large; /* evaluations */
    uint64_t actual, best, pass; /* sums of distances over all sampled tokens */
    uint64_t operations, blocks, largest_block;
    bool inexact, failed;
};

bool reorder_begin(struct reorder * o, const struct subject * subject);
void reorder_free(struct reorder * o);

void reorder_open(struct reorder * o, bool wanted);
void reorder_add(struct reorder * o, const struct tat_access * a, uint64_t end);
void reorder_close(struct reorder * o, uint32_t evaluation);

void reorder_tell(const struct reorder * o, struct result * r);

#endif
