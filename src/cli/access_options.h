/* SPDX-License-Identifier: MIT
 *
 * What `tat dump` and `tat export` have in common: which records of which trace. doc/filters.md describes the filters.
 */
#ifndef TAT_CLI_ACCESS_OPTIONS_H
#define TAT_CLI_ACCESS_OPTIONS_H

#include <argp.h>

#include "cli/terminal.h"
#include "export/access_stream.h"

enum { CONDITIONS_MAX = 256 };

struct access_options {
    const char * trace; /* as given, or NULL */
    struct condition {
        const char *name, *value;
    } conditions[CONDITIONS_MAX];
    size_t n_conditions;
    struct access_request request; /* its filter is set by access_options_open */
    bool heads;                    /* attention is split by head */
    bool selects;                  /* a filter besides --model was given */
    const char * model;            /* as given, or NULL */
};

enum {
    KEY_TOKENS = 512,
    KEY_PHASES,
    KEY_EVALUATIONS,
    KEY_CONTEXTS,
    KEY_MODEL,
    KEY_LAYERS,
    KEY_TENSORS,
    KEY_COMPONENTS,
    KEY_KINDS,
    KEY_ONLY,
    KEY_OPS,
    KEY_EXPERTS,
    KEY_HEADS,
    KEY_FILES,
    KEY_AT,
    KEY_AT_TIME,
};

/* As tat_phase_name gives them. */
#define PHASE_NAMES "warmup|prompt|generate|verify|mixed|other|unknown"

/* Rows of an option table: filters of all that has a place in the trace, of access records, and of both. */
#define FILTER_OPTIONS_FIRST                                                                                           \
    { NULL,                                                                                                            \
      0,                                                                                                               \
      NULL,                                                                                                            \
      0,                                                                                                               \
      "Filters. A RANGE is 5, 3:8, 3: or :8; both ends are included. A filter that is repeated takes all that it "     \
      "names; different filters narrow each other down:",                                                              \
      1 },                                                                                                             \
        { "tokens",                                                                                                    \
          KEY_TOKENS,                                                                                                  \
          "RANGE",                                                                                                     \
          0,                                                                                                           \
          "Only evaluations that computed these tokens, counted from 0 without warm-up",                               \
          1 },                                                                                                         \
        { "phases", KEY_PHASES, PHASE_NAMES, 0, "Only this phase", 1 },                                                \
        { "evaluations", KEY_EVALUATIONS, "RANGE", 0, "Only these evaluations (column graph)", 1 },                    \
        { "contexts", KEY_CONTEXTS, "RANGE", 0, "Only these contexts, counted from 1", 1 },                            \
        { "model",                                                                                                     \
          KEY_MODEL,                                                                                                   \
          "MODEL",                                                                                                     \
          0,                                                                                                           \
          "Only graphs of this model, or weights of this adapter. MODEL is a number, all or part of a file name, or "  \
          "a part such as draft",                                                                                      \
          1 },                                                                                                         \
        { "layers", KEY_LAYERS, "RANGE", 0, "Only these layers", 1 },                                                  \
        { "tensors", KEY_TENSORS, "GLOB", 0, "Only tensors whose names match, such as 'blk.*.attn_q.weight'", 1 },     \
        { "components",                                                                                                \
          KEY_COMPONENTS,                                                                                              \
          "NAME",                                                                                                      \
          0,                                                                                                           \
          "Only this part of the model, such as attn_q or kv_k (column component); activations are what has none",     \
          1 },                                                                                                         \
        { "kinds",                                                                                                     \
          KEY_KINDS,                                                                                                   \
          "weights|kv|activations|inputs",                                                                             \
          0,                                                                                                           \
          "Only tensors of this kind. kv has recurrent state too",                                                     \
          1 },                                                                                                         \
        { "only", KEY_ONLY, "KIND", OPTION_HIDDEN, NULL, 1 }, /* what --kinds was called */                            \
        { "ops", KEY_OPS, "NAME", 0, "Only this operation, such as MUL_MAT", 1 }, {                                    \
        "experts", KEY_EXPERTS, "RANGE", 0, "Only these experts", 1                                                    \
    }
#define FILTER_OPTIONS_HEADS                                                                                           \
    {                                                                                                                  \
        "heads", KEY_HEADS, "RANGE", OPTION_ARG_OPTIONAL,                                                              \
            "Split attention by head: the cached K and V by KV head, the Q, K and V weights by rows, the output "      \
            "weights by columns. With a RANGE, only these heads",                                                      \
            1                                                                                                          \
    }
#define FILTER_OPTIONS_LAST                                                                                            \
    { "files",                                                                                                         \
      KEY_FILES,                                                                                                       \
      "FILE",                                                                                                          \
      0,                                                                                                               \
      "Only weights of this model file. FILE is a number, counted from 1, or all or part of its name",                 \
      1 },                                                                                                             \
        { "at",                                                                                                        \
          KEY_AT,                                                                                                      \
          "OFFSET[:OFFSET]",                                                                                           \
          0,                                                                                                           \
          "Only what touches these bytes of the model file, counted from 0; 0x1f is hexadecimal. If there are "        \
          "several model files, --files says which",                                                                   \
          1 },                                                                                                         \
        { "at-time",                                                                                                   \
          KEY_AT_TIME,                                                                                                 \
          "TIME[:TIME]",                                                                                               \
          0,                                                                                                           \
          "Only nodes that ran at this time since the trace began (column start_ns): 20ms:1.5s. Units are ns (the "    \
          "default), us, ms, s and min",                                                                               \
          1 },                                                                                                         \
    {                                                                                                                  \
        "limit", 'n', "NUMBER", 0, "Stop after this many records", 1                                                   \
    }
#define ACCESS_OPTIONS FILTER_OPTIONS_FIRST, FILTER_OPTIONS_HEADS, FILTER_OPTIONS_LAST

void access_options_begin(struct access_options * options);

/* An argp parser for ACCESS_OPTIONS and the trace. */
error_t access_options_parse(struct access_options * options, int key, char * argument, struct argp_state * state);

/* Opens the trace and sets the request's filter. Close both with access_options_close. NULL with *error. */
struct tat_trace * access_options_open(struct access_options * options, struct tat_error * error);
void access_options_close(struct access_options * options, struct tat_trace * trace);

#endif
