/* SPDX-License-Identifier: MIT
 *
 * The trace on disk: constants and structs of fixed size. doc/format.md is the specification; a difference between the
 * two is a bug. All integers are little-endian. "varint" is unsigned LEB128, "zigzag" a varint of (n << 1) ^ (n >> 63).
 */
#ifndef TAT_FORMAT_H
#define TAT_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define TAT_MAGIC          "TATTRACE" /* the first 8 bytes of a file */
#define TAT_FORMAT_VERSION 1          /* frozen: doc/format.md says what may be added to it */
#define TAT_BYTE_ORDER     0x01020304u
#define TAT_HEADER_BYTES   4096
#define TAT_BLOCK_MAGIC    0x42544154u /* "TATB" */
#define TAT_BLOCK_ALIGN    8
#define TAT_BLOCK_MAX      (1u << 30) /* payload bytes; a longer block is damage */

enum tat_file_kind {
    TAT_FILE_TENSOR_ACCESS = 1,
    TAT_FILE_IO_EVENTS = 2,
};

enum tat_clock {
    TAT_CLOCK_MONOTONIC = 0, /* ticks are nanoseconds of CLOCK_MONOTONIC */
    TAT_CLOCK_TSC = 1,       /* x86 time-stamp counter, invariant */
    TAT_CLOCK_CNTVCT = 2,    /* arm64 virtual counter */
};

enum tat_feature {
    TAT_FEATURE_PRIVATE = 1u << 0, /* token ids and the home folder in paths were left out */
};

struct tat_file_header {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes;
    uint32_t byte_order;
    uint32_t file_kind; /* enum tat_file_kind */
    uint64_t features;  /* enum tat_feature */
    uint64_t start_realtime_ns;
    uint64_t start_monotonic_ns;
    uint64_t start_tick;       /* the tick at start_monotonic_ns */
    uint64_t ticks_per_second; /* an estimate; CLOCK events are exact */
    uint32_t clock;            /* enum tat_clock */
    uint32_t stamp_shift;      /* time stamps of callbacks count ticks >> stamp_shift */
    uint32_t pid;
    uint32_t page_bytes;
    uint8_t run_id[16]; /* random */
    char producer[64];
    char program[1024];   /* path of the traced program, NUL-terminated */
    char ggml_path[1024]; /* path of the library that computes graphs, NUL-terminated */
    char ggml_version[64];
    uint8_t zero[1816];
    uint64_t checksum; /* XXH64, seed 0, of all bytes before it */
};

struct tat_block_header {
    uint32_t magic; /* TAT_BLOCK_MAGIC; whether the block is whole, the checksum tells */
    uint16_t type;  /* enum tat_block_type */
    uint16_t zero;
    uint32_t payload_bytes; /* without the padding to TAT_BLOCK_ALIGN */
    uint32_t zero2;
    uint64_t checksum; /* XXH64 of the payload; seed: file offset of this header ^ type << 48 ^ payload_bytes << 16 */
};

enum tat_block_type {
    TAT_BLOCK_STRING = 1,
    TAT_BLOCK_TENSOR = 2,
    TAT_BLOCK_TEMPLATE = 3,
    TAT_BLOCK_EVALUATION = 4,
    TAT_BLOCK_EVENT = 5,
    TAT_BLOCK_LOSS = 6,
    TAT_BLOCK_END = 7,
    TAT_BLOCK_EVENTS = 8,
    TAT_BLOCK_IO = 9, /* in files of I/O events */
};

/* The length of public arrays that are indexed by type of block or by reason of loss. It exceeds their number, so that
 * the arrays keep their length when one is added. */
enum { TAT_BLOCK_ROOM = 32, TAT_LOSS_ROOM = 16 };

