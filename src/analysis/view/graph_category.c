/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "analysis/view/graph_parts.h"

static const char * const names[GRAPH_CATEGORIES] = {
    [GRAPH_MATMUL] = "matmul",
    [GRAPH_ATTENTION] = "attention",
    [GRAPH_EXPERTS] = "experts",
    [GRAPH_NORM] = "norm",
    [GRAPH_ELEMENTWISE] = "elementwise",
    [GRAPH_ROWS] = "rows",
    [GRAPH_RECURRENT] = "recurrent",
    [GRAPH_SHAPE] = "shape",
    [GRAPH_OTHER] = "other",
};

const char * graph_category_name(unsigned category) {
    return category < GRAPH_CATEGORIES ? names[category] : NULL;
}

/* By the name that the traced ggml gives an operation, as its numbers differ between versions. */
static const struct {
    const char * op;
    enum graph_category category;
} ops[] = {
    { "MUL_MAT", GRAPH_MATMUL },
    { "OUT_PROD", GRAPH_MATMUL },
    { "FLASH_ATTN_EXT", GRAPH_ATTENTION },
    { "SOFT_MAX", GRAPH_ATTENTION },
    { "DIAG_MASK_INF", GRAPH_ATTENTION },
    { "ROPE", GRAPH_ATTENTION },
    { "MUL_MAT_ID", GRAPH_EXPERTS },
    { "ADD_ID", GRAPH_EXPERTS },
    { "ARGSORT", GRAPH_EXPERTS },
    { "TOP_K", GRAPH_EXPERTS },
    { "NORM", GRAPH_NORM },
    { "RMS_NORM", GRAPH_NORM },
    { "GROUP_NORM", GRAPH_NORM },
    { "L2_NORM", GRAPH_NORM },
    { "ADD", GRAPH_ELEMENTWISE },
    { "ADD1", GRAPH_ELEMENTWISE },
    { "SUB", GRAPH_ELEMENTWISE },
    { "MUL", GRAPH_ELEMENTWISE },
    { "DIV", GRAPH_ELEMENTWISE },
    { "SCALE", GRAPH_ELEMENTWISE },
    { "SQR", GRAPH_ELEMENTWISE },
    { "SQRT", GRAPH_ELEMENTWISE },
    { "LOG", GRAPH_ELEMENTWISE },
    { "EXP", GRAPH_ELEMENTWISE },
    { "NEG", GRAPH_ELEMENTWISE },
    { "SIN", GRAPH_ELEMENTWISE },
    { "COS", GRAPH_ELEMENTWISE },
    { "TANH", GRAPH_ELEMENTWISE },
    { "RELU", GRAPH_ELEMENTWISE },
    { "GELU", GRAPH_ELEMENTWISE },
    { "GELU_QUICK", GRAPH_ELEMENTWISE },
    { "GELU_ERF", GRAPH_ELEMENTWISE },
    { "SILU", GRAPH_ELEMENTWISE },
    { "SIGMOID", GRAPH_ELEMENTWISE },
    { "SOFTPLUS", GRAPH_ELEMENTWISE },
    { "SWIGLU", GRAPH_ELEMENTWISE },
    { "SWIGLU_OAI", GRAPH_ELEMENTWISE },
    { "GEGLU", GRAPH_ELEMENTWISE },
    { "GEGLU_ERF", GRAPH_ELEMENTWISE },
    { "GEGLU_QUICK", GRAPH_ELEMENTWISE },
    { "REGLU", GRAPH_ELEMENTWISE },
    { "CLAMP", GRAPH_ELEMENTWISE },
    { "SUM", GRAPH_ELEMENTWISE },
    { "SUM_ROWS", GRAPH_ELEMENTWISE },
    { "CUMSUM", GRAPH_ELEMENTWISE },
    { "MEAN", GRAPH_ELEMENTWISE },
    { "FILL", GRAPH_ELEMENTWISE },
    { "GET_ROWS", GRAPH_ROWS },
    { "SET_ROWS", GRAPH_ROWS },
    { "CPY", GRAPH_ROWS },
    { "CONT", GRAPH_ROWS },
    { "DUP", GRAPH_ROWS },
    { "SET", GRAPH_ROWS },
    { "CONCAT", GRAPH_ROWS },
    { "REPEAT", GRAPH_ROWS },
    { "PAD", GRAPH_ROWS },
    { "SSM_CONV", GRAPH_RECURRENT },
    { "SSM_SCAN", GRAPH_RECURRENT },
    { "RWKV_WKV6", GRAPH_RECURRENT },
    { "RWKV_WKV7", GRAPH_RECURRENT },
    { "GATED_LINEAR_ATTN", GRAPH_RECURRENT },
    { "GATED_DELTA_NET", GRAPH_RECURRENT },
    { "SOLVE_TRI", GRAPH_RECURRENT },
    { "NONE", GRAPH_SHAPE },
    { "RESHAPE", GRAPH_SHAPE },
    { "VIEW", GRAPH_SHAPE },
    { "PERMUTE", GRAPH_SHAPE },
    { "TRANSPOSE", GRAPH_SHAPE },
};

enum graph_category graph_category_of(const struct tat_entry * e) {
    if (e->facts & TAT_NODE_EMPTY) { return GRAPH_SHAPE; }
    /* The router's softmax and sums, the gates and what the experts' results are put together with. */
    if (strncmp(e->name, "ffn_moe_", 8) == 0) { return GRAPH_EXPERTS; }
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (strcmp(ops[i].op, e->op) == 0) { return ops[i].category; }
    }
    return GRAPH_OTHER;
}
