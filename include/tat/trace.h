/* SPDX-License-Identifier: MIT
 *
 * Reading a trace. The file is read and checked once, and stays open. Access records are made on demand, evaluation by
 * evaluation, from parts that are read again. If the file is cut meanwhile, that is an error, never a signal.
 *
 * Any number of threads may read a struct tat_trace: once it is open, it does not change, except for what it makes when
 * first needed, under a lock of its own. It owns all pointers that these functions return, until tat_trace_close. Times
 * are nanoseconds since the trace began. No function prints.
 */
#ifndef TAT_TRACE_H
#define TAT_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"
#include "tat/format.h"
#include "tat/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tat_trace;

/* Opens a trace: its folder or its tensor_access.bin. Damage inside is skipped, and tat_trace_summary reports it.
 * Returns NULL, with the reason in *error, if the file is not a trace or has a wrong header, cannot be read, or needs
 * more memory than there is. */
struct tat_trace * tat_trace_open(const char * path, struct tat_error * error);
void tat_trace_close(struct tat_trace * trace); /* NULL is allowed */

/* Returns 0, or -1 with *error if the file was cut or could not be read since it was opened. From then on it returns
 * -1: whatever a function without an error of its own answered since may be incomplete. */
int tat_trace_trouble(const struct tat_trace * trace, struct tat_error * error);

const struct tat_file_header * tat_trace_header(const struct tat_trace * trace);
const char * tat_trace_path(const struct tat_trace * trace); /* of the file */

/* ---- tensors ---- */

enum tat_role { TAT_ROLE_NONE = 0, TAT_ROLE_Q, TAT_ROLE_K, TAT_ROLE_V, TAT_ROLE_O, TAT_ROLE_COUNT };

struct tat_tensor {
    const char * name;
    const char * type_name;
    const char * buffer_name;
    enum tat_tensor_kind kind;
    enum tat_memory memory;
    enum tat_component component;
    enum tat_role role;
    uint32_t type;
    uint32_t block, block_bytes; /* elements and bytes */
    uint32_t occurrence;         /* tells results of the same name in one graph apart */
    uint16_t layer;              /* or TAT_NO_LAYER */
    uint32_t file;               /* number of the model file, from 1; 0: none */
    uint64_t file_offset;
    uint64_t ne[4], nb[4];
    uint64_t bytes;
    uint64_t address;
    uint64_t buffer;
    /* Number of the first tensor that is the same weight of the same model file: there are several if the model was
     * loaded again. A tensor that is the first has its own number here. To count weights, count those. */
    uint32_t weight;
};

const struct tat_tensor * tat_trace_tensors(const struct tat_trace * trace, uint32_t * count);

/* ---- graphs ---- */

/* A tensor of a graph: a leaf or a node. */
struct tat_entry {
    const char * name;
    const char * op; /* ggml_op_desc of the traced ggml */
    uint32_t tensor; /* that owns the bytes */
    int64_t offset;  /* in it */
    uint64_t address;
    uint64_t ne[4], nb[4];
    uint32_t type_block, type_block_bytes;
    uint32_t flags;  /* ggml's */
    uint32_t facts;  /* enum tat_node_fact; nodes only */
    uint32_t params; /* 0: the node has no parameters; nodes only */
    uint16_t op_index;
    uint16_t layer;
    uint32_t src[TAT_MAX_SRC]; /* entries, or TAT_NO_ENTRY */
};
#define TAT_NO_ENTRY UINT32_MAX

struct tat_capture {
    enum tat_capture_kind kind;
    uint32_t entry; /* what was read */
    uint32_t node;  /* its first consumer; a number among nodes, not entries */
    uint32_t src;
};

