/* SPDX-License-Identifier: MIT */
#include "analysis/diff/shares.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/units.h"

enum {
    CHANGED = 10,       /* shown of those that changed most */
    ROWS_MAX = 1 << 14, /* of the long table */
    COLUMNS_MAX = 8,    /* runs that a table shows; more are in the JSON alone */
    FIXED = 3           /* columns besides */
};

/* A layer as the runs have it that have it. */
struct layer_runs {
    uint32_t layer, n_experts;
    const struct choices * of[TAT_DIFF_MOST]; /* by run; NULL: it has none, or another number of experts */
};

struct change {
    uint32_t layer, expert; /* layer: its place among all */
    double apart;           /* the largest share less the smallest */
};

struct shares {
    const struct diff * d;
    struct layer_runs * layers;
    uint32_t n_layers;
    uint64_t n_experts; /* of all layers */
};

/* ---- layers ---- */

static int by_layer(const void * a, const void * b) {
    const struct layer_runs *x = a, *y = b;
    return (x->layer > y->layer) - (x->layer < y->layer);
}

/* The place of a layer, a new one if it is new. `place`: by number, from 1. */
static struct layer_runs * layer_at(struct shares * s, const struct choices * c, uint32_t * place) {
    if (!place[c->layer]) {
        s->layers[s->n_layers++] = (struct layer_runs){ .layer = c->layer, .n_experts = c->n_experts };
        s->n_experts += c->n_experts;
        place[c->layer] = s->n_layers;
    }
    return &s->layers[place[c->layer] - 1];
}

/* False: no memory. */
static bool find_layers(struct shares * s) {
    size_t most = 0;
    for (size_t i = 0; i < s->d->n_runs; i++) { most += s->d->run[i].n_choices; }
    uint32_t * place = calloc(UINT16_MAX + 1, sizeof *place);
    s->layers = malloc((most < UINT16_MAX + 1 ? most + 1 : UINT16_MAX + 1) * sizeof *s->layers);
    if (!s->layers || !place) {
        free(place);
        return false;
    }
    for (size_t i = 0; i < s->d->n_runs; i++) {
        const struct profile * p = &s->d->run[i];
        for (uint32_t k = 0; k < p->n_choices; k++) {
            struct layer_runs * l = layer_at(s, &p->choices[k], place);
            if (l->n_experts == p->choices[k].n_experts) { l->of[i] = &p->choices[k]; }
        }
    }
    free(place);
    if (s->n_layers) { qsort(s->layers, s->n_layers, sizeof *s->layers, by_layer); }
    return true;
}

/* ---- rows ---- */

static double apart_of(const struct shares * s, const struct layer_runs * l, uint32_t expert) {
    double least = 1, most = 0;
    for (size_t i = 0; i < s->d->n_runs; i++) {
        if (!l->of[i] || !l->of[i]->selections) { continue; }
        const double share = ratio(l->of[i]->all[expert], l->of[i]->selections);
        if (share < least) { least = share; }
        if (share > most) { most = share; }
    }
    return most > least ? most - least : 0;
}

static void begin_table(const struct shares * s, struct result * r, const char * name, const char * title,
                        enum show show) {
    struct result_column columns[FIXED + COLUMNS_MAX] = {
        { "layer", "layer", UNIT_NUMBER },
        { "expert", "expert", UNIT_NUMBER },
    };
    char keys[COLUMNS_MAX][40];
    size_t n = FIXED - 1;
    for (size_t i = 0; i < s->d->n_runs && i < COLUMNS_MAX; i++) {
        snprintf(keys[i], sizeof keys[i], "share_%s", s->d->run[i].label);
        columns[n++] = (struct result_column){ keys[i], s->d->run[i].label, UNIT_SHARE };
    }
    columns[n++] = (struct result_column){ "apart", "apart", UNIT_SHARE };
    result_table(r, name, title, show, columns, n);
}