/* What a tensor is for. */
enum tat_tensor_kind {
    TAT_TENSOR_WEIGHT = 1,
    TAT_TENSOR_STATE = 2, /* KV cache or recurrent state; lives as long as a context */
    TAT_TENSOR_ACTIVATION = 3,
    TAT_TENSOR_INPUT = 4, /* a leaf that the host fills: token ids, positions, masks */
};

/* Where a tensor's bytes are. */
enum tat_memory {
    TAT_MEMORY_FILE = 1, /* in a mapping of the model file */
    TAT_MEMORY_COPY = 2, /* copied out of the model file, read or repacked */
    TAT_MEMORY_KV = 3,
    TAT_MEMORY_BUFFER = 4,
};

/* After which nodes ggml calls back. A rule is a set of these, and assigns callbacks to nodes. */
enum tat_rule {
    TAT_RULE_SKIP_EMPTY = 1u << 0,   /* no callback for NONE, RESHAPE, VIEW, PERMUTE, TRANSPOSE */
    TAT_RULE_SKIP_UNASKED = 1u << 1, /* no callback for nodes without the COMPUTE flag */
    TAT_RULE_FUSE_NORM = 1u << 2,    /* one callback for RMS_NORM and the MUL after it */
};
#define TAT_RULE_COUNT 8

/* Facts about a node of a template, which rules depend on. */
enum tat_node_fact {
    TAT_NODE_EMPTY = 1u << 0,      /* its operation does nothing */
    TAT_NODE_COMPUTE = 1u << 1,    /* has the COMPUTE flag */
    TAT_NODE_FUSES_NEXT = 1u << 2, /* an RMS_NORM that can be fused with the next node */
    TAT_NODE_OUTPUT = 1u << 3,     /* has the OUTPUT flag */
};

/* Values that are read from the host's memory during an evaluation; its template lists them. */
enum tat_capture_kind {
    TAT_CAPTURE_ROWS = 1,    /* row ids of GET_ROWS and SET_ROWS */
    TAT_CAPTURE_EXPERTS = 2, /* expert ids of MUL_MAT_ID and ADD_ID */
    TAT_CAPTURE_GATES = 3,   /* F32 weights of the chosen experts */
    TAT_CAPTURE_POSITIONS = 4,
    TAT_CAPTURE_MASK = 5,   /* the KV cells that each row sees, as runs */
    TAT_CAPTURE_OFFSET = 6, /* where a view of the KV cache begins, if it moves on with every token */
};

enum tat_evaluation_flag {
    TAT_EVALUATION_ABORTED = 1u << 0,   /* the host's own callback ended it */
    TAT_EVALUATION_UNMATCHED = 1u << 1, /* the callbacks fit no rule: it has no access records */
    TAT_EVALUATION_RELEARNED = 1u << 2, /* another rule than expected: captures are of wrong nodes, and left out */
    TAT_EVALUATION_CUT = 1u << 3,       /* captures took more room than planned and are left out */
    TAT_EVALUATION_OUTSIDE = 1u << 4,   /* has none of the tokens asked for: no stamps, of captures only positions */
    TAT_EVALUATION_EXACT = 1u << 5,     /* stamps were taken behind the barrier that follows each node, not before it */
};

