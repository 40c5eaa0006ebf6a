/* SPDX-License-Identifier: MIT
 *
 * Warm-up, told by calls: one rule for the reader, which gives phases, and for the agent, which counts tokens
 * (doc/format.md, "Order, tokens, phases").
 *
 * llama_set_warmup marks it. Most versions of llama.cpp do without: they give a context two tokens, an encoder two and
 * its decoder one, and clear the memory before it gets anything else. Some programs do that once more, to try whether
 * the cache can drop rows.
 */
#ifndef TAT_FORMAT_WARMUP_H
#define TAT_FORMAT_WARMUP_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WARMUP_TOKENS = 2,   /* of a context */
    WARMUP_TOGETHER = 3, /* of two contexts */
    WARMUP_CONTEXTS = 2,
    WARMUP_TIMES = 2,         /* that a context may be warmed up */
    WARMUP_NEVER = UINT8_MAX, /* in place of a number: the context computed something else */
};

/* Begins zeroed. Beside it, the caller keeps for each context, zeroed too, how often it was warmed up. */
struct warmup {
    bool on;      /* llama_set_warmup */
    bool cleared; /* the memory was cleared at least once */
    /* Since the memory was cleared: */
    bool more;  /* more than a warm-up was computed */
    uint32_t n; /* contexts that computed */
    struct {
        uint32_t number, tokens, with_output; /* rows in; graphs with rows out */
    } context[WARMUP_CONTEXTS];
};

static inline void warmup_graph(struct warmup * w, uint8_t * times, uint32_t context, uint32_t tokens,
                                bool has_output) {
    uint32_t i = 0;
    if (tokens == 0) { return; }
    while (i < w->n && w->context[i].number != context) { i++; }
    if (i == WARMUP_CONTEXTS || tokens > WARMUP_TOKENS || times[context] >= WARMUP_TIMES) {
        times[context] = WARMUP_NEVER;
        w->more = true;
        return;
    }
    if (i == w->n) {
        w->context[w->n++].number = context;
        w->context[i].tokens = w->context[i].with_output = 0;
    }
    w->context[i].tokens += tokens;
    w->context[i].with_output += has_output;
    w->more |= w->context[i].tokens > WARMUP_TOKENS || w->context[i].with_output > 1;
}

static inline void warmup_begin(struct warmup * w) {
    w->more = false;
    w->n = 0;
}

/* A model was loaded: what others computed before says nothing of its warm-up. A server that wakes loads it again. */
static inline void warmup_load(struct warmup * w, uint8_t * times) {
    for (uint32_t i = 0; i < w->n; i++) { times[w->context[i].number] = WARMUP_NEVER; }
    warmup_begin(w);
}

/* The memory was cleared. Returns how many contexts have only warmed up since the last clearing; w->context still has
 * them. */
static inline uint32_t warmup_clear(struct warmup * w, uint8_t * times) {
    const uint32_t n = w->n;
    uint32_t together = 0;
    bool warm = !w->more;
    for (uint32_t i = 0; i < n; i++) {
        together += w->context[i].tokens;
        warm &= times[w->context[i].number] == 0 || (w->cleared && w->context[i].tokens == WARMUP_TOKENS);
    }
    warm &= together <= WARMUP_TOGETHER;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t * of = &times[w->context[i].number];
        *of = warm ? (uint8_t) (*of + 1) : WARMUP_NEVER;
    }
    w->cleared = true;
    warmup_begin(w);
    return warm ? n : 0;
}

#endif
