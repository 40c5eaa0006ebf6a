/* SPDX-License-Identifier: MIT
 *
 * ggml's tensor types: how many elements a block has, and how many bytes. tests/unit/test_gguf_ggml.c holds this
 * against a real ggml. Numbers that are missing were never written to GGUF files.
 */
#include "tat/gguf.h"

#include <stdio.h>

static const struct tat_type types[] = {
    [0] = { "f32", 1, 4 },
    [1] = { "f16", 1, 2 },
    [2] = { "q4_0", 32, 18 },
    [3] = { "q4_1", 32, 20 },
    [6] = { "q5_0", 32, 22 },
    [7] = { "q5_1", 32, 24 },
    [8] = { "q8_0", 32, 34 },
    [9] = { "q8_1", 32, 36 },
    [10] = { "q2_K", 256, 84 },
    [11] = { "q3_K", 256, 110 },
    [12] = { "q4_K", 256, 144 },
    [13] = { "q5_K", 256, 176 },
    [14] = { "q6_K", 256, 210 },
    [15] = { "q8_K", 256, 292 },
    [16] = { "iq2_xxs", 256, 66 },
    [17] = { "iq2_xs", 256, 74 },
    [18] = { "iq3_xxs", 256, 98 },
    [19] = { "iq1_s", 256, 50 },
    [20] = { "iq4_nl", 32, 18 },
    [21] = { "iq3_s", 256, 110 },
    [22] = { "iq2_s", 256, 82 },
    [23] = { "iq4_xs", 256, 136 },
    [24] = { "i8", 1, 1 },
    [25] = { "i16", 1, 2 },
    [26] = { "i32", 1, 4 },
    [27] = { "i64", 1, 8 },
    [28] = { "f64", 1, 8 },
    [29] = { "iq1_m", 256, 56 },
    [30] = { "bf16", 1, 2 },
    /* Interleaved for one instruction set. Files had these in 2024; since then, loading repacks weights instead. */
    [31] = { "q4_0_4_4", 32, 18 },
    [32] = { "q4_0_4_8", 32, 18 },
    [33] = { "q4_0_8_8", 32, 18 },
    [34] = { "tq1_0", 256, 54 },
    [35] = { "tq2_0", 256, 66 },
    [36] = { "iq4_nl_4_4", 32, 18 },
    [39] = { "mxfp4", 32, 17 },
    [40] = { "nvfp4", 64, 36 },
    [41] = { "q1_0", 128, 18 },
    [42] = { "q2_0", 64, 18 },
};

const struct tat_type * tat_type_of(uint32_t id) {
    if (id >= sizeof types / sizeof *types || !types[id].name) { return NULL; }
    return &types[id];
}

const char * tat_type_name(uint32_t id, char buffer[TAT_TYPE_NAME_SIZE]) {
    const struct tat_type * type = tat_type_of(id);
    if (type) { return type->name; }
    snprintf(buffer, TAT_TYPE_NAME_SIZE, "type %u", id);
    return buffer;
}
