/* SPDX-License-Identifier: MIT
 *
 * What agent and reader must see alike: which nodes are executed, and which operands are not touched as a whole. The
 * agent captures what decides; the reader makes access records of it. doc/format.md has the same table.
 */
#ifndef TAT_FORMAT_NODE_RULES_H
#define TAT_FORMAT_NODE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/format.h"

/* ---- nodes: facts are enum tat_node_fact, a rule is enum tat_rule ---- */

static inline bool node_executes(uint32_t facts, uint32_t rule) {
    if ((rule & TAT_RULE_SKIP_EMPTY) && (facts & TAT_NODE_EMPTY)) { return false; }
    return !(rule & TAT_RULE_SKIP_UNASKED) || (facts & TAT_NODE_COMPUTE);
}

/* The node and the next one have one callback. */
static inline bool node_fuses(uint32_t facts, uint32_t rule) {
    return (rule & TAT_RULE_FUSE_NORM) && (facts & TAT_NODE_FUSES_NEXT);
}

/* ---- operands ---- */

enum { OPERAND_DST = -1 };

/* What is touched of an operand. */
enum operand_use {
    USE_WHOLE = 0,
    USE_ROWS,    /* the rows that ids name */
    USE_EXPERTS, /* slices of a stack */
    USE_BIASES,  /* rows of a stack of biases */
    USE_STATES,  /* states of the sequences in the ubatch */
    USE_OFFSET,  /* all of it, but elsewhere each time: CPY to a view of the KV cache that moves on */
    USE_MASK,    /* as many rows as there are queries; a mask is padded to more */
    USE_NOTHING, /* only its shape counts, or it names the destination again */
};

struct operand_rule {
    const char * op;
    int operand; /* a source, or OPERAND_DST */
    enum operand_use use;
    int ids; /* the source that holds the ids, if ids decide */
};

static const struct operand_rule operand_rules[] = {
    { "GET_ROWS", 0, USE_ROWS, 1 },       { "SET_ROWS", OPERAND_DST, USE_ROWS, 1 }, { "MUL_MAT_ID", 0, USE_EXPERTS, 2 },
    { "ADD_ID", 1, USE_BIASES, 2 },       { "SSM_SCAN", 0, USE_STATES, 6 },         { "SOFT_MAX", 1, USE_MASK, 0 },
    { "FLASH_ATTN_EXT", 3, USE_MASK, 0 }, { "SET_ROWS", 2, USE_NOTHING, 0 },        { "CPY", 1, USE_NOTHING, 0 },
    { "FILL", 0, USE_NOTHING, 0 },        { "IM2COL", 0, USE_NOTHING, 0 },          { "IM2COL_3D", 0, USE_NOTHING, 0 },
};
enum { OPERAND_RULES = sizeof operand_rules / sizeof operand_rules[0] };

static inline bool use_has_ids(enum operand_use use) {
    return use >= USE_ROWS && use <= USE_STATES;
}

/* How the ids are captured. */
static inline enum tat_capture_kind use_capture(enum operand_use use) {
    return use == USE_EXPERTS || use == USE_BIASES ? TAT_CAPTURE_EXPERTS : TAT_CAPTURE_ROWS;
}

/* The dimension that ids count along: each id names all that lies in the dimensions below. */
static inline int use_dimension(enum operand_use use) {
    return use == USE_EXPERTS ? 2 : use == USE_STATES ? 3 : 1;
}

#endif
