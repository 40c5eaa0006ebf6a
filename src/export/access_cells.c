/* SPDX-License-Identifier: MIT */
#include "export/access_cells.h"

const char * const access_columns[ACCESS_COLUMNS] = {
    [COLUMN_START_NS] = "start_ns",   [COLUMN_DURATION_NS] = "duration_ns",
    [COLUMN_GRAPH] = "graph",         [COLUMN_NODE] = "node",
    [COLUMN_TOKEN] = "token",         [COLUMN_TOKENS] = "tokens",
    [COLUMN_PHASE] = "phase",         [COLUMN_CONTEXT] = "context",
    [COLUMN_LAYER] = "layer",         [COLUMN_OP] = "op",
    [COLUMN_OPERAND] = "operand",     [COLUMN_TENSOR_ID] = "tensor_id",
    [COLUMN_TENSOR] = "tensor",       [COLUMN_MODEL] = "model",
    [COLUMN_COMPONENT] = "component", [COLUMN_ROLE] = "role",
    [COLUMN_EXPERT] = "expert",       [COLUMN_HEAD] = "head",
    [COLUMN_OFFSET] = "offset",       [COLUMN_SIZE] = "size",
    [COLUMN_STRIDE] = "stride",       [COLUMN_COUNT] = "count",
    [COLUMN_ACCESS] = "access",       [COLUMN_MEMORY] = "memory",
};

struct access_context access_context_of(const struct tat_trace * trace) {
    uint32_t count;
    struct access_context context = { .trace = trace };
    context.tensors = tat_trace_tensors(trace, &count);
    context.evaluations = tat_trace_evaluations(trace, &count);
    context.files = tat_trace_model_files(trace, &context.n_files);
    return context;
}

const char * access_operand_name(unsigned operand) {
    static const char * const names[TAT_MAX_SRC + 1] = {
        "dst",  "src0", "src1",  "src2",  "src3",  "src4",  "src5",  "src6",  "src7",
        "src8", "src9", "src10", "src11", "src12", "src13", "src14", "src15",
    };
    return operand <= TAT_MAX_SRC ? names[operand] : "";
}

const char * access_role_name(unsigned role) {
    static const char * const names[TAT_ROLE_COUNT] = { "", "q", "k", "v", "o" };
    return role < TAT_ROLE_COUNT ? names[role] : "";
}

const char * access_memory_name(unsigned memory) {
    static const char * const names[] = { "", "file", "copy", "kv", "buffer" };
    return memory <= TAT_MEMORY_BUFFER ? names[memory] : "";
}

static struct cell number_if(bool there, uint64_t value) {
    return there ? cell_number(value) : (struct cell){ .kind = CELL_EMPTY };
}

static struct cell model_of(const struct access_context * context, const struct tat_tensor * t) {
    const bool known = t->file != 0 && t->file <= context->n_files;
    return number_if(known, known ? context->files[t->file - 1].model : 0);
}

static struct cell head_of(const struct tat_access * a, char scratch[static ACCESS_SCRATCH]) {
    if (a->head_first == TAT_NO_HEAD || a->head_count <= 1) {
        return number_if(a->head_first != TAT_NO_HEAD, a->head_first);
    }
    snprintf(scratch, ACCESS_SCRATCH, "%u-%u", a->head_first, a->head_first + a->head_count - 1u);
    return cell_text(scratch);
}

void access_cells(const struct access_context * context, const struct tat_access * a, struct tat_layout layout,
                  struct cell cells[static ACCESS_COLUMNS], char scratch[static ACCESS_SCRATCH]) {
    const struct tat_tensor * t = &context->tensors[a->tensor];
    const struct tat_evaluation * e = &context->evaluations[a->evaluation];
    const bool counted = access_phase(a) != TAT_PHASE_WARMUP && e->n_tokens > 0;
    const bool has_part = t->kind == TAT_TENSOR_WEIGHT || t->kind == TAT_TENSOR_STATE;
    const bool exact = !(a->flags & TAT_ACCESS_APPROXIMATE);
    const bool timed = !(a->flags & TAT_ACCESS_UNTIMED);
    cells[COLUMN_START_NS] = number_if(timed, a->start_ns);
    cells[COLUMN_DURATION_NS] = number_if(timed, a->duration_ns);
    cells[COLUMN_GRAPH] = cell_number(a->evaluation);
    cells[COLUMN_NODE] = cell_number(a->node);
    cells[COLUMN_TOKEN] = number_if(counted, a->token);
    cells[COLUMN_TOKENS] = cell_number(e->n_tokens);
    cells[COLUMN_PHASE] = cell_text(tat_phase_name(access_phase(a)));
    cells[COLUMN_CONTEXT] = cell_number(e->context);
    cells[COLUMN_LAYER] = number_if(a->layer != TAT_NO_LAYER, a->layer);
    cells[COLUMN_OP] = cell_text(tat_trace_op_name(context->trace, a->op));
    cells[COLUMN_OPERAND] = cell_text(access_operand_name(a->operand));
    cells[COLUMN_TENSOR_ID] = cell_number(a->tensor);
    cells[COLUMN_TENSOR] = cell_text(t->name);
    cells[COLUMN_MODEL] = model_of(context, t);
    cells[COLUMN_COMPONENT] = cell_text(has_part ? tat_component_name(t->component) : "");
    cells[COLUMN_ROLE] = cell_text(access_role_name(a->kind & 15u));
    cells[COLUMN_EXPERT] = number_if(a->expert != TAT_NO_EXPERT, a->expert);
    cells[COLUMN_HEAD] = head_of(a, scratch);
    cells[COLUMN_OFFSET] = cell_number(a->offset);
    cells[COLUMN_SIZE] = cell_number(a->bytes);
    cells[COLUMN_STRIDE] = number_if(exact && a->rows > 1, layout.stride);
    cells[COLUMN_COUNT] = number_if(exact, a->rows);
    cells[COLUMN_ACCESS] = cell_text(a->flags & TAT_ACCESS_WRITE ? "write" : "read");
    cells[COLUMN_MEMORY] = cell_text(access_memory_name(a->kind >> 4));
}
