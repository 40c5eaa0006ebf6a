/* SPDX-License-Identifier: MIT
 *
 * The inside of a struct tat_trace, for the files of the reader only.
 */
#ifndef TAT_FORMAT_TRACE_H
#define TAT_FORMAT_TRACE_H

#include <pthread.h>

#include "format/buffer.h"
#include "format/list.h"
#include "format/window.h"
#include "gguf/arena.h"
#include "tat/trace.h"

enum {
    /* The work on access records that a byte of a file can justify, and that any file can. No trace of a model comes
     * near: a record takes a third of a byte, and for a prompt into a cache with transposed V a hundredth. */
    WORK_A_BYTE = 1024,
    WORK_LEAST = 1 << 22,
};

/* Where the parts of an EVALUATION block are. struct tat_evaluation holds the rest. */
struct body {
    uint64_t begin_tick, end_tick;
    uint64_t file_offset; /* of the stamps */
    uint32_t stamps_bytes, captures_bytes, waits_bytes;
    uint8_t captures_at, waits_at; /* distance in bytes from the end of the part before */
};

struct type {
    uint32_t block, block_bytes; /* 0: not seen */
};

/* Ticks and nanoseconds since the start, at one moment. */
struct anchor {
    uint64_t tick;
    int64_t ns;
};

struct tat_trace {
    char * path;
    int fd;
    int trouble; /* why bodies could not be read: errno, or ENODATA if the file became shorter; relaxed */
    uint64_t size;
    uint64_t contents; /* of the checksums of all blocks in their order */
    struct tat_file_header header;
    struct tat_trace_summary summary;
    struct arena arena;

    struct list strings;     /* const char * */
    struct list types;       /* struct type, by string */
    struct list op_of;       /* uint16_t, by string: 1 + index of the operation; 0: none */
    struct list ops;         /* const char * */
    struct list tensors;     /* struct tat_tensor */
    struct list templates;   /* struct tat_template */
    struct list params;      /* int32_t, 16 for each node that has any; the first 16 are zeros */
    struct list evaluations; /* struct tat_evaluation */
    struct list bodies;      /* struct body, in the same order */
    struct list events;      /* struct tat_event */
    struct list files;       /* struct tat_model_file */
    struct list models;      /* struct tat_model */
    struct list anchors;     /* struct anchor */
    uint32_t drafts_itself;  /* number of a model that drafts in one context and checks in another; 0: none */

    const struct tat_trace * of; /* the whole that this is a part of and shares the rest with, or NULL */
    struct list numbers;         /* uint32_t, of a part: by evaluation, its number in the whole */
    bool * layers;               /* of a part: by number, those that belong to it; NULL: all */

    uint64_t pieces; /* records of all plans without the first of each operand; relaxed */

    pthread_mutex_t lock; /* guards the following fields, which are filled when first needed */
    struct window window; /* bodies_borrow */
    struct list layouts;  /* struct tat_layout; 0 is contiguous */
    uint16_t * layout_of; /* LAYOUT_SLOTS, by hash: number, or 0 */
    struct plan ** plans; /* by template and rule */
    uint32_t n_plans;     /* how many templates they have room for */
};

/* Each decodes one block. False: the contents make no sense. Nothing half-decoded stays visible. */
bool decode_strings(struct tat_trace * trace, struct tat_in in);
bool decode_tensors(struct tat_trace * trace, struct tat_in in);
bool decode_template(struct tat_trace * trace, struct tat_in in);
bool decode_evaluation(struct tat_trace * trace, struct tat_in in, uint64_t file_offset);
bool event_is_known(struct tat_in in); /* by its type; senseless events pass, and fail to decode */
bool decode_event(struct tat_trace * trace, struct tat_in in);
bool decode_events(struct tat_trace * trace, struct tat_in in);
bool decode_loss(struct tat_trace * trace, struct tat_in in);
bool decode_end(struct tat_trace * trace, struct tat_in in);

/* "" if no string has this number. */
const char * string_at(const struct tat_trace * trace, uint64_t number);

/* A walk over the blocks of a file. */
struct scan {
    struct window window;
    uint64_t end, at;
    uint64_t vain; /* bytes of payloads whose checksum was wrong */
    struct tat_block_header header;
};

/* Takes in the block at scan->at and moves past it. False, and nothing changes, if there is no whole block. */
bool scan_read(struct tat_trace * trace, struct scan * scan);

/* For a trace file or its folder. NULL: no memory. */
char * trace_file_path(const char * path);

/* Opens the file at trace->path, checks its header and prepares for blocks. 0 or -1. */
int trace_begin(struct tat_trace * trace, struct tat_error * error);

/* Call it after all blocks: sets times from ticks, the order of evaluations, contexts, tokens, phases. False: no
 * memory. */
bool timeline_build(struct tat_trace * trace);

/* Call it next: sets the models, and whose graph each is. False: no memory. */
bool models_build(struct tat_trace * trace);
/* Call it after all blocks: finds which tensors are one weight. False: no memory. */
bool weights_build(struct tat_trace * trace);

/* How far phases and token numbers are settled, so that a growing trace need not begin anew. */
struct timeline {
    struct progress * progress; /* by context; free it */
    uint32_t contexts, evaluations, events;
    uint32_t calls, calls_from; /* CALL_BEGIN events among the events before the last one */
};

/* Call it after further blocks; evaluations are in the order of the file. What was settled stays, unless an event says
 * that it was warm-up: then *revised. False: no memory. */
bool timeline_extend(struct tat_trace * trace, struct timeline * timeline, bool * revised);

/* Nanoseconds since the start. */
int64_t timeline_ns(const struct tat_trace * trace, uint64_t tick);

/* The number of a layout, added if it is new; 0: there are too many. Takes the lock. */
uint16_t layout_number(struct tat_trace * trace, uint64_t run_bytes, uint64_t stride);

void plans_free(struct tat_trace * trace);

/* A part of a trace: its tensors, templates and models are copies to be changed; it has no evaluations yet. Close it
 * with tat_trace_close. NULL: no memory. */
struct tat_trace * view_of(const struct tat_trace * trace);
bool view_add_evaluation(struct tat_trace * view, uint32_t number); /* as the whole numbers them; false: no memory */

/* The other tensors become like some that were lost. */
void view_keep_tensors(struct tat_trace * view, const bool * used);

#endif
