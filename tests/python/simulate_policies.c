/* SPDX-License-Identifier: MIT
 *
 * simulate_policies FILE CAPACITY...: what each policy misses of a string of accesses, as "kind capacity misses bytes".
 * FILE holds 32-bit numbers: how many items there are, the size of each, and the items accessed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/policy.h"

static uint32_t * read_words(const char * path, size_t * count) {
    FILE * file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) { return NULL; }
    *count = (size_t) ftell(file) / sizeof(uint32_t);
    rewind(file);
    uint32_t * words = malloc((*count + 1) * sizeof *words);
    if (words && fread(words, sizeof *words, *count, file) != *count) { *count = 0; }
    fclose(file);
    return words;
}

static void simulate(const struct policy_kind * kind, uint64_t capacity, const struct policy_items * items,
                     const uint32_t * string, size_t n) {
    struct policy * policy = policy_new(kind, capacity, items);
    uint64_t misses = 0, bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t missed = items->bytes[string[i]] - policy_access(policy, string[i]);
        misses += missed > 0;
        bytes += missed;
    }
    policy_free(policy);
    printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", kind->name, capacity, misses, bytes);
}

int main(int argc, char ** argv) {
    size_t count = 0;
    uint32_t * words = argc > 2 ? read_words(argv[1], &count) : NULL;
    if (!words || count == 0 || words[0] >= count) { return 2; }
    const uint32_t n_items = words[0], *string = words + 1 + n_items;
    const size_t n = count - 1 - n_items;
    uint64_t *bytes = calloc(n_items + 1, sizeof *bytes), *value = calloc(n_items + 1, sizeof *value);
    if (!bytes || !value) { return 2; }
    for (uint32_t i = 0; i < n_items; i++) { bytes[i] = words[1 + i]; }
    for (size_t i = 0; i < n; i++) { value[string[i]]++; }
    const struct policy_items items = { bytes, value, n_items };
    for (size_t k = 0; policy_kinds[k]; k++) {
        for (int c = 2; c < argc; c++) { simulate(policy_kinds[k], strtoull(argv[c], NULL, 10), &items, string, n); }
    }
    free(bytes);
    free(value);
    free(words);
    return 0;
}
