/* SPDX-License-Identifier: MIT */
#include "format/filter_narrow.h"

#include "format/filter_walk.h"

struct narrowing {
    struct walk walk;
    filter_usefulness is_useful;
    struct list ranges; /* struct picked: of the evaluation at hand */
    bool varies;
};

static bool add(struct narrowing * n, uint32_t first, uint32_t end) {
    struct picked * last = n->ranges.count ? &LIST(struct picked, n->ranges)[n->ranges.count - 1] : NULL;
    if (last && last->end == first) {
        last->end = end;
        return true;
    }
    struct picked * range = list_add(&n->ranges, sizeof *range);
    if (range) { *range = (struct picked){ first, end }; }
    return range != NULL;
}

/* Picks what may be of use. False: no memory. */
static bool narrow(struct narrowing * n, const struct plan * plan, const struct pick * pick, uint32_t n_times) {
    n->ranges.count = 0;
    n->varies = false;
    for (uint32_t r = 0, v = 0; r < pick->count; r++) {
        for (uint32_t i = pick->ranges[r].first; i < pick->ranges[r].end;) {
            const struct tat_access * planned = &plan->records[i];
            const uint32_t callback = (uint32_t) planned->start_ns;
            while (v < plan->n_varies && plan->varies[v].record < i) { v++; }
            const bool varies = v < plan->n_varies && plan->varies[v].record == i;
            const uint32_t count = varies ? plan->varies[v].n_records : 1;
            if (callback >= n_times) { return true; } /* it ended before */
            const uint32_t duration = planned->duration_ns & duration_of(n->walk.x.start_ns, callback);
            if (n->is_useful(planned, duration, varies, n->walk.user)) {
                if (!add(n, i, i + count)) { return false; }
                n->varies |= varies;
            }
            i += count;
        }
    }
    return true;
}

static bool walk_one(struct narrowing * n, uint32_t number) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, n->walk.filter->trace->evaluations)[number];
    struct expansion * x = &n->walk.x;
    if (evaluation_is_bare(e)) { return true; }
    const struct plan * plan = plan_of(x->trace, e->template_id, e->rule);
    const struct pick * pick = plan ? filter_pick(&n->walk, e, plan) : NULL;
    if (!pick) { return false; }
    if (pick->count == 0) { return true; }
    if (!bodies_may_work(&x->bodies, plan->n_records) || !expansion_at(x, number)) { return false; }
    const uint32_t n_times = expansion_times(x, number);
    if (!x->start_ns || !narrow(n, plan, pick, n_times)) { return false; }
    const struct pick useful = { n->ranges.data, n->ranges.count, n->varies };
    return useful.count == 0 || expansion_put(x, number, plan, &useful);
}

int filter_expand_useful(const struct tat_filter * filter, filter_usefulness is_useful, tat_access_sink sink,
                         void * user, struct tat_error * error) {
    struct narrowing n = { .walk = { .filter = filter, .sink = sink, .user = user }, .is_useful = is_useful };
    if (!filter_walk_begin(&n.walk, error)) {
        filter_walk_end(&n.walk);
        return -1;
    }
    bool good = true;
    for (uint32_t i = 0; i < filter->trace->evaluations.count && good && !n.walk.x.stopped; i++) {
        if (filter_wants_evaluation(filter, i)) { good = walk_one(&n, i); }
    }
    if (good) { expansion_flush(&n.walk.x); }
    const int status = good ? n.walk.x.stopped : expansion_fail(&n.walk.x, error);
    free(n.ranges.data);
    filter_walk_end(&n.walk);
    return status;
}