struct tat_template {
    uint32_t context; /* from 1 */
    uint32_t n_leaves, n_nodes, n_captures;
    const struct tat_entry * entries; /* leaves, then nodes */
    const struct tat_capture * captures;
    uint32_t n_tokens;  /* rows that go in */
    uint32_t n_outputs; /* rows of logits or embeddings that come out */
    bool known;         /* false: its block was lost; everything else is 0 */
    uint32_t model;     /* the model whose weights or whose context it computes with; 0: unknown */
};

const struct tat_template * tat_trace_templates(const struct tat_trace * trace, uint32_t * count);
const char * tat_trace_op_name(const struct tat_trace * trace, uint16_t op_index);
uint16_t tat_trace_n_ops(const struct tat_trace * trace);

/* ---- evaluations ---- */

enum tat_phase {
    TAT_PHASE_WARMUP = 0,
    TAT_PHASE_PROMPT,
    TAT_PHASE_GENERATE,
    TAT_PHASE_MIXED,
    TAT_PHASE_OTHER,
    TAT_PHASE_VERIFY,  /* rows of a draft, which the target checks or the draft model reads again */
    TAT_PHASE_UNKNOWN, /* rows of tokens, but the trace does not tell which of the above */
    TAT_PHASE_COUNT
};
const char * tat_phase_name(enum tat_phase phase);

struct tat_evaluation {
    uint64_t begin_ns, end_ns;
    uint32_t template_id;
    uint32_t context;
    uint32_t flags; /* enum tat_evaluation_flag */
    uint32_t rule;
    int32_t status; /* ggml's; 0 is success */
    uint32_t n_threads;
    uint32_t thread;
    uint32_t n_callbacks;
    uint32_t n_stamps;
    uint32_t token_first; /* number of its first row in the context, from 0, without warm-up */
    uint32_t n_tokens;
    uint32_t n_outputs;
    enum tat_phase phase;
    uint32_t n_waits; /* callbacks whose wait at the barrier is known; 0 unless the evaluation is exact */
};

/* In the order of their beginning. */
const struct tat_evaluation * tat_trace_evaluations(const struct tat_trace * trace, uint32_t * count);

/* How many callbacks an evaluation of this template has under a rule, and how many nodes it executes and fuses. */
struct tat_expectation {
    uint32_t n_callbacks, n_executable, n_fused;
};
struct tat_expectation tat_template_expect(const struct tat_template * t, uint32_t rule);

/* The values of one capture, of which up to `capacity` are stored. A gate is the bits of a float; a row of a mask is
 * skipped, seen, skipped, seen, ... and ends with 0, 0. Returns how many values there are, or 0 if they were not
 * captured or could not be read (tat_trace_trouble). */
size_t tat_trace_capture(const struct tat_trace * trace, uint32_t evaluation, uint32_t capture, int64_t * values,
                         size_t capacity);

/* Called once for each capture that the evaluation has, in the template's order. `values` are valid during the call; a
 * `count` of 0 means that there are none. Return false to end the walk. */
typedef bool (*tat_capture_sink)(uint32_t capture, const int64_t * values, size_t count, void * user);

/* All captures of an evaluation in one pass. Returns 0, 1 if the sink ended it, or -1 with *error (memory). */
int tat_trace_each_capture(const struct tat_trace * trace, uint32_t evaluation, tat_capture_sink sink, void * user,
                           struct tat_error * error);

/* ---- events ---- */

struct tat_event {
    enum tat_event_type type;
    int64_t at_ns; /* negative before the trace began with the first graph, as for loading */
    uint64_t at_tick;
    uint32_t thread;
    uint64_t value[9]; /* as doc/format.md lists them by type */
    const char * text; /* "" if there is none */
};

const struct tat_event * tat_trace_events(const struct tat_trace * trace, uint32_t * count);

struct tat_model_file {
    const char * path;
    uint32_t model, part;
    uint64_t size;
    int64_t mtime_ns;
    uint64_t header_hash, model_hash;
    enum tat_part holds;       /* TAT_PART_UNKNOWN in older traces */
    const char * architecture; /* "" if it is unknown */
};

