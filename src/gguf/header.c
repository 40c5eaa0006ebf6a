/* SPDX-License-Identifier: MIT
 *
 * One file's header: magic, version, counts, metadata, descriptions of the tensors. What can be followed safely is
 * taken; whether the tensors fit the file is asked afterwards (findings.c).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/model.h"

#define DEFAULT_ALIGNMENT 32
#define MIN_KV_BYTES      13 /* length of the key, one letter, type, one byte */
#define MIN_TENSOR_BYTES  24 /* length of the name, dimensions, type, offset */
/* Offsets and sizes up to this can be added to each other and to a header without wrapping. */
#define MAX_FILE_BYTES (UINT64_MAX / 4)

static int read_magic(struct input * input) {
    char magic[4];
    if (input_bytes(input, magic, sizeof magic, "the magic")) { return -1; }
    if (memcmp(magic, "GGUF", 4) == 0) { return 0; }
    static const char * const old[] = { "lmgg", "fmgg", "tjgg", "algg" };
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        if (memcmp(magic, old[i], 4) == 0) {
            return input_fail(input, 0,
                              "a model from before GGUF; convert it with llama.cpp's convert_llama_ggml_to_gguf.py");
        }
    }
    return input_fail(input, 0, "not a GGUF file: it begins with %02x %02x %02x %02x instead of \"GGUF\"",
                      (unsigned char) magic[0], (unsigned char) magic[1], (unsigned char) magic[2],
                      (unsigned char) magic[3]);
}

/* The version tells the byte order: it is a small number, so its zero bytes show which end is which. */
static int read_version(struct tat_gguf_file * file, struct input * input) {
    const uint64_t at = input->position;
    if (input_u32(input, &file->version, "the version")) { return -1; }
    if (file->version != 0 && (file->version & 0xffff) == 0) {
        file->big_endian = input->big_endian = true;
        file->version = __builtin_bswap32(file->version);
    }
    if (file->version == 1) {
        return input_fail(input, at, "GGUF version 1 is not supported; convert the model with a current llama.cpp");
    }
    if (file->version == 2 || file->version == 3) { return 0; }
    return input_fail(input, at, "GGUF version %u is unknown; this program reads 2 and 3", file->version);
}

static int read_count(struct input * input, uint64_t * count, uint64_t most, uint64_t least_bytes, const char * what) {
    const uint64_t at = input->position;
    if (input_u64(input, count, what)) { return -1; }
    if (*count > most) {
        return input_fail(input, at, "%s is %" PRIu64 "; the maximum is %" PRIu64, what, *count, most);
    }
    if (*count > (input->size - input->position) / least_bytes) {
        return input_fail(input, at, "%s is %" PRIu64 ", more than a file of %" PRIu64 " bytes can hold", what, *count,
                          input->size);
    }
    return 0;
}

static int read_alignment(struct tat_gguf_file * file, const struct metadata * metadata, const struct input * input) {
    const struct tat_gguf_kv * kv = metadata_find(metadata, "general.alignment");
    file->alignment = DEFAULT_ALIGNMENT;
    if (!kv) { return 0; }
    if (kv->type != TAT_GGUF_UINT32) {
        return input_fail(input, kv->file_offset, "general.alignment has type %s, but must be uint32",
                          tat_gguf_value_name(kv->type));
    }
    if (kv->value.u == 0 || (kv->value.u & (kv->value.u - 1))) {
        return input_fail(input, kv->file_offset, "general.alignment is %" PRIu64 ", but must be a power of two",
                          kv->value.u);
    }
    file->alignment = (uint32_t) kv->value.u;
    return 0;
}

static int read_name(struct tat_gguf_tensor * tensor, struct arena * arena, struct input * input) {
    const uint64_t at = input->position;
    uint64_t length;
    if (input_length(input, &length, "a tensor's name")) { return -1; }
    if (length > TAT_GGUF_MAX_NAME) {
        return input_fail(input, at, "a tensor's name is %" PRIu64 " bytes long; the maximum is %d", length,
                          TAT_GGUF_MAX_NAME);
    }
    char * name = arena_alloc(arena, length + 1);
    if (!name) { return input_fail_memory(input); }
    if (input_bytes(input, name, length, "a tensor's name")) { return -1; }
    name[length] = '\0';
    if (strlen(name) != length) { return input_fail(input, at, "a tensor's name holds a NUL byte"); }
    tensor->name = name;
    tensor->name_len = (uint16_t) length;
    return 0;
}

