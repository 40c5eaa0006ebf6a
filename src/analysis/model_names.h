/* SPDX-License-Identifier: MIT */
#ifndef TAT_ANALYSIS_MODEL_NAMES_H
#define TAT_ANALYSIS_MODEL_NAMES_H

#include "tat/trace.h"

/* "target.gguf, draft.gguf (draft)": all that was computed with; "a model" where none is known. The caller frees it;
 * NULL: memory. */
char * model_names(const struct tat_trace * trace);

#endif
