/* SPDX-License-Identifier: MIT
 *
 * The slowest layer of each run, by its median token: whether repeated runs agree on the bottleneck.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/bottleneck.h"
#include "analysis/diff/diff.h"
#include "analysis/machine.h"
#include "analysis/units.h"

struct slow {
    bool known; /* some token was computed to its end, and some layer is named */
    uint32_t layer, tokens;
    double times;
    bool is_bottleneck;
    double lost; /* share of the threads' time that others took */
};

/* False: memory. */
static bool find_slow(const struct profile * p, struct slow * slow) {
    struct token_times times;
    uint32_t n = 0;
    const struct machine machine = machine_of(&p->subject);
    *slow = (struct slow){ .lost = machine_lost(&machine) };
    bool good = token_times_of(&p->subject, TAT_BY_LAYER, &times);
    struct standing * s = good ? standings_of(&times, layer_span(&p->subject), &n) : NULL;
    good = s != NULL;
    if (good && n && times.n) {
        *slow = (struct slow){ true, s[0].column, times.n, s[0].times, s[0].is_bottleneck, slow->lost };
    }
    free(s);
    token_times_free(&times);
    return good;
}

/* In how many runs the layer of run `i` is the slowest, or the bottleneck. */
static uint32_t agreeing(const struct slow * slow, size_t n, size_t i, bool bottleneck) {
    uint32_t count = 0;
    for (size_t k = 0; k < n; k++) {
        count += slow[k].known && slow[k].layer == slow[i].layer && (slow[k].is_bottleneck || !bottleneck);
    }
    return slow[i].known && (slow[i].is_bottleneck || !bottleneck) ? count : 0;
}

static size_t most_agreeing(const struct slow * slow, size_t n, bool bottleneck) {
    size_t most = 0;
    for (size_t i = 1; i < n; i++) {
        if (agreeing(slow, n, i, bottleneck) > agreeing(slow, n, most, bottleneck)) { most = i; }
    }
    return most;
}

static void set_headline(const struct slow * slow, size_t n, struct result * r) {
    const size_t bottleneck = most_agreeing(slow, n, true), slowest = most_agreeing(slow, n, false);
    const uint32_t agree = agreeing(slow, n, bottleneck, true), alike = agreeing(slow, n, slowest, false);
    const size_t of = agree ? bottleneck : slowest;
    double low = slow[of].times, high = low;
    for (size_t i = 0; i < n; i++) {
        if (!slow[i].known || slow[i].layer != slow[of].layer) { continue; }
        if (slow[i].times < low) { low = slow[i].times; }
        if (slow[i].times > high) { high = slow[i].times; }
    }
    if (agree) {
        result_headline(r,
                        "Layer %" PRIu32 " is the bottleneck in %" PRIu32
                        " of %zu runs: %.2f to %.2f times as long as the median layer.",
                        slow[of].layer, agree, n, low, high);
    } else if (alike) {
        result_headline(r,
                        "No run has a bottleneck. Layer %" PRIu32 " takes longest in %" PRIu32
                        " of %zu runs: %.2f to %.2f times as long as the median layer.",
                        slow[of].layer, alike, n, low, high);
    } else {
        result_headline(r, "In no run a token was computed to its end.");
        result_absent(r);
    }
    result_put_count(r, result_values(r), "layer", slow[of].layer);
    result_put_count(r, result_values(r), "bottleneck_runs", agree);
}

static void answer(const struct diff * d, struct result * r) {
    static const struct result_column columns[] = {
        { "run", "run", UNIT_TEXT },
        { "setup", "setup", UNIT_NUMBER },
        { "tokens", "tokens", UNIT_COUNT },
        { "layer", "slowest layer", UNIT_NUMBER },
        { "times", "of median", UNIT_INDEX },
        { "bottleneck", "bottleneck", UNIT_TEXT },
        { "lost_share", "taken by others", UNIT_SHARE },
    };
    struct slow * slow = calloc(d->n_runs, sizeof *slow);
    r->failed |= !slow;
    for (size_t i = 0; slow && i < d->n_runs; i++) { r->failed |= !find_slow(&d->run[i], &slow[i]); }
    if (slow) { set_headline(slow, d->n_runs, r); }
    result_table(r, "layers", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; slow && i < d->n_runs; i++) {
        if (!slow[i].known) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "run", d->run[i].label);
        result_put_count(r, row, "setup", d->run[i].group + 1);
        result_put_count(r, row, "tokens", slow[i].tokens);
        result_put_count(r, row, "layer", slow[i].layer);
        result_put_real(r, row, "times", slow[i].times);
        result_put_text(r, row, "bottleneck", slow[i].is_bottleneck ? "yes" : "no");
        result_put_real(r, row, "lost_share", slow[i].lost);
    }
    free(slow);
    result_note(r,
                "Medians over tokens. A bottleneck takes at least 1.1 times as long as the median layer, by more than "
                "the run's own variation: `tat report --section layers` has the rule.");
}

const struct diff_section diff_layers = { "layers", "Slowest layers", answer };