/* A tensor whose `file` is n comes from element n - 1. */
const struct tat_model_file * tat_trace_model_files(const struct tat_trace * trace, uint32_t * count);

/* A model, or something that is used with one: all files that have its number. */
struct tat_model {
    const char * name; /* of its first file, without folders */
    const char * path; /* of its first file */
    const char * architecture;
    enum tat_part part; /* a draft: another model checks its tokens */
    uint32_t number;    /* as struct tat_model_file has it */
    uint32_t of; /* for an adapter, a control vector or a draft, the number of the model that it is used with; else 0 */
    uint32_t n_files;       /* more than one if it is split */
    uint32_t n_evaluations; /* of its graphs; 0 for adapters and control vectors */
    uint64_t bytes;         /* of all its files */
    bool is_chosen;         /* false: does not belong to the model that was asked for */
};

/* In the order in which they were opened. */
const struct tat_model * tat_trace_models(const struct tat_trace * trace, uint32_t * count);

/* If graphs of several models were computed, the number of the main one: of those that are models, not drafts or
 * projectors, the one with most evaluations. Otherwise 0. */
uint32_t tat_trace_main_model(const struct tat_trace * trace);

/* Finds the number of a model. `called` is its number, the name of its first file, a piece of that name that no other
 * model's has, or a part that no other model is ("draft"). Returns 0 if none or several fit, with *error
 * (TAT_ERROR_NO), which lists all models. */
uint32_t tat_trace_find_model(const struct tat_trace * trace, const char * called, struct tat_error * error);

/* The part of a trace that belongs to one model: its evaluations, numbered anew, and what they touch, adapters and
 * control vectors included. Tensors and templates keep their numbers; those of other models are as if they had been
 * lost. Events and the tables of files and models are those of the whole trace, which must live longer. Close the part
 * with tat_trace_close. NULL on failure: no model has that number, or it is an adapter or a control vector, which
 * computes nothing by itself (TAT_ERROR_NO); or no memory. */
struct tat_trace * tat_trace_of_model(const struct tat_trace * trace, uint32_t number, struct tat_error * error);

/* Some tokens and some layers: numbers from `first` on, below `end`. An `end` of 0 stands for all. */
struct tat_scope {
    uint32_t token_first, token_end; /* evaluations that computed any of these; as wholes, other tokens of theirs too */
    uint32_t layer_first, layer_end; /* accesses in these layers; what belongs to no layer is left out */
};

/* The part of a trace that belongs to some tokens or layers. Evaluations are numbered anew. Tensors and templates keep
 * their numbers; tensors that no operation of these layers touches are as if they had been lost. `trace` may be a part
 * itself, and must live longer. Close the part with tat_trace_close. NULL on failure: the trace has nothing of the kind
 * (TAT_ERROR_NO); or no memory. */
struct tat_trace * tat_trace_of_scope(const struct tat_trace * trace, const struct tat_scope * scope,
                                      struct tat_error * error);

/* The number that an evaluation of a part has in the whole trace; of a whole trace, the same number. */
uint32_t tat_trace_number_in_whole(const struct tat_trace * trace, uint32_t evaluation);

/* Whether records of this layer, or with TAT_NO_LAYER of none, belong to the part; true for whole traces. */
bool tat_trace_has_layer(const struct tat_trace * trace, uint16_t layer);

/* ---- summary ---- */

struct tat_trace_summary {
    uint64_t file_bytes;
    uint64_t used_bytes;               /* header and blocks */
    uint64_t damaged_bytes;            /* between readable blocks */
    uint32_t n_blocks[TAT_BLOCK_ROOM]; /* by type, including types that a later tat may write */
    uint64_t block_bytes[TAT_BLOCK_ROOM];
    uint32_t undecodable_blocks; /* their checksum is right, but their contents make no sense */
    uint32_t unknown_blocks;     /* blocks and events of unknown types, which a later tat may write: passed over */
    uint32_t orphan_evaluations; /* their template was lost */
    bool ended;                  /* it has its END block: the process exited and closed it */
    /* From the END block or, without one, counted from what is there. */
    uint64_t evaluations_emitted, evaluations_stored, evaluations_filtered, callbacks_emitted, callbacks_stored,
        events_emitted, events_stored;
    uint64_t lost[TAT_LOSS_ROOM]; /* evaluations, by reason; without an END block, what LOSS blocks say */
    uint64_t events_lost;         /* likewise */
};

