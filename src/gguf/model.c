/* SPDX-License-Identifier: MIT
 *
 * Opening a model: one file, or the parts of a split one, NAME-00001-of-00003.gguf and so on, each with a header of its
 * own.
 */
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "gguf/model.h"

#define PART_SUFFIX "-00001-of-00001.gguf"
#define MAX_PARTS   65535

static int add_file(struct tat_gguf * gguf, const char * path, struct tat_error * error) {
    char * copy = arena_string(&gguf->arena, path, strlen(path));
    void * larger = realloc(gguf->files, (gguf->n_files + (size_t) 1) * sizeof *gguf->files);
    if (larger) { gguf->files = larger; }
    if (!copy || !larger) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "%s: no memory for the header", input_path_end(path));
    }
    gguf->files[gguf->n_files++] = (struct tat_gguf_file){ .path = copy };
    return 0;
}

/* Appends one file. The caller frees its metadata, also after a failure. */
static int read_file(struct tat_gguf * gguf, const char * path, const struct split_part * part,
                     struct metadata * metadata, struct tat_error * error) {
    if (add_file(gguf, path, error)) { return -1; }
    const uint32_t number = gguf->n_files - 1;
    struct tat_gguf_file * file = &gguf->files[number];
    struct input input;
    int result = input_open(&input, file->path, error);
    if (result == 0) {
        file->size = input.size;
        file->device = input.info.st_dev;
        file->inode = input.info.st_ino;
        file->mtime_ns = input.mtime_ns;
        result = header_read(gguf, number, part, metadata, &input);
    }
    input_close(&input, gguf->leave_open);
    return result;
}

/* ---- split models ---- */

/* Reads NAME-00002-of-00003.gguf; false if the path does not end like that. */
static bool parse_part(const char * path, struct split_part * part) {
    const size_t length = strlen(path), suffix = strlen(PART_SUFFIX);
    int read = 0;
    if (length <= suffix) { return false; }
    return sscanf(path + length - suffix, "-%5u-of-%5u.gguf%n", &part->number, &part->total, &read) == 2 &&
           read == (int) suffix && part->number > 0 && part->number <= part->total;
}

/* The path of another part of the same model, in the arena. NULL: no memory. */
static const char * part_path(struct tat_gguf * gguf, const char * path, const struct split_part * part) {
    const size_t length = strlen(path) - strlen(PART_SUFFIX);
    char suffix[sizeof PART_SUFFIX + 8];
    snprintf(suffix, sizeof suffix, "-%05u-of-%05u.gguf", part->number, part->total);
    char * result = arena_alloc(&gguf->arena, length + sizeof suffix);
    if (!result) { return NULL; }
    memcpy(result, path, length);
    strcpy(result + length, suffix);
    return result;
}

static int read_part(struct tat_gguf * gguf, const struct split_part * part, struct tat_error * error) {
    struct metadata metadata = { 0 };
    const char * path = part_path(gguf, gguf->files[0].path, part);
    if (!path) { return tat_fail(error, TAT_ERROR_SYSTEM, "no memory for the path of part %u", part->number); }
    const int result = read_file(gguf, path, part, &metadata, error);
    metadata_free(&metadata);
    return result;
}

static int read_other_parts(struct tat_gguf * gguf, unsigned total, struct tat_error * error) {
    for (struct split_part part = { 2, total }; part.number <= total; part.number++) {
        if (read_part(gguf, &part, error)) { return -1; }
    }
    const uint64_t said = metadata_uint(&gguf->metadata, SPLIT_TENSORS, gguf->n_tensors);
    if (said == gguf->n_tensors) { return 0; }
    return tat_fail(error, TAT_ERROR_INPUT, "%s: split.tensors.count is %" PRIu64 ", but the %u parts hold %u tensors",
                    input_path_end(gguf->files[0].path), said, gguf->n_files, gguf->n_tensors);
}

/* ---- opening ---- */

static void add_sizes(struct tat_gguf * gguf) {
    for (uint32_t i = 0; i < gguf->n_tensors; i++) {
        /* The tensors of a crafted file may overlap, so that their sum could wrap. */
        if (__builtin_add_overflow(gguf->tensor_bytes, gguf->tensors[i].bytes, &gguf->tensor_bytes)) {
            gguf->tensor_bytes = UINT64_MAX;
            break;
        }
    }
}

static int combine_hashes(struct tat_gguf * gguf, struct tat_error * error) {
    gguf->hash = gguf->files[0].header_hash;
    if (gguf->n_files == 1) { return 0; }
    const size_t size = gguf->n_files * sizeof(uint64_t);
    uint64_t * hashes = arena_alloc(&gguf->arena, size);
    if (!hashes) { return tat_fail(error, TAT_ERROR_SYSTEM, "no memory for the hashes of %u files", gguf->n_files); }
    for (uint32_t i = 0; i < gguf->n_files; i++) { hashes[i] = htole64(gguf->files[i].header_hash); }
    gguf->hash = XXH64(hashes, size, 0);
    return 0;
}

