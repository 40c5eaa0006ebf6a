/* SPDX-License-Identifier: MIT
 *
 * From a trace to a writer: the records that pass a filter, up to a number of them.
 */
#ifndef TAT_EXPORT_ACCESS_STREAM_H
#define TAT_EXPORT_ACCESS_STREAM_H

#include "export/access_writer.h"
#include "tat/filter.h"

struct access_request {
    const struct tat_filter * filter;
    uint64_t limit;                                      /* records written; 0: all */
    void (*progress)(void * user, uint64_t evaluations); /* called often; NULL: not */
    void * user;
};

/* Ends the writer too. 0, or -1 with *error: TAT_ERROR_NO if no record passed, and then nothing was written. */
int access_stream(const struct access_request * request, const struct tat_trace * trace, struct access_writer * writer,
                  struct tat_error * error);

#endif
