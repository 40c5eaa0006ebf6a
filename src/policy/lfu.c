/* SPDX-License-Identifier: MIT
 *
 * Least frequently used: accesses are counted of what is held, since it came in; what has the fewest goes for any
 * newcomer. And LFU with dynamic ageing (Arlitt, Cherkasova, Dilley, Friedrich, Jin: Evaluating content management
 * techniques for web proxy caches, Performance Evaluation Review 2000): when an item is accessed, its rank is its count
 * plus the cache's age, which is the rank of the last item evicted. So what was used often long ago is let go in the
 * end.
 *
 * libCacheSim's LFUDA adds the age at each hit; that is not what is said there.
 *
 * Sizes: neither looks at them.
 */
#include <stdlib.h>

#include "policy/base.h"
#include "policy/heap.h"

struct lfu {
    struct policy base;
    uint64_t * uses;  /* by item */
    struct heap heap; /* of items held */
    uint64_t age;     /* without ageing: 0 */
    bool ages;
};

static void destroy(struct policy * base) {
    struct lfu * p = (struct lfu *) base;
    free(p->uses);
    heap_end(&p->heap);
    base_free(base);
}

static struct policy * create(const struct policy_kind * kind, uint64_t capacity, const struct policy_items * items) {
    struct lfu * p = base_new(sizeof *p, kind, capacity, items);
    if (!p) { return NULL; }
    p->ages = kind == &policy_lfuda;
    p->uses = calloc((size_t) items->count + 1, sizeof *p->uses);
    if (heap_begin(&p->heap, items->count) && p->uses) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

static struct policy * create_lfu(uint64_t capacity, const struct policy_items * items) {
    return create(&policy_lfu, capacity, items);
}

static struct policy * create_lfuda(uint64_t capacity, const struct policy_items * items) {
    return create(&policy_lfuda, capacity, items);
}

static bool access(struct policy * base, uint32_t item) {
    struct lfu * p = (struct lfu *) base;
    if (base->held[item]) {
        heap_set_rank(&p->heap, item, (struct rank){ ++p->uses[item] + p->age, base->now });
        return true;
    }
    if (!base_may_hold(base, item)) { return false; }
    while (!base_fits(base, item)) {
        const struct heap_entry least = heap_pop(&p->heap);
        if (p->ages) { p->age = least.rank.value; }
        base_evict(base, least.item);
    }
    p->uses[item] = 1;
    heap_add(&p->heap, item, (struct rank){ 1 + p->age, base->now });
    base_hold(base, item);
    return false;
}

const struct policy_kind policy_lfu = {
    .name = "lfu",
    .title = "least frequently used",
    .knowledge = POLICY_ONLINE,
    .create = create_lfu,
    .access = access,
    .destroy = destroy,
};

const struct policy_kind policy_lfuda = {
    .name = "lfuda",
    .title = "LFU with dynamic ageing",
    .knowledge = POLICY_ONLINE,
    .create = create_lfuda,
    .access = access,
    .destroy = destroy,
};
