/* SPDX-License-Identifier: MIT
 *
 * Q, K, V and the KV cache: what attention reads and writes. Here the records are counted, in one pass; the other
 * files of the folder show what follows from it.
 */
#include "analysis/attention/attention.h"

#include <inttypes.h>
#include <stdlib.h>

#include "analysis/units.h"

static const struct part {
    enum tat_component component;
    const char * label;
    const char * place; /* in the order of a layer */
} parts[] = {
    { TAT_COMPONENT_ATTN_Q, "Q weights", "Q" },
    { TAT_COMPONENT_ATTN_K, "K weights", "K" },
    { TAT_COMPONENT_ATTN_V, "V weights", "V" },
    { TAT_COMPONENT_ATTN_QKV, "Q, K and V weights, fused", "QKV" },
    { TAT_COMPONENT_ATTN_KV, "K and V weights, fused", "KV" },
    { TAT_COMPONENT_ATTN_OUTPUT, "output weights", "O" },
    { TAT_COMPONENT_KV_K, "K cache", "K cache" },
    { TAT_COMPONENT_KV_V, "V cache", "V cache" },
    { TAT_COMPONENT_STATE, "recurrent state", "state" },
};
enum { PARTS = sizeof parts / sizeof parts[0] };

static const struct result_column columns[] = {
    { "part", "part", UNIT_TEXT },
    { "prompt_read_bytes", "prompt reads", UNIT_BYTES },
    { "generate_read_bytes", "generation reads", UNIT_BYTES },
    { "read_bytes_per_token", "reads/token", UNIT_BYTES },
    { "written_bytes_per_token", "writes/token", UNIT_BYTES },
};

const char * attention_part(enum tat_component component) {
    for (size_t i = 0; i < PARTS; i++) {
        if (parts[i].component == component) { return parts[i].place; }
    }
    return NULL;
}

/* ---- counting ---- */

static enum attention_class class_of(const struct tat_tensor * t) {
    if (t->kind == TAT_TENSOR_WEIGHT) { return OUR_WEIGHT; }
    if (t->kind != TAT_TENSOR_STATE) { return NOT_OURS; }
    return t->component == TAT_COMPONENT_KV_K || t->component == TAT_COMPONENT_KV_V ? OUR_CACHE : OUR_STATE;
}

static bool is_whole(const struct tat_evaluation * e) {
    return !(e->flags & (TAT_EVALUATION_OUTSIDE | TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_ABORTED));
}

/* The last generated token, else the last of the prompt. */
static uint32_t find_sample(const struct subject * s) {
    uint32_t prompt = UINT32_MAX;
    for (uint32_t i = s->n_evaluations; i-- > 0;) {
        if (!is_whole(&s->evaluations[i])) { continue; }
        if (s->evaluations[i].phase == TAT_PHASE_GENERATE) { return i; }
        if (prompt == UINT32_MAX && is_inference(s->evaluations[i].phase)) { prompt = i; }
    }
    return prompt;
}

static void * begin(const struct subject * subject) {
    struct attention * a = calloc(1, sizeof *a);
    if (!a) { return NULL; }
    a->subject = subject;
    a->class = calloc((size_t) subject->n_tensors + 1, sizeof *a->class);
    a->step = calloc((size_t) subject->n_evaluations + 1, sizeof *a->step);
    a->span = layer_span(subject);
    a->layer = calloc((size_t) a->span + 1, sizeof *a->layer);
    a->at = UINT32_MAX;
    a->sample = find_sample(subject);
    for (uint32_t i = 0; a->class && i < subject->n_tensors; i++) {
        a->class[i] = (uint8_t) class_of(&subject->tensors[i]);
        if (a->class[i] == OUR_CACHE) { a->cache_bytes += subject->tensors[i].bytes; }
    }
    a->failed = !a->class || !a->step || !a->layer || !attention_begin_distinct(a) || !attention_find_nodes(a) ||
                !attention_begin_heads(a);
    return a;
}

static struct attention_layer * layer_at(struct attention * a, uint16_t layer) {
    return &a->layer[layer < a->span ? layer : a->span];
}

