/* SPDX-License-Identifier: MIT
 *
 * Q, K, V and the KV cache: what attention reads and writes.
 */
#include <stdlib.h>

#include "analysis/analysis.h"
#include "analysis/units.h"

struct traffic {
    uint64_t read, written;
};

struct state {
    const struct subject * subject;
    struct traffic         traffic[TAT_COMPONENT_COUNT][TAT_PHASE_COUNT];
    uint64_t               cache_bytes;             /* of the whole KV cache */
    uint64_t               cells, visible, queries; /* over the generated tokens' masks */
};

static const struct part {
    enum tat_component component;
    const char *       label;
} parts[] = {
    { TAT_COMPONENT_ATTN_Q, "Q weights" },
    { TAT_COMPONENT_ATTN_K, "K weights" },
    { TAT_COMPONENT_ATTN_V, "V weights" },
    { TAT_COMPONENT_ATTN_QKV, "Q, K, V weights in one" },
    { TAT_COMPONENT_ATTN_KV, "K, V weights in one" },
    { TAT_COMPONENT_ATTN_OUTPUT, "output weights" },
    { TAT_COMPONENT_KV_K, "K cache" },
    { TAT_COMPONENT_KV_V, "V cache" },
    { TAT_COMPONENT_STATE, "recurrent state" },
};

static const struct result_column columns[] = {
    { "part", "part", UNIT_TEXT },
    { "prompt_read_bytes", "prompt reads", UNIT_BYTES },
    { "prompt_written_bytes", "prompt writes", UNIT_BYTES },
    { "generate_read_bytes", "generation reads", UNIT_BYTES },
    { "generate_written_bytes", "generation writes", UNIT_BYTES },
    { "read_bytes_per_token", "reads/token", UNIT_BYTES },
    { "written_bytes_per_token", "writes/token", UNIT_BYTES },
};

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (!s) { return NULL; }
    s->subject = subject;
    for (uint32_t i = 0; i < subject->n_tensors; i++) {
        const struct tat_tensor * t = &subject->tensors[i];
        if (t->component == TAT_COMPONENT_KV_K || t->component == TAT_COMPONENT_KV_V) { s->cache_bytes += t->bytes; }
    }
    return s;
}

static void feed(void * state, const struct tat_access * a, size_t count) {
    struct state * s = state;
    for (size_t i = 0; i < count; i++) {
        const struct tat_tensor * t = &s->subject->tensors[a[i].tensor];
        if (holder_of(t) == HOLDS_ACTIVATION || !is_inference(phase_of(&a[i]))) { continue; }
        struct traffic * traffic = &s->traffic[t->component][phase_of(&a[i])];
        *(a[i].flags & TAT_ACCESS_WRITE ? &traffic->written : &traffic->read) += a[i].bytes;
    }
}

struct mask {
    struct state * state;
    const struct tat_template * template;
};

/* A mask's values: for each query the runs (skipped, seen) of KV cells, up to (0, 0). */
static bool count_visible(uint32_t capture, const int64_t * values, size_t count, void * user) {
    const struct mask *        m = user;
    const struct tat_capture * c = &m->template->captures[capture];
    if (c->kind != TAT_CAPTURE_MASK) { return true; }
    for (size_t i = 0; i + 1 < count; i += 2) {
        m->state->visible += (uint64_t) values[i + 1];
        if (values[i + 1] != 0) { continue; }
        m->state->queries++;
        m->state->cells += m->template->entries[c->entry].ne[0];
    }
    return true;
}

static void count_cells(struct state * s, struct result * r) {
    for (uint32_t i = 0; i < s->subject->n_evaluations; i++) {
        const struct tat_evaluation * e = &s->subject->evaluations[i];
        struct mask                   m = { s, &s->subject->templates[e->template_id] };
        if (e->phase != TAT_PHASE_GENERATE) { continue; }
        if (tat_trace_each_capture(s->subject->trace, i, count_visible, &m, NULL) < 0) { r->failed = true; }
    }
}

static bool add_part(const struct state * s, struct result * r, const struct part * part) {
    const struct traffic * t      = s->traffic[part->component];
    const uint64_t         tokens = s->subject->phase[TAT_PHASE_GENERATE].tokens;
    struct traffic         prompt = t[TAT_PHASE_PROMPT], generate = t[TAT_PHASE_GENERATE];
    prompt.read += t[TAT_PHASE_MIXED].read;
    prompt.written += t[TAT_PHASE_MIXED].written;
    if (prompt.read + prompt.written + generate.read + generate.written == 0) { return false; }
    json_t * row = result_row(r);
    result_put_text(r, row, "part", part->label);
    result_put_text(r, row, "component", tat_component_name(part->component));
    result_put_count(r, row, "prompt_read_bytes", prompt.read);
    result_put_count(r, row, "prompt_written_bytes", prompt.written);
    result_put_count(r, row, "generate_read_bytes", generate.read);
    result_put_count(r, row, "generate_written_bytes", generate.written);
    if (tokens) {
        result_put_real(r, row, "read_bytes_per_token", ratio(generate.read, tokens));
        result_put_real(r, row, "written_bytes_per_token", ratio(generate.written, tokens));
    }
    return true;
}

static void set_headline(const struct state * s, struct result * r) {
    const uint64_t         tokens = s->subject->phase[TAT_PHASE_GENERATE].tokens;
    const struct traffic * k      = &s->traffic[TAT_COMPONENT_KV_K][TAT_PHASE_GENERATE];
    const struct traffic * v      = &s->traffic[TAT_COMPONENT_KV_V][TAT_PHASE_GENERATE];
    char                   read[UNITS_SIZE], written[UNITS_SIZE];
    if (!tokens || k->read + v->read == 0) {
        result_headline(r, "No generated token read a KV cache.");
        return;
    }
    result_headline(r, "A generated token reads %s of the KV cache and writes %s.",
                    format_bytes(read, (uint64_t) ratio(k->read + v->read, tokens)),
                    format_bytes(written, (uint64_t) ratio(k->written + v->written, tokens)));
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    char           text[UNITS_SIZE];
    size_t         shown = 0;
    set_headline(s, r);
    count_cells(s, r);
    result_table(r, "attention", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) { shown += add_part(s, r, &parts[i]); }
    result_put_count(r, result_values(r), "kv_cache_bytes", s->cache_bytes);
    if (s->cache_bytes && shown) { result_line(r, "KV cache", "%s allocated", format_bytes(text, s->cache_bytes)); }
    if (s->queries) {
        const double visible = ratio(s->visible, s->queries), cells = ratio(s->cells, s->queries);
        result_put_real(r, result_values(r), "visible_cells_per_query", visible);
        result_put_real(r, result_values(r), "read_cells_per_query", cells);
        result_line(r, "KV cells", "a generated token sees %.1f on average; %.1f are read, for llama.cpp pads them",
                    visible, cells);
    }
    if (shown) { result_note(r, "Per token: of generation. Q, K and V themselves are activations, and few bytes."); }
    if (s->subject->phase[TAT_PHASE_MIXED].evaluations) {
        result_note(r, "Evaluations with prompt and generated tokens mixed count as prompt here.");
    }
    free(s);
}

const struct analysis attention_analysis = {
    .name   = "attention",
    .title  = "Q, K, V and the KV cache",
    .begin  = begin,
    .feed   = feed,
    .finish = finish,
};
