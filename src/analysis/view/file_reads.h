/* SPDX-License-Identifier: MIT
 *
 * What each evaluation read of the model's files, kept in memory: pictures of a long run need all of it, and reading it
 * from the trace takes ten times as long. A read stands here once, however often it was done.
 */
#ifndef TAT_ANALYSIS_VIEW_FILE_READS_H
#define TAT_ANALYSIS_VIEW_FILE_READS_H

#include "analysis/analysis.h"
#include "format/list.h"

/* Some bytes of a tensor. If there are gaps between them, `extent` is from the first to the last. */
struct file_read {
    uint64_t offset, bytes, extent; /* in the file */
    uint32_t tensor;
};

/* False: the record is no read of a file. */
bool file_read_of(const struct subject * subject, const struct tat_access * a, struct file_read * read);

struct file_reads {
    struct list reads; /* struct file_read, all different */
    struct file_reads_list {
        uint32_t * numbers; /* of reads */
        uint32_t count;
    } * common;            /* by template and rule: what all its whole evaluations read */
    size_t n_common;
    struct list varying;   /* uint32_t, numbers of reads: what else they read, one evaluation after the other */
    uint32_t * varying_at; /* by evaluation; one more for the end */
    bool * is_kept;        /* by evaluation; false: it did not come to its end, or there was no room */
};

/* The caller owns them. They do not change, so that any number of threads may read them, and do not point into the
 * trace. NULL with *error: no memory, or a trace that cannot be read. Thread-safe. */
struct file_reads * file_reads_make(const struct subject * subject, struct tat_error * error);
void file_reads_free(struct file_reads * reads); /* NULL is allowed */

/* Where `common` has what an evaluation shares with others of its template and rule. */
static inline size_t file_reads_graph(const struct tat_evaluation * e) {
    return (size_t) e->template_id * TAT_RULE_COUNT + e->rule;
}

#endif
