/* SPDX-License-Identifier: MIT
 *
 * In which order a layer touches Q, K, V, the cache and the output weights, and whether all layers do it alike: of one
 * token, the last that was generated.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/attention/attention.h"
#include "analysis/numbers.h"

enum { TOUCHES_MAX = 1 << 14, KINDS_MAX = 16, ORDER_SIZE = 160 };

static const struct result_column columns[] = {
    { "layers", "layers", UNIT_COUNT },
    { "first_layer", "first", UNIT_NUMBER },
    { "order", "order", UNIT_TEXT },
};

static const struct result_column step_columns[] = {
    { "layer", "layer", UNIT_NUMBER }, { "step", "step", UNIT_NUMBER },  { "part", "part", UNIT_TEXT },
    { "access", "access", UNIT_TEXT }, { "bytes", "bytes", UNIT_BYTES },
};

/* A part that is touched twice in a row, such as a weight and its bias, is one step. */
void attention_touch(struct attention * a, const struct tat_access * record) {
    const struct tat_tensor * t = &a->subject->tensors[record->tensor];
    const bool write = record->flags & TAT_ACCESS_WRITE;
    if (t->layer == TAT_NO_LAYER || record->bytes == 0 || !attention_part(t->component)) { return; }
    struct touch * last = a->touches.count ? &LIST(struct touch, a->touches)[a->touches.count - 1] : NULL;
    if (last && last->layer == t->layer && last->component == t->component && last->write == write) {
        last->bytes += record->bytes;
        return;
    }
    if (a->touches.count == TOUCHES_MAX) { return; }
    struct touch * touch = list_add(&a->touches, sizeof *touch);
    a->failed |= !touch;
    if (!touch) { return; }
    *touch = (struct touch){
        .layer = t->layer, .component = (uint8_t) t->component, .write = write, .bytes = record->bytes
    };
}

/* A kind of layers: those that do the same. */
struct kind {
    char order[ORDER_SIZE];
    uint32_t layers;
    uint32_t * number; /* of these, ascending */
};

static void append(char order[static ORDER_SIZE], const struct touch * t) {
    const size_t used = strlen(order);
    const bool cached =
        t->component == TAT_COMPONENT_KV_K || t->component == TAT_COMPONENT_KV_V || t->component == TAT_COMPONENT_STATE;
    snprintf(order + used, ORDER_SIZE - used, "%s%s%s", used ? ", " : "", cached ? t->write ? "write " : "read " : "",
             attention_part((enum tat_component) t->component));
}

static int by_layer(const void * a, const void * b) {
    const struct touch *const *x = a, *const *y = b;
    if ((*x)->layer != (*y)->layer) { return (*x)->layer < (*y)->layer ? -1 : 1; }
    return (*x > *y) - (*x < *y);
}

/* Returns how many kinds of layers there are, at most KINDS_MAX, with the most common first. `numbers` has room for all
 * layers in each kind. */
static size_t sort_out(const struct touch * const * touches, size_t n, struct kind kinds[static KINDS_MAX],
                       uint32_t * numbers, size_t span) {
    size_t found = 0;
    for (size_t i = 0; i < n;) {
        const uint16_t layer = touches[i]->layer;
        char order[ORDER_SIZE] = "";
        size_t k = 0;
        for (; i < n && touches[i]->layer == layer; i++) { append(order, touches[i]); }
        while (k < found && strcmp(kinds[k].order, order) != 0) { k++; }
        if (k == KINDS_MAX) { continue; }
        if (k == found) {
            kinds[found] = (struct kind){ .number = numbers + found * span };
            strcpy(kinds[found++].order, order);
        }
        kinds[k].number[kinds[k].layers++] = layer;
        for (; k && kinds[k - 1].layers < kinds[k].layers; k--) {
            const struct kind other = kinds[k];
            kinds[k] = kinds[k - 1];
            kinds[k - 1] = other;
        }
    }
    return found;
}

static void show_steps(struct result * r, const struct touch * const * touches, size_t n) {
    uint32_t step = 0;
    result_table(r, "order_steps", "Steps of each layer", SHOW_NEVER, step_columns,
                 sizeof step_columns / sizeof step_columns[0]);
    for (size_t i = 0; i < n; i++) {
        json_t * row = result_row(r);
        step = i && touches[i]->layer == touches[i - 1]->layer ? step + 1 : 0;
        result_put_layer(r, row, "layer", touches[i]->layer);
        result_put_count(r, row, "step", step);
        result_put_text(r, row, "part", attention_part((enum tat_component) touches[i]->component));
        result_put_text(r, row, "component", tat_component_name((enum tat_component) touches[i]->component));
        result_put_text(r, row, "access", touches[i]->write ? "write" : "read");
        result_put_count(r, row, "bytes", touches[i]->bytes);
    }
}

static void say(struct result * r, const struct kind * kinds, size_t n) {
    uint32_t layers = 0;
    for (size_t i = 0; i < n; i++) { layers += kinds[i].layers; }
    result_put_count(r, result_values(r), "layer_orders", n);
    if (n == 1) { result_line(r, "order", "in all %" PRIu32 " layers: %s", layers, kinds[0].order); }
    for (size_t i = 0; i < n && n > 1; i++) {
        char numbers[NUMBERS_SIZE];
        result_line(r, i ? "" : "order", "in layer%s %s: %s", kinds[i].layers == 1 ? "" : "s",
                    format_numbers(numbers, kinds[i].number, kinds[i].layers), kinds[i].order);
    }
}

void attention_show_order(struct attention * a, struct result * r) {
    const struct touch ** touches = malloc(((size_t) a->touches.count + 1) * sizeof *touches);
    uint32_t * numbers = malloc(((size_t) KINDS_MAX * a->span + 1) * sizeof *numbers);
    struct kind kinds[KINDS_MAX];
    a->failed |= !touches || !numbers;
    if (a->failed || a->touches.count == 0) {
        free(touches);
        free(numbers);
        return;
    }
    for (size_t i = 0; i < a->touches.count; i++) { touches[i] = &LIST(struct touch, a->touches)[i]; }
    qsort(touches, a->touches.count, sizeof *touches, by_layer);
    const size_t n = sort_out(touches, a->touches.count, kinds, numbers, a->span);
    say(r, kinds, n);
    result_table(r, "order", "Order in which layers touch weights and cache", SHOW_NEVER, columns,
                 sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < n && n > 1; i++) {
        json_t * row = result_row(r);
        result_put_count(r, row, "layers", kinds[i].layers);
        result_put_layer(r, row, "first_layer", kinds[i].number[0]);
        result_put_text(r, row, "order", kinds[i].order);
    }
    show_steps(r, touches, a->touches.count);
    free(touches);
    free(numbers);
}
