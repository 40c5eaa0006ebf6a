/* SPDX-License-Identifier: MIT
 *
 * What `tat dump` and `tat export` have in common: which records of which trace.
 */
#ifndef TAT_CLI_ACCESS_OPTIONS_H
#define TAT_CLI_ACCESS_OPTIONS_H

#include <argp.h>

#include "cli/terminal.h"
#include "export/access_stream.h"

struct access_options {
    const char * trace; /* as given, or NULL */
    struct access_request request;
    bool filtered; /* a filter was given */
    bool selects;  /* one besides --model */
};

enum {
    KEY_TOKENS = 512,
    KEY_LAYERS,
    KEY_EVALUATIONS,
    KEY_TENSOR,
    KEY_OP,
    KEY_PHASE,
    KEY_ONLY,
    KEY_CONTEXT,
    KEY_MODEL,
    KEY_HEADS,
};

/* As tat_phase_name gives them. */
#define PHASE_NAMES "warmup, prompt, generate, verify, mixed, other, unknown"

/* Rows of an option table. */
#define ACCESS_OPTIONS                                                                                                 \
    { NULL,                                                                                                            \
      0,                                                                                                               \
      NULL,                                                                                                            \
      0,                                                                                                               \
      "Filters. A RANGE is 5, 3:8, 3: or :8; both ends are included. --tensor, --op, --phase and --only can be "       \
      "repeated:",                                                                                                     \
      1 },                                                                                                             \
        { "tokens",                                                                                                    \
          KEY_TOKENS,                                                                                                  \
          "RANGE",                                                                                                     \
          0,                                                                                                           \
          "Only evaluations that computed these tokens, counted from 0 without warm-up",                               \
          1 },                                                                                                         \
        { "layers", KEY_LAYERS, "RANGE", 0, "Only these layers", 1 },                                                  \
        { "evaluations", KEY_EVALUATIONS, "RANGE", 0, "Only these evaluations (column graph)", 1 },                    \
        { "tensor", KEY_TENSOR, "GLOB", 0, "Only tensors whose names match, such as 'blk.*.attn_q.weight'", 1 },       \
        { "op", KEY_OP, "NAME", 0, "Only this operation, such as MUL_MAT", 1 },                                        \
        { "phase", KEY_PHASE, "NAME", 0, "Only this phase: " PHASE_NAMES, 1 },                                         \
        { "only", KEY_ONLY, "KIND", 0, "Only weights, kv (and recurrent state), activations or inputs", 1 },           \
        { "context", KEY_CONTEXT, "NUMBER", 0, "Only this context, counted from 1", 1 },                               \
        { "model",                                                                                                     \
          KEY_MODEL,                                                                                                   \
          "MODEL",                                                                                                     \
          0,                                                                                                           \
          "Only graphs of this model, or weights of this adapter. MODEL is a number, all or part of a file name, or "  \
          "a part such as draft",                                                                                      \
          1 },                                                                                                         \
        { "limit", 'n', "NUMBER", 0, "Stop after this many records", 1 }, {                                            \
        "heads", KEY_HEADS, NULL, 0,                                                                                   \
            "Split attention by head: the cached K and V by KV head, the Q, K and V weights by rows, the output "      \
            "weights by columns",                                                                                      \
            1                                                                                                          \
    }

void access_options_begin(struct access_options * options);

/* An argp parser for ACCESS_OPTIONS and the trace. */
error_t access_options_parse(struct access_options * options, int key, char * argument, struct argp_state * state);

/* Opens the trace. NULL with *error. */
struct tat_trace * access_options_open(const struct access_options * options, struct tat_error * error);

#endif
