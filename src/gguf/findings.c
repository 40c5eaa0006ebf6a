/* SPDX-License-Identifier: MIT
 *
 * Whether the tensors fit the file: one walk over each file's tensors in order of offset.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "gguf/model.h"

#define LLAMA_MAX_NAME 63

static const bool is_error[TAT_GGUF_FINDING_COUNT] = {
    [TAT_GGUF_BEYOND_FILE] = true,
    [TAT_GGUF_OVERLAP] = true,
    [TAT_GGUF_MISALIGNED] = true,
};

/* All are counted; the first thousand are kept, and the first error in any case. */
static void add(struct tat_gguf * gguf, enum tat_gguf_finding_kind kind, uint32_t file, uint32_t tensor,
                uint64_t offset, uint64_t bytes) {
    struct findings * findings = &gguf->findings;
    const struct tat_gguf_finding finding = {
        .kind = kind,
        .is_error = is_error[kind],
        .file = (uint16_t) file,
        .tensor = tensor,
        .file_offset = offset,
        .bytes = bytes,
    };
    const bool is_first_error = finding.is_error && !findings->first_error.is_error;
    findings->total++;
    if (is_first_error) { findings->first_error = finding; }
    if (findings->count < TAT_GGUF_MAX_FINDINGS) {
        findings->list[findings->count++] = finding;
    } else if (is_first_error) {
        findings->list[TAT_GGUF_MAX_FINDINGS - 1] = finding;
    }
}

static int by_offset(const void * left, const void * right, void * context) {
    const struct tat_gguf_tensor * tensors = context;
    const struct tat_gguf_tensor *a = &tensors[*(const uint32_t *) left], *b = &tensors[*(const uint32_t *) right];
    if (a->file_offset != b->file_offset) { return a->file_offset < b->file_offset ? -1 : 1; }
    return (a > b) - (a < b);
}

static void sort(struct tat_gguf * gguf, const struct tat_gguf_file * file, uint32_t * order) {
    bool sorted = true;
    for (uint32_t i = 0; i < file->n_tensors; i++) {
        order[i] = file->first_tensor + i;
        if (i && gguf->tensors[order[i]].file_offset < gguf->tensors[order[i - 1]].file_offset) { sorted = false; }
    }
    if (!sorted) { qsort_r(order, file->n_tensors, sizeof *order, by_offset, gguf->tensors); }
}

/* A tensor of unknown type ends where the next one begins, or with the file. */
static void guess_size(struct tat_gguf * gguf, struct tat_gguf_tensor * tensor, uint64_t next) {
    tensor->bytes = tensor->file_offset < next ? next - tensor->file_offset : 0;
    add(gguf, TAT_GGUF_UNKNOWN_TYPE, tensor->file, (uint32_t) (tensor - gguf->tensors), tensor->file_offset,
        tensor->bytes);
}

static void check_name(struct tat_gguf * gguf, const struct tat_gguf_tensor * tensor, uint32_t layers) {
    const uint32_t number = (uint32_t) (tensor - gguf->tensors);
    if (tensor->name_len > LLAMA_MAX_NAME) {
        add(gguf, TAT_GGUF_LONG_NAME, tensor->file, number, tensor->file_offset, tensor->name_len);
    }
    if (layers && tensor->layer != TAT_NO_LAYER && tensor->layer >= layers) {
        add(gguf, TAT_GGUF_STRAY_LAYER, tensor->file, number, tensor->file_offset, tensor->layer);
    }
}

static uint64_t pad(const struct tat_gguf_file * file, uint64_t offset) {
    const uint64_t mask = (uint64_t) file->alignment - 1;
    return (offset + mask) & ~mask;
}

static void check_file(struct tat_gguf * gguf, uint32_t number, const uint32_t * order, uint32_t layers) {
    const struct tat_gguf_file * file = &gguf->files[number];
    uint64_t end = file->header_bytes;
    uint32_t last = UINT32_MAX; /* the tensor that ends at `end` */
    for (uint32_t i = 0; i < file->n_tensors; i++) {
        struct tat_gguf_tensor * tensor = &gguf->tensors[order[i]];
        const uint64_t offset = tensor->file_offset;
        if (!tat_type_of(tensor->type)) {
            guess_size(gguf, tensor, i + 1 < file->n_tensors ? gguf->tensors[order[i + 1]].file_offset : file->size);
        }
        check_name(gguf, tensor, layers);
        if (offset % file->alignment) {
            add(gguf, TAT_GGUF_MISALIGNED, number, order[i], offset, offset % file->alignment);
        }
        if (tensor->bytes && offset < end) { add(gguf, TAT_GGUF_OVERLAP, number, order[i], offset, end - offset); }
        if (offset > pad(file, end)) { add(gguf, TAT_GGUF_GAP, number, last, end, offset - end); }
        if (offset + tensor->bytes > file->size) {
            add(gguf, TAT_GGUF_BEYOND_FILE, number, order[i], offset, offset + tensor->bytes - file->size);
        }
        if (offset + tensor->bytes > end) {
            end = offset + tensor->bytes;
            last = order[i];
        }
    }
    if (file->size > pad(file, end)) { add(gguf, TAT_GGUF_TRAILING, number, last, end, file->size - end); }
}

