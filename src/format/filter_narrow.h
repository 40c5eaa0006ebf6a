/* SPDX-License-Identifier: MIT
 *
 * Records that pass a filter, of which most are of no use to who asks, as when only the largest are wanted: those that
 * a plan shows to be of no use are not made.
 */
#ifndef TAT_FORMAT_FILTER_NARROW_H
#define TAT_FORMAT_FILTER_NARROW_H

#include "tat/filter.h"

/* Whether a record may be of use. `planned` has no times, no evaluation and no token. If `varies`, there may be several
 * records in its place, none with more bytes; offset and expert are not known yet. `duration_ns` is as in the record.
 */
typedef bool (*filter_usefulness)(const struct tat_access * planned, uint32_t duration_ns, bool varies, void * user);

/* Like tat_filter_expand, of all evaluations. The sink must be ready for records that are of no use all the same. The
 * filter must not split attention by head. */
int filter_expand_useful(const struct tat_filter * filter, filter_usefulness is_useful, tat_access_sink sink,
                         void * user, struct tat_error * error);

#endif
