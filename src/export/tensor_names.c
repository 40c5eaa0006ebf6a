/* SPDX-License-Identifier: MIT */
#include "export/tensor_names.h"

#include <errno.h>
#include <inttypes.h>

#include "export/text_row.h"

enum column {
    ID,
    NAME,
    MODEL,
    KIND,
    LAYER,
    COMPONENT,
    TYPE,
    SHAPE,
    FILE_NUMBER,
    FILE_OFFSET,
    BYTES,
    ADDRESS,
    PART,
    COLUMNS
};

static const char * const columns[COLUMNS] = {
    [ID] = "id",
    [NAME] = "name",
    [MODEL] = "model",
    [KIND] = "kind",
    [LAYER] = "layer",
    [COMPONENT] = "component",
    [TYPE] = "type",
    [SHAPE] = "shape",
    [FILE_NUMBER] = "file",
    [FILE_OFFSET] = "file_offset",
    [BYTES] = "bytes",
    [ADDRESS] = "address",
    [PART] = "part",
};

static const char * kind_name(enum tat_tensor_kind kind) {
    static const char * const names[] = { "", "weight", "state", "activation", "input" };
    return (unsigned) kind <= TAT_TENSOR_INPUT ? names[kind] : "";
}

static struct cell number_if(bool there, uint64_t number) {
    return there ? cell_number(number) : (struct cell){ .kind = CELL_EMPTY };
}

static const char * part_of_model(const struct tat_trace * trace, uint32_t number) {
    uint32_t count, i = 0;
    const struct tat_model * models = tat_trace_models(trace, &count);
    while (i < count && models[i].number != number) { i++; }
    return i < count ? tat_part_name(models[i].part) : "";
}

static void put_tensor(struct text_out * out, const struct tat_trace * trace, uint32_t id,
                       const struct tat_tensor * t) {
    uint32_t n_files;
    const struct tat_model_file * files = tat_trace_model_files(trace, &n_files);
    char shape[96], address[24];
    const bool in_file = t->file != 0 && t->file <= n_files;
    const bool has_part = t->kind == TAT_TENSOR_WEIGHT || t->kind == TAT_TENSOR_STATE;
    snprintf(shape, sizeof shape, "%" PRIu64 "x%" PRIu64 "x%" PRIu64 "x%" PRIu64, t->ne[0], t->ne[1], t->ne[2],
             t->ne[3]);
    snprintf(address, sizeof address, "0x%" PRIx64, t->address);
    const struct cell cells[COLUMNS] = {
        [ID] = cell_number(id),
        [NAME] = cell_text(t->name),
        [MODEL] = number_if(in_file, in_file ? files[t->file - 1].model : 0),
        [KIND] = cell_text(kind_name(t->kind)),
        [LAYER] = number_if(t->layer != TAT_NO_LAYER, t->layer),
        [COMPONENT] = cell_text(has_part ? tat_component_name(t->component) : ""),
        [TYPE] = cell_text(t->type_name),
        [SHAPE] = cell_text(shape),
        [FILE_NUMBER] = number_if(in_file, t->file),
        [FILE_OFFSET] = number_if(in_file, t->file_offset),
        [BYTES] = cell_number(t->bytes),
        [ADDRESS] = cell_text(address),
        [PART] = cell_text(in_file ? part_of_model(trace, files[t->file - 1].model) : ""),
    };
    row_tsv(out, cells, COLUMNS);
}

int tensor_names_write(const struct tat_trace * trace, FILE * file, struct tat_error * error) {
    uint32_t count;
    const struct tat_tensor * tensors = tat_trace_tensors(trace, &count);
    struct text_out out;
    text_out_begin(&out, file);
    row_names(&out, columns, COLUMNS, '\t');
    for (uint32_t i = 0; i < count; i++) { put_tensor(&out, trace, i, &tensors[i]); }
    errno = text_out_end(&out);
    return errno ? tat_fail_errno(error, "cannot write the tensor names") : 0;
}