const char * tat_gguf_finding_text(const struct tat_gguf * gguf, const struct tat_gguf_finding * finding, char * buffer,
                                   size_t size) {
    const struct tat_gguf_file * file = &gguf->files[finding->file];
    const uint64_t offset = finding->file_offset, bytes = finding->bytes;
    char name[PRINTABLE_SIZE] = "", type[TAT_TYPE_NAME_SIZE];
    uint32_t type_id = 0;
    if (finding->tensor < gguf->n_tensors) {
        input_printable(gguf->tensors[finding->tensor].name, name);
        type_id = gguf->tensors[finding->tensor].type;
    }
    switch (finding->kind) {
        case TAT_GGUF_BEYOND_FILE:
            snprintf(buffer, size,
                     "byte %" PRIu64 ": tensor '%s' ends %" PRIu64 " bytes after the file, which has %" PRIu64, offset,
                     name, bytes, file->size);
            break;
        case TAT_GGUF_OVERLAP:
            snprintf(buffer, size, "byte %" PRIu64 ": tensor '%s' overlaps %" PRIu64 " bytes of the one before it",
                     offset, name, bytes);
            break;
        case TAT_GGUF_MISALIGNED:
            snprintf(buffer, size, "byte %" PRIu64 ": tensor '%s' does not begin at a multiple of the alignment, %u",
                     offset, name, file->alignment);
            break;
        case TAT_GGUF_GAP:
            snprintf(buffer, size, "byte %" PRIu64 ": %" PRIu64 " bytes after %s%s%s belong to no tensor", offset,
                     bytes, *name ? "tensor '" : "the header", name, *name ? "'" : "");
            break;
        case TAT_GGUF_TRAILING:
            snprintf(buffer, size, "byte %" PRIu64 ": %" PRIu64 " bytes at the end of the file belong to no tensor",
                     offset, bytes);
            break;
        case TAT_GGUF_UNKNOWN_TYPE:
            snprintf(buffer, size,
                     "byte %" PRIu64 ": tensor '%s' is of unknown %s; up to the next tensor it has %" PRIu64 " bytes",
                     offset, name, tat_type_name(type_id, type), bytes);
            break;
        case TAT_GGUF_LONG_NAME:
            snprintf(buffer, size, "byte %" PRIu64 ": tensor '%s' has a name of %" PRIu64 " bytes; llama.cpp takes %d",
                     offset, name, bytes, LLAMA_MAX_NAME);
            break;
        case TAT_GGUF_STRAY_LAYER:
            snprintf(buffer, size, "byte %" PRIu64 ": tensor '%s' is of layer %" PRIu64 ", the model has %u", offset,
                     name, bytes, gguf->params.n_layer);
            break;
        default: snprintf(buffer, size, "unknown finding"); break;
    }
    return buffer;
}

static int refuse_errors(const struct tat_gguf * gguf, struct tat_error * error) {
    const struct tat_gguf_finding * finding = &gguf->findings.first_error;
    char line[400];
    if (!finding->is_error) { return 0; }
    tat_gguf_finding_text(gguf, finding, line, sizeof line);
    return tat_fail(error, TAT_ERROR_INPUT, "%s: %s", input_path_end(gguf->files[finding->file].path), line);
}

/* How many layers names may refer to: an encoder's and a decoder's are numbered separately. */
static uint32_t layers_of(const struct tat_gguf * gguf) {
    uint64_t decoder = 0;
    char key[256];
    snprintf(key, sizeof key, "%s.decoder_block_count", gguf->params.architecture);
    tat_gguf_uint(tat_gguf_find_key(gguf, key), 0, &decoder);
    return decoder > gguf->params.n_layer && decoder < TAT_NO_LAYER ? (uint32_t) decoder : gguf->params.n_layer;
}

int findings_search(struct tat_gguf * gguf, bool tolerant, struct tat_error * error) {
    uint32_t * order = malloc((gguf->n_tensors + (size_t) 1) * sizeof *order);
    gguf->findings.list = malloc(TAT_GGUF_MAX_FINDINGS * sizeof *gguf->findings.list);
    if (!order || !gguf->findings.list) {
        free(order);
        return tat_fail(error, TAT_ERROR_SYSTEM, "%s: no memory for the check", gguf->files[0].path);
    }
    for (uint32_t i = 0; i < gguf->n_files; i++) {
        sort(gguf, &gguf->files[i], order);
        check_file(gguf, i, order, layers_of(gguf));
    }
    free(order);
    return tolerant ? 0 : refuse_errors(gguf, error);
}
