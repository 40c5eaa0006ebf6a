/* SPDX-License-Identifier: MIT */
#include "cli/access_table.h"

#include <inttypes.h>

#include "cli/terminal.h"
#include "cli/units.h"

static void put_styled(struct access_writer * w, enum style wanted, const char * text) {
    text_out_string(&w->out, style(w->out.file, wanted));
    text_out_visible(&w->out, text);
    text_out_string(&w->out, style(w->out.file, STYLE_PLAIN));
}

/* "graph 3  generate, token 44, at 1.234567 s, 8.69 ms": since the trace began, as --at-time takes it */
static void put_graph(struct access_writer * w, const struct tat_access * a) {
    const struct tat_evaluation * e = &w->context.evaluations[a->evaluation];
    char line[160], took[UNITS_SIZE];
    size_t used = (size_t) snprintf(line, sizeof line, "graph %" PRIu32, a->evaluation);
    used += (size_t) snprintf(line + used, sizeof line - used, "  %s", tat_phase_name(e->phase));
    if (e->n_tokens && e->phase == TAT_PHASE_WARMUP) {
        used += (size_t) snprintf(line + used, sizeof line - used, ", %" PRIu32 " tokens", e->n_tokens);
    } else if (e->n_tokens == 1) {
        used += (size_t) snprintf(line + used, sizeof line - used, ", token %" PRIu32, e->token_first);
    } else if (e->n_tokens) {
        used += (size_t) snprintf(line + used, sizeof line - used, ", tokens %" PRIu32 " to %" PRIu64, e->token_first,
                                  (uint64_t) e->token_first + e->n_tokens - 1);
    }
    if (e->context > 1) {
        used += (size_t) snprintf(line + used, sizeof line - used, ", context %" PRIu32, e->context);
    }
    snprintf(line + used, sizeof line - used, ", at %.6f s, %s", (double) e->begin_ns / 1e9,
             format_duration(took, e->end_ns - e->begin_ns));
    if (w->count) { text_out_char(&w->out, '\n'); }
    put_styled(w, STYLE_BOLD, line);
    text_out_char(&w->out, '\n');
}

/* "   17  MUL_MAT  layer 0, 12.3 us" */
static void put_node(struct access_writer * w, const struct tat_access * a) {
    char text[64], took[UNITS_SIZE];
    snprintf(text, sizeof text, "%5" PRIu32 "  ", a->node);
    text_out_string(&w->out, text);
    put_styled(w, STYLE_BOLD, tat_trace_op_name(w->context.trace, a->op));
    text_out_string(&w->out, "  ");
    if (a->layer != TAT_NO_LAYER) {
        snprintf(text, sizeof text, "layer %u, ", a->layer);
        text_out_string(&w->out, text);
    }
    if (!(a->flags & TAT_ACCESS_UNTIMED)) { text_out_string(&w->out, format_duration(took, a->duration_ns)); }
    text_out_char(&w->out, '\n');
}

static bool has_query_heads(enum tat_component component) {
    return component == TAT_COMPONENT_ATTN_Q || component == TAT_COMPONENT_ATTN_OUTPUT;
}

/* "head 1", "heads 0 and 1", "heads 0 to 3", behind what kind of head it is. */
static void put_heads(struct access_writer * w, const char * before, unsigned first, unsigned count, const char * end) {
    char text[96];
    const unsigned last = count ? first + count - 1 : first;
    size_t used = (size_t) snprintf(text, sizeof text, "%s%s %u", before, last > first ? "heads" : "head", first);
    if (last > first) {
        used += (size_t) snprintf(text + used, sizeof text - used, last == first + 1 ? " and %u" : " to %u", last);
    }
    snprintf(text + used, sizeof text - used, "%s", end);
    text_out_string(&w->out, text);
}

/* "head 1 (query heads 3 to 5)", "query head 4 (KV head 1)"; several heads where they share bytes. */
static void put_head(struct access_writer * w, const struct tat_access * a) {
    const struct head_shape * shape = w->heads ? tat_access_heads_shape(w->heads, a) : NULL;
    const unsigned each = shape && shape->n_head_kv ? (unsigned) (shape->n_head / shape->n_head_kv) : 1;
    const unsigned first = a->head_first, count = a->head_count ? a->head_count : 1u;
    if (each <= 1) {
        put_heads(w, "  ", first, count, "");
    } else if (has_query_heads(w->context.tensors[a->tensor].component)) {
        put_heads(w, "  query ", first, count, "");
        put_heads(w, " (KV ", first / each, (first + count - 1) / each - first / each + 1, ")");
    } else {
        put_heads(w, "  ", first, count, "");
        put_heads(w, " (query ", first * each, count * each, ")");
    }
}

/* What not every record has. */
static void put_details(struct access_writer * w, const struct tat_access * a, struct tat_layout layout) {
    char text[128];
    if (a->expert != TAT_NO_EXPERT) {
        snprintf(text, sizeof text, "  expert %u", a->expert);
        text_out_string(&w->out, text);
    }
    if (a->head_first != TAT_NO_HEAD) { put_head(w, a); }
    if (a->flags & TAT_ACCESS_STRIDED) {
        snprintf(text, sizeof text, "  %" PRIu32 " x %" PRIu64 " every %" PRIu64, a->rows, layout.run_bytes,
                 layout.stride);
        text_out_string(&w->out, text);
    }
    if (a->flags & TAT_ACCESS_APPROXIMATE) { text_out_string(&w->out, "  (bounds are approximate)"); }
    if (a->flags & TAT_ACCESS_FUSED) { text_out_string(&w->out, "  (fused, never stored)"); }
    if (a->flags & TAT_ACCESS_UNREAD) { text_out_string(&w->out, "  (not read)"); }
}

static void table_begin(struct access_writer * w) {
    char text[128];
    snprintf(text, sizeof text, "       %-5s  %-6s %-5s %12s %11s  %s", "", "MEMORY", "", "OFFSET", "BYTES", "TENSOR");
    put_styled(w, STYLE_DIM, text);
    text_out_char(&w->out, '\n');
}

static void table_record(struct access_writer * w, const struct tat_access * a, struct tat_layout layout) {
    char text[128];
    const bool new_graph = w->count == 0 || a->evaluation != w->evaluation;
    if (new_graph) { put_graph(w, a); }
    if (new_graph || a->node != w->node) { put_node(w, a); }
    snprintf(text, sizeof text, "       %-5s  %-6s %-5s %12" PRIu64 " %11" PRIu64 "  ", access_operand_name(a->operand),
             access_memory_name(a->kind >> 4), a->flags & TAT_ACCESS_WRITE ? "write" : "read", a->offset, a->bytes);
    text_out_string(&w->out, text);
    text_out_visible(&w->out, w->context.tensors[a->tensor].name);
    put_details(w, a, layout);
    text_out_char(&w->out, '\n');
}

const struct access_format access_table = { "table", table_begin, table_record, NULL };
