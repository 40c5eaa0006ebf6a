/* SPDX-License-Identifier: MIT
 *
 * How managing begins: whether it can and should be done, and with which placement.
 */
#ifndef TAT_MANAGE_MANAGING_H
#define TAT_MANAGE_MANAGING_H

#include "manage/budget.h"
#include "manage/experts.h"
#include "manage/managed_model.h"
#include "manage/options.h"
#include "manage/plain_run.h"
#include "plan/placement.h"

struct managing {
    struct managed_model model;
    struct budget budget;
    struct placement placement;
    struct resident * resident;
    struct experts * experts; /* NULL: none are cached */
    struct plain_run * plain;

    /* To place anew: by item, in the order of first use. */
    struct placement_item * item;
    uint32_t * item_piece;
    uint32_t n_items;
    uint8_t * class;        /* by piece; relaxed: the thread that watches memory writes, the one that computes reads */
    uint64_t largest_stack; /* bytes */
    uint64_t token_experts; /* bytes that a router chooses for one row, at most; UINT64_MAX: not known */
    unsigned may;
    uint64_t asked;
    uint64_t growth; /* bytes that the graph that it began with is about to touch for the first time */

    bool of_one_row;      /* the graph */
    uint64_t calm_since;  /* ns: since then no graph has needed more */
    bool may_grow;        /* it has not since then */
    bool was_short;       /* there was less than was foreseen: it never grows again */
    bool was_handed_back; /* relaxed; on the thread that watches memory */
    struct {
        uint64_t ns;          /* when it shrank; 0: that has been said */
        uint64_t pool, limit; /* before */
    } shrunk;
};

enum managing_answer {
    MANAGING_NOTHING,  /* this graph has no weights that could be managed */
    MANAGING_DECLINED, /* and nothing has changed */
    MANAGING_ACTIVE,
};

/* `uses`: the graph's, the caller's to free if it is active. *why: the line that says so if it is declined,
 * and also if there is nothing that could be managed, or empty; it stays until the next call. */
enum managing_answer managing_begin(struct managing * managing, const struct manage_options * options,
                                    const struct host * host, struct ggml_cgraph * graph, struct graph_uses * uses,
                                    const char ** why);

/* The program unmaps that range of a model: what is there from now on, nobody declares. */
void managing_undeclare(const struct managing * managing, const char * at, uint64_t bytes);

/* For the thread that watches memory: a graph of so many rows begins, and is about to touch `growth` bytes for the
 * first time. Makes room for that, and for the experts of as many rows, before it returns. *why: as managing_look. */
void managing_prepare(struct managing * managing, uint32_t rows, uint64_t growth, const char ** why);

/* For the thread that watches memory: looks whether there is less memory, or room for more, and places all anew. *why:
 * the line that says what was done, or NULL. */
void managing_look(struct managing * managing, const char ** why);

/* Plain mmap is faster, so it takes over. *why: the line that says so. */
void managing_give_up(struct managing * managing, const char ** why);

#endif
