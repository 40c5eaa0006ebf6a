/* SPDX-License-Identifier: MIT
 *
 * A hash table from 64-bit hashes to 32-bit numbers. Several numbers may share a hash, so the caller compares. For cold
 * paths: it allocates. Not thread-safe. All zero is an empty table.
 */
#ifndef TAT_AGENT_TABLE_H
#define TAT_AGENT_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define TABLE_NONE UINT32_MAX

struct table {
    uint64_t * hash;
    uint32_t * value;  /* TABLE_NONE: free */
    uint32_t capacity; /* a power of two */
    uint32_t count;
};

/* Starts or continues a search; *steps is 0 at the start. TABLE_NONE: nothing more. */
static inline uint32_t table_next(const struct table * table, uint64_t hash, uint32_t * steps) {
    while (*steps < table->capacity) {
        const uint32_t slot = (uint32_t) (hash + (*steps)++) & (table->capacity - 1);
        if (table->value[slot] == TABLE_NONE) { return TABLE_NONE; }
        if (table->hash[slot] == hash) { return table->value[slot]; }
    }
    return TABLE_NONE;
}

static inline void table_place(struct table * table, uint64_t hash, uint32_t value) {
    uint32_t slot = (uint32_t) hash & (table->capacity - 1);
    while (table->value[slot] != TABLE_NONE) { slot = (slot + 1) & (table->capacity - 1); }
    table->hash[slot] = hash;
    table->value[slot] = value;
}

/* False: no memory; nothing was added. */
static inline bool table_add(struct table * table, uint64_t hash, uint32_t value) {
    if (table->count * 2 >= table->capacity) {
        struct table bigger = { .capacity = table->capacity ? table->capacity * 2 : 64, .count = table->count };
        bigger.hash = malloc(bigger.capacity * sizeof bigger.hash[0]);
        bigger.value = malloc(bigger.capacity * sizeof bigger.value[0]);
        if (!bigger.hash || !bigger.value) {
            free(bigger.hash);
            free(bigger.value);
            return false;
        }
        for (uint32_t i = 0; i < bigger.capacity; i++) { bigger.value[i] = TABLE_NONE; }
        for (uint32_t i = 0; i < table->capacity; i++) {
            if (table->value[i] != TABLE_NONE) { table_place(&bigger, table->hash[i], table->value[i]); }
        }
        free(table->hash);
        free(table->value);
        *table = bigger;
    }
    table_place(table, hash, value);
    table->count++;
    return true;
}

static inline void table_free(struct table * table) {
    free(table->hash);
    free(table->value);
    *table = (struct table){ 0 };
}

/* Spreads pointers and small numbers over 64 bits. */
static inline uint64_t table_hash(uint64_t value) {
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93u;
    return value ^ value >> 32;
}

#endif