static int read_shape(struct tat_gguf_tensor * tensor, struct input * input) {
    const uint64_t at = input->position;
    char name[PRINTABLE_SIZE];
    input_printable(tensor->name, name);
    if (input_u32(input, &tensor->n_dims, "the number of a tensor's dimensions")) { return -1; }
    if (tensor->n_dims > TAT_GGUF_MAX_DIMS) {
        return input_fail(input, at, "tensor '%s' has %u dimensions; the maximum is %d", name, tensor->n_dims,
                          TAT_GGUF_MAX_DIMS);
    }
    uint64_t elements = 1;
    for (uint32_t i = 0; i < TAT_GGUF_MAX_DIMS; i++) {
        const uint64_t here = input->position;
        tensor->ne[i] = 1;
        if (i < tensor->n_dims && input_u64(input, &tensor->ne[i], "a tensor's dimension")) { return -1; }
        if (tensor->ne[i] > INT64_MAX) {
            return input_fail(input, here, "tensor '%s': dimension %u is negative: %" PRId64, name, i,
                              (int64_t) tensor->ne[i]);
        }
        if (__builtin_mul_overflow(elements, tensor->ne[i], &elements) || elements > INT64_MAX) {
            return input_fail(input, here, "tensor '%s': the product of its dimensions exceeds 64 bits", name);
        }
    }
    return 0;
}

/* The bytes of a shape of known type. The shape was checked: its product fits 63 bits. */
static int compute_bytes(struct tat_gguf_tensor * tensor, const struct input * input, uint64_t at) {
    char name[PRINTABLE_SIZE];
    const struct tat_type * type = tat_type_of(tensor->type);
    if (!type) { return 0; }
    input_printable(tensor->name, name);
    if (tensor->ne[0] % type->block) {
        return input_fail(input, at,
                          "tensor '%s': rows of %" PRIu64 " elements are not whole blocks of %s, which have %u", name,
                          tensor->ne[0], type->name, type->block);
    }
    const uint64_t blocks = tensor->ne[0] / type->block * tensor->ne[1] * tensor->ne[2] * tensor->ne[3];
    if (__builtin_mul_overflow(blocks, type->block_bytes, &tensor->bytes) || tensor->bytes > MAX_FILE_BYTES) {
        return input_fail(input, at, "tensor '%s' is larger than any file", name);
    }
    return 0;
}

/* A stacked tensor holds one slice per expert: a matrix of a weight, a row of a bias, a number of a scale. */
static void find_slices(struct tat_gguf_tensor * tensor) {
    const bool stacked = tensor->component >= TAT_COMPONENT_EXPERT_GATE &&
                         tensor->component <= TAT_COMPONENT_EXPERT_GATE_UP && tensor->expert == TAT_NO_EXPERT;
    if (!stacked || tensor->bytes == 0) { return; /* of unknown type, or empty */ }
    const uint32_t dim = strstr(tensor->name, ".weight") ? 2 : strstr(tensor->name, ".bias") ? 1 : 0;
    const uint64_t slices = tensor->ne[dim];
    if (slices == 0 || slices >= TAT_NO_EXPERT || tensor->bytes % slices) { return; }
    tensor->n_slices = (uint32_t) slices;
    tensor->slice_bytes = tensor->bytes / slices;
}

/* Leaves the offset relative to the data section, whose beginning is not known yet. */
static int read_tensor(struct tat_gguf_tensor * tensor, struct arena * arena, struct input * input) {
    if (read_name(tensor, arena, input) || read_shape(tensor, input)) { return -1; }
    uint64_t at = input->position;
    if (input_u32(input, &tensor->type, "a tensor's type") || compute_bytes(tensor, input, at)) { return -1; }
    at = input->position;
    if (input_u64(input, &tensor->file_offset, "a tensor's offset")) { return -1; }
    if (tensor->file_offset > MAX_FILE_BYTES) {
        char name[PRINTABLE_SIZE];
        return input_fail(input, at, "tensor '%s': its offset is %" PRIu64 ", which is beyond the end of any file",
                          input_printable(tensor->name, name), tensor->file_offset);
    }
    tensor->layer = (uint16_t) tat_layer_of(tensor->name);
    tensor->expert = (uint16_t) tat_expert_of(tensor->name);
    tensor->component = tat_component_of(tensor->name);
    find_slices(tensor);
    return 0;
}

