/* SPDX-License-Identifier: MIT */
#include "cli/suggest.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/command_table.h"
#include "cli/external.h"

enum { NAME_SIZE = 64 };

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t suggest_distance(const char * a, const char * b) {
    size_t rows[3][NAME_SIZE];
    const size_t n = strlen(a), m = strlen(b);
    if (n >= NAME_SIZE || m >= NAME_SIZE) { return SIZE_MAX; }
    for (size_t j = 0; j <= m; j++) { rows[0][j] = j; }
    for (size_t i = 1; i <= n; i++) {
        size_t * now = rows[i % 3];
        const size_t * one = rows[(i + 2) % 3]; /* one row back */
        const size_t * two = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = smaller(one[j - 1] + (a[i - 1] != b[j - 1]), smaller(one[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                now[j] = smaller(now[j], two[j - 2] + 1);
            }
        }
    }
    return rows[n % 3][m];
}

struct nearest {
    const char * wanted;
    size_t distance;
    char name[NAME_SIZE];
};

static void consider(const char * name, void * state) {
    struct nearest * nearest = state;
    const bool is_start = strlen(nearest->wanted) > 1 && strncmp(name, nearest->wanted, strlen(nearest->wanted)) == 0;
    const size_t distance = is_start ? 1 : suggest_distance(nearest->wanted, name);
    if (distance < nearest->distance) {
        nearest->distance = distance;
        snprintf(nearest->name, sizeof nearest->name, "%s", name);
    }
}

const char * suggest_command(const char * name) {
    static struct nearest nearest;
    /* A third of the letters may be wrong. */
    nearest = (struct nearest){ .wanted = name, .distance = strlen(name) / 3 + 2 };
    for (size_t i = 0; command_table[i]; i++) { consider(command_table[i]->name, &nearest); }
    external_each(consider, &nearest);
    return *nearest.name ? nearest.name : NULL;
}