/* A split model's first part must come first, since it has the metadata. */
enum opened { FAILED, COMPLETE, OTHER_PART };

static enum opened open_files(struct tat_gguf * gguf, const char * path, unsigned flags, const char ** first,
                              struct tat_error * error) {
    struct split_part part;
    if (read_file(gguf, path, NULL, &gguf->metadata, error)) { return FAILED; }
    const uint64_t count = metadata_uint(&gguf->metadata, SPLIT_COUNT, 1);
    if (count <= 1 || flags & TAT_GGUF_SINGLE) { return COMPLETE; }
    if (count > MAX_PARTS || !parse_part(path, &part) || part.total != count) {
        tat_fail(error, TAT_ERROR_INPUT,
                 "%s: is one of %" PRIu64 " parts, but not named NAME-00001-of-%05" PRIu64
                 ".gguf, so the other parts cannot be found",
                 input_path_end(path), count, count);
        return FAILED;
    }
    if (metadata_uint(&gguf->metadata, SPLIT_NO, UINT64_MAX) != part.number - 1) {
        tat_fail(error, TAT_ERROR_INPUT, "%s: its name says part %u, but its split.no says otherwise",
                 input_path_end(path), part.number);
        return FAILED;
    }
    if (part.number == 1) { return read_other_parts(gguf, part.total, error) ? FAILED : COMPLETE; }
    part.number = 1;
    *first = part_path(gguf, path, &part);
    if (*first) { return OTHER_PART; }
    tat_fail(error, TAT_ERROR_SYSTEM, "no memory for the path of part 1");
    return FAILED;
}

struct tat_gguf * tat_gguf_open(const char * path, unsigned flags, struct tat_error * error) {
    struct tat_gguf * gguf = calloc(1, sizeof *gguf);
    const char * first = NULL;
    if (!gguf) {
        tat_fail(error, TAT_ERROR_SYSTEM, "%s: no memory for the header", input_path_end(path));
        return NULL;
    }
    gguf->leave_open = flags & TAT_GGUF_LEAVE_OPEN;
    const enum opened opened = open_files(gguf, path, flags, &first, error);
    if (opened == OTHER_PART) {
        struct tat_gguf * whole = tat_gguf_open(first, flags, error); /* at most once: its name says part 1 */
        tat_gguf_close(gguf);
        return whole;
    }
    if (opened == FAILED || params_read(gguf, error) || combine_hashes(gguf, error) ||
        findings_search(gguf, flags & TAT_GGUF_TOLERANT, error)) {
        tat_gguf_close(gguf);
        return NULL;
    }
    add_sizes(gguf);
    return gguf;
}

void tat_gguf_close(struct tat_gguf * gguf) {
    if (!gguf) { return; }
    free(gguf->findings.list);
    metadata_free(&gguf->metadata);
    name_index_free(&gguf->index);
    free(gguf->tensors);
    free(gguf->files);
    arena_free(&gguf->arena);
    free(gguf);
}

/* ---- asking ---- */

const struct tat_gguf_file * tat_gguf_files(const struct tat_gguf * gguf, uint32_t * count) {
    *count = gguf->n_files;
    return gguf->files;
}

const struct tat_gguf_tensor * tat_gguf_tensors(const struct tat_gguf * gguf, uint32_t * count) {
    *count = gguf->n_tensors;
    return gguf->tensors;
}

const struct tat_gguf_tensor * tat_gguf_find(const struct tat_gguf * gguf, const char * name) {
    const uint32_t position = name_index_find(&gguf->index, gguf->tensors, name);
    return position == NAME_INDEX_NONE ? NULL : &gguf->tensors[position];
}

uint64_t tat_gguf_hash(const struct tat_gguf * gguf) {
    return gguf->hash;
}

uint64_t tat_gguf_tensor_bytes(const struct tat_gguf * gguf) {
    return gguf->tensor_bytes;
}

const struct tat_gguf_params * tat_gguf_params(const struct tat_gguf * gguf) {
    return &gguf->params;
}

const struct tat_gguf_kv * tat_gguf_metadata(const struct tat_gguf * gguf, uint32_t * count) {
    *count = gguf->metadata.count;
    return gguf->metadata.kvs;
}

const struct tat_gguf_kv * tat_gguf_find_key(const struct tat_gguf * gguf, const char * key) {
    return metadata_find(&gguf->metadata, key);
}

const struct tat_gguf_finding * tat_gguf_findings(const struct tat_gguf * gguf, uint32_t * count, uint64_t * total) {
    *count = gguf->findings.count;
    *total = gguf->findings.total;
    return gguf->findings.list;
}
