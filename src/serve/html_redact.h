/* SPDX-License-Identifier: MIT
 *
 * Answers for somebody else's eyes: without what was written, and without the folders of paths.
 */
#ifndef TAT_SERVE_HTML_REDACT_H
#define TAT_SERVE_HTML_REDACT_H

#include <jansson.h>

#include "tat/trace.h"

/* Changes all strings below `value`. Of paths that the trace names, and of whatever looks like an absolute path, the
 * last part is left; arrays "text" and strings "prompt" become null. False: no memory. */
bool html_redact(json_t * value, const struct tat_trace * trace, const char * folder);

#endif