static void add(struct attention * a, const struct tat_access * r, enum attention_class class) {
    const struct tat_tensor * t = &a->subject->tensors[r->tensor];
    struct attention_step * step = &a->step[r->evaluation];
    struct attention_layer * layer = layer_at(a, t->layer);
    const bool write = r->flags & TAT_ACCESS_WRITE;
    const bool generated = phase_of(r) == TAT_PHASE_GENERATE;
    struct traffic * part = &a->part[t->component][phase_of(r)];
    *(write ? &part->written : &part->read) += r->bytes;
    if (class == OUR_WEIGHT) {
        step->weights += r->bytes;
        if (generated) { layer->weights += r->bytes; }
        return;
    }
    struct traffic * here = class == OUR_CACHE ? &step->cache : &step->state;
    struct traffic * total = class == OUR_CACHE ? &layer->cache : &layer->state;
    *(write ? &here->written : &here->read) += r->bytes;
    if (generated) { *(write ? &total->written : &total->read) += r->bytes; }
    if (class == OUR_CACHE && !write) {
        const uint64_t fresh = attention_new_bytes(a, r);
        step->distinct += fresh;
        if (generated) { layer->distinct += fresh; }
        /* Counts for the layer that reads, though the cache may be another layer's. */
        layer = layer_at(a, r->layer);
        layer->now_read = layer->now == r->evaluation + 1 ? layer->now_read + fresh : fresh;
        layer->now = r->evaluation + 1;
    }
}

static void feed(void * state, const struct tat_access * r, size_t count) {
    struct attention * a = state;
    for (size_t i = 0; i < count && !a->failed; i++) {
        const enum attention_class class = (enum attention_class) a->class[r[i].tensor];
        if (class == NOT_OURS) { continue; }
        if (r[i].evaluation != a->at) {
            attention_end_step(a);
            a->at = r[i].evaluation;
            a->counts = is_inference(phase_of(&r[i]));
        }
        if (!a->counts) { continue; }
        add(a, &r[i], class);
        if (r[i].evaluation == a->sample) {
            attention_touch(a, &r[i]);
            attention_split(a, &r[i]);
        }
    }
}

/* ---- results ---- */

static void add_part(const struct attention * a, struct result * r, const struct part * part) {
    const struct traffic * t = a->part[part->component];
    struct traffic prompt = t[TAT_PHASE_PROMPT], generate = t[TAT_PHASE_GENERATE];
    static const enum tat_phase as_prompt[] = { TAT_PHASE_MIXED, TAT_PHASE_VERIFY, TAT_PHASE_UNKNOWN };
    for (size_t i = 0; i < sizeof as_prompt / sizeof as_prompt[0]; i++) {
        prompt.read += t[as_prompt[i]].read;
        prompt.written += t[as_prompt[i]].written;
    }
    if (prompt.read + prompt.written + generate.read + generate.written == 0) { return; }
    json_t * row = result_row(r);
    result_put_text(r, row, "part", part->label);
    result_put_text(r, row, "component", tat_component_name(part->component));
    result_put_count(r, row, "prompt_read_bytes", prompt.read);
    result_put_count(r, row, "prompt_written_bytes", prompt.written);
    result_put_count(r, row, "generate_read_bytes", generate.read);
    result_put_count(r, row, "generate_written_bytes", generate.written);
    if (a->subject->phase[TAT_PHASE_GENERATE].tokens) {
        result_put_real(r, row, "read_bytes_per_token", per_token(a, generate.read));
        result_put_real(r, row, "written_bytes_per_token", per_token(a, generate.written));
    }
}

struct sums {
    struct traffic cache, state;
    uint64_t distinct;              /* bytes of the cache, each once in its graph */
    uint64_t weights, of_attention; /* weights that attention reads */
};

static struct sums generated(const struct attention * a) {
    struct sums s = { 0 };
    for (int c = 0; c < TAT_COMPONENT_COUNT; c++) {
        const struct traffic * t = &a->part[c][TAT_PHASE_GENERATE];
        if (c == TAT_COMPONENT_KV_K || c == TAT_COMPONENT_KV_V) {
            s.cache.read += t->read;
            s.cache.written += t->written;
        } else if (attention_part((enum tat_component) c) && c != TAT_COMPONENT_STATE) {
            s.of_attention += t->read;
        }
    }
    for (uint32_t i = 0; i < a->subject->n_evaluations; i++) {
        if (a->subject->evaluations[i].phase != TAT_PHASE_GENERATE) { continue; }
        s.weights += a->step[i].weights;
        s.distinct += a->step[i].distinct;
        s.state.read += a->step[i].state.read;
        s.state.written += a->step[i].state.written;
    }
    return s;
}

/* "", or if V is a view of K, " (400 KiB if ...)". */
static const char * say_shared(const struct attention * a, const struct sums * s, char text[static 96]) {
    char all[UNITS_SIZE];
    *text = '\0';
    if (s->distinct < s->cache.read) {
        snprintf(text, 96, " (%s if bytes that serve as both K and V count twice)",
                 format_mean_bytes(all, per_token(a, s->cache.read)));
    }
    return text;
}

