/* SPDX-License-Identifier: MIT
 *
 * What is to be done for a graph, and after how many of its callbacks: which pieces to wait for, when a router's choice
 * can be read, and up to which place all pieces have been used. It knows nothing of ggml.
 */
#ifndef TAT_MANAGE_SCHEDULE_H
#define TAT_MANAGE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "manage/resident.h"

enum schedule_kind {
    SCHEDULE_PASS,        /* all places below `first` are done with */
    SCHEDULE_DROP,        /* the experts of stack `first` have been used */
    SCHEDULE_CHOOSE,      /* router `first` has chosen */
    SCHEDULE_WAIT,        /* for the places [first, end) */
    SCHEDULE_WAIT_CHOSEN, /* for the chosen experts of stack `first` */
};

/* To be done once `when` callbacks have come, in the order of kinds. */
struct schedule_action {
    uint32_t when;
    enum schedule_kind kind;
    uint32_t first, end;
};

/* A node's use of a stack of experts. */
struct schedule_stack {
    uint32_t step;
    uint32_t piece; /* its first expert's */
    uint32_t experts, router;
};

struct schedule {
    struct schedule_action * action;
    uint32_t n_actions;
    struct resident_order order;
    struct schedule_stack * stack;
    uint32_t n_stacks;
    uint32_t * piece; /* memory of the order */
};

/* A node's use of pieces, in the order of steps. */
struct schedule_use {
    uint32_t step;
    uint32_t piece, count; /* the first of them, and how many */
    uint32_t experts;      /* as many pieces, of which a router chooses; 0: all are needed */
    uint32_t router;       /* UINT32_MAX: its choice is not known in time */
};

/* The caller frees with schedule_free. `ready`: by router. False: memory. */
bool schedule_make(const struct schedule_use * uses, uint32_t n_uses, const uint32_t * ready, uint32_t n_routers,
                   struct schedule * schedule);
void schedule_free(struct schedule * schedule);

/* How many experts a router chooses from: the most that one of its stacks has; 0: nothing is known of any. */
uint32_t schedule_experts(const struct schedule * schedule, uint32_t router);

/* The first of a router's stacks; NULL: nothing of what it chooses from is managed. */
const struct schedule_stack * schedule_first_stack(const struct schedule * schedule, uint32_t router);

#endif
