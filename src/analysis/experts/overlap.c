/* SPDX-License-Identifier: MIT
 *
 * How much of a token's choice was the choice of the token before, and of the layer before.
 */
#include "analysis/experts/experts.h"
#include "analysis/units.h"

static const struct result_column columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "token_pairs", "tokens", UNIT_COUNT },
    { "same_as_last_token", "as last token", UNIT_SHARE },
    { "same_token_by_chance", "if random", UNIT_SHARE },
    { "layer_pairs", "tokens ", UNIT_COUNT },
    { "same_as_last_layer", "as last layer", UNIT_SHARE },
    { "same_layer_by_chance", "if random ", UNIT_SHARE },
};

struct mean {
    uint64_t pairs, same, chosen;
    double by_chance; /* shares, weighted by `chosen` */
};

/* The share of a choice that another has in common by chance. If each expert i were chosen independently, for p(i) of
 * the tokens here and q(i) of those there, sum p q of the sum p would be in both. */
static double by_chance(const struct expert_layer * before, const struct expert_layer * l) {
    const uint32_t n = before->n_experts < l->n_experts ? before->n_experts : l->n_experts;
    double both = 0;
    for (uint32_t i = 0; i < n; i++) { both += expert_rate(before, i) * expert_rate(l, i); }
    return l->selections ? both / ratio(l->selections, l->rows) : 0;
}

static void put(struct result * r, json_t * row, const char * const keys[static 3], const struct agreement * a,
                double chance, struct mean * mean) {
    if (a->pairs == 0) { return; }
    result_put_count(r, row, keys[0], a->pairs);
    result_put_real(r, row, keys[1], ratio(a->same, a->chosen));
    result_put_real(r, row, keys[2], chance);
    mean->pairs += a->pairs;
    mean->same += a->same;
    mean->chosen += a->chosen;
    mean->by_chance += chance * (double) a->chosen;
}

static void put_mean(struct result * r, const char * const keys[static 2], const struct mean * mean) {
    if (mean->chosen == 0) { return; }
    result_put_real(r, result_values(r), keys[0], ratio(mean->same, mean->chosen));
    result_put_real(r, result_values(r), keys[1], mean->by_chance / (double) mean->chosen);
}

static uint64_t rows_of(const struct experts * x) {
    uint64_t rows = 0;
    for (uint32_t i = 0; i < x->n_slots; i++) { rows += x->layer[i].rows; }
    return rows;
}

/* If several sequences are computed at once, the rows of an evaluation do not follow each other. */
static void note_few(const struct experts * x, struct result * r, const struct mean * token) {
    const uint64_t rows = rows_of(x);
    char compared[UNITS_SIZE], all[UNITS_SIZE];
    if (token->pairs >= rows - rows / 4) { return; }
    result_note(
        r,
        "Only %s of %s choices could be compared with those of the token before. The others begin a sequence, or "
        "were computed together with tokens of other sequences.",
        format_count(compared, token->pairs), format_count(all, rows));
}

static void say(struct result * r, const struct mean * token, const struct mean * layer) {
    static const char question[] = "Does one token use the experts of the last one?";
    char same[UNITS_SIZE], chance[UNITS_SIZE];
    if (token->chosen == 0) {
        result_answer(r, question, "Unknown: no two tokens in a row were recorded in the same layer.");
        return;
    }
    format_share(same, ratio(token->same, token->chosen));
    format_share(chance, token->by_chance / (double) token->chosen);
    result_line(r, "overlap",
                "%s of a token's experts were those of the token before too; random choices would give %s", same,
                chance);
    result_answer(
        r, question,
        "%s of a token's experts in a layer were those of the token before. Independent choices that prefer the same "
        "experts would give %s.",
        same, chance);
    if (layer->chosen) {
        result_note(
            r,
            "As last layer: experts of two layers are different weights. If a token goes to the same numbers in both, "
            "the routers are alike, but no bytes are saved.");
    }
}

void experts_show_overlap(struct experts * x, struct result * r) {
    static const char * const token_keys[] = { "token_pairs", "same_as_last_token", "same_token_by_chance" };
    static const char * const layer_keys[] = { "layer_pairs", "same_as_last_layer", "same_layer_by_chance" };
    struct mean token = { 0 }, layer = { 0 };
    result_table(r, "overlap", "Share of a token's experts that the token before, and the layer before, chose too",
                 SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < x->n_slots; i++) {
        const struct expert_layer * l = &x->layer[i];
        if (l->last_token.pairs + l->last_layer.pairs == 0) { continue; }
        json_t * row = result_row(r);
        result_put_layer(r, row, "layer", i);
        put(r, row, token_keys, &l->last_token, by_chance(l, l), &token);
        if (l->last_layer.pairs) { put(r, row, layer_keys, &l->last_layer, by_chance(&x->layer[l->above], l), &layer); }
    }
    put_mean(r, token_keys + 1, &token);
    put_mean(r, layer_keys + 1, &layer);
    say(r, &token, &layer);
    note_few(x, r, &token);
}
