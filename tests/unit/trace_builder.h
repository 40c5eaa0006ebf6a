/* SPDX-License-Identifier: MIT
 *
 * Traces with known answers, made in memory with the writer's own helpers. Whatever cannot be done (memory) aborts the
 * test program.
 */
#ifndef TRACE_BUILDER_H
#define TRACE_BUILDER_H

#include "format/block.h"
#include "format/buffer.h"
#include "tat/trace.h"

struct trace_builder {
    uint8_t * bytes; /* the file */
    size_t size, capacity;
    const char * strings[512];
    uint32_t n_strings, n_tensors, n_templates, n_evaluations, n_files;
    uint64_t n_callbacks, n_events;
    uint64_t tick;        /* the next evaluation's */
    uint64_t callback_ns; /* of an evaluation without durations; 0: TB_CALLBACK_NS */
    size_t last;          /* where the last block begins */
};

/* Begins with a header whose clock counts nanoseconds from 0, and nothing else. */
void tb_begin(struct trace_builder * b);
void tb_free(struct trace_builder * b);

struct tat_file_header * tb_header(struct trace_builder * b); /* points into the bytes; seal it after a change */
void tb_seal(struct trace_builder * b);

/* Opens the bytes as a file. */
struct tat_trace * tb_open(const struct trace_builder * b, struct tat_error * error);

/* Adds a block with any payload. */
void tb_block(struct trace_builder * b, enum tat_block_type type, const void * payload, size_t payload_bytes);

/* Adds bytes without a frame around them. */
void tb_bytes(struct trace_builder * b, const void * bytes, size_t count);

/* A payload being built. */
struct payload {
    struct tat_out out;
    uint8_t bytes[1 << 16];
};
void payload_begin(struct payload * p);
void tb_payload(struct trace_builder * b, enum tat_block_type type, const struct payload * p);

/* A string's number. A new string gets a block of its own. `string` must live as long as the builder. */
uint32_t tb_string(struct trace_builder * b, const char * string);

struct tb_tensor {
    const char * name;
    enum tat_tensor_kind kind;
    enum tat_memory memory;
    const char * type; /* NULL: "f32", 1 element in 4 bytes */
    uint32_t block, block_bytes;
    uint64_t ne[4]; /* 0 beyond the first: 1 */
    uint64_t bytes; /* 0: those of the packed shape */
    uint32_t file;
    uint64_t file_offset;
};
uint32_t tb_tensor(struct trace_builder * b, struct tb_tensor t);

/* Tensors as graphs have them: a weight in the model's file, the ids of so many tokens, results that stay nowhere. */
uint32_t tb_file_weight(struct trace_builder * b, const char * name, const uint64_t ne[static 3], uint64_t offset);
uint32_t tb_token_ids(struct trace_builder * b, uint64_t tokens);
uint32_t tb_result(struct trace_builder * b, uint64_t n0, uint64_t n1);

/* A leaf or node of a graph. Sources are numbers of entries; leaves come first. */
struct tb_entry {
    const char * name;
    const char * op;   /* NULL: a leaf, "NONE" */
    const char * type; /* as in struct tb_tensor */
    uint32_t tensor;
    uint64_t ne[4]; /* 0 beyond the first: 1, but for `empty` */
    uint64_t nb[4]; /* all 0: packed */
    int64_t offset;
    uint32_t facts;
    int src[6]; /* entry + 1; 0: none */
    bool empty; /* ne[1] is 0 */
};

struct tb_capture {
    enum tat_capture_kind kind;
    uint32_t entry, node, src;
};

/* Returns the number of the new template. */
uint32_t tb_template(struct trace_builder * b, uint32_t context, const struct tb_entry * entries, uint32_t n_leaves,
                     uint32_t n_nodes, const struct tb_capture * captures, uint32_t n_captures);

struct tb_evaluation {
    uint32_t template_id, flags, rule, n_callbacks;
    const void * captures;
    size_t captures_bytes;
    const uint64_t begin;   /* 0: after the one before */
    uint32_t n_threads;     /* 0: two */
    const uint64_t * waits; /* NULL: the payload ends before them */
    uint32_t n_waits;
    const uint64_t * durations; /* of each callback; NULL: TB_CALLBACK_NS */
};
enum { TB_CALLBACK_NS = 100 }; /* between callbacks, and from the last one to the end */
void tb_evaluation(struct trace_builder * b, struct tb_evaluation e);

/* Encodes ids as the agent does: rows and positions as series, experts one by one. */
void tb_put_series(struct tat_out * out, const int64_t * values, size_t count);
void tb_put_each(struct tat_out * out, const uint32_t * values, size_t count);

void tb_event(struct trace_builder * b, enum tat_event_type type, uint64_t tick, const uint64_t * values,
              size_t n_values, const char * text);
void tb_model_file(struct trace_builder * b, const char * path); /* of model 1, as an older agent writes it */
void tb_part(struct trace_builder * b, const char * path, uint32_t model, enum tat_part part);
void tb_end(struct trace_builder * b); /* totals of what was built */
/* The same, after `lost` evaluations, all for one reason, and `events` events that were not built. */
void tb_end_lost(struct trace_builder * b, enum tat_loss_reason reason, uint64_t lost, uint64_t events);
void tb_loss(struct trace_builder * b, enum tat_loss_reason reason, uint64_t lost, uint64_t events);

#endif
