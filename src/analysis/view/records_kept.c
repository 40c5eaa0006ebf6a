/* SPDX-License-Identifier: MIT
 *
 * Filters of records that were asked for lately, with what was found out about each.
 */
#include <pthread.h>

#include "analysis/view/records_parts.h"
#include "format/filter_count.h"

int records_fail_memory(const struct view_records * v, struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", tat_trace_path(v->trace));
}

struct view_records * view_records_new(const struct tat_trace * trace, struct tat_error * error) {
    struct view_records * v = calloc(1, sizeof *v);
    if (!v) {
        tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", tat_trace_path(trace));
        return NULL;
    }
    v->trace = trace;
    tat_trace_evaluations(trace, &v->n_evaluations);
    pthread_mutex_init(&v->table, NULL);
    pthread_mutex_init(&v->finding, NULL);
    return v;
}

static void kept_free(struct records_kept * k) {
    if (!k) { return; }
    for (int i = 0; i < RECORDS_ORDERS; i++) { free(k->sorted[i]); }
    tat_filter_free(k->filter);
    free(k->before);
    free(k->key);
    free(k);
}

void view_records_free(struct view_records * v) {
    if (!v) { return; }
    for (int i = 0; i < RECORDS_FILTERS_KEPT; i++) { kept_free(v->kept[i]); }
    usual_counts_free(v->usual);
    pthread_mutex_destroy(&v->table);
    pthread_mutex_destroy(&v->finding);
    free(v);
}

static struct records_kept * find(struct view_records * v, const char * key) {
    pthread_mutex_lock(&v->table);
    struct records_kept * found = NULL;
    for (int i = 0; i < RECORDS_FILTERS_KEPT && !found; i++) {
        if (v->kept[i] && strcmp(v->kept[i]->key, key) == 0) { found = v->kept[i]; }
    }
    if (found) {
        found->users++;
        found->asked = ++v->asked;
    }
    pthread_mutex_unlock(&v->table);
    return found;
}

/* In the place of the one that was asked for longest ago; if all are in use, it is kept by its user alone. */
static void keep(struct view_records * v, struct records_kept * k) {
    int place = -1;
    pthread_mutex_lock(&v->table);
    for (int i = 0; i < RECORDS_FILTERS_KEPT; i++) {
        if (v->kept[i] && v->kept[i]->users) { continue; }
        if (place < 0 || !v->kept[i] || (v->kept[place] && v->kept[i]->asked < v->kept[place]->asked)) { place = i; }
    }
    k->users = 1;
    k->asked = ++v->asked;
    struct records_kept * old = place < 0 ? NULL : v->kept[place];
    if (place >= 0) { v->kept[place] = k; }
    pthread_mutex_unlock(&v->table);
    kept_free(old);
}

void records_release(struct view_records * v, struct records_kept * k) {
    bool is_kept = false;
    pthread_mutex_lock(&v->table);
    for (int i = 0; i < RECORDS_FILTERS_KEPT; i++) { is_kept |= v->kept[i] == k; }
    const bool last = --k->users == 0;
    pthread_mutex_unlock(&v->table);
    if (last && !is_kept) { kept_free(k); }
}

static int count_all(struct view_records * v, struct records_kept * k, struct tat_error * error) {
    if (!v->usual && !(v->usual = usual_counts_new(v->trace, error))) { return -1; }
    k->before = calloc((size_t) v->n_evaluations + 1, sizeof *k->before);
    if (!k->before) { return records_fail_memory(v, error); }
    if (filter_count(k->filter, v->usual, k->before, error) != 0) { return -1; }
    uint64_t sum = 0;
    for (uint32_t i = 0; i <= v->n_evaluations; i++) {
        const uint64_t count = k->before[i];
        k->before[i] = sum;
        sum += count;
    }
    return 0;
}

/* Takes over the key. */
static struct records_kept * make(struct view_records * v, const struct records_query * query, char * key,
                          struct tat_error * error) {
    struct records_kept * k = calloc(1, sizeof *k);
    if (!k) {
        free(key);
        records_fail_memory(v, error);
        return NULL;
    }
    k->key = key;
    k->filter = records_query_filter(query, v->trace, error);
    if (k->filter && count_all(v, k, error) == 0) {
        keep(v, k);
        return k;
    }
    kept_free(k);
    return NULL;
}

struct records_kept * records_keep(struct view_records * v, const struct records_query * query,
                                   struct tat_error * error) {
    char * key = records_query_key(query);
    if (!key) {
        records_fail_memory(v, error);
        return NULL;
    }
    struct records_kept * k = find(v, key);
    if (!k) {
        pthread_mutex_lock(&v->finding);
        k = find(v, key);
        if (!k) {
            k = make(v, query, key, error);
            key = NULL;
        }
        pthread_mutex_unlock(&v->finding);
    }
    free(key);
    return k;
}

int records_find_sorted(struct view_records * v, struct records_kept * k, enum records_order order,
                        struct tat_error * error) {
    uint32_t count = 0;
    pthread_mutex_lock(&v->table);
    bool known = k->sorted[order] != NULL;
    pthread_mutex_unlock(&v->table);
    if (known) { return 0; }
    pthread_mutex_lock(&v->finding);
    if (!k->sorted[order]) { /* who sets it holds `finding` */
        struct tat_access * rows = records_sort(k->filter, order, &count, error);
        pthread_mutex_lock(&v->table);
        k->n_sorted[order] = count;
        k->sorted[order] = rows;
        pthread_mutex_unlock(&v->table);
    }
    known = k->sorted[order] != NULL;
    pthread_mutex_unlock(&v->finding);
    return known ? 0 : -1;
}
