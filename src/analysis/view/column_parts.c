/* SPDX-License-Identifier: MIT */
#include "analysis/view/column_parts.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

enum { PARTS_MOST = 4, COLUMNS_LEAST = 64 };

struct part {
    column_parts_fill fill;
    const void * picture;
    uint32_t first, end;
    struct tat_error error;
    int status;
    pthread_t thread;
    bool is_apart; /* in a thread of its own */
};

static void * run(void * user) {
    struct part * p = user;
    p->status = p->fill(p->picture, p->first, p->end, &p->error);
    return NULL;
}

static uint32_t count_parts(uint32_t columns) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const uint32_t most = processors < 1 ? 1 : processors > PARTS_MOST ? PARTS_MOST : (uint32_t) processors;
    const uint32_t worth = columns / COLUMNS_LEAST;
    return worth < 1 ? 1 : worth < most ? worth : most;
}

int column_parts_run(uint32_t columns, column_parts_fill fill, const void * picture, struct tat_error * error) {
    struct part parts[PARTS_MOST];
    const uint32_t n = count_parts(columns);
    int status = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t first = (uint32_t) ((uint64_t) columns * i / n);
        const uint32_t end = (uint32_t) ((uint64_t) columns * (i + 1) / n);
        parts[i] = (struct part){ .fill = fill, .picture = picture, .first = first, .end = end };
        parts[i].is_apart = i + 1 < n && pthread_create(&parts[i].thread, NULL, run, &parts[i]) == 0;
    }
    for (uint32_t i = n; i-- > 0;) {
        if (!parts[i].is_apart) { run(&parts[i]); }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (parts[i].is_apart) { pthread_join(parts[i].thread, NULL); }
        if (parts[i].status == 0) { continue; }
        status = -1;
        *error = parts[i].error;
    }
    return status;
}
