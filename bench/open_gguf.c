/* SPDX-License-Identifier: MIT
 *
 * How long it takes to open a model file of many tensors, with all its checks; the median of eleven, for a quarter of
 * them too: what is linear takes four times as long.
 *
 *   open_gguf TENSORS
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tat/gguf.h"

enum { ROUNDS = 11, ELEMENTS = 8, ALIGNMENT = 32 };

static void put(FILE * file, uint64_t value, size_t bytes) {
    fwrite(&value, bytes, 1, file); /* little-endian, like this machine */
}

static void put_text(FILE * file, const char * text) {
    put(file, strlen(text), 8);
    fputs(text, file);
}

/* Experts of a thousand layers, with the last of them first in the file. */
static void write_model(const char * path, uint64_t tensors) {
    FILE * file = fopen(path, "wb");
    if (!file) {
        perror(path);
        exit(4);
    }
    fputs("GGUF", file);
    put(file, 3, 4);
    put(file, tensors, 8);
    put(file, 0, 8);
    for (uint64_t i = 0; i < tensors; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%" PRIu64 ".ffn_up.%" PRIu64 ".weight", i % 1000, i / 1000);
        put_text(file, name);
        put(file, 1, 4);
        put(file, ELEMENTS, 8);
        put(file, 0, 4); /* F32 */
        put(file, ALIGNMENT * (tensors - 1 - i), 8);
    }
    const long data = (ftell(file) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (ftruncate(fileno(file), (off_t) ((uint64_t) data + ALIGNMENT * tensors)) != 0 || fclose(file) != 0) {
        perror(path);
        exit(4);
    }
}

static double open_once(const char * path, uint64_t tensors) {
    struct timespec begin, end;
    struct tat_error error;
    uint32_t count = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    struct tat_gguf * gguf = tat_gguf_open(path, 0, &error);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (gguf) { tat_gguf_tensors(gguf, &count); }
    tat_gguf_close(gguf);
    if (count != tensors) {
        fprintf(stderr, "open_gguf: %s\n", gguf ? "tensors are missing" : error.message);
        exit(3);
    }
    return (double) (end.tv_sec - begin.tv_sec) + (double) (end.tv_nsec - begin.tv_nsec) / 1e9;
}

static int by_value(const void * a, const void * b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static void measure(uint64_t tensors) {
    char path[] = "/tmp/open_gguf.XXXXXX";
    double times[ROUNDS];
    close(mkstemp(path));
    write_model(path, tensors);
    for (int i = 0; i < ROUNDS; i++) { times[i] = open_once(path, tensors); }
    unlink(path);
    qsort(times, ROUNDS, sizeof times[0], by_value);
    printf("%" PRIu64 " tensors: %.1f ms\n", tensors, times[ROUNDS / 2] * 1e3);
}

int main(int argc, char ** argv) {
    const uint64_t tensors = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;
    if (tensors == 0 || tensors > 1000000) {
        fputs("usage: open_gguf TENSORS\n", stderr);
        return 2;
    }
    measure(tensors / 4);
    measure(tensors);
    return 0;
}
