/* SPDX-License-Identifier: MIT
 *
 * Rules for llama.cpp's --override-tensor: "PATTERN=BUFFER,...". The first pattern (std::regex, ECMAScript) that is
 * found in a tensor's name decides where it goes.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "export/expert_rank.h"
#include "export/text_out.h"

/* A stack of a layer that stays with the CPU. Its name is PREFIX.LAYER.PART, or all prefix. */
struct placed {
    const char *name, *part;
    size_t prefix;
    uint32_t layer;
};

static struct placed split(const struct counted_stack * stack) {
    char number[16];
    snprintf(number, sizeof number, ".%" PRIu32 ".", stack->layer);
    const char * at = strstr(stack->name, number);
    if (!at) { return (struct placed){ stack->name, "", strlen(stack->name), stack->layer }; }
    return (struct placed){ stack->name, at + strlen(number), (size_t) (at - stack->name), stack->layer };
}

static int by_layer(const void * a, const void * b) {
    const struct placed *x = a, *y = b;
    if (x->layer != y->layer) { return x->layer < y->layer ? -1 : 1; }
    return strcmp(x->name, y->name);
}

/* What matches that byte, and is neither an operator of the pattern nor ends the rule. */
static void put_byte(struct text_out * out, char c) {
    if (c == '.') { text_out_char(out, '\\'); }
    text_out_char(out, isalnum((unsigned char) c) || c == '_' || c == '-' || c == '.' ? c : '.');
}

static void put_bytes(struct text_out * out, const char * text, size_t count) {
    for (size_t i = 0; i < count; i++) { put_byte(out, text[i]); }
}

/* The stacks of a layer, side by side from `first`; returns how many. */
static size_t layer_length(const struct placed * all, size_t n, size_t first) {
    size_t length = 1;
    while (first + length < n && all[first + length].layer == all[first].layer) { length++; }
    return length;
}

static bool same_names(const struct placed * a, const struct placed * b, size_t length) {
    bool same = true;
    for (size_t i = 0; i < length && same; i++) {
        same = *a[i].part && a[i].prefix == b[i].prefix && memcmp(a[i].name, b[i].name, a[i].prefix) == 0 &&
               strcmp(a[i].part, b[i].part) == 0;
    }
    return same;
}

/* "^blk\.(1|4)\.(ffn_down_exps\.weight|...)$=CPU" for all layers that have these parts. */
static void put_rule(struct text_out * out, const struct placed * all, size_t n, size_t first, size_t length,
                     bool * done) {
    const struct placed * like = &all[first];
    text_out_char(out, '^');
    put_bytes(out, like->name, like->prefix);
    text_out_string(out, "\\.(");
    for (size_t i = first, next; i < n; i = next) {
        next = i + layer_length(all, n, i);
        if (done[i] || next - i != length || !same_names(like, &all[i], length)) { continue; }
        if (i != first) { text_out_char(out, '|'); }
        text_out_number(out, all[i].layer);
        done[i] = true;
    }
    text_out_string(out, ")\\.(");
    for (size_t i = 0; i < length; i++) {
        if (i) { text_out_char(out, '|'); }
        put_bytes(out, like[i].part, strlen(like[i].part));
    }
    text_out_string(out, ")$=CPU");
}

/* A layer's names that have not the usual form, each by itself. */
static void put_names(struct text_out * out, const struct placed * names, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (i) { text_out_char(out, ','); }
        text_out_char(out, '^');
        put_bytes(out, names[i].name, strlen(names[i].name));
        text_out_string(out, "$=CPU");
    }
}

static void put_rules(struct text_out * out, const struct placed * all, size_t n, bool * done) {
    for (size_t i = 0, next; i < n; i = next) {
        next = i + layer_length(all, n, i);
        if (done[i]) { continue; }
        if (i) { text_out_char(out, ','); }
        if (same_names(&all[i], &all[i], next - i)) {
            put_rule(out, all, n, i, next - i, done);
        } else {
            put_names(out, &all[i], next - i);
        }
    }
    text_out_char(out, '\n');
}

/* ---- layers ---- */

static double entropy(const struct counted_layer * l) {
    double bits = 0;
    for (uint32_t e = 0; e < l->n_experts; e++) {
        const double share = l->choices ? (double) l->count[e] / (double) l->choices : 0;
        if (share > 0) { bits -= share * log2(share); }
    }
    return l->n_experts > 1 ? bits / log2(l->n_experts) : 1;
}

/* Most reads of a byte first. Where that is the same, as it is where each token takes as many experts in each layer,
 * the layers come first whose experts are all in use: of the others the CPU needs only some. */
static size_t list_layers(const struct expert_counts * c, struct candidate * all) {
    size_t n = 0;
    for (size_t i = 0; i < c->layers.count; i++) {
        const struct counted_layer * l = &counted_layers(c)[i];
        if (l->n_experts == 0) { continue; }
        all[n++] = (struct candidate){ .worth = (double) l->choices / l->n_experts,
                                       .evenness = entropy(l),
                                       .count = l->choices,
                                       .bytes = l->expert_bytes * l->n_experts,
                                       .at = i };
    }
    return n;
}

static size_t list_placed(const struct expert_counts * c, const bool * keep, struct placed * all) {
    size_t n = 0;
    for (size_t i = 0; i < c->stacks.count; i++) {
        const struct counted_stack * stack = &LIST(const struct counted_stack, c->stacks)[i];
        const bool counted = stack->layer < c->layers.count && counted_layers(c)[stack->layer].n_experts;
        if (counted && !keep[stack->layer]) { all[n++] = split(stack); }
    }
    if (n) { qsort(all, n, sizeof *all, by_layer); }
    return n;
}

static int write(const struct placed * all, size_t n, FILE * out, const char * name, struct tat_error * error) {
    struct text_out * to = malloc(sizeof *to);
    bool * done = calloc(n + 1, sizeof *done);
    int status = to && done ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    if (status == 0) {
        text_out_begin(to, out);
        put_rules(to, all, n, done);
        errno = text_out_end(to);
        if (errno) { status = tat_fail_errno(error, "writing %s", name); }
    }
    free(to);
    free(done);
    return status;
}

int expert_rules_write(const struct expert_counts * c, uint64_t memory, FILE * out, const char * name,
                       struct expert_plan * plan, struct tat_error * error) {
    struct candidate * layers = malloc(((size_t) c->layers.count + 1) * sizeof *layers);
    bool * keep = calloc((size_t) c->layers.count + 1, sizeof *keep);
    struct placed * placed = malloc(((size_t) c->stacks.count + 1) * sizeof *placed);
    int status = layers && keep && placed ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    *plan = (struct expert_plan){ 0 };
    if (status == 0) {
        expert_rank_fill(layers, list_layers(c, layers), memory, keep, plan);
        const size_t n = list_placed(c, keep, placed);
        status = n ? write(placed, n, out, name, error)
                   : tat_fail(error, TAT_ERROR_NO, "the experts of all layers fit, so llama.cpp needs no rule");
    }
    free(layers);
    free(keep);
    free(placed);
    return status;
}
