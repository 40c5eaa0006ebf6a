/* SPDX-License-Identifier: MIT
 *
 * In which order a layer reads its weights, kind by kind: a hybrid model has layers of attention beside others.
 */
#ifndef TAT_ANALYSIS_ORDER_LAYER_KINDS_H
#define TAT_ANALYSIS_ORDER_LAYER_KINDS_H

#include "analysis/order/access_slices.h"

/* `q`: what one generated token read. */
void layer_kinds_tell(const struct subject * subject, const struct sequence * q, struct result * r);

#endif
