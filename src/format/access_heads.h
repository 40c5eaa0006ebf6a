/* SPDX-License-Identifier: MIT
 *
 * Attention by head: which part of a record belongs to which head. K and V of the cache by KV head, the weights of Q, K
 * and V by rows, those of the output by columns. How many heads there are follows from the shapes attention computed
 * with, so no model file is needed; where the shapes do not fit (Q, K and V in one weight, latent attention), a record
 * stays whole. Names begin with tat_, for the two objects of libtat.a both need them (cmake/library.cmake).
 */
#ifndef TAT_FORMAT_ACCESS_HEADS_H
#define TAT_FORMAT_ACCESS_HEADS_H

#include "format/head_shapes.h"
#include "tat/trace.h"

struct access_heads;

/* Free it with tat_access_heads_free, which takes NULL. NULL: no memory. */
struct access_heads * tat_access_heads_new(const struct tat_trace * trace, struct tat_error * error);
void tat_access_heads_free(struct access_heads * heads);

/* How many heads there are, and how long, where a record is or in a layer of a template. NULL: no attention was seen
 * there. */
const struct head_shape * tat_access_heads_shape(const struct access_heads * heads, const struct tat_access * record);
const struct head_shape * tat_access_heads_shape_at(const struct access_heads * heads, uint32_t template_id,
                                                    uint16_t layer);

/* Called with a part of a record, or with a record that has no heads. Return false to end. */
typedef bool (*access_part_sink)(const struct tat_access * a, struct tat_layout layout, void * user);

/* Splits records, which must come in order. An operand's parts have the bytes of its records, each byte once. Where
 * heads share a block of a quantized type, one part stands for several heads. False: the sink ended it. */
bool tat_access_heads_split(struct access_heads * heads, const struct tat_access * records, size_t count,
                            access_part_sink sink, void * user);

#endif
