/* SPDX-License-Identifier: MIT
 *
 * Sums of evaluations by two keys in one walk.
 */
#ifndef TAT_FORMAT_MATRIX_H
#define TAT_FORMAT_MATRIX_H

#include "tat/sums.h"

/* Like tat_matrix, by layer and by tensor. */
int matrix_of_layers_and_tensors(const struct tat_trace * trace, enum tat_measure measure, uint32_t first,
                                 uint32_t last, uint64_t * of_layers, uint64_t * of_tensors,
                                 struct tat_error * error);

#endif
