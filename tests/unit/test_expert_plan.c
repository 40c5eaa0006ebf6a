/* SPDX-License-Identifier: MIT
 *
 * What to keep of experts, from counts of which it is known; and rules for names of any kind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "export/expert_plan.h"

enum { EXPERTS = 4, TEXT = 4096 };

static void add_layer(struct expert_counts * c, const uint64_t counts[EXPERTS], uint64_t bytes) {
    struct counted_layer * l = list_add(&c->layers, sizeof *l);
    *l = (struct counted_layer){ .n_experts = EXPERTS, .n_used = 1, .expert_bytes = bytes };
    l->count = malloc(EXPERTS * sizeof *l->count);
    for (int i = 0; i < EXPERTS; i++) {
        l->count[i] = counts[i];
        l->choices += counts[i];
    }
    c->counters += EXPERTS;
}

static void add_stack(struct expert_counts * c, const char * name, uint32_t layer) {
    struct counted_stack * s = list_add(&c->stacks, sizeof *s);
    *s = (struct counted_stack){ strdup(name), layer };
}

/* What a writer wrote. */
static char text[TEXT];
static FILE * begin_text(void) {
    memset(text, 0, sizeof text);
    return fmemopen(text, sizeof text, "w");
}

static void the_most_chosen_are_kept(void ** state) {
    (void) state;
    struct expert_counts c = { 0 };
    struct expert_plan plan;
    struct tat_error error;
    add_layer(&c, (const uint64_t[]){ 5, 0, 9, 2 }, 100);
    add_layer(&c, (const uint64_t[]){ 8, 8, 0, 0 }, 200); /* as many bytes for half of the use */
    FILE * out = begin_text();
    assert_int_equal(expert_mask_write(&c, 450, 0, false, out, "text", &plan, &error), 0);
    fclose(out);
    assert_string_equal(text, "layer,expert,count,bytes,keep\n"
                              "0,0,5,100,1\n0,1,0,100,0\n0,2,9,100,1\n0,3,2,100,0\n"
                              "1,0,8,200,1\n1,1,8,200,0\n1,2,0,200,0\n1,3,0,200,0\n");
    assert_int_equal(plan.kept, 3);
    assert_int_equal(plan.kept_bytes, 400);
    assert_int_equal(plan.kept_choices, 22);
    assert_int_equal(plan.choices, 32);
    out = begin_text();
    assert_int_equal(expert_mask_write(&c, 0, 1, true, out, "text", &plan, &error), 0);
    fclose(out);
    assert_non_null(strstr(text, "{\"layer\":0,\"expert\":2,\"count\":9,\"bytes\":100,\"keep\":1}\n"));
    assert_non_null(strstr(text, "{\"layer\":1,\"expert\":0,\"count\":8,\"bytes\":200,\"keep\":1}\n"));
    assert_int_equal(plan.kept, 2);
    expert_counts_free(&c);
}

/* A rule ends with a comma, and a pattern with an equals sign; parentheses, stars and bars would be operators. */
static void names_do_not_break_rules(void ** state) {
    (void) state;
    struct expert_counts c = { 0 };
    struct expert_plan plan;
    struct tat_error error;
    for (int i = 0; i < 3; i++) { add_layer(&c, (const uint64_t[]){ 1, 1, 1, 1 }, 10); }
    add_stack(&c, "blk.0.up_exps.weight", 0);
    add_stack(&c, "blk.2.up_exps.weight", 2);
    add_stack(&c, "a,b=c(d|e)*", 1);
    FILE * out = begin_text();
    assert_int_equal(expert_rules_write(&c, 1, out, "text", &plan, &error), 0);
    fclose(out);
    assert_string_equal(text, "^blk\\.(0|2)\\.(up_exps\\.weight)$=CPU,^a.b.c.d.e..$=CPU\n");
    assert_int_equal(plan.kept, 0);
    assert_int_equal(plan.all, 3);
    out = begin_text();
    assert_int_equal(expert_rules_write(&c, 120, out, "text", &plan, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_NO);
    fclose(out);
    expert_counts_free(&c);
}

/* Between layers that are read as often, those stay whose experts are all in use. */
static void layers_of_few_experts_go_to_the_cpu(void ** state) {
    (void) state;
    struct expert_counts c = { 0 };
    struct expert_plan plan;
    struct tat_error error;
    add_layer(&c, (const uint64_t[]){ 8, 0, 0, 0 }, 10);
    add_layer(&c, (const uint64_t[]){ 2, 2, 2, 2 }, 10);
    add_stack(&c, "blk.0.up_exps.weight", 0);
    add_stack(&c, "blk.1.up_exps.weight", 1);
    FILE * out = begin_text();
    assert_int_equal(expert_rules_write(&c, 40, out, "text", &plan, &error), 0);
    fclose(out);
    assert_string_equal(text, "^blk\\.(0)\\.(up_exps\\.weight)$=CPU\n");
    assert_int_equal(plan.kept_bytes, 40);
    expert_counts_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_chosen_are_kept),
        cmocka_unit_test(names_do_not_break_rules),
        cmocka_unit_test(layers_of_few_experts_go_to_the_cpu),
    };
    return cmocka_run_group_tests_name("expert_plan", tests, NULL, NULL);
}