enum tat_event_type {
    TAT_EVENT_CLOCK = 1,      /* tick and CLOCK_MONOTONIC at one moment */
    TAT_EVENT_MAPPING = 2,    /* a piece of a model file is mapped */
    TAT_EVENT_MODEL_FILE = 3, /* a model file, known from here on by its number */
    TAT_EVENT_LOAD_BEGIN = 4, /* llama_model_load_from_file and the like: path */
    TAT_EVENT_LOAD_END = 5,
    TAT_EVENT_OPEN_MODEL = 6,   /* gguf_init_from_file and the like: path */
    TAT_EVENT_MEMORY_CLEAR = 7, /* llama_memory_clear, llama_kv_cache_clear, ... */
    TAT_EVENT_PERF_RESET = 8,   /* llama_perf_context_reset */
    TAT_EVENT_WARMUP = 9,       /* llama_set_warmup */
    TAT_EVENT_CALL_BEGIN = 10,  /* llama_decode, llama_process, llama_encode */
    TAT_EVENT_CALL_END = 11,
    TAT_EVENT_CONTEXT = 12,      /* a context, known from here on by its number */
    TAT_EVENT_NOTE = 13,         /* text: why something could not be recorded */
    TAT_EVENT_MEMORY_SET = 14,   /* llama_state_seq_set_data, llama_memory_seq_cp, ...: the memory has other contents */
    TAT_EVENT_BUFFER_ALLOC = 15, /* ggml_backend_buft_alloc_buffer: a buffer, its size */
    TAT_EVENT_BUFFER_FREE = 16,
    TAT_EVENT_OWN_READ = 17, /* the agent read a model's header: bytes, and how many of them were not in memory */
    TAT_EVENT_USAGE = 18,    /* what the process has used until now: processor time, faults, switches, reads */
    TAT_EVENT_MACHINE = 19,  /* what all processors have done until now, and their clock */
};

/* In blocks of I/O events. */
enum tat_io_type {
    TAT_IO_FAULT = 1,   /* a page fault */
    TAT_IO_IGNORED = 2, /* how many minor faults were not recorded, as they were in no file that is mapped as data */
    TAT_IO_LOST = 3,    /* how many events were lost */
    TAT_IO_PARTIAL = 4, /* faults inside system calls are not recorded */
    TAT_IO_END = 5,     /* the program ended, and all was written */
    /* From here on each says how long it is. */
    TAT_IO_FILE = 6,       /* a file that the run read or mapped */
    TAT_IO_EXTENTS = 7,    /* where a file's bytes are on its disk */
    TAT_IO_PAGES = 8,      /* pages of a file came into the page cache, or left it */
    TAT_IO_REQUEST = 9,    /* the disk completed a request */
    TAT_IO_COUNTER = 10,   /* what a counter of the kernel said */
    TAT_IO_RESIDENCY = 11, /* which pages of a file were in memory */
    TAT_IO_SOURCE = 12,    /* a source of events, and why it could not be had */
};

enum tat_io_flag {
    TAT_IO_MAJOR = 1u << 0,   /* it waited for the disk, or for another thread that did */
    TAT_IO_IN_FILE = 1u << 1, /* in a file that was mapped as data */
};

/* Of a request. */
enum tat_io_request_flag {
    TAT_IO_WRITE = 1u << 0,      /* else it read; discards and flushes are not recorded */
    TAT_IO_READ_AHEAD = 1u << 1, /* the kernel marked it so */
    TAT_IO_METADATA = 1u << 2,   /* of the file system */
    TAT_IO_FAILED = 1u << 3,
};

/* Where events come from. */
enum tat_io_source {
    TAT_IO_SOURCE_FAULTS = 1,
    TAT_IO_SOURCE_PAGES = 2,     /* page-cache fills and evictions */
    TAT_IO_SOURCE_REQUESTS = 3,  /* block requests */
    TAT_IO_SOURCE_RESIDENCY = 4, /* samples of it */
    TAT_IO_SOURCE_COUNTERS = 5,
    TAT_IO_SOURCE_COUNT = 6,
};

/* Counters, each from the beginning of what it counts, so differences tell. Of the process that `tat record` started,
 * unless it says otherwise. */
