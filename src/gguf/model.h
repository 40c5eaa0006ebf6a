/* SPDX-License-Identifier: MIT
 *
 * What is behind struct tat_gguf, for the files of this folder.
 */
#ifndef TAT_GGUF_MODEL_H
#define TAT_GGUF_MODEL_H

#include "gguf/arena.h"
#include "gguf/input.h"
#include "gguf/name_index.h"
#include "tat/gguf.h"

#define SPLIT_COUNT   "split.count"
#define SPLIT_NO      "split.no"
#define SPLIT_TENSORS "split.tensors.count"

struct metadata {
    struct tat_gguf_kv * kvs;
    struct name_index index;
    uint32_t count;
};

struct findings {
    struct tat_gguf_finding * list;      /* at most TAT_GGUF_MAX_FINDINGS */
    struct tat_gguf_finding first_error; /* if there is an error */
    uint32_t count;
    uint64_t total;
};

struct tat_gguf {
    struct arena arena;
    struct tat_gguf_file * files;
    struct tat_gguf_tensor * tensors;
    struct name_index index;
    struct metadata metadata; /* of the first file */
    struct findings findings;
    struct tat_gguf_params params;
    uint64_t hash;
    uint64_t tensor_bytes;
    uint32_t n_files;
    uint32_t n_tensors;
    bool leave_open;
};

/* metadata.c: the key-value pairs of one header. */
int metadata_read(struct metadata * metadata, struct arena * arena, struct input * input, uint64_t count);
void metadata_free(struct metadata * metadata);
const struct tat_gguf_kv * metadata_find(const struct metadata * metadata, const char * key);

/* What a part of a split model must say about itself. */
struct split_part {
    unsigned number; /* from 1 */
    unsigned total;
};

/* header.c: reads one file's header and appends its tensors to the model's. The caller frees the metadata. `part` may
 * be NULL. */
int header_read(struct tat_gguf * gguf, uint32_t file, const struct split_part * part, struct metadata * metadata,
                struct input * input);

/* strings.c: the first `count` numbers of an array of 32-bit ones, which may have stayed in the file; those that are
 * negative or above 255 become 0. Leaves `numbers` alone if `kv` is no such array, or NULL. */
int strings_read_small_numbers(const struct tat_gguf * gguf, const struct tat_gguf_kv * kv, uint8_t * numbers,
                               uint64_t count, struct tat_error * error);

/* A whole number from the metadata, or `otherwise`. */
uint64_t metadata_uint(const struct metadata * metadata, const char * key, uint64_t otherwise);

/* params.c: needs the metadata and the tensors. */
int params_read(struct tat_gguf * gguf, struct tat_error * error);

/* findings.c: needs everything else; sets the sizes of tensors of unknown type. Fails on an error, unless tolerant. */
int findings_search(struct tat_gguf * gguf, bool tolerant, struct tat_error * error);

#endif
