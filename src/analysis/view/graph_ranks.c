/* SPDX-License-Identifier: MIT
 *
 * One group of a graph in ranks: a node is below all its sources, and as near as can be to what it is joined to. Within
 * a rank, three sweeps (down, up, down) sort nodes by the mean place of their neighbours and move them there as far as
 * there is room.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/view/graph_parts.h"

enum {
    NODE_WIDTH = 148,
    NODE_HEIGHT = 34,
    SHAPE_WIDTH = 108, /* of a node that computes nothing */
    SHAPE_HEIGHT = 20,
    GAP_ACROSS = 18,
    GAP_DOWN = 24,
    PADDING = 14,
    HEADING = 26, /* room for the group's name above its nodes */
};

struct ranks {
    struct graph_node * nodes; /* of the group alone */
    const struct graph_edge * edges;
    uint32_t first, n, n_edges, n_ranks;
    uint32_t *rank, *order, *start; /* by node; nodes rank by rank; where each rank begins in that, and one more */
    uint32_t * joined;              /* by node: neighbours in `sum` */
    bool * floats;
    double *x, *wish, *sum; /* by node: its middle, where it should be, the sum of its neighbours' */
    struct block {
        double mean;
        uint32_t first, count;
    } * blocks; /* of a rank: nodes that push each other apart */
};

static bool is_shape(const struct graph_node * node) {
    return node->category == GRAPH_SHAPE;
}

/* The longest way from above. Views of caches and inputs come right before what uses them: they have no place of their
 * own in the order of computation. */
static void choose_ranks(struct ranks * r) {
    uint32_t edge = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        r->floats[i] = is_shape(&r->nodes[i]);
        for (; edge < r->n_edges && r->edges[edge].to - r->first == i; edge++) {
            const uint32_t source = r->edges[edge].from - r->first;
            if (r->rank[source] >= r->rank[i]) { r->rank[i] = r->rank[source] + 1; }
            r->floats[i] = r->floats[i] && r->floats[source];
        }
    }
    for (uint32_t i = 0; i < r->n; i++) { r->joined[i] = UINT32_MAX; } /* here: the highest rank it may have */
    for (uint32_t i = r->n; i-- > 0;) {
        if (r->floats[i] && r->joined[i] != UINT32_MAX) { r->rank[i] = r->joined[i]; }
        for (; edge > 0 && r->edges[edge - 1].to - r->first == i; edge--) {
            const uint32_t source = r->edges[edge - 1].from - r->first;
            if (r->rank[i] - 1 < r->joined[source]) { r->joined[source] = r->rank[i] - 1; }
        }
    }
}

static void sort_by_rank(struct ranks * r) {
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->rank[i] >= r->n_ranks) { r->n_ranks = r->rank[i] + 1; }
        r->start[r->rank[i] + 1]++;
    }
    for (uint32_t i = 0; i < r->n_ranks; i++) { r->start[i + 1] += r->start[i]; }
    /* `start` is shifted by one rank while it is used as a cursor. */
    for (uint32_t i = r->n; i-- > 0;) { r->order[--r->start[r->rank[i] + 1]] = i; }
    memmove(r->start, r->start + 1, r->n_ranks * sizeof r->start[0]);
    r->start[r->n_ranks] = r->n;
}

/* ---- places within a rank ---- */

static double apart(const struct ranks * r, uint32_t left, uint32_t right) {
    return (r->nodes[left].w + r->nodes[right].w) / 2.0 + GAP_ACROSS;
}

struct wished {
    double wish;
    uint32_t node;
};

static int by_wish(const void * a, const void * b) {
    const struct wished *i = a, *j = b;
    if (i->wish != j->wish) { return i->wish < j->wish ? -1 : 1; }
    return (i->node > j->node) - (i->node < j->node);
}

/* The places nearest to the wishes, in the sense of least squares, that keep the order and the distances: neighbours
 * that want to be where the other is move together, to the mean of what they want. */
static void push_apart(struct ranks * r, const uint32_t * order, uint32_t n) {
    uint32_t n_blocks = 0;
    double offset = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i) { offset += apart(r, order[i - 1], order[i]); }
        r->sum[order[i]] = offset;
        struct block b = { r->wish[order[i]] - offset, i, 1 };
        while (n_blocks && r->blocks[n_blocks - 1].mean >= b.mean) {
            const struct block * before = &r->blocks[--n_blocks];
            b.mean = (before->mean * before->count + b.mean * b.count) / (before->count + b.count);
            b.first = before->first;
            b.count += before->count;
        }
        r->blocks[n_blocks++] = b;
    }
    for (uint32_t i = 0; i < n_blocks; i++) {
        for (uint32_t k = 0; k < r->blocks[i].count; k++) {
            const uint32_t node = order[r->blocks[i].first + k];
            r->x[node] = r->blocks[i].mean + r->sum[node];
        }
    }
}

static void place_rank(struct ranks * r, uint32_t rank, struct wished * room) {
    uint32_t * order = r->order + r->start[rank];
    const uint32_t n = r->start[rank + 1] - r->start[rank];
    for (uint32_t i = 0; i < n; i++) { room[i] = (struct wished){ r->wish[order[i]], order[i] }; }
    qsort(room, n, sizeof room[0], by_wish);
    for (uint32_t i = 0; i < n; i++) { order[i] = room[i].node; }
    push_apart(r, order, n);
}

