/* SPDX-License-Identifier: MIT */
#include "export/expert_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "export/expert_rank.h"
#include "export/text_row.h"

static int out_of_memory(struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

/* ---- rows ---- */

static const char * const columns[] = { "layer", "expert", "count", "bytes", "keep" };
enum { COUNT_COLUMNS = 3, MASK_COLUMNS = 5 };

/* `keep`: by expert, layer after layer; NULL: counts alone. */
static int write_rows(const struct expert_counts * c, const bool * keep, bool json, FILE * out, const char * name,
                      struct tat_error * error) {
    const size_t n = keep ? MASK_COLUMNS : COUNT_COLUMNS;
    struct text_out * to = malloc(sizeof *to);
    if (!to) { return out_of_memory(error); }
    text_out_begin(to, out);
    if (!json) { row_names(to, columns, n, ','); }
    for (size_t i = 0, at = 0; i < c->layers.count; i++) {
        const struct counted_layer * l = &counted_layers(c)[i];
        for (uint32_t e = 0; e < l->n_experts; e++, at++) {
            const struct cell cells[MASK_COLUMNS] = { cell_number(i), cell_number(e), cell_number(l->count[e]),
                                                      cell_number(l->expert_bytes), cell_number(keep && keep[at]) };
            if (json) {
                row_json(to, columns, cells, n);
            } else {
                row_csv(to, cells, n);
            }
        }
    }
    errno = text_out_end(to);
    const int status = errno ? tat_fail_errno(error, "writing %s", name) : 0;
    free(to);
    return status;
}

int expert_counts_write(const struct expert_counts * c, bool json, FILE * out, const char * name,
                        struct tat_error * error) {
    return write_rows(c, NULL, json, out, name, error);
}

/* ---- ranking ---- */

static int worth_most(const void * a, const void * b) {
    const struct candidate *x = a, *y = b;
    if (x->worth != y->worth) { return x->worth < y->worth ? 1 : -1; }
    if (x->evenness != y->evenness) { return x->evenness < y->evenness ? 1 : -1; }
    if (x->count != y->count) { return x->count < y->count ? 1 : -1; }
    return x->at < y->at ? -1 : x->at > y->at;
}

void expert_rank_fill(struct candidate * all, size_t n, uint64_t memory, bool * keep, struct expert_plan * plan) {
    uint64_t used = 0;
    if (n) { qsort(all, n, sizeof *all, worth_most); }
    for (size_t i = 0; i < n; i++) {
        plan->all++;
        plan->all_bytes += all[i].bytes;
        plan->choices += all[i].count;
        if (all[i].bytes > memory - used) { continue; }
        used += all[i].bytes;
        keep[all[i].at] = true;
        plan->kept++;
        plan->kept_bytes += all[i].bytes;
        plan->kept_choices += all[i].count;
    }
}

/* ---- mask ---- */

static size_t list_experts(const struct expert_counts * c, struct candidate * all) {
    size_t n = 0;
    for (size_t i = 0; i < c->layers.count; i++) {
        const struct counted_layer * l = &counted_layers(c)[i];
        for (uint32_t e = 0; e < l->n_experts; e++, n++) {
            all[n] = (struct candidate){ .count = l->count[e], .bytes = l->expert_bytes, .at = n };
            all[n].worth = l->expert_bytes ? (double) l->count[e] / (double) l->expert_bytes : 0;
        }
    }
    return n;
}

static void keep_of_each_layer(const struct expert_counts * c, struct candidate * all, uint32_t per_layer, bool * keep,
                               struct expert_plan * plan) {
    for (size_t i = 0, first = 0; i < c->layers.count; i++) {
        const struct counted_layer * l = &counted_layers(c)[i];
        const uint64_t some = per_layer < l->n_experts ? per_layer : l->n_experts;
        expert_rank_fill(all + first, l->n_experts, some * l->expert_bytes, keep, plan);
        first += l->n_experts;
    }
}

int expert_mask_write(const struct expert_counts * c, uint64_t memory, uint32_t per_layer, bool json, FILE * out,
                      const char * name, struct expert_plan * plan, struct tat_error * error) {
    struct candidate * all = malloc((c->counters + 1) * sizeof *all);
    bool * keep = calloc(c->counters + 1, sizeof *keep);
    int status = all && keep ? 0 : out_of_memory(error);
    *plan = (struct expert_plan){ 0 };
    if (status == 0) {
        const size_t n = list_experts(c, all);
        if (per_layer) {
            keep_of_each_layer(c, all, per_layer, keep, plan);
        } else {
            expert_rank_fill(all, n, memory, keep, plan);
        }
        status = write_rows(c, keep, json, out, name, error);
    }
    free(all);
    free(keep);
    return status;
}
