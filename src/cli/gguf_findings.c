/* SPDX-License-Identifier: MIT */
#include "cli/gguf_findings.h"

#include <inttypes.h>

#include "cli/terminal.h"

enum { SHOWN = 3 }; /* of one kind in one file */

static const char * const further[TAT_GGUF_FINDING_COUNT] = {
    [TAT_GGUF_OVERLAP] = "tensors that overlap the one before",
    [TAT_GGUF_MISALIGNED] = "tensors that do not begin at a multiple of the alignment",
    [TAT_GGUF_GAP] = "gaps between tensors",
    [TAT_GGUF_UNKNOWN_TYPE] = "tensors of unknown type",
    [TAT_GGUF_LONG_NAME] = "names that are too long for llama.cpp",
    [TAT_GGUF_STRAY_LAYER] = "tensors of layers that the model does not have",
};

bool gguf_is_damaged(const struct tat_gguf * gguf) {
    uint32_t count;
    uint64_t total;
    const struct tat_gguf_finding * findings = tat_gguf_findings(gguf, &count, &total);
    for (uint32_t i = 0; i < count; i++) {
        if (findings[i].is_error) { return true; }
    }
    return false;
}

static void begin_line(const struct tat_gguf * gguf, uint32_t file, bool is_error, FILE * out) {
    uint32_t count;
    print_safe(tat_gguf_files(gguf, &count)[file].path, out);
    fputs(is_error ? ": error: " : ": note: ", out);
}

static uint64_t end_of(const struct tat_gguf_tensor * tensor) {
    return tensor->file_offset + tensor->bytes;
}

/* One cause, however many tensors lie behind the end of the file. */
static void print_cut(const struct tat_gguf * gguf, uint32_t number, FILE * out) {
    uint32_t count, n_files, beyond = 0;
    uint64_t end = 0;
    const struct tat_gguf_tensor *tensors = tat_gguf_tensors(gguf, &count), *first = NULL;
    const struct tat_gguf_file * file = &tat_gguf_files(gguf, &n_files)[number];
    for (uint32_t i = 0; i < count; i++) {
        const struct tat_gguf_tensor * t = &tensors[i];
        if (t->file != number || end_of(t) <= file->size) { continue; }
        if (!first || t->file_offset < first->file_offset) { first = t; }
        if (end_of(t) > end) { end = end_of(t); }
        beyond++;
    }
    if (!first) { return; }
    begin_line(gguf, number, true, out);
    fprintf(out,
            "the file is cut short: its tensors need %" PRIu64 " bytes, but it has %" PRIu64 ". %" PRIu32 " of %" PRIu32
            " tensors extend beyond its end, by up to %" PRIu64 " bytes; the first is '",
            end, file->size, beyond, file->n_tensors, end - file->size);
    print_safe(first->name, out);
    fprintf(out, "' at byte %" PRIu64 "\n", first->file_offset);
}

/* Of the findings from `from` on, those of one file; returns where the next file's begin. */
static uint32_t print_file(const struct tat_gguf * gguf, uint32_t from, FILE * out) {
    uint32_t count, seen[TAT_GGUF_FINDING_COUNT] = { 0 }, i = from;
    uint64_t total;
    const struct tat_gguf_finding * findings = tat_gguf_findings(gguf, &count, &total);
    const uint32_t file = findings[from].file;
    print_cut(gguf, file, out);
    for (; i < count && findings[i].file == file; i++) {
        const struct tat_gguf_finding * f = &findings[i];
        char line[300];
        if (f->kind == TAT_GGUF_BEYOND_FILE || ++seen[f->kind] > SHOWN) { continue; }
        begin_line(gguf, file, f->is_error, out);
        fprintf(out, "%s\n", tat_gguf_finding_text(gguf, f, line, sizeof line));
    }
    for (int kind = 0; kind < TAT_GGUF_FINDING_COUNT; kind++) {
        if (seen[kind] <= SHOWN || !further[kind]) { continue; }
        begin_line(gguf, file, kind == TAT_GGUF_OVERLAP || kind == TAT_GGUF_MISALIGNED, out);
        fprintf(out, "and %" PRIu32 " more %s\n", seen[kind] - SHOWN, further[kind]);
    }
    return i;
}

void gguf_print_findings(const struct tat_gguf * gguf, FILE * out) {
    uint32_t count;
    uint64_t total;
    tat_gguf_findings(gguf, &count, &total);
    for (uint32_t i = 0; i < count;) { i = print_file(gguf, i, out); }
    if (total > count) { fprintf(out, "and %" PRIu64 " more findings\n", total - count); }
}
