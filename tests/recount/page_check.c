/* SPDX-License-Identifier: MIT
 *
 *     page_check TRACE PAGES
 *
 * Are the pages of the model files that the trace's access records name, and those of weights that loading copied, the
 * pages that the kernel saw touched (page_truth.c)?
 * Exit status 0: the very same, 1: not, 3: bad input.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tat/trace.h"

enum { PAGE = 4096, TOUCHED = 1, TRACED = 2, SHOWN = 10 };

struct file {
    const char * path;
    uint64_t n_pages;
    unsigned char * page; /* TOUCHED, TRACED */
};

struct check {
    struct tat_trace * trace;
    struct file * files;
    uint32_t n_files;
    uint64_t n_records, n_approximate, n_outside;
};

static void mark(struct check * c, struct file * file, uint64_t offset, uint64_t bytes) {
    if (bytes == 0) { return; }
    if ((offset + bytes - 1) / PAGE >= file->n_pages) {
        c->n_outside++;
        return;
    }
    for (uint64_t page = offset / PAGE; page <= (offset + bytes - 1) / PAGE; page++) { file->page[page] |= TRACED; }
}

static void mark_record(struct check * c, const struct tat_access * a) {
    const struct tat_tensor * tensor = &tat_trace_tensors(c->trace, &(uint32_t){ 0 })[a->tensor];
    if (tensor->memory != TAT_MEMORY_FILE || a->bytes == 0) { return; }
    struct file * file = &c->files[tensor->file - 1];
    c->n_records++;
    if (a->flags & TAT_ACCESS_APPROXIMATE) { c->n_approximate++; }
    if (!(a->flags & TAT_ACCESS_STRIDED)) {
        mark(c, file, a->offset, a->bytes);
        return;
    }
    const struct tat_layout layout = tat_trace_layout(c->trace, a->layout);
    for (uint64_t i = 0; i < a->rows; i++) { mark(c, file, a->offset + i * layout.stride, layout.run_bytes); }
}

/* Weights that were repacked or copied: loading read them whole, through the mapping. */
static void mark_copies(struct check * c) {
    uint32_t count;
    const struct tat_tensor * t = tat_trace_tensors(c->trace, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (t[i].memory == TAT_MEMORY_COPY && t[i].file) {
            mark(c, &c->files[t[i].file - 1], t[i].file_offset, t[i].bytes);
        }
    }
}

static bool take(const struct tat_access * records, size_t count, void * user) {
    for (size_t i = 0; i < count; i++) { mark_record(user, &records[i]); }
    return true;
}

static bool begin(struct check * c, const char * path, struct tat_error * error) {
    c->trace = tat_trace_open(path, error);
    if (!c->trace) { return false; }
    const struct tat_model_file * models = tat_trace_model_files(c->trace, &c->n_files);
    c->files = calloc(c->n_files + 1, sizeof *c->files);
    for (uint32_t i = 0; i < c->n_files; i++) {
        c->files[i] = (struct file){ models[i].path, (models[i].size + PAGE - 1) / PAGE, NULL };
        c->files[i].page = calloc(c->files[i].n_pages + 1, 1);
    }
    return true;
}

static struct file * file_named(struct check * c, const char * path) {
    for (uint32_t i = 0; i < c->n_files; i++) {
        if (strcmp(c->files[i].path, path) == 0) { return &c->files[i]; }
    }
    return NULL;
}

static bool read_truth(struct check * c, const char * path) {
    FILE * in = fopen(path, "re");
    if (!in) { return false; }
    char line[8192], name[8192];
    struct file * file = NULL;
    bool good = true;
    while (good && fgets(line, sizeof line, in)) {
        uint64_t first, last;
        if (sscanf(line, "file %8191[^\n]", name) == 1) {
            file = file_named(c, name);
            good = file != NULL;
        } else if (sscanf(line, "pages %" SCNu64 " %" SCNu64, &first, &last) == 2 && file && last < file->n_pages) {
            for (; first <= last; first++) { file->page[first] |= TOUCHED; }
        } else {
            good = false;
        }
    }
    fclose(in);
    return good;
}

/* The tensors that lie in a page, so that a difference names its cause. */
static void show_page(const struct check * c, uint32_t file, uint64_t page) {
    uint32_t count;
    const struct tat_tensor * t = tat_trace_tensors(c->trace, &count);
    printf("  %s page %" PRIu64 ":", c->files[file].page[page] == TOUCHED ? "missing" : "extra", page);
    for (uint32_t i = 0; i < count; i++) {
        if (t[i].file != file + 1) { continue; }
        if (t[i].file_offset < (page + 1) * PAGE && t[i].file_offset + t[i].bytes > page * PAGE) {
            printf(" %s", t[i].name);
        }
    }
    printf("\n");
}

static bool compare(const struct check * c, uint32_t number) {
    const struct file * file = &c->files[number];
    uint64_t n[4] = { 0 };
    for (uint64_t i = 0; i < file->n_pages; i++) {
        const unsigned char state = file->page[i];
        if (++n[state] <= SHOWN && (state == TOUCHED || state == TRACED)) { show_page(c, number, i); }
    }
    printf("%s: pages %" PRIu64 ", touched %" PRIu64 ", traced %" PRIu64 ", missing %" PRIu64 ", extra %" PRIu64 "\n",
           file->path, file->n_pages, n[TOUCHED] + n[3], n[TRACED] + n[3], n[TOUCHED], n[TRACED]);
    return n[TOUCHED] == 0 && n[TRACED] == 0;
}

int main(int argc, char ** argv) {
    if (argc != 3) { return 2; }
    struct check c = { 0 };
    struct tat_error error;
    if (!begin(&c, argv[1], &error) || tat_trace_expand(c.trace, 0, UINT32_MAX, take, &c, &error) < 0) {
        fprintf(stderr, "page_check: %s\n", error.message);
        return 3;
    }
    if (!read_truth(&c, argv[2])) {
        fprintf(stderr, "page_check: %s: unreadable, or of another file than the trace's\n", argv[2]);
        return 3;
    }
    mark_copies(&c);
    bool same = c.n_records > 0 && c.n_approximate == 0 && c.n_outside == 0;
    printf("records of mapped weights %" PRIu64 ", approximate %" PRIu64 ", outside the file %" PRIu64 "\n",
           c.n_records, c.n_approximate, c.n_outside);
    for (uint32_t i = 0; i < c.n_files; i++) {
        same &= compare(&c, i);
        free(c.files[i].page);
    }
    free(c.files);
    tat_trace_close(c.trace);
    return same ? 0 : 1;
}
