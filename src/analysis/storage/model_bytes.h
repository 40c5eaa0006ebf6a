/* SPDX-License-Identifier: MIT
 *
 * What stands where in the model's files: which weight's, which expert's byte is at an offset, and which byte is at an
 * address.
 */
#ifndef TAT_ANALYSIS_STORAGE_MODEL_BYTES_H
#define TAT_ANALYSIS_STORAGE_MODEL_BYTES_H

#include "analysis/analysis.h"
#include "analysis/slices.h"
#include "tat/io.h"

struct model_bytes {
    const struct subject * subject;
    uint64_t page_bytes;
    uint32_t * same;    /* by number of a model file: the first that is the same file, as after loading it again */
    uint64_t * begins;  /* by number of a model file: where its first weight begins; UINT64_MAX: it has none */
    uint32_t * file_of; /* by place in `files` of struct tat_io: the model file's number, or 0 */
    uint32_t * weights; /* tensors in a model file, by file and offset, each weight once */
    uint32_t n_weights;
    const struct tat_event ** mappings; /* in the order in which they were noted */
    uint32_t n_mappings;
    bool * mapped; /* by tensor: a weight that operations read in the file's mapping */
    struct slices slices;
};

/* False: no memory. Free it in any case. */
bool model_bytes_find(struct model_bytes * b, const struct subject * subject, const struct tat_io * io);
void model_bytes_free(struct model_bytes * b);

/* What stands at a byte, and up to where: never at `offset` itself. */
struct stretch {
    uint64_t end;
    uint32_t tensor; /* TAT_NO_NUMBER: no weight */
    uint16_t expert; /* or TAT_NO_EXPERT */
};
struct stretch stretch_at(const struct model_bytes * b, uint32_t file, uint64_t offset);

/* Of a stretch that has a tensor. */
uint32_t stretch_slice(const struct model_bytes * b, const struct stretch * s);

/* False: no model's file is mapped there, as far as is known. */
bool byte_at_address(const struct model_bytes * b, uint64_t address, uint32_t * file, uint64_t * offset);

#endif
