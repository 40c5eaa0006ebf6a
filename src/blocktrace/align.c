/* SPDX-License-Identifier: MIT
 *
 * All pairs of a fault and a read of its page vote for the difference of their ends. The true one gets a vote of nearly
 * every fault; others get those that fit by chance, as from one token to the next.
 */
#include "blocktrace/align.h"

#include <stdlib.h>

enum { FAULTS_MOST = 1 << 15, READS_OF_A_FAULT = 64, AGREE_NS = 1000000 };

static int by_place(const void * a, const void * b) {
    const struct align_span *x = a, *y = b;
    if (x->file != y->file) { return x->file < y->file ? -1 : 1; }
    if (x->offset != y->offset) { return x->offset < y->offset ? -1 : 1; }
    return x->end_ns < y->end_ns ? -1 : x->end_ns > y->end_ns;
}

static int by_number(const void * a, const void * b) {
    const int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return x < y ? -1 : x > y;
}

static uint64_t longest_of(const struct align_span * reads, size_t n) {
    uint64_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        if (reads[i].bytes > longest) { longest = reads[i].bytes; }
    }
    return longest;
}

/* The first read, by place, that may reach the byte. */
static size_t first_reaching(const struct align_span * reads, size_t n, const struct align_span * fault,
                             uint64_t longest) {
    const uint64_t from = fault->offset > longest ? fault->offset - longest : 0;
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct align_span * r = &reads[middle];
        if (r->file != fault->file ? r->file < fault->file : r->offset < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool covers(const struct align_span * read, const struct align_span * fault) {
    return read->file == fault->file && fault->offset >= read->offset && fault->offset - read->offset < read->bytes;
}

static bool is_past(const struct align_span * read, const struct align_span * fault) {
    return read->file != fault->file || read->offset > fault->offset;
}

/* The densest stretch of so many nanoseconds, apart from what is within twice that of `not`: from *first on. Returns
 * its count. */
static size_t densest(const int64_t * d, size_t n, int64_t width, const int64_t * not, size_t * first) {
    size_t best = 0, from = 0;
    for (size_t to = 0; to < n; to++) {
        while (d[to] - d[from] > width) { from++; }
        if (not &&d[to] > *not -2 * width && d[from] < *not +2 * width) { continue; }
        if (to - from + 1 > best) {
            best = to - from + 1;
            *first = from;
        }
    }
    return best;
}

/* Where most faults agree to within microseconds, that is the answer; else to within a millisecond, and the middle of
 * the densest part of it. In a run of milliseconds, other pairs agree to a millisecond too. */
static size_t agreeing(const int64_t * d, size_t n, size_t n_faults, int64_t * offset_ns) {
    size_t count = 0, first = 0;
    for (int64_t width = AGREE_NS / 256; width <= AGREE_NS; width *= 4) {
        count = densest(d, n, width, NULL, &first);
        if (count * 5 >= n_faults * 3) { break; }
    }
    size_t at = first, left = count;
    for (int64_t width = AGREE_NS / 4; width > 0; width /= 4) {
        size_t from = 0;
        const size_t closer = densest(d + at, left, width, NULL, &from);
        if (closer * 5 < left * 3) { break; }
        at += from;
        left = closer;
    }
    if (count) { *offset_ns = d[at + left / 2]; }
    return count;
}

bool align_by_faults(struct align_span * faults, size_t n_faults, struct align_span * reads, size_t n_reads,
                     int64_t * offset_ns, uint64_t * votes, uint64_t * rivals) {
    if (n_faults > FAULTS_MOST) { n_faults = FAULTS_MOST; }
    if (!n_faults || !n_reads) { return false; }
    int64_t * differences = malloc(n_faults * READS_OF_A_FAULT * sizeof *differences);
    size_t n = 0, n_voters = 0;
    if (!differences) { return false; }
    qsort(faults, n_faults, sizeof *faults, by_place);
    qsort(reads, n_reads, sizeof *reads, by_place);
    const uint64_t longest = longest_of(reads, n_reads);
    for (size_t i = 0; i < n_faults; i++) {
        size_t of_this = 0, looked = 0;
        for (size_t k = first_reaching(reads, n_reads, &faults[i], longest); k < n_reads; k++) {
            if (is_past(&reads[k], &faults[i]) || looked++ == 64 * READS_OF_A_FAULT) { break; }
            if (!covers(&reads[k], &faults[i])) { continue; }
            differences[n++] = faults[i].end_ns - reads[k].end_ns;
            if (++of_this == READS_OF_A_FAULT) { break; }
        }
        n_voters += of_this != 0;
    }
    size_t other;
    if (n) { qsort(differences, n, sizeof *differences, by_number); }
    *votes = agreeing(differences, n, n_voters, offset_ns);
    *rivals = *votes ? densest(differences, n, AGREE_NS, offset_ns, &other) : 0;
    free(differences);
    return *votes;
}

uint64_t align_overlaps(struct align_span * faults, size_t n_faults, struct align_span * reads, size_t n_reads,
                        int64_t offset_ns) {
    uint64_t overlapping = 0;
    if (n_faults) { qsort(faults, n_faults, sizeof *faults, by_place); }
    if (n_reads) { qsort(reads, n_reads, sizeof *reads, by_place); }
    const uint64_t longest = longest_of(reads, n_reads);
    for (size_t i = 0; i < n_faults; i++) {
        const struct align_span * f = &faults[i];
        for (size_t k = first_reaching(reads, n_reads, f, longest); k < n_reads && !is_past(&reads[k], f); k++) {
            if (!covers(&reads[k], f)) { continue; }
            if (reads[k].begin_ns + offset_ns <= f->end_ns && reads[k].end_ns + offset_ns >= f->begin_ns) {
                overlapping++;
                break;
            }
        }
    }
    return overlapping;
}
