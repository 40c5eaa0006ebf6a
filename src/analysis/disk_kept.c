/* SPDX-License-Identifier: MIT */
#include "analysis/disk_kept.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/state_file.h"
#include "system/whole_disk.h"

const char * disk_name(uint64_t device, char name[static DISK_NAME_SIZE]) {
    const struct whole_disk disk = whole_disk_of(device);
    snprintf(name, DISK_NAME_SIZE, "%s", disk.name);
    return name;
}

json_t * disk_kept(const char * name) {
    char file[DISK_NAME_SIZE + 16];
    if (!*name || strchr(name, '/')) { return NULL; }
    snprintf(file, sizeof file, "disk-%s.json", name);
    char * path = state_file(file);
    json_t * kept = path ? json_load_file(path, 0, NULL) : NULL;
    free(path);
    return kept;
}

static bool is_of(const json_t * rate, const char * how, const char * order) {
    const char * h = json_string_value(json_object_get(rate, "how"));
    const char * o = json_string_value(json_object_get(rate, "order"));
    return h && o && strcmp(o, order) == 0 && (!how || strcmp(h, how) == 0);
}

static double per_second(const json_t * rate) {
    return json_number_value(json_object_get(rate, "per_second"));
}

double disk_kept_most(const json_t * kept, const char * how, const char * order) {
    double most = 0;
    size_t i;
    const json_t * rate;
    json_array_foreach(json_object_get(kept, "rates"), i, rate) {
        if (is_of(rate, how, order) && per_second(rate) > most) { most = per_second(rate); }
    }
    return most;
}

/* How far a size is from another, in doublings. */
static double distance(double a, double b) {
    return a > 0 && b > 0 ? fabs(log2(a / b)) : INFINITY;
}

double disk_kept_rate(const json_t * kept, const char * how, const char * order, uint64_t block, unsigned depth) {
    double best = 0, nearest = INFINITY, nearest_depth = INFINITY;
    size_t i;
    const json_t * rate;
    json_array_foreach(json_object_get(kept, "rates"), i, rate) {
        const double far = distance(json_number_value(json_object_get(rate, "block_bytes")), (double) block);
        const double deep = distance(json_number_value(json_object_get(rate, "depth")), depth);
        if (!is_of(rate, how, order) || !isfinite(far) || far > nearest || (far == nearest && deep > nearest_depth)) {
            continue;
        }
        if (far < nearest || deep < nearest_depth) { best = 0; }
        nearest = far;
        nearest_depth = deep;
        if (per_second(rate) > best) { best = per_second(rate); }
    }
    return best;
}

/* Where no burst was measured: requests of which always so many are under way are nearly as fast. */
static const char * how_of_bursts(const json_t * kept, bool busy) {
    static const char * const hows[] = { "direct, burst, busy", "direct, burst" };
    for (int i = busy ? 0 : 1; i < 2; i++) {
        if (disk_kept_most(kept, hows[i], "random") > 0) { return hows[i]; }
    }
    return "direct";
}

static void add_block(struct disk_bursts * b, uint64_t block) {
    uint32_t at = 0;
    while (at < b->n_blocks && b->block[at] < block) { at++; }
    if (b->n_blocks == BURST_BLOCKS || (at < b->n_blocks && b->block[at] == block)) { return; }
    memmove(&b->block[at + 1], &b->block[at], (b->n_blocks - at) * sizeof b->block[0]);
    b->block[at] = block;
    b->n_blocks++;
}

/* Of a size, by how many began together: 0 where that was not measured. */
static void take_block(const json_t * kept, const char * how, uint64_t block, double ns[static BURST_READS]) {
    size_t i;
    const json_t * rate;
    json_array_foreach(json_object_get(kept, "rates"), i, rate) {
        const json_int_t depth = json_integer_value(json_object_get(rate, "depth"));
        const double speed = per_second(rate);
        if (!is_of(rate, how, "random") || depth < 1 || depth > BURST_READS || !(speed > 0) ||
            json_integer_value(json_object_get(rate, "block_bytes")) != (json_int_t) block) {
            continue;
        }
        ns[depth - 1] = 1e9 * (double) block * (double) depth / speed;
    }
}

/* Between two that were measured as the line has it, beyond as the nearest one's rate. False: none was. */
static bool complete(double ns[static BURST_READS]) {
    int last = -1;
    for (int n = 0; n < BURST_READS; n++) {
        if (!(ns[n] > 0)) { continue; }
        for (int k = last + 1; k < n; k++) {
            ns[k] = last < 0 ? ns[n] * (k + 1) / (n + 1) : ns[last] + (ns[n] - ns[last]) * (k - last) / (n - last);
        }
        last = n;
    }
    for (int k = last + 1; k < BURST_READS && last >= 0; k++) { ns[k] = ns[last] * (k + 1) / (last + 1); }
    return last >= 0;
}

static double least(double a, double b) {
    return a < b ? a : b;
}

/* No burst takes longer than one that has all of its reads, and more: where that was measured, something else has
 * delayed it. */
static void level(struct disk_bursts * b) {
    for (uint32_t i = b->n_blocks; i-- > 0;) {
        for (int n = BURST_READS; n-- > 0;) {
            double * ns = &b->ns[i][n];
            if (n + 1 < BURST_READS) { *ns = least(*ns, b->ns[i][n + 1]); }
            if (i + 1 < b->n_blocks) { *ns = least(*ns, b->ns[i + 1][n]); }
        }
    }
}

bool disk_kept_bursts(const json_t * kept, bool busy, struct disk_bursts * bursts) {
    enum { LEAST = 64 << 10 }; /* smaller ones are not read */
    const char * how = how_of_bursts(kept, busy);
    size_t i;
    const json_t * rate;
    *bursts = (struct disk_bursts){ 0 };
    json_array_foreach(json_object_get(kept, "rates"), i, rate) {
        const json_int_t block = json_integer_value(json_object_get(rate, "block_bytes"));
        if (is_of(rate, how, "random") && block >= LEAST && per_second(rate) > 0) {
            add_block(bursts, (uint64_t) block);
        }
    }
    for (uint32_t b = 0; b < bursts->n_blocks; b++) {
        take_block(kept, how, bursts->block[b], bursts->ns[b]);
        if (!complete(bursts->ns[b])) { return false; }
    }
    level(bursts);
    return bursts->n_blocks > 0;
}

bool disk_kept_tells_together(const json_t * kept) {
    return json_number_value(json_object_get(kept, "told_together_share")) > 0.5;
}

bool disk_kept_is_of_small_pages(const json_t * kept) {
    enum { SMALL = 64 << 10 };
    return disk_kept_most(kept, "direct", "random") > 0 &&
           json_integer_value(json_object_get(kept, "buffer_page_bytes")) <= SMALL;
}

bool disk_kept_was_busy(const json_t * kept) {
    size_t i, n = 0, far = 0;
    const json_t * rate;
    json_array_foreach(json_object_get(kept, "rates"), i, rate) {
        if (!(per_second(rate) > 0)) { continue; }
        n++;
        far += json_number_value(json_object_get(rate, "high")) > 2 * json_number_value(json_object_get(rate, "low"));
    }
    return 4 * far > n;
}
