/* SPDX-License-Identifier: MIT
 *
 * A long trace out of a real one: its graphs of one token, again and again, later each time.
 *
 *   grow_trace TRACE OUTPUT MILLIONS      so many million access records, at least
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/block.h"
#include "format/buffer.h"
#include "tat/trace.h"

struct kept {
    uint8_t * payload; /* a copy: a block that is handed out lives until the next one */
    uint32_t bytes;
    uint64_t begin, end; /* ticks */
};

struct growing {
    FILE * out;
    uint64_t offset; /* in the output */
    struct kept * kept;
    size_t n_kept;
    uint64_t last_tick;
};

static void put_block(struct growing * g, enum tat_block_type type, const void * payload, uint32_t bytes) {
    const uint64_t size = tat_block_bytes(bytes);
    uint8_t * block = calloc(1, size);
    if (!block) { abort(); }
    const struct tat_block_header header = tat_block_header_of(g->offset, type, payload, bytes);
    memcpy(block, &header, sizeof header);
    memcpy(block + sizeof header, payload, bytes);
    if (fwrite(block, 1, size, g->out) != size) { abort(); }
    g->offset += size;
    free(block);
}

/* Where the ticks are in an EVALUATION block: after five numbers and a signed one. */
static struct tat_in at_ticks(const uint8_t * payload, uint32_t bytes) {
    struct tat_in in = { .at = payload, .end = payload + bytes };
    for (int i = 0; i < 6; i++) { tat_get_varint(&in); }
    return in;
}

static bool copy(const struct tat_block * b, void * user) {
    struct growing * g = user;
    if (b->type == 0 || b->type == TAT_BLOCK_END || b->type == TAT_BLOCK_LOSS) { return true; }
    put_block(g, b->type, b->payload, b->payload_bytes);
    if (b->type != TAT_BLOCK_EVALUATION) { return true; }
    struct tat_in in = at_ticks(b->payload, b->payload_bytes);
    const uint64_t begin = tat_get_varint(&in), end = begin + tat_get_varint(&in);
    uint8_t * payload = malloc(b->payload_bytes + 1);
    if (!payload) { abort(); }
    memcpy(payload, b->payload, b->payload_bytes);
    g->kept[g->n_kept++] = (struct kept){ payload, b->payload_bytes, begin, end };
    if (end > g->last_tick) { g->last_tick = end; }
    return true;
}

static void put_later(struct growing * g, const struct kept * k, uint64_t later) {
    const struct tat_in before = at_ticks(k->payload, k->bytes);
    struct tat_in after = before;
    tat_get_varint(&after);
    uint8_t * payload = malloc(k->bytes + TAT_VARINT_MAX);
    struct tat_out out = { .at = payload, .end = payload + k->bytes + TAT_VARINT_MAX };
    if (!payload) { abort(); }
    tat_put_bytes(&out, k->payload, (size_t) (before.at - k->payload));
    tat_put_varint(&out, k->begin + later);
    tat_put_bytes(&out, after.at, (size_t) (after.end - after.at));
    put_block(g, TAT_BLOCK_EVALUATION, payload, (uint32_t) (out.at - payload));
    free(payload);
}

static bool count(const struct tat_access * records, size_t n, void * user) {
    (void) records;
    *(uint64_t *) user += n;
    return true;
}

/* The graphs of one token, which as a rule are the last ones. */
static uint64_t records_of_last(const struct tat_trace * trace, uint32_t n, uint32_t first) {
    uint64_t records = 0;
    tat_trace_expand(trace, first, n, count, &records, NULL);
    return records;
}

int main(int argc, char ** argv) {
    struct tat_error error;
    uint32_t n;
    struct growing g = { .offset = TAT_HEADER_BYTES };
    struct tat_trace * trace = argc == 4 ? tat_trace_open(argv[1], &error) : NULL;
    if (!trace || !(g.out = fopen(argv[2], "wb"))) {
        fprintf(stderr, "grow_trace: %s\n",
                argc != 4 ? "usage: grow_trace TRACE OUTPUT MILLIONS"
                : trace   ? argv[2]
                          : error.message);
        return 2;
    }
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    g.kept = calloc(n + 1, sizeof *g.kept);
    if (!g.kept || fwrite(tat_trace_header(trace), 1, TAT_HEADER_BYTES, g.out) != TAT_HEADER_BYTES) { abort(); }
    tat_trace_each_block(trace, copy, &g);
    uint32_t first = n;
    while (first > 0 && e[first - 1].phase == TAT_PHASE_GENERATE) { first--; }
    if (first == n) { return 2; }
    uint64_t records = records_of_last(trace, n, 0);
    const uint64_t each = records_of_last(trace, n, first), span = g.last_tick - g.kept[first].begin + 1;
    for (uint64_t round = 1; records < strtoull(argv[3], NULL, 10) * 1000000; round++, records += each) {
        for (uint32_t i = first; i < n; i++) { put_later(&g, &g.kept[i], round * span); }
    }
    printf("%" PRIu64 " access records, %" PRIu64 " bytes\n", records, g.offset);
    for (size_t i = 0; i < g.n_kept; i++) { free(g.kept[i].payload); }
    free(g.kept);
    tat_trace_close(trace);
    return fclose(g.out) != 0;
}