static void set_headline(const struct attention * a, struct result * r, const struct sums * s) {
    char read[UNITS_SIZE], share[UNITS_SIZE], shared[96];
    if (a->subject->phase[TAT_PHASE_GENERATE].tokens == 0) {
        result_headline(r, "No generated token was recorded.");
    } else if (s->cache.read) {
        result_headline(r, "A generated token reads %s of KV cache%s, %s of what its weights cost.",
                        format_mean_bytes(read, per_token(a, s->distinct)), say_shared(a, s, shared),
                        format_share(share, ratio(s->distinct, s->weights)));
    } else if (s->state.read) {
        result_headline(r,
                        "No KV cache: a generated token reads %s of recurrent state, however many tokens came before.",
                        format_mean_bytes(read, per_token(a, s->state.read)));
    } else {
        result_headline(r, "No generated token read a KV cache.");
    }
}

static void answer(const struct attention * a, struct result * r, const struct sums * s) {
    char weights[UNITS_SIZE], all[UNITS_SIZE], read[UNITS_SIZE], written[UNITS_SIZE], shared[96];
    if (a->subject->phase[TAT_PHASE_GENERATE].tokens == 0) {
        result_answer(r, "What does attention read?", "Unknown for generation: no generated token was recorded.");
        return;
    }
    format_mean_bytes(weights, per_token(a, s->of_attention));
    format_mean_bytes(all, per_token(a, s->weights));
    if (s->cache.read) {
        result_answer(r, "What does attention read?",
                      "For a generated token, it reads %s of Q, K, V and output weights (all weights: %s) and %s of KV "
                      "cache%s. It "
                      "writes %s to the cache.",
                      weights, all, format_mean_bytes(read, per_token(a, s->distinct)), say_shared(a, s, shared),
                      format_mean_bytes(written, per_token(a, s->cache.written)));
    } else if (s->state.read) {
        result_answer(r, "What does attention read?",
                      "The model has no attention: it is recurrent. A generated token reads %s of state and writes %s.",
                      format_mean_bytes(read, per_token(a, s->state.read)),
                      format_mean_bytes(written, per_token(a, s->state.written)));
    } else {
        result_answer(r, "What does attention read?", "No KV cache and no recurrent state was read.");
    }
}

static void put_values(const struct attention * a, struct result * r, const struct sums * s) {
    json_t * v = result_values(r);
    result_put_count(r, v, "kv_cache_bytes", a->cache_bytes);
    result_put_real(r, v, "kv_read_bytes_per_token", per_token(a, s->cache.read));
    result_put_real(r, v, "kv_distinct_bytes_per_token", per_token(a, s->distinct));
    result_put_real(r, v, "kv_written_bytes_per_token", per_token(a, s->cache.written));
    result_put_real(r, v, "state_read_bytes_per_token", per_token(a, s->state.read));
    result_put_real(r, v, "state_written_bytes_per_token", per_token(a, s->state.written));
    result_put_real(r, v, "weight_bytes_per_token", per_token(a, s->weights));
    result_put_real(r, v, "attention_weight_bytes_per_token", per_token(a, s->of_attention));
}

static void show(struct attention * a, struct result * r) {
    const struct sums s = generated(a);
    char text[UNITS_SIZE];
    set_headline(a, r, &s);
    put_values(a, r, &s);
    answer(a, r, &s);
    if (a->cache_bytes) { result_line(r, "KV cache", "%s allocated", format_bytes(text, a->cache_bytes)); }
    result_table(r, "attention", NULL, SHOW_ALWAYS, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < PARTS; i++) { add_part(a, r, &parts[i]); }
    attention_show_growth(a, r);
    attention_show_order(a, r);
    attention_show_heads(a, r);
    attention_show_layers(a, r);
    if (a->cache_bytes) {
        result_note(r,
                    "Per token: per generated token, over %s layers. Q, K and V themselves are activations and not "
                    "counted here.",
                    a->subject->some_layers ? "these" : "all");
    }
    if (s.distinct < s.cache.read) {
        result_note(
            r, "V is a view of K in this model (latent attention). The table of parts counts bytes that serve as both "
               "twice, once as each; all other figures count them once.");
    }
    const struct phase_total * phase = a->subject->phase;
    if (phase[TAT_PHASE_MIXED].evaluations + phase[TAT_PHASE_VERIFY].evaluations +
        phase[TAT_PHASE_UNKNOWN].evaluations) {
        result_note(r, "Evaluations of the phases mixed, verify and unknown count as prompt here.");
    }
}

static void finish(void * state, struct result * r) {
    struct attention * a = state;
    if (!a->failed) { attention_end_step(a); }
    if (!a->failed) { show(a, r); }
    r->failed |= a->failed;
    attention_free_heads(a);
    free(a->touches.data);
    free(a->nodes.data);
    free(a->extent);
    free(a->layer);
    free(a->step);
    free(a->class);
    free(a);
}

const struct analysis attention_analysis = {
    .name = "attention",
    .title = "Q, K, V and the KV cache",
    .begin = begin,
    .feed = feed,
    .finish = finish,
};