static int reserve_tensors(struct tat_gguf * gguf, const struct input * input, uint64_t at, uint64_t count) {
    const uint64_t total = gguf->n_tensors + count;
    if (total > TAT_GGUF_MAX_TENSORS) {
        return input_fail(input, at, "the model has %" PRIu64 " tensors so far; the maximum is %u", total,
                          TAT_GGUF_MAX_TENSORS);
    }
    void * larger = realloc(gguf->tensors, (total + 1) * sizeof *gguf->tensors);
    if (!larger) { return input_fail_memory(input); }
    gguf->tensors = larger;
    if (name_index_reserve(&gguf->index, sizeof *gguf->tensors, (uint32_t) total)) { return input_fail_memory(input); }
    return 0;
}

static int read_tensors(struct tat_gguf * gguf, uint32_t file, struct input * input, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        struct tat_gguf_tensor * tensor = &gguf->tensors[gguf->n_tensors];
        const uint64_t at = input->position;
        char name[PRINTABLE_SIZE];
        *tensor = (struct tat_gguf_tensor){ .file = (uint16_t) file };
        if (read_tensor(tensor, &gguf->arena, input)) { return -1; }
        switch (name_index_add(&gguf->index, gguf->tensors, gguf->n_tensors)) {
            case NAME_INDEX_ADDED: break;
            case NAME_INDEX_DUPLICATE:
                return input_fail(input, at, "there are two tensors '%s'", input_printable(tensor->name, name));
            case NAME_INDEX_CROWDED: return input_fail(input, at, "the tensor names are crafted to collide");
        }
        gguf->n_tensors++;
    }
    return 0;
}

/* Called before the tensors are read: those of the wrong file would only confuse. */
static int check_part(const struct split_part * part, const struct metadata * metadata, const struct input * input) {
    const uint64_t number = metadata_uint(metadata, SPLIT_NO, UINT64_MAX);
    const uint64_t total = metadata_uint(metadata, SPLIT_COUNT, 0);
    if (number == part->number - 1 && total == part->total) { return 0; }
    return input_fail(input, input->position, "is not part %u of %u: its split.no and split.count say otherwise",
                      part->number, part->total);
}

int header_read(struct tat_gguf * gguf, uint32_t number, const struct split_part * part, struct metadata * metadata,
                struct input * input) {
    struct tat_gguf_file * file = &gguf->files[number];
    uint64_t n_tensors, n_kv;
    if (read_magic(input) || read_version(file, input)) { return -1; }
    const uint64_t at = input->position;
    if (read_count(input, &n_tensors, TAT_GGUF_MAX_TENSORS, MIN_TENSOR_BYTES, "the number of tensors")) { return -1; }
    if (read_count(input, &n_kv, TAT_GGUF_MAX_KEYS, MIN_KV_BYTES, "the number of metadata keys")) { return -1; }
    if (metadata_read(metadata, &gguf->arena, input, n_kv)) { return -1; }
    if (part && check_part(part, metadata, input)) { return -1; }
    if (read_alignment(file, metadata, input)) { return -1; }
    if (reserve_tensors(gguf, input, at, n_tensors)) { return -1; }
    file->first_tensor = gguf->n_tensors;
    file->n_tensors = (uint32_t) n_tensors;
    if (read_tensors(gguf, number, input, n_tensors)) { return -1; }
    file->header_bytes = input->position;
    file->header_hash = input_hash(input);
    const uint64_t mask = (uint64_t) file->alignment - 1;
    file->data_offset = (file->header_bytes + mask) & ~mask;
    for (uint32_t i = file->first_tensor; i < gguf->n_tensors; i++) {
        gguf->tensors[i].file_offset += file->data_offset;
    }
    return 0;
}
