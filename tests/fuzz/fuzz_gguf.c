/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a model file: opening answers, and whatever it hands out can be read. Run as
 *
 *     fuzz_gguf -max_len=4096 CORPUS
 *
 * beginning with copies of the files in corpus/gguf.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gguf/token_pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

/* Reads every byte, so that the sanitizer sees it. */
static void touch(const void * bytes, size_t count) {
    const volatile unsigned char * byte = bytes;
    for (size_t i = 0; i < count; i++) { (void) byte[i]; }
}

static void touch_metadata(const struct tat_gguf * gguf) {
    uint32_t count;
    const struct tat_gguf_kv * kvs = tat_gguf_metadata(gguf, &count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t u, n = kvs[i].n < 100 ? kvs[i].n : 100;
        double f;
        for (uint64_t index = 0; index <= n; index++) {
            tat_gguf_uint(&kvs[i], index, &u);
            tat_gguf_float(&kvs[i], index, &f);
        }
        if (tat_gguf_string(&kvs[i])) { touch(tat_gguf_string(&kvs[i]), strlen(tat_gguf_string(&kvs[i]))); }
        if (tat_gguf_find_key(gguf, kvs[i].key) != &kvs[i]) { abort(); }
        struct tat_gguf_strings * strings = tat_gguf_read_strings(gguf, &kvs[i], NULL);
        if (strings) { touch(strings->text, strings->start[strings->n]); }
        free(strings);
    }
}

static void touch_tokens(const struct tat_gguf * gguf) {
    struct token_pieces * pieces = token_pieces_read(gguf, NULL);
    struct token_piece piece;
    for (int64_t id = -1; pieces && id < TAT_GGUF_KEPT_BYTES; id++) {
        if (token_pieces_find(pieces, id, &piece)) { touch(piece.bytes, piece.n); }
    }
    token_pieces_free(pieces);
}

static void touch_tensors(const struct tat_gguf * gguf) {
    uint32_t count, n_files;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &count);
    tat_gguf_files(gguf, &n_files);
    for (uint32_t i = 0; i < count; i++) {
        if (tat_gguf_find(gguf, tensors[i].name) != &tensors[i] || tensors[i].file >= n_files) { abort(); }
        if (tensors[i].slice_bytes * tensors[i].n_slices > tensors[i].bytes) { abort(); }
    }
}

/* What is not tolerated must be reported, and what is open without tolerance must lie inside its file. */
static void check_findings(const struct tat_gguf * gguf, bool strict) {
    uint32_t count, n;
    uint64_t total;
    const struct tat_gguf_finding * findings = tat_gguf_findings(gguf, &count, &total);
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &n);
    for (uint32_t i = 0; i < count; i++) {
        char line[200];
        tat_gguf_finding_text(gguf, &findings[i], line, sizeof line);
        if (strict && findings[i].is_error) { abort(); }
    }
    for (uint32_t i = 0; strict && i < n; i++) {
        if (tensors[i].file_offset + tensors[i].bytes > tat_gguf_files(gguf, &count)->size) { abort(); }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    char path[64];
    const int fd = memfd_create("gguf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t) size) { abort(); }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int strict = 0; strict < 2; strict++) {
        struct tat_error error = { 0 };
        struct tat_gguf * gguf = tat_gguf_open(path, strict ? 0 : TAT_GGUF_TOLERANT, &error);
        if (!gguf && error.kind != TAT_ERROR_INPUT) { abort(); }
        if (!gguf) { continue; }
        touch_metadata(gguf);
        touch_tokens(gguf);
        touch_tensors(gguf);
        check_findings(gguf, strict);
        tat_gguf_close(gguf);
    }
    close(fd);
    return 0;
}
