/* SPDX-License-Identifier: MIT */
#include "analysis/model_names.h"

#include <stdio.h>
#include <stdlib.h>

char * model_names(const struct tat_trace * trace) {
    char * names = NULL;
    size_t size;
    uint32_t count;
    const struct tat_model * models = tat_trace_models(trace, &count);
    FILE * out = open_memstream(&names, &size);
    if (!out) { return NULL; }
    if (count == 0) { fputs("a model", out); }
    for (uint32_t i = 0; i < count; i++) {
        fprintf(out, "%s%s", i ? ", " : "", models[i].name);
        if (models[i].part != TAT_PART_MODEL) { fprintf(out, " (%s)", tat_part_name(models[i].part)); }
    }
    if (fclose(out) == 0) { return names; }
    free(names);
    return NULL;
}
