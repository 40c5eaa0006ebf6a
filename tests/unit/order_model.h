/* SPDX-License-Identifier: MIT
 *
 * Small models of which it is known in which order they are read, and what `tat report --section order` says of them.
 * What cannot be done aborts the test.
 */
#ifndef ORDER_MODEL_H
#define ORDER_MODEL_H

#include <jansson.h>

#include "trace_builder.h"

enum { NODES_MAX = 48, ROW = 32, WEIGHT = 16, SLICES = 8, ASKED = TAT_NODE_COMPUTE };

/* An operation that reads one weight, or one slice of a stack, and the results of others. */
struct node {
    uint32_t weight; /* tensor */
    uint64_t after;  /* bit i: node i; up to 3 bits. All read the embedding too */
    bool chooses;
};

/* Weights in a file, and an embedding with 64 rows of ROW bytes. Every evaluation has one token: the first is the
 * prompt, the others are generated. */
struct model {
    struct trace_builder b;
    uint32_t embd, ids, result[NODES_MAX], chosen[NODES_MAX];
    char names[3][NODES_MAX][8];
    json_t * order; /* the section */
};

void model_begin(struct model * m, uint64_t embedding_offset);
void model_end(struct model * m);

/* Adds a tensor of bytes, n0 in each of n2 slices. Returns its number. */
uint32_t model_tensor(struct model * m, const char * name, enum tat_tensor_kind kind, uint64_t n0, uint64_t n2,
                      uint64_t offset);
uint32_t model_weight(struct model * m, int number, uint64_t offset); /* "w0", of WEIGHT bytes */

/* Adds a template. Weights have WEIGHT bytes, stacks SLICES times as many. Returns its number. */
uint32_t model_graph(struct model * m, const struct node * nodes, uint32_t n);

/* Adds an evaluation, with the row of the embedding and the slice that each choosing node takes. */
void model_run(struct model * m, uint32_t template_id, uint32_t n_nodes, int64_t token, const uint32_t * slices,
               uint32_t n_slices);

void model_ask(struct model * m); /* once, at the end */

/* From the answer: a count among the values; the row of a table where `key` is `name`; and what is in that row. */
int64_t model_value(const struct model * m, const char * key);
const json_t * model_row(const struct model * m, const char * table, const char * key, const char * name);
int64_t count_of(const json_t * object, const char * key);
double share_of(const json_t * object, const char * key);

/* Gives the same numbers on every machine. */
uint32_t random_below(uint64_t * seed, uint32_t n);

#endif