/* Wishes are means over the neighbours on one side, all of which are placed before: `starts` and `joints` are the edges
 * by node on that side. */
static void sweep(struct ranks * r, bool down, const uint32_t * starts, const uint32_t * joints, struct wished * room) {
    for (uint32_t i = 0; i < r->n_ranks; i++) {
        const uint32_t rank = down ? i : r->n_ranks - 1 - i;
        for (uint32_t k = r->start[rank]; k < r->start[rank + 1]; k++) {
            const uint32_t node = r->order[k];
            double sum = 0;
            for (uint32_t j = starts[node]; j < starts[node + 1]; j++) { sum += r->x[joints[j]]; }
            const uint32_t n = starts[node + 1] - starts[node];
            r->wish[node] = n ? sum / n : r->x[node];
        }
        place_rank(r, rank, room);
    }
}

/* Joins of each node on one side, grouped by node. */
static void join(const struct ranks * r, bool up, uint32_t * starts, uint32_t * joints) {
    memset(starts, 0, ((size_t) r->n + 2) * sizeof starts[0]);
    for (uint32_t i = 0; i < r->n_edges; i++) { starts[(up ? r->edges[i].to : r->edges[i].from) - r->first + 2]++; }
    for (uint32_t i = 2; i <= r->n + 1; i++) { starts[i] += starts[i - 1]; }
    for (uint32_t i = 0; i < r->n_edges; i++) {
        const uint32_t from = r->edges[i].from - r->first, to = r->edges[i].to - r->first;
        joints[starts[(up ? to : from) + 1]++] = up ? from : to;
    }
}

/* ---- the whole group ---- */

static void set_sizes(struct ranks * r) {
    for (uint32_t i = 0; i < r->n; i++) {
        r->nodes[i].w = is_shape(&r->nodes[i]) ? SHAPE_WIDTH : NODE_WIDTH;
        r->nodes[i].h = is_shape(&r->nodes[i]) ? SHAPE_HEIGHT : NODE_HEIGHT;
    }
}

static void set_places(struct ranks * r, struct graph_group * group) {
    double left = 0, right = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        const double half = r->nodes[i].w / 2.0;
        if (i == 0 || r->x[i] - half < left) { left = r->x[i] - half; }
        if (i == 0 || r->x[i] + half > right) { right = r->x[i] + half; }
    }
    int32_t y = HEADING;
    for (uint32_t rank = 0; rank < r->n_ranks; rank++) {
        int32_t height = 0;
        for (uint32_t k = r->start[rank]; k < r->start[rank + 1]; k++) {
            if (r->nodes[r->order[k]].h > height) { height = r->nodes[r->order[k]].h; }
        }
        for (uint32_t k = r->start[rank]; k < r->start[rank + 1]; k++) {
            struct graph_node * node = &r->nodes[r->order[k]];
            node->x = PADDING + (int32_t) (r->x[r->order[k]] - node->w / 2.0 - left + 0.5);
            node->y = y + (height - node->h) / 2;
        }
        y += height + GAP_DOWN;
    }
    group->w = (int32_t) (right - left + 0.5) + 2 * PADDING;
    group->h = y - GAP_DOWN + PADDING;
}

static void place_all(struct ranks * r, uint32_t * joints, struct wished * room) {
    uint32_t *above = joints, *below = above + r->n + 2;
    uint32_t *from = below + r->n + 2, *to = from + r->n_edges;
    choose_ranks(r);
    sort_by_rank(r);
    join(r, true, above, from);
    join(r, false, below, to);
    sweep(r, true, above, from, room);
    sweep(r, false, below, to, room);
    sweep(r, true, above, from, room);
}

bool graph_ranks_place(struct graph_node * nodes, uint32_t first, uint32_t count, const struct graph_edge * edges,
                       uint32_t n_edges, struct graph_group * group) {
    const size_t n = count;
    struct ranks r = { .nodes = nodes + first, .edges = edges, .first = first, .n = count, .n_edges = n_edges };
    uint32_t * numbers = calloc(4 * n + 2, sizeof *numbers);
    double * places = calloc(3 * n + 1, sizeof *places);
    uint32_t * joints = calloc(2 * (n + 2) + 2 * (size_t) n_edges, sizeof *joints);
    struct wished * room = calloc(n + 1, sizeof *room);
    r.blocks = calloc(n + 1, sizeof *r.blocks);
    r.floats = calloc(n + 1, sizeof *r.floats);
    const bool good = numbers && places && joints && room && r.blocks && r.floats;
    if (good) {
        r.rank = numbers;
        r.order = numbers + n;
        r.joined = numbers + 2 * n;
        r.start = numbers + 3 * n; /* n + 2 of them */
        r.x = places;
        r.wish = places + n;
        r.sum = places + 2 * n;
        set_sizes(&r);
        place_all(&r, joints, room);
        set_places(&r, group);
    }
    free(r.floats);
    free(r.blocks);
    free(room);
    free(joints);
    free(places);
    free(numbers);
    return good;
}
