/* SPDX-License-Identifier: MIT
 *
 * Where each weight was in the end: mapped, read, repacked, locked, or nowhere.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/storage/section.h"
#include "analysis/units.h"

enum state { STATE_MAPPED, STATE_LOCKED, STATE_READ, STATE_REPACKED, STATE_BOTH, STATE_ABSENT, STATES };

static const char * const names[STATES] = {
    [STATE_MAPPED] = "mapped",     [STATE_LOCKED] = "mapped and locked", [STATE_READ] = "read into memory",
    [STATE_REPACKED] = "repacked", [STATE_BOTH] = "mapped, and copied",  [STATE_ABSENT] = "used by no graph",
};

/* Most memory that was locked at a time. */
static uint64_t locked_bytes(const struct tat_io * io) {
    uint64_t most = 0;
    for (size_t i = 0; i < io->n_counters; i++) {
        const struct tat_io_counter_value * v = &io->counters[i];
        if (v->counter == TAT_IO_LOCKED_BYTES && v->value > most) { most = v->value; }
    }
    return most;
}

/* ggml's buffers of repacked weights: CPU_REPACK, formerly CPU_AARCH64, and AMX. */
static bool is_repacked(const struct tat_tensor * t) {
    return strstr(t->buffer_name, "REPACK") || strstr(t->buffer_name, "AARCH64") || strstr(t->buffer_name, "AMX");
}

/* By weight, bits: 1 mapped, 2 read, 4 repacked. NULL: memory. */
static uint8_t * find_memory(const struct subject * s) {
    uint8_t * memory = calloc((size_t) s->n_tensors + 1, 1);
    for (uint32_t i = 0; memory && i < s->n_tensors; i++) {
        const struct tat_tensor * t = &s->tensors[i];
        if (t->kind != TAT_TENSOR_WEIGHT) { continue; }
        memory[t->weight] |= t->memory == TAT_MEMORY_FILE ? 1 : is_repacked(t) ? 4 : 2;
    }
    return memory;
}

struct states {
    const struct joined * joined;
    struct result * result;
    uint64_t count[STATES], bytes[STATES], mapped_bytes;
};

static void add_one(struct states * x, const char * tensor, uint64_t bytes, enum state state) {
    json_t * row = result_row(x->result);
    x->count[state]++;
    x->bytes[state] += bytes;
    result_put_text(x->result, row, "tensor", tensor);
    result_put_text(x->result, row, "state", names[state]);
    result_put_count(x->result, row, "bytes", bytes);
}

/* All that is mapped is locked, or as good as all: a part of it cannot be told apart. */
static void add_used(struct states * x, const uint8_t * memory) {
    const struct model_bytes * b = &x->joined->bytes;
    const struct tat_tensor * tensors = x->joined->subject->tensors;
    for (uint32_t i = 0; i < b->n_weights; i++) {
        if (memory[b->weights[i]] & 1) { x->mapped_bytes += tensors[b->weights[i]].bytes; }
    }
    const bool locked = x->mapped_bytes && locked_bytes(x->joined->io) >= x->mapped_bytes;
    for (uint32_t i = 0; i < b->n_weights; i++) {
        const uint32_t t = b->weights[i];
        const enum state state = memory[t] == 1  ? (locked ? STATE_LOCKED : STATE_MAPPED)
                                 : memory[t] & 1 ? STATE_BOTH
                                 : memory[t] & 4 ? STATE_REPACKED
                                                 : STATE_READ;
        add_one(x, tensors[t].name, tensors[t].bytes, state);
    }
}

/* The model's file tells what no graph used, if it is still there and the same. */
static void add_absent(struct states * x) {
    const struct joined * j = x->joined;
    const struct subject * s = j->subject;
    for (uint32_t f = 1; f <= s->n_files; f++) {
        const struct tat_model_file * file = &s->files[f - 1];
        if (j->bytes.same[f] != f || !subject_has_model(s, file->model) || !file->header_hash) { continue; }
        uint32_t n;
        struct tat_gguf * g = tat_gguf_open(file->path, TAT_GGUF_SINGLE | TAT_GGUF_TOLERANT, NULL);
        if (g && tat_gguf_files(g, &n)[0].header_hash == file->header_hash) {
            const struct tat_gguf_tensor * tensors = tat_gguf_tensors(g, &n);
            for (uint32_t i = 0; i < n; i++) {
                const struct stretch stretch = stretch_at(&j->bytes, f, tensors[i].file_offset);
                if (tensors[i].bytes && stretch.tensor == TAT_NO_NUMBER) {
                    add_one(x, tensors[i].name, tensors[i].bytes, STATE_ABSENT);
                }
            }
        }
        tat_gguf_close(g);
    }
}

static void add_sums(const struct states * x) {
    static const struct result_column columns[] = { { "state", "weights that are", UNIT_TEXT },
                                                    { "tensors", "tensors", UNIT_COUNT },
                                                    { "bytes", "bytes", UNIT_BYTES } };
    result_table(x->result, "states", "Where weights are", SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    for (int i = 0; i < STATES; i++) {
        if (!x->count[i]) { continue; }
        json_t * row = result_row(x->result);
        result_put_text(x->result, row, "state", names[i]);
        result_put_count(x->result, row, "tensors", x->count[i]);
        result_put_count(x->result, row, "bytes", x->bytes[i]);
    }
}

void add_states(const struct joined * j, struct result * r) {
    static const struct result_column columns[] = { { "tensor", "tensor", UNIT_TEXT },
                                                    { "state", "state", UNIT_TEXT },
                                                    { "bytes", "bytes", UNIT_BYTES } };
    struct states x = { .joined = j, .result = r };
    uint8_t * memory = find_memory(j->subject);
    const uint64_t locked = locked_bytes(j->io);
    char text[UNITS_SIZE];
    r->failed |= !memory;
    if (!memory) { return; }
    result_table(r, "tensor_states", NULL, SHOW_NEVER, columns, sizeof columns / sizeof columns[0]);
    add_used(&x, memory);
    add_absent(&x);
    add_sums(&x);
    free(memory);
    if (locked && locked < x.mapped_bytes) {
        result_note(r, "%s of memory were locked, less than the weights that are mapped: which of them is not known.",
                    format_bytes(text, locked));
    }
}
