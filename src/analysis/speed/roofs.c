/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/speed/speed.h"
#include "analysis/state_file.h"

/* FNV-1a: a name, no secret. */
static uint64_t hash(uint64_t h, const char * text) {
    for (; *text; text++) { h = (h ^ (unsigned char) *text) * 0x100000001b3u; }
    return h;
}

/* A home folder can be on several machines, so the file's name says of which it is. */
char * roofs_path(const json_t * host) {
    const char * cpu = json_string_value(json_object_get(host, "cpu"));
    char numbers[64], name[64];
    if (!cpu) { return NULL; }
    snprintf(numbers, sizeof numbers, "/%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT,
             json_integer_value(json_object_get(host, "cpus")),
             json_integer_value(json_object_get(host, "memory_bytes")));
    const unsigned long long id = hash(hash(0xcbf29ce484222325u, cpu), numbers);
    snprintf(name, sizeof name, "machine-%016llx.json", id);
    return state_file(name);
}

/* Of an array, what makes sense. */
static uint32_t read_rates(const json_t * array, struct roof_rate * rates) {
    uint32_t n = 0;
    size_t i;
    const json_t * o;
    json_array_foreach(array, i, o) {
        const json_int_t threads = json_integer_value(json_object_get(o, "threads"));
        const json_int_t bytes = json_integer_value(json_object_get(o, "buffer_bytes"));
        const double per_second = json_number_value(json_object_get(o, "per_second"));
        if (n == ROOF_RATES || threads < 1 || threads > 1 << 20 || bytes < 0 || !(per_second > 0)) { continue; }
        rates[n++] = (struct roof_rate){ (uint32_t) threads, (uint64_t) bytes, per_second };
    }
    return n;
}

struct machine_roofs roofs_load(const json_t * metadata) {
    struct machine_roofs r = { 0 };
    char * path = roofs_path(json_object_get(metadata, "host"));
    json_t * kept = path ? json_load_file(path, 0, NULL) : NULL;
    free(path);
    const json_int_t cache = json_integer_value(json_object_get(kept, "cache_bytes"));
    r.cache_bytes = cache > 0 ? (uint64_t) cache : 0;
    r.n_reads = read_rates(json_object_get(kept, "reads"), r.read);
    r.n_arithmetic = read_rates(json_object_get(kept, "arithmetic"), r.arithmetic);
    r.known = r.n_reads > 0;
    json_decref(kept);
    return r;
}

/* Of the rates in one buffer, the one with as many threads, or the next fewer; where there are only more, the fewest.
 */
static double rate_with(const struct roof_rate * rates, uint32_t n, uint64_t buffer, uint32_t threads) {
    const struct roof_rate * best = NULL;
    for (uint32_t i = 0; i < n; i++) {
        const struct roof_rate * r = &rates[i];
        if (r->buffer_bytes != buffer) { continue; }
        const bool fits = r->threads <= threads, best_fits = best && best->threads <= threads;
        if (!best || (fits && (!best_fits || r->threads > best->threads)) ||
            (!fits && !best_fits && r->threads < best->threads)) {
            best = r;
        }
    }
    return best ? best->per_second : 0;
}

static uint64_t buffer_for(const struct machine_roofs * r, uint64_t bytes) {
    uint64_t largest = 0, smallest = UINT64_MAX;
    for (uint32_t i = 0; i < r->n_reads; i++) {
        const uint64_t buffer = r->read[i].buffer_bytes;
        if (buffer <= bytes && buffer > largest) { largest = buffer; }
        if (buffer < smallest) { smallest = buffer; }
    }
    return largest ? largest : smallest;
}

double roofs_read(const struct machine_roofs * r, uint32_t threads, uint64_t bytes) {
    return rate_with(r->read, r->n_reads, buffer_for(r, bytes), threads);
}

double roofs_arithmetic(const struct machine_roofs * r, uint32_t threads) {
    return rate_with(r->arithmetic, r->n_arithmetic, 0, threads);
}

uint32_t roofs_best_threads(const struct machine_roofs * r, uint64_t bytes) {
    const uint64_t buffer = buffer_for(r, bytes);
    const struct roof_rate * best = NULL;
    for (uint32_t i = 0; i < r->n_reads; i++) {
        if (r->read[i].buffer_bytes != buffer) { continue; }
        if (!best || r->read[i].per_second > best->per_second) { best = &r->read[i]; }
    }
    return best ? best->threads : 0;
}