const struct tat_trace_summary * tat_trace_summary(const struct tat_trace * trace);

/* A block as it is in the file. */
struct tat_block {
    uint64_t file_offset;     /* of its header */
    uint64_t bytes;           /* in the file: header, payload, padding */
    enum tat_block_type type; /* 0: a stretch without a readable block; it has no payload */
    const uint8_t * payload;
    uint32_t payload_bytes;
};

/* Called with each block in the order of the file. Return false to end the walk. */
typedef bool (*tat_block_sink)(const struct tat_block * block, void * user);
void tat_trace_each_block(const struct tat_trace * trace, tat_block_sink sink, void * user);

/* The same for a file of any kind that has this frame of header and blocks. Sets *header unless it is NULL. Returns 0,
 * or -1 with *error: no such file, or a file of another kind. */
int tat_file_each_block(const char * path, enum tat_file_kind kind, struct tat_file_header * header,
                        tat_block_sink sink, void * user, struct tat_error * error);

const char * tat_loss_name(enum tat_loss_reason reason);

/* ---- access records ---- */

#define TAT_NO_HEAD 0xffff

enum tat_access_flag {
    TAT_ACCESS_WRITE = 1u << 0,       /* otherwise it is a read */
    TAT_ACCESS_FUSED = 1u << 1,       /* a result that was never stored: 0 bytes */
    TAT_ACCESS_STRIDED = 1u << 2,     /* `rows` runs, see `layout` */
    TAT_ACCESS_APPROXIMATE = 1u << 3, /* the place is a bound; without captured ids, so is `bytes` */
    TAT_ACCESS_UNREAD = 1u << 4,      /* an operand that the operation does not touch: 0 bytes */
    TAT_ACCESS_UNTIMED = 1u << 5,     /* no time is known for it */
};
#define TAT_ACCESS_PHASE_SHIFT 8 /* enum tat_phase is in the bits from here on */

struct tat_access {
    uint64_t start_ns;
    uint64_t offset; /* in the model file for file-backed tensors, else in the tensor */
    uint64_t bytes;  /* touched; each byte of an operand counts once */
    /* Of the node, the same in each of its records: thread 0's time from callback to callback, with the barrier before
     * the node. In an exact evaluation, from barrier to barrier, with the one behind the node. 0 in the second of two
     * fused nodes: the first has the time of both. */
    uint32_t duration_ns;
    uint32_t tensor;
    uint32_t evaluation;
    uint32_t node;
    uint32_t token; /* the first token of its evaluation */
    uint32_t rows;  /* runs of bytes; 1 if contiguous */
    uint16_t layer;
    uint16_t op;
    uint16_t expert; /* or TAT_NO_EXPERT */
    uint16_t head_first, head_count;
    uint16_t layout; /* number for tat_trace_layout; 0: contiguous */
    uint8_t operand; /* 0: dst, 1 + n: src n */
    uint8_t kind;    /* enum tat_role | enum tat_memory << 4 */
    uint16_t flags;  /* enum tat_access_flag, phase */
};
static_assert(sizeof(struct tat_access) == 64, "one cache line");

struct tat_layout {
    uint64_t run_bytes, stride;
};

/* The layout of a strided record. */
struct tat_layout tat_trace_layout(const struct tat_trace * trace, uint16_t layout);

/* Called with records in the order of execution. Return false to end the expansion. */
typedef bool (*tat_access_sink)(const struct tat_access * records, size_t count, void * user);

