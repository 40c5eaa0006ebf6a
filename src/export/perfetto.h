/* SPDX-License-Identifier: MIT
 *
 * Access records as a trace of Perfetto (ui.perfetto.dev): an operation is a slice on the track of its layer.
 * doc/perfetto.md says what is where. The messages and numbers of fields are those of perfetto's
 * protos/perfetto/trace/.
 */
#ifndef TAT_EXPORT_PERFETTO_H
#define TAT_EXPORT_PERFETTO_H

#include "export/access_cells.h"
#include "export/text_out.h"

struct perfetto;

/* NULL: no memory. */
struct perfetto * perfetto_new(const struct access_context * context);
void perfetto_free(struct perfetto * p); /* NULL is allowed */

/* Records come in the order of tat_trace_expand; evaluations and nodes may be left out. Returns 0 or an errno. */
int perfetto_record(struct perfetto * p, struct text_out * out, const struct tat_access * a, struct tat_layout layout);
int perfetto_finish(struct perfetto * p, struct text_out * out);

/* After that: why I/O events that stand beside the trace were left out; NULL: they were not. */
const char * perfetto_no_io(const struct perfetto * p);

#endif
