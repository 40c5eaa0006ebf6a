/* SPDX-License-Identifier: MIT
 *
 * What lies in the same memory as the weights: KV cache and recurrent state. llama.cpp writes zeros to all of it when a
 * context is made, so it takes its room from the start, however few of its cells are used. It is in no file: without
 * swap nothing can drop it and read it again. So caches do not hold it: it takes room from them, by the context's
 * length.
 */
#include <inttypes.h>
#include <stdio.h>

#include "analysis/caching/caching.h"

struct beside {
    uint64_t fixed, growing; /* bytes; those that grow with the context's length */
    uint64_t cells;          /* of a layer that is not limited to a window: the context's length. 0: unknown */
};

static bool is_kv(const struct tat_tensor * t) {
    return t->component == TAT_COMPONENT_KV_K || t->component == TAT_COMPONENT_KV_V;
}

/* Tensors of one cell a row; older versions of llama.cpp have all cells in one row. */
static uint64_t cells_of(const struct tat_tensor * t) {
    return is_kv(t) && t->ne[1] > 1 ? t->ne[1] : 0;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    return a + b < a ? UINT64_MAX : a + b;
}

static uint64_t times(uint64_t a, uint64_t by) {
    return a > UINT64_MAX / by ? UINT64_MAX : a * by;
}

static struct beside find(const struct subject * s) {
    struct beside b = { 0 };
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        const struct tat_tensor * t = &s->tensors[i];
        if (t->kind == TAT_TENSOR_STATE && cells_of(t) > b.cells) { b.cells = cells_of(t); }
    }
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        const struct tat_tensor * t = &s->tensors[i];
        if (t->kind != TAT_TENSOR_STATE) { continue; }
        uint64_t * bytes = is_kv(t) && cells_of(t) == b.cells ? &b.growing : &b.fixed;
        *bytes = plus(*bytes, t->bytes);
    }
    return b;
}

/* Contexts so many times as long as that of the run. */
static const uint64_t lengths[] = { 1, 4, 16, 64 };
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

static uint64_t bytes_of(const struct beside * b, uint64_t length) {
    return plus(b->fixed, times(b->growing, length));
}

/* The largest part of the weights that was simulated and fits; 0: none. */
static unsigned part_within(const struct caching * s, uint64_t bytes) {
    unsigned parts = 0;
    while (parts < PARTS && s->outcomes.capacity[parts] <= bytes) { parts++; }
    return parts;
}

static double saved_by(const struct caching * s, unsigned strategy, unsigned parts) {
    return parts ? caching_outcome(s, strategy, parts - 1).saved : caching_outcome_of_none(s);
}

static const char * length_name(const struct beside * b, uint64_t length, char text[static 48]) {
    if (b->cells) {
        snprintf(text, 48, "%" PRIu64, times(b->cells, length));
    } else {
        snprintf(text, 48, length == 1 ? "as here" : "%" PRIu64 " times", length);
    }
    return text;
}

/* The online policy that saves most in what is left, and how much. */
static unsigned best_of(const struct caching * s, unsigned parts) {
    return parts ? caching_best_saving(s, parts - 1) : caching_lru(s);
}

static void put(const struct caching * s, const struct beside * b, uint64_t memory, uint64_t length,
                struct result * r) {
    char context[48];
    const uint64_t state = bytes_of(b, length), left = memory > state ? memory - state : 0;
    const unsigned parts = part_within(s, left), best = best_of(s, parts);
    json_t * row = result_row(r);
    result_put_count(r, row, "memory_bytes", memory);
    result_put_text(r, row, "context", length_name(b, length, context));
    result_put_count(r, row, "state_bytes", state);
    result_put_count(r, row, "left_bytes", left);
    result_put_real(r, row, "lru", saved_by(s, caching_lru(s), parts));
    result_put_real(r, row, "best", saved_by(s, best, parts));
    if (parts) { result_put_text(r, row, "policy", caching_name(s, best)); }
    result_put_real(r, row, "min", saved_by(s, caching_min(s), parts));
}

/* Up to the first context that leaves nothing. */
static void add_table(const struct caching * s, const struct beside * b, struct result * r) {
    static const struct result_column columns[] = {
        { "memory_bytes", "memory", UNIT_BYTES },
        { "context", "context", UNIT_TEXT },
        { "state_bytes", "KV and state", UNIT_BYTES },
        { "left_bytes", "for weights", UNIT_BYTES },
        { "lru", "LRU", UNIT_SHARE },
        { "best", "best", UNIT_SHARE },
        { "policy", "online policy", UNIT_TEXT },
        { "min", "MIN", UNIT_SHARE },
    };
    result_table(r, "beside_state", "Memory that weights share with KV cache and state, and what is saved at least",
                 SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    for (unsigned i = 0; i < ASKED; i++) {
        const uint64_t memory = s->outcomes.capacity[caching_asked(i)];
        for (unsigned l = 0; l < (b->growing ? LENGTHS : 1) && memory; l++) {
            put(s, b, memory, lengths[l], r);
            if (bytes_of(b, lengths[l]) >= memory) { break; }
        }
    }
}

static void say(const struct caching * s, const struct beside * b, unsigned size, struct result * r) {
    char state[UNITS_SIZE], memory[UNITS_SIZE], left[UNITS_SIZE], all[UNITS_SIZE], rest[UNITS_SIZE], longer[256] = "";
    const uint64_t given = s->outcomes.capacity[size], taken = bytes_of(b, 1), room = given > taken ? given - taken : 0;
    const unsigned parts = part_within(s, room), best = best_of(s, parts);
    if (b->growing) {
        char bytes[UNITS_SIZE], name[48];
        snprintf(longer, sizeof longer, " With a context of %s%s they would take %s.",
                 length_name(b, lengths[LENGTHS - 1], name), b->cells ? " cells" : " the length",
                 format_bytes(bytes, bytes_of(b, lengths[LENGTHS - 1])));
    }
    result_answer(
        r, "What does the KV cache leave for weights?",
        "KV cache and state take %s from the start and, without swap, to the end. If weights share %s with them, "
        "%s are left: the best online policy (%s) then saves at least %s of the bytes read; with all of it for "
        "weights, %s.%s",
        format_bytes(state, taken), format_bytes(memory, given), format_bytes(left, room), caching_title(s, best),
        format_share(rest, saved_by(s, best, parts)),
        format_share(all, caching_outcome(s, caching_best_saving(s, size), size).saved), longer);
    result_note(r,
                "KV cache and recurrent state are not among what caches keep. llama.cpp fills them with zeros when a "
                "context is made; they are in no file, so without swap they stay in memory. Savings beside them are "
                "those of the largest 32nd part of the weights that fits.");
}

void caching_beside(const struct caching * s, struct result * r) {
    const struct beside b = find(s->subject);
    const uint64_t bytes = bytes_of(&b, 1);
    char size[UNITS_SIZE], text[2 * UNITS_SIZE];
    result_put_count(r, result_values(r), "state_bytes", bytes);
    if (!bytes) { return; }
    result_line(r, "state",
                "%s of KV cache and recurrent state stay in memory beside the weights; --memory is without them",
                format_bytes(size, bytes));
    add_table(s, &b, r);
    say(s, &b, caching_told(s, text), r);
}
