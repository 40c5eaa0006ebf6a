/* SPDX-License-Identifier: MIT */
#include "export/gguf_csv.h"

#include <inttypes.h>
#include <string.h>

static void write_text(FILE * out, const char * text) {
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, out);
        return;
    }
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"') { putc('"', out); }
        putc(*text, out);
    }
    putc('"', out);
}

static void write_shape(FILE * out, const struct tat_gguf_tensor * tensor) {
    for (uint32_t i = 0; i < tensor->n_dims; i++) { fprintf(out, "%s%" PRIu64, i ? "x" : "", tensor->ne[i]); }
}

static void write_tensor(FILE * out, const struct tat_gguf_tensor * tensor, const char * file, enum tat_part part) {
    char type[TAT_TYPE_NAME_SIZE];
    write_text(out, tensor->name);
    fprintf(out, ",%" PRIu64 ",%" PRIu64 ",", tensor->file_offset, tensor->bytes);
    if (tensor->layer != TAT_NO_LAYER) { fprintf(out, "%u", tensor->layer); }
    fprintf(out, ",%s,%s,", tat_component_name(tensor->component), tat_type_name(tensor->type, type));
    write_shape(out, tensor);
    putc(',', out);
    write_text(out, file);
    fprintf(out, ",%s\n", tat_part_name(part));
}

int export_gguf_csv(const struct tat_gguf * const * models, uint32_t count, FILE * out, struct tat_error * error) {
    fputs("name,file_offset,size,layer_id,component_type,type,shape,file,part\n", out);
    for (uint32_t m = 0; m < count; m++) {
        uint32_t n_tensors, n_files;
        const struct tat_gguf_tensor * tensors = tat_gguf_tensors(models[m], &n_tensors);
        const struct tat_gguf_file * files = tat_gguf_files(models[m], &n_files);
        for (uint32_t i = 0; i < n_tensors; i++) {
            write_tensor(out, &tensors[i], basename(files[tensors[i].file].path), tat_gguf_part(models[m]));
        }
    }
    return ferror(out) ? tat_fail_errno(error, "cannot write the structure of the model") : 0;
}
