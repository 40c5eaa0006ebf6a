/* SPDX-License-Identifier: MIT
 *
 * The model's files from the first byte to the last, and how often their parts were read up to a token.
 */
#ifndef TAT_ANALYSIS_VIEW_FILE_MAP_H
#define TAT_ANALYSIS_VIEW_FILE_MAP_H

#include "analysis/view/pyramid.h"

enum { FILE_MAP_BLOCKS_MOST = 20000 };

struct file_map_query {
    uint64_t tokens; /* of the axis: reads of those before this one count, and all of what was computed together */
    uint64_t lo, hi; /* blocks that touch [lo, hi) of their file */
};

/* {"files": [{"name", "bytes"}], "blocks": [{"tensor", "expert", "file", "offset", "bytes", "accesses", "read_bytes"}],
 * "merged": false}. A block is a weight, or an expert's part of one (else "expert" is null), in the order of files and
 * offsets; "file" is a number from 0. Of more than FILE_MAP_BLOCKS_MOST blocks, the experts of a stack are one block,
 * and "merged" is true; what is beyond that many is left out, and counted in "left_out". The caller owns the answer.
 * NULL with *error. Thread-safe. `pyramid`: of the same trace, or
 * NULL; with it, a long trace costs no walk over all of it. */
json_t * view_file_map(const struct subject * subject, const struct file_map_query * query,
                       const struct pyramid * pyramid, struct tat_error * error);

#endif
