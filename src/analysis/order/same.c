/* SPDX-License-Identifier: MIT */
#include "analysis/order/same.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/units.h"

static void see(struct sameness * s, uint32_t evaluation, uint32_t position, uint32_t expected, uint32_t actual) {
    s->positions++;
    s->same += expected == actual;
    if (expected != actual && !s->first.access) {
        s->first = (struct difference){ evaluation, position + 1, expected, actual };
    }
}

static bool compare_tensors(struct sameness * s, const struct sequence * before, const struct sequence * now) {
    const uint32_t was = before->n_steps, is = now->n_steps, most = was > is ? was : is;
    if (was == is && memcmp(before->tensor, now->tensor, is * sizeof now->tensor[0]) == 0) {
        s->identical++;
        s->same += is;
        s->positions += is;
        return true;
    }
    for (uint32_t i = 0; i < most; i++) {
        see(s, now->evaluation, i, i < was ? before->tensor[i] : NO_ORDER_SLICE,
            i < is ? now->tensor[i] : NO_ORDER_SLICE);
    }
    return false;
}

/* Compares one step. If one side chose more experts than the other, later steps are still compared with their like. */
static void compare_step(struct sameness * s, const struct sequence * before, const struct sequence * now, uint32_t i) {
    const uint32_t from = i < before->n_steps ? before->first[i] : before->n_slices;
    const uint32_t to = i < now->n_steps ? now->first[i] : now->n_slices;
    const uint32_t was = i < before->n_steps ? before->first[i + 1] - from : 0;
    const uint32_t is = i < now->n_steps ? now->first[i + 1] - to : 0;
    for (uint32_t k = 0; k < was || k < is; k++) {
        see(s, now->evaluation, to + k, k < was ? before->slice[from + k] : NO_ORDER_SLICE,
            k < is ? now->slice[to + k] : NO_ORDER_SLICE);
    }
}

static bool compare_slices(struct sameness * s, const struct sequence * before, const struct sequence * now) {
    const uint32_t n = now->n_slices;
    if (before->n_slices == n && memcmp(before->slice, now->slice, n * sizeof now->slice[0]) == 0) {
        s->identical++;
        s->same += n;
        s->positions += n;
        return true;
    }
    for (uint32_t i = 0; i < before->n_steps || i < now->n_steps; i++) { compare_step(s, before, now, i); }
    return false;
}

bool same_add(struct comparison * c, const struct sequence * before, const struct sequence * now) {
    c->compared++;
    const bool tensors = compare_tensors(&c->tensors, before, now);
    return compare_slices(&c->slices, before, now) && tensors;
}

/* ---- telling ---- */

static const char * name_of(char text[static SLICE_TEXT], const struct subject * subject,
                            const struct order_slices * slices, uint32_t number) {
    if (slices || number == NO_ORDER_SLICE) { return slice_text(text, subject, slices, number); }
    snprintf(text, SLICE_TEXT, "%.200s", subject->tensors[number].name);
    return text;
}

char * difference_text(const struct difference * d, const struct subject * subject,
                       const struct order_slices * slices) {
    char expected[SLICE_TEXT], actual[SLICE_TEXT];
    char * text = NULL;
    if (asprintf(&text, "token %" PRIu32 ", read %" PRIu32 ": %s instead of %s",
                 subject->evaluations[d->evaluation].token_first, d->access,
                 name_of(actual, subject, slices, d->actual), name_of(expected, subject, slices, d->expected)) < 0) {
        return NULL;
    }
    return text;
}

static json_t * access_json(struct result * r, const struct subject * subject, const struct order_slices * slices,
                            uint32_t number) {
    if (number == NO_ORDER_SLICE) { return json_null(); }
    json_t * access = json_object();
    if (!slices) {
        result_put_text(r, access, "tensor", subject->tensors[number].name);
        return access;
    }
    const struct order_slice * s = &slices->at[number];
    result_put_text(r, access, "tensor", subject->tensors[s->tensor].name);
    if (s->expert != TAT_NO_EXPERT) { result_put_count(r, access, "expert", s->expert); }
    if (!s->rows) {
        result_put_count(r, access, "offset", s->offset);
        result_put_count(r, access, "bytes", s->bytes);
    }
    return access;
}