/* Makes all access records of evaluations [first, last), in pieces that fit the cache. The library owns the records;
 * they are valid during the call of the sink. Returns 0, 1 if the sink ended it, or -1 with *error. */
int tat_trace_expand(const struct tat_trace * trace, uint32_t first, uint32_t last, tat_access_sink sink, void * user,
                     struct tat_error * error);

/* ---- arrays ---- */

/* The functions below fill an array of the caller's with elements of evaluations [first, last), in order. *count is how
 * many elements there are; the first `capacity` are stored. If `capacity` is 0, the array may be NULL: call once to
 * count, allocate, and call again. The trace does not change in between. They return 0, or -1 with *error. */

/* Which access records are wanted. Each array is indexed by number; NULL means all. */
struct tat_choice {
    const bool * evaluations; /* as many as the trace has */
    const bool * tensors;     /* as many as the trace has */
    const bool * layers;      /* TAT_NO_LAYER + 1: the last is for what has no layer */
    const bool * experts;     /* TAT_NO_EXPERT + 1: the last is for what has no expert */
};

/* Access records in the order of execution. `choice` may be NULL. Evaluations that are not wanted cost nothing. */
int tat_trace_accesses(const struct tat_trace * trace, uint32_t first, uint32_t last, const struct tat_choice * choice,
                       struct tat_access * records, size_t capacity, size_t * count, struct tat_error * error);

/* How long thread 0 waited at the barrier behind a node for threads that had not finished it. Of two fused nodes, the
 * first has the wait. Nodes that touch nothing have none. */
struct tat_wait {
    uint64_t ns; /* never more than the node's time */
    uint32_t evaluation;
    uint32_t node;
};
static_assert(sizeof(struct tat_wait) == 16, "as bindings declare it");

/* In the order of execution. There are none unless they were recorded (`tat record --exact-time`). */
int tat_trace_waits(const struct tat_trace * trace, uint32_t first, uint32_t last, struct tat_wait * waits,
                    size_t capacity, size_t * count, struct tat_error * error);

/* A row that went into an evaluation. */
struct tat_token {
    uint32_t evaluation;
    uint32_t row;     /* in the evaluation, from 0 */
    uint32_t token;   /* number in the context, from 0; in warm-up, the row */
    int32_t id;       /* in the vocabulary, or TAT_NO_TOKEN_ID if the trace is private or the input was embeddings */
    int64_t position; /* in its sequence, or TAT_NO_POSITION if it was not recorded */
};
#define TAT_NO_TOKEN_ID (-1)
#define TAT_NO_POSITION INT64_MIN
static_assert(sizeof(struct tat_token) == 24, "as bindings declare it");

int tat_trace_tokens(const struct tat_trace * trace, uint32_t first, uint32_t last, struct tat_token * tokens,
                     size_t capacity, size_t * count, struct tat_error * error);

/* An expert that a layer chose for a row. A layer may route only the rows whose output is asked for; the last layer
 * does so for a prompt. The trace records which rows those are, so `row` is that of struct tat_token here too. */
struct tat_selection {
    uint32_t evaluation;
    uint32_t row;    /* in the evaluation, from 0, or TAT_NO_ROW if the row was not recorded */
    float gate;      /* the weight of the expert's result; NAN if it was not recorded */
    uint16_t layer;  /* or TAT_NO_LAYER */
    uint16_t slot;   /* among the row's choices, from 0 */
    uint16_t expert; /* or TAT_NO_EXPERT if no expert has the recorded number */
    uint16_t zero;
};
#define TAT_NO_ROW UINT32_MAX
static_assert(sizeof(struct tat_selection) == 20, "as bindings declare it");

int tat_trace_routing(const struct tat_trace * trace, uint32_t first, uint32_t last, struct tat_selection * selections,
                      size_t capacity, size_t * count, struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
