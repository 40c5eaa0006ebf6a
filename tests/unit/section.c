/* SPDX-License-Identifier: MIT */
#include "section.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

json_t * section_of(struct trace_builder * b, struct tat_trace * trace, const char * name,
                    const struct tat_analysis_options * options) {
    struct tat_error error = { 0 };
    char * text = tat_analyze(trace, &name, 1, options, &error);
    if (!text) { fail_msg("%s", error.message); }
    json_t * all = json_loads(text, 0, NULL);
    json_t * section = json_incref(json_object_get(all, name));
    json_decref(all);
    free(text);
    tat_trace_close(trace);
    tb_free(b);
    assert_non_null(section);
    return section;
}

json_t * section_of_all(struct trace_builder * b, const char * name) {
    struct tat_error error = { 0 };
    tb_end(b);
    struct tat_trace * trace = tb_open(b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 0);
    return section_of(b, trace, name, NULL);
}
