/* SPDX-License-Identifier: MIT */
#include "manage/known_graph.h"

#include <stdlib.h>

void known_graph_free(struct known_graph * g) {
    for (uint32_t i = 0; g->chosen && i < g->uses.n_routers; i++) { free(g->chosen[i]); }
    free(g->chosen);
    free(g->pieces);
    free(g->stay);
    foresight_free(g->foresight);
    graph_uses_free(&g->uses);
    schedule_free(&g->schedule);
    free(g);
}

static bool make_choices(struct known_graph * g) {
    size_t most = 0;
    g->chosen = calloc((size_t) g->uses.n_routers + 1, sizeof *g->chosen);
    bool good = g->chosen != NULL;
    for (uint32_t i = 0; good && i < g->uses.n_routers; i++) {
        g->chosen[i] = calloc((size_t) schedule_experts(&g->schedule, i) + 1, 1);
        good = g->chosen[i] != NULL;
    }
    for (uint32_t i = 0; i < g->schedule.n_stacks; i++) { most += g->schedule.stack[i].experts; }
    g->pieces = calloc(most + 1, sizeof *g->pieces);
    g->stay = calloc(most + 1, sizeof *g->stay);
    return good && g->pieces && g->stay;
}

static bool make_schedule(struct known_graph * g, const struct managed_model * model) {
    uint32_t count;
    struct schedule_use * uses = managed_model_schedule(model, &g->uses, &count, &g->schedule);
    const bool made = uses != NULL;
    free(uses);
    return made && make_choices(g);
}

struct known_graph * known_graph_new(const struct managed_model * model, struct graph_uses uses, uint32_t host) {
    struct known_graph * g = calloc(1, sizeof *g);
    if (!g) {
        graph_uses_free(&uses);
        return NULL;
    }
    g->uses = uses;
    g->host = host;
    if (make_schedule(g, model)) { return g; }
    known_graph_free(g);
    return NULL;
}