void difference_put(struct result * r, json_t * object, const char * key, const struct difference * d,
                    const struct subject * subject, const struct order_slices * slices) {
    if (!d->access) { return; }
    json_t * json = json_object();
    result_put_count(r, json, "evaluation", tat_trace_number_in_whole(subject->trace, d->evaluation));
    result_put_count(r, json, "token", subject->evaluations[d->evaluation].token_first);
    result_put_count(r, json, "access", d->access);
    result_put(r, json, "expected", access_json(r, subject, slices, d->expected));
    result_put(r, json, "actual", access_json(r, subject, slices, d->actual));
    result_put(r, object, key, json);
}

static void put_values(const struct comparison * c, const struct subject * subject, const struct order_slices * slices,
                       struct result * r) {
    json_t * values = result_values(r);
    result_put_count(r, values, "compared_tokens", c->compared);
    result_put_count(r, values, "identical_by_tensor", c->tensors.identical);
    result_put_count(r, values, "identical_by_slice", c->slices.identical);
    result_put_real(r, values, "same_tensors", ratio(c->tensors.same, c->tensors.positions));
    result_put_real(r, values, "same_slices", ratio(c->slices.same, c->slices.positions));
    difference_put(r, values, "first_different_tensor", &c->tensors.first, subject, NULL);
    difference_put(r, values, "first_different_slice", &c->slices.first, subject, slices);
}

static void add_difference(struct result * r, const char * label, const struct difference * d,
                           const struct subject * subject, const struct order_slices * slices) {
    if (!d->access) { return; }
    char * text = difference_text(d, subject, slices);
    if (text) { result_line(r, label, "first difference: %s", text); }
    r->failed |= !text;
    free(text);
}

static void answer(const struct comparison * c, struct result * r) {
    char tensors[UNITS_SIZE], slices[UNITS_SIZE], all[UNITS_SIZE], share[UNITS_SIZE];
    const char * question = "Is the order the same for every token?";
    format_count(all, c->compared);
    format_count(tensors, c->tensors.identical);
    format_count(slices, c->slices.identical);
    format_share(share, ratio(c->slices.same, c->slices.positions));
    if (c->slices.identical == c->compared && c->tensors.identical == c->compared) {
        result_answer(r, question,
                      "Yes: %s of %s generated tokens read the same weights in the same order as the token before.",
                      all, all);
    } else if (c->tensors.identical == c->compared) {
        result_answer(
            r, question,
            "Of tensors, yes: %s of %s generated tokens read the same ones in the same order as the token "
            "before. Of slices (each expert by itself), no: %s of %s read the same ones; %s of the slices are "
            "those of the token before.",
            tensors, all, slices, all, share);
    } else {
        result_answer(
            r, question,
            "No: %s of %s generated tokens read the same tensors in the same order as the token before, and %s "
            "the same slices.",
            tensors, all, slices);
    }
}

void same_tell(const struct comparison * c, const struct subject * subject, const struct order_slices * slices,
               struct result * r) {
    char identical[UNITS_SIZE], all[UNITS_SIZE], share[UNITS_SIZE];
    put_values(c, subject, slices, r);
    if (!c->compared) { return; }
    format_count(all, c->compared);
    result_line(r, "tensors", "%s of %s generated tokens read the same tensors in the same order as the token before",
                format_count(identical, c->tensors.identical), all);
    add_difference(r, "", &c->tensors.first, subject, NULL);
    format_count(identical, c->slices.identical);
    if (c->slices.identical == c->compared) {
        result_line(r, "slices", "%s of %s read the same slices too", identical, all);
    } else {
        result_line(r, "slices", "%s of %s read the same slices too; %s of all slices are those of the token before",
                    identical, all, format_share(share, ratio(c->slices.same, c->slices.positions)));
    }
    add_difference(r, "", &c->slices.first, subject, slices);
    result_note(
        r, "A slice is what one access reads: a whole tensor, or one expert's part of it. Rows of an embedding are not "
           "compared or predicted, because the token itself tells which ones are read.");
    answer(c, r);
}
