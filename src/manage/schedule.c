/* SPDX-License-Identifier: MIT */
#include "manage/schedule.h"

#include <stdlib.h>

enum { ACTIONS_OF_USE = 3 };

static void act(struct schedule * s, uint32_t when, enum schedule_kind kind, uint32_t first, uint32_t end) {
    s->action[s->n_actions++] = (struct schedule_action){ when, kind, first, end };
}

/* When the callback of step n+1 comes, all threads are done with step n. */
static uint32_t over(uint32_t step) {
    return step + 2;
}

static void add_dense(struct schedule * s, const struct schedule_use * u) {
    const uint32_t first = s->order.count;
    for (uint32_t i = 0; i < u->count; i++) { s->piece[s->order.count++] = u->piece + i; }
    act(s, u->step, SCHEDULE_WAIT, first, s->order.count);
    act(s, over(u->step), SCHEDULE_PASS, s->order.count, 0);
}

static void add_stack(struct schedule * s, const struct schedule_use * u) {
    if (u->router == UINT32_MAX) { return; }
    s->stack[s->n_stacks] = (struct schedule_stack){ u->step, u->piece, u->experts, u->router };
    act(s, u->step, SCHEDULE_WAIT_CHOSEN, s->n_stacks, 0);
    act(s, over(u->step), SCHEDULE_DROP, s->n_stacks, 0);
    s->n_stacks++;
}

static int by_time(const void * left, const void * right) {
    const struct schedule_action *l = left, *r = right;
    if (l->when != r->when) { return l->when < r->when ? -1 : 1; }
    if (l->kind != r->kind) { return l->kind < r->kind ? -1 : 1; }
    return l->first < r->first ? -1 : l->first > r->first;
}

bool schedule_make(const struct schedule_use * uses, uint32_t n_uses, const uint32_t * ready, uint32_t n_routers,
                   struct schedule * s) {
    uint64_t pieces = 0;
    for (uint32_t i = 0; i < n_uses; i++) { pieces += uses[i].count; }
    *s = (struct schedule){ 0 };
    s->action = malloc(((size_t) ACTIONS_OF_USE * n_uses + n_routers + 1) * sizeof *s->action);
    s->piece = malloc((pieces + 1) * sizeof *s->piece);
    s->stack = malloc(((size_t) n_uses + 1) * sizeof *s->stack);
    if (!s->action || !s->piece || !s->stack) {
        schedule_free(s);
        return false;
    }
    for (uint32_t i = 0; i < n_routers; i++) { act(s, ready[i], SCHEDULE_CHOOSE, i, 0); }
    for (uint32_t i = 0; i < n_uses; i++) { (uses[i].experts ? add_stack : add_dense)(s, &uses[i]); }
    s->order.piece = s->piece;
    qsort(s->action, s->n_actions, sizeof *s->action, by_time);
    return true;
}

void schedule_free(struct schedule * s) {
    free(s->action);
    free(s->piece);
    free(s->stack);
    *s = (struct schedule){ 0 };
}

const struct schedule_stack * schedule_first_stack(const struct schedule * s, uint32_t router) {
    for (uint32_t i = 0; i < s->n_stacks; i++) {
        if (s->stack[i].router == router) { return &s->stack[i]; }
    }
    return NULL;
}

uint32_t schedule_experts(const struct schedule * s, uint32_t router) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < s->n_stacks; i++) {
        if (s->stack[i].router == router && s->stack[i].experts > most) { most = s->stack[i].experts; }
    }
    return most;
}