enum tat_io_counter {
    TAT_IO_READ_BYTES = 1,          /* /proc/PID/io: from the disk */
    TAT_IO_READ_CALL_BYTES = 2,     /* /proc/PID/io, rchar: by system calls, whether from the disk or not */
    TAT_IO_MAJOR_FAULTS = 3,        /* /proc/PID/stat */
    TAT_IO_MINOR_FAULTS = 4,        /* /proc/PID/stat */
    TAT_IO_DELAY_NS = 5,            /* /proc/PID/stat: its threads' waits for the disk; with delay accounting */
    TAT_IO_FILE_RESIDENT_BYTES = 6, /* /proc/PID/statm, shared: an amount, not a count */
    TAT_IO_ANON_RESIDENT_BYTES = 7, /* an amount */
    TAT_IO_LOCKED_BYTES = 8,        /* /proc/PID/status, VmLck: an amount */
    TAT_IO_SWAP_BYTES = 9,          /* /proc/PID/status, VmSwap: an amount */
    TAT_IO_PRESSURE_IO_NS = 10,     /* /proc/pressure/io, some: of the whole machine */
    TAT_IO_PRESSURE_MEMORY_NS = 11, /* /proc/pressure/memory, some: of the whole machine */
    TAT_IO_GROUP_BYTES = 12,        /* the memory cgroup's usage: an amount */
    TAT_IO_GROUP_LIMIT_BYTES = 13,  /* the memory cgroup's limit: an amount; without one, not recorded */
    TAT_IO_GROUP_FILLED_BYTES = 14, /* v1: the memory cgroup's total_pgpgin, where pages that are charged together, as
                                     * a large folio's, count as one; v2: not recorded */
    TAT_IO_GROUP_MAJOR_FAULTS = 15, /* the memory cgroup's pgmajfault */
    TAT_IO_GROUP_READ_BYTES = 16,   /* v2: io.stat, rbytes; v1: blkio.throttle.io_service_bytes, Read */
    TAT_IO_DISK_READ_BYTES = 17,    /* /sys/dev/block/: by all who use the model's disk */
    TAT_IO_TRACER_READ_BYTES = 18,  /* what `tat record` itself read from the disk */
    TAT_IO_RUN_READ_BYTES = 19,     /* getrusage, at the end: from the disk, by all processes of the run that ended */
    TAT_IO_RUN_MAJOR_FAULTS = 20,   /* the same */
    TAT_IO_RUN_MINOR_FAULTS = 21,   /* the same */
    TAT_IO_COUNTER_COUNT = 22,
};

/* Why something was lost. */
enum tat_loss_reason {
    TAT_LOSS_NO_SPACE = 1, /* the file could not be written: no room, or an error */
    TAT_LOSS_MAX_SIZE = 2, /* --max-size */
    TAT_LOSS_SLOTS = 3,    /* more graphs at once than the agent serves */
    TAT_LOSS_MEMORY = 4,   /* the agent could not get memory */
    TAT_LOSS_LAYOUT = 5,   /* ggml's structs could not be proven */
    TAT_LOSS_COUNT = 6,
};

#define TAT_MAX_SRC 16

static_assert((int) TAT_LOSS_COUNT <= TAT_LOSS_ROOM, "");
static_assert(sizeof(struct tat_file_header) == TAT_HEADER_BYTES, "the header is one page");
static_assert(offsetof(struct tat_file_header, features) == 24, "");
static_assert(offsetof(struct tat_file_header, start_realtime_ns) == 32, "");
static_assert(offsetof(struct tat_file_header, ticks_per_second) == 56, "");
static_assert(offsetof(struct tat_file_header, clock) == 64, "");
static_assert(offsetof(struct tat_file_header, run_id) == 80, "");
static_assert(offsetof(struct tat_file_header, producer) == 96, "");
static_assert(offsetof(struct tat_file_header, program) == 160, "");
static_assert(offsetof(struct tat_file_header, ggml_path) == 1184, "");
static_assert(offsetof(struct tat_file_header, ggml_version) == 2208, "");
static_assert(offsetof(struct tat_file_header, checksum) == 4088, "");
static_assert(sizeof(struct tat_block_header) == 24, "");
static_assert(offsetof(struct tat_block_header, payload_bytes) == 8, "");
static_assert(offsetof(struct tat_block_header, checksum) == 16, "");

#endif
