/* SPDX-License-Identifier: MIT
 *
 * gguf_structure.csv: a line for every tensor of every file of some models.
 *
 *     name,file_offset,size,layer_id,component_type,type,shape,file,part
 *
 * As in RFC 4180, but lines end with LF. layer_id is empty where there is none; shape is "576x49152", the fastest
 * dimension first; file is the last part of the path, for a split model has an offset in each of its files.
 */
#ifndef TAT_EXPORT_GGUF_CSV_H
#define TAT_EXPORT_GGUF_CSV_H

#include <stdint.h>
#include <stdio.h>

#include "tat/gguf.h"

/* Negative if writing failed. Does not flush. */
int export_gguf_csv(const struct tat_gguf * const * models, uint32_t count, FILE * out, struct tat_error * error);

#endif