static void add_row(const struct shares * s, struct result * r, const struct layer_runs * l, uint32_t expert) {
    json_t * row = result_row(r);
    char key[40];
    result_put_layer(r, row, "layer", l->layer);
    result_put_count(r, row, "expert", expert);
    for (size_t i = 0; i < s->d->n_runs; i++) {
        const struct choices * c = l->of[i];
        if (!c) { continue; }
        snprintf(key, sizeof key, "count_%s", s->d->run[i].label);
        result_put_count(r, row, key, c->all[expert]);
        snprintf(key, sizeof key, "share_%s", s->d->run[i].label);
        if (c->selections) { result_put_real(r, row, key, ratio(c->all[expert], c->selections)); }
    }
    result_put_real(r, row, "apart", apart_of(s, l, expert));
}

static void enter(struct change changes[static CHANGED], uint32_t * n, struct change c) {
    if (*n == CHANGED && changes[CHANGED - 1].apart >= c.apart) { return; }
    uint32_t at = *n < CHANGED ? (*n)++ : CHANGED - 1;
    for (; at && changes[at - 1].apart < c.apart; at--) { changes[at] = changes[at - 1]; }
    changes[at] = c;
}

static void show_changed(const struct shares * s, struct result * r, bool differs) {
    struct change changes[CHANGED];
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_layers; i++) {
        for (uint32_t e = 0; e < s->layers[i].n_experts; e++) {
            const struct change c = { i, e, apart_of(s, &s->layers[i], e) };
            if (c.apart > 0) { enter(changes, &n, c); }
        }
    }
    begin_table(s, r, "most_changed", "Experts whose share of their layer's choices differs most between the runs",
                differs ? SHOW_ALWAYS : SHOW_NEVER);
    for (uint32_t i = 0; i < n; i++) { add_row(s, r, &s->layers[changes[i].layer], changes[i].expert); }
}

static void show_all(const struct shares * s, struct result * r) {
    uint64_t rows = 0;
    begin_table(s, r, "shares", "Share of each expert in its layer's choices, by run", SHOW_ASKED);
    for (uint32_t i = 0; i < s->n_layers; i++) {
        for (uint32_t e = 0; e < s->layers[i].n_experts && rows < ROWS_MAX; e++, rows++) {
            add_row(s, r, &s->layers[i], e);
        }
    }
    if (rows < s->n_experts) {
        result_note(r, "Shares: of %" PRIu64 " experts, those of the first layers, %d, are listed.", s->n_experts,
                    ROWS_MAX);
    }
    if (s->d->n_runs > COLUMNS_MAX) {
        result_note(r, "Tables of shares show the first %d runs; --json has all.", COLUMNS_MAX);
    }
}

/* A share of few choices says little. */
static void say_choices(const struct shares * s, struct result * r) {
    char text[COLUMNS_MAX * 2 * UNITS_SIZE], least_text[UNITS_SIZE], most_text[UNITS_SIZE];
    size_t used = 0;
    for (size_t i = 0; i < s->d->n_runs && i < COLUMNS_MAX; i++) {
        uint64_t least = UINT64_MAX, most = 0;
        for (uint32_t l = 0; l < s->n_layers; l++) {
            const struct choices * c = s->layers[l].of[i];
            if (!c) { continue; }
            if (c->selections < least) { least = c->selections; }
            if (c->selections > most) { most = c->selections; }
        }
        if (least > most) { continue; }
        format_count(least_text, least);
        format_count(most_text, most);
        used += (size_t) snprintf(text + used, sizeof text - used, "%s%s %s%s%s", used ? ", " : "", s->d->run[i].label,
                                  least_text, least < most ? " to " : "", least < most ? most_text : "");
    }
    if (used) { result_line(r, "choices", "in a layer, by run: %s", text); }
}

void shares_show(const struct diff * d, bool differs, struct result * r) {
    struct shares s = { .d = d };
    if (!find_layers(&s)) {
        r->failed = true;
        return;
    }
    if (s.n_layers) {
        say_choices(&s, r);
        show_changed(&s, r, differs);
        show_all(&s, r);
    }
    free(s.layers);
}
