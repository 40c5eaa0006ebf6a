/* SPDX-License-Identifier: MIT
 *
 * How large a Perfetto trace would become, before it is written: its viewer runs in a browser.
 */
#ifndef TAT_EXPORT_PERFETTO_SIZE_H
#define TAT_EXPORT_PERFETTO_SIZE_H

#include "export/access_stream.h"

#define PERFETTO_BYTES_MAX UINT64_C(2000000000)

/* Measures a graph of each kind, and multiplies. Fails (TAT_ERROR_USAGE) if the request would take more than `most`
 * bytes, with the tokens that fit. 0, or -1 with *error. */
int perfetto_check_size(const struct access_request * request, const struct tat_trace * trace, uint64_t most,
                        struct tat_error * error);

#endif
