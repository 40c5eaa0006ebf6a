/* SPDX-License-Identifier: MIT
 *
 * Where the bytes of tensors lie in a picture that has all of the model's files from top to bottom.
 */
#ifndef TAT_ANALYSIS_VIEW_OFFSET_PLACES_H
#define TAT_ANALYSIS_VIEW_OFFSET_PLACES_H

#include "analysis/view/offsets.h"

#define NO_PLACE UINT64_MAX

struct offset_places {
    uint64_t * of; /* by tensor: where it begins; NO_PLACE: it is no part of the files, or was never read */
    uint64_t end;  /* of all */
};

/* 0, or -1 with *error. Free them in any case. */
int offset_places_find(struct offset_places * places, const struct subject * subject, enum offsets_by by,
                       struct tat_error * error);
void offset_places_free(struct offset_places * places);

#endif
