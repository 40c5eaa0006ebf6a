/* SPDX-License-Identifier: MIT
 *
 * Arrays of strings, which opening passes over, read when somebody asks for them.
 */
#include <stdlib.h>

#include "gguf/model.h"

/* One allocation for the struct, the starts and the text. The sizes were checked against the file when it was
 * opened. */
static struct tat_gguf_strings * allocate(const struct tat_gguf_kv * kv) {
    const uint64_t lengths = 8 * kv->n;
    const uint64_t starts = (kv->n + 1) * sizeof(uint64_t);
    struct tat_gguf_strings * strings = malloc(sizeof *strings + starts + (kv->bytes - lengths) + kv->n + 1);
    if (!strings) { return NULL; }
    strings->n = kv->n;
    strings->text = (const char *) strings->start + starts;
    return strings;
}

static int read_all(struct tat_gguf_strings * strings, uint64_t text_bytes, struct input * input) {
    char * text = (char *) (strings->start + strings->n + 1);
    uint64_t used = 0;
    for (uint64_t i = 0; i < strings->n; i++) {
        const uint64_t at = input->position;
        uint64_t length;
        strings->start[i] = used;
        if (input_length(input, &length, "a string of an array")) { return -1; }
        /* The file may have been rewritten in place. */
        if (length > text_bytes - (used - i)) { return input_fail(input, at, "the file changed while it was read"); }
        if (input_bytes(input, text + used, length, "a string of an array")) { return -1; }
        text[used + length] = '\0';
        used += length + 1;
    }
    strings->start[strings->n] = used;
    return 0;
}

static bool is_same(const struct tat_gguf_file * file, const struct input * input) {
    return input->size == file->size && input->info.st_dev == file->device && input->info.st_ino == file->inode &&
           input->mtime_ns == file->mtime_ns;
}

/* The same file, at the array's first element. Close the input even if this failed. */
static int open_again(const struct tat_gguf * gguf, const struct tat_gguf_kv * kv, struct input * input,
                      struct tat_error * error) {
    const struct tat_gguf_file * file = &gguf->files[0];
    if (input_open(input, file->path, error) != 0) { return -1; }
    if (!is_same(file, input)) { return input_fail(input, 0, "the file changed since it was opened"); }
    input->big_endian = file->big_endian;
    input_seek(input, kv->file_offset);
    return 0;
}

struct tat_gguf_strings * tat_gguf_read_strings(const struct tat_gguf * gguf, const struct tat_gguf_kv * kv,
                                                struct tat_error * error) {
    const struct tat_gguf_file * file = &gguf->files[0];
    struct tat_gguf_strings * strings;
    struct input input;
    if (!kv || kv->type != TAT_GGUF_ARRAY || kv->element != TAT_GGUF_STRING) {
        tat_fail(error, TAT_ERROR_INPUT, "%s: %s is not an array of strings", input_path_end(file->path),
                 kv ? kv->key : "the key");
        return NULL;
    }
    strings = allocate(kv);
    int result = open_again(gguf, kv, &input, error);
    if (result == 0 && !strings) { result = input_fail_memory(&input); }
    if (result == 0) { result = read_all(strings, kv->bytes - 8 * kv->n, &input); }
    input_close(&input, false);
    if (result == 0) { return strings; }
    free(strings);
    return NULL;
}

int strings_read_small_numbers(const struct tat_gguf * gguf, const struct tat_gguf_kv * kv, uint8_t * numbers,
                               uint64_t count, struct tat_error * error) {
    struct input input;
    if (!kv || kv->type != TAT_GGUF_ARRAY || (kv->element != TAT_GGUF_INT32 && kv->element != TAT_GGUF_UINT32)) {
        return 0;
    }
    int result = open_again(gguf, kv, &input, error);
    for (uint64_t i = 0; result == 0 && i < kv->n && i < count; i++) {
        uint32_t number;
        result = input_u32(&input, &number, "a number of an array");
        if (result == 0) { numbers[i] = number <= UINT8_MAX ? (uint8_t) number : 0; }
    }
    input_close(&input, false);
    return result;
}
