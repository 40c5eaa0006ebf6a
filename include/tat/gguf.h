/* SPDX-License-Identifier: MIT
 *
 * The structure of a GGUF model file: where every tensor lies and what it is. Only the header is read, never the
 * tensors' data. The file is read into bounded buffers, not mapped: if it shrinks meanwhile, that is an error and not a
 * signal.
 *
 * A struct tat_gguf does not change once it is open, so any number of threads may read it. It owns every pointer that
 * these functions return, until tat_gguf_close. No function prints; those that can fail say so.
 */
#ifndef TAT_GGUF_H
#define TAT_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Layers and experts are numbers of 16 bits; these mean "none". */
#ifndef TAT_NO_LAYER
#define TAT_NO_LAYER 0xffff
#endif
#ifndef TAT_NO_EXPERT
#define TAT_NO_EXPERT 0xffff
#endif

/* Limits that no real model comes near. A file that exceeds one is refused. */
#define TAT_GGUF_MAX_HEADER  (256u << 20) /* bytes before the tensors' data, per file */
#define TAT_GGUF_MAX_TENSORS (1u << 20)
#define TAT_GGUF_MAX_KEYS    (1u << 16)
#define TAT_GGUF_MAX_NAME    1024 /* bytes of a tensor's name; llama.cpp itself takes 63 */
#define TAT_GGUF_MAX_DIMS    4

/* ---- tensor types ---- */

struct tat_type {
    const char * name;    /* ggml's: "f32", "q4_K" */
    uint32_t block;       /* elements per block */
    uint32_t block_bytes; /* bytes per block */
};

/* The type with ggml's number `id`, or NULL if it is unknown. */
const struct tat_type * tat_type_of(uint32_t id);

#define TAT_TYPE_NAME_SIZE 16
/* Its name, or "type N" written into `buffer` if it is unknown. */
const char * tat_type_name(uint32_t id, char buffer[TAT_TYPE_NAME_SIZE]);

/* ---- names ---- */

/* What a tensor is for. Weight, bias and scale of one matrix are one component. Names: tat_component_name. */
enum tat_component {
    TAT_COMPONENT_OTHER = 0,
    TAT_COMPONENT_TOKEN_EMBD,
    TAT_COMPONENT_POSITION_EMBD,
    TAT_COMPONENT_LAYER_EMBD, /* embeddings per layer, as in gemma3n */
    TAT_COMPONENT_ATTN_NORM,
    TAT_COMPONENT_ATTN_QKV,
    TAT_COMPONENT_ATTN_Q,
    TAT_COMPONENT_ATTN_K,
    TAT_COMPONENT_ATTN_V,
    TAT_COMPONENT_ATTN_KV, /* one projection to both, as in multi-head latent attention */
    TAT_COMPONENT_ATTN_OUTPUT,
    TAT_COMPONENT_ATTN_GATE,
    TAT_COMPONENT_ATTN_Q_NORM,
    TAT_COMPONENT_ATTN_K_NORM,
    TAT_COMPONENT_ATTN_KV_NORM,
    TAT_COMPONENT_ATTN_SINKS,
    TAT_COMPONENT_ATTN_POST_NORM,
    TAT_COMPONENT_ATTN_OTHER, /* relative bias, indexer, compressor */
    TAT_COMPONENT_ROPE,
    TAT_COMPONENT_FFN_NORM,
    TAT_COMPONENT_FFN_GATE,
    TAT_COMPONENT_FFN_UP,
    TAT_COMPONENT_FFN_DOWN,
    TAT_COMPONENT_FFN_GATE_UP,
    TAT_COMPONENT_FFN_POST_NORM,
    TAT_COMPONENT_FFN_OTHER,
    TAT_COMPONENT_ROUTER,
    TAT_COMPONENT_EXPERT_GATE, /* stacked (ffn_gate_exps) or one by one (ffn_gate.3) */
    TAT_COMPONENT_EXPERT_UP,
    TAT_COMPONENT_EXPERT_DOWN,
    TAT_COMPONENT_EXPERT_GATE_UP,
    TAT_COMPONENT_SHARED_ROUTER,
    TAT_COMPONENT_SHARED_GATE,
    TAT_COMPONENT_SHARED_UP,
    TAT_COMPONENT_SHARED_DOWN,
    TAT_COMPONENT_SSM_IN,
    TAT_COMPONENT_SSM_CONV1D,
    TAT_COMPONENT_SSM_X,
    TAT_COMPONENT_SSM_DT,
    TAT_COMPONENT_SSM_A,
    TAT_COMPONENT_SSM_D,
    TAT_COMPONENT_SSM_NORM,
    TAT_COMPONENT_SSM_OUT,
    TAT_COMPONENT_SSM_OTHER,
    TAT_COMPONENT_SHORTCONV,
    TAT_COMPONENT_TIME_MIX,
    TAT_COMPONENT_CHANNEL_MIX,
    TAT_COMPONENT_NORM,  /* any other norm */
    TAT_COMPONENT_NEXTN, /* multi-token prediction */
    TAT_COMPONENT_OUTPUT_NORM,
    TAT_COMPONENT_OUTPUT,
    TAT_COMPONENT_KV_K, /* not in files: the cache_* tensors of a running model */
    TAT_COMPONENT_KV_V,
    TAT_COMPONENT_STATE, /* recurrent state */
    TAT_COMPONENT_CONTROL_VECTOR,
    TAT_COMPONENT_COUNT
};

/* The next four functions use nothing but the name, are cheap, and accept any string. */
enum tat_component tat_component_of(const char * tensor_name);
/* Such as "attn_q"; "other" for values out of range. */
const char * tat_component_name(enum tat_component component);
/* 0 to 65534, or TAT_NO_LAYER. */
int tat_layer_of(const char * tensor_name);
/* The expert of a tensor that holds a single one (ffn_gate.3.weight). TAT_NO_EXPERT for others, also for a stacked
 * tensor, which holds several. */
int tat_expert_of(const char * tensor_name);

/* ---- model files ---- */

enum tat_gguf_flag {
    TAT_GGUF_SINGLE = 1u << 0,   /* read this file alone, even if it is one part of a split model */
    TAT_GGUF_TOLERANT = 1u << 1, /* accept a file that its tensors do not fit: tat_gguf_findings says what is wrong */
    /* Never close the descriptors. For a process that holds record locks (fcntl) on the files: closing any descriptor
     * of a file drops them. */
    TAT_GGUF_LEAVE_OPEN = 1u << 2,
};

struct tat_gguf;

struct tat_gguf_file {
    const char * path;
    uint64_t size;
    int64_t mtime_ns; /* since 1970 */
    uint64_t device;
    uint64_t inode;
    uint32_t version;
    uint32_t alignment;
    uint64_t header_bytes; /* up to the end of the last tensor's description */
    uint64_t data_offset;  /* header_bytes, padded */
    uint64_t header_hash;  /* XXH64, seed 0, of the first header_bytes bytes */
    uint32_t first_tensor;
    uint32_t n_tensors;
    bool big_endian;
};

struct tat_gguf_tensor {
    const char * name;
    uint64_t file_offset; /* from the start of its file, not of the data section */
    uint64_t bytes;       /* if the type is unknown an upper bound: up to the next tensor */
    uint64_t ne[TAT_GGUF_MAX_DIMS];
    uint64_t slice_bytes; /* of one expert in a stacked tensor; else 0 */
    uint32_t n_slices;    /* experts in a stacked tensor; else 0 */
    uint32_t type;        /* ggml's number; see tat_type_of */
    uint32_t n_dims;
    uint16_t name_len;
    uint16_t file;
    uint16_t layer;  /* or TAT_NO_LAYER */
    uint16_t expert; /* see tat_expert_of */
    enum tat_component component;
};

/* Opens a model. `path` may name any part of a split model (NAME-00002-of-00003.gguf): all parts are read. It must be a
 * regular file or a link to one. Returns NULL on failure, with the reason, the file and the byte in *error. No
 * descriptor stays open unless `flags` asks for it. The page cache stays as it was: nothing is read ahead, and pages
 * that were not in memory are let go again, as far as the system can tell which they are. */
struct tat_gguf * tat_gguf_open(const char * path, unsigned flags, struct tat_error * error);
/* NULL is allowed. */
void tat_gguf_close(struct tat_gguf * gguf);

/* How many bytes of model files this process has read through this library so far. Any thread. */
struct tat_gguf_io {
    uint64_t read;
    uint64_t fetched; /* of these, how many were not in memory */
};

void tat_gguf_io(struct tat_gguf_io * io);

const struct tat_gguf_file * tat_gguf_files(const struct tat_gguf * gguf, uint32_t * count);
const struct tat_gguf_tensor * tat_gguf_tensors(const struct tat_gguf * gguf, uint32_t * count);
/* The tensor of that name, in constant time; NULL if there is none. */
const struct tat_gguf_tensor * tat_gguf_find(const struct tat_gguf * gguf, const char * name);
/* Identifies the model: the header_hash of its one file, or XXH64 of all (little-endian) in order. */
uint64_t tat_gguf_hash(const struct tat_gguf * gguf);
/* Sum of all tensors' bytes. */
uint64_t tat_gguf_tensor_bytes(const struct tat_gguf * gguf);

/* What a file is to the program that computes with it. */
enum tat_part {
    TAT_PART_UNKNOWN = 0, /* the trace does not say, as older ones do not */
    TAT_PART_MODEL = 1,
    TAT_PART_ADAPTER = 2,        /* LoRA */
    TAT_PART_CONTROL_VECTOR = 3, /* a direction for each layer */
    TAT_PART_PROJECTOR = 4,      /* encodes images or sound for a model */
    TAT_PART_FOREIGN = 5,        /* not a GGUF file: its contents are unknown */
    TAT_PART_DRAFT = 6,          /* a model whose guesses another one checks: its use shows it, no file says so */
    TAT_PART_COUNT
};

/* What its metadata says it is: a model, an adapter, a control vector or a projector. */
enum tat_part tat_gguf_part(const struct tat_gguf * gguf);
/* Such as "control vector"; "" for values out of range. */
const char * tat_part_name(enum tat_part part);

/* ---- hyper-parameters ---- */

/* 0 if the file does not say. */
struct tat_gguf_params {
    const char * architecture; /* "" if missing */
    const char * name;         /* "" if missing */
    uint32_t n_layer;
    uint32_t n_layer_nextn; /* how many of these, at the end, are for multi-token prediction */
    uint32_t n_embd;
    uint32_t n_vocab;
    uint32_t n_ctx_train;
    uint32_t n_head; /* n_head, n_head_kv, n_ff: the largest of all layers */
    uint32_t n_head_kv;
    uint32_t n_ff;
    uint32_t n_embd_head_k; /* elements of one head */
    uint32_t n_embd_head_v;
    uint32_t n_ff_expert;
    uint32_t n_expert;
    uint32_t n_expert_used;
    uint32_t n_expert_shared;
    const uint32_t * layer_n_head; /* these three have n_layer values; NULL if n_layer is 0 */
    const uint32_t * layer_n_head_kv;
    const uint32_t * layer_n_ff;
};

const struct tat_gguf_params * tat_gguf_params(const struct tat_gguf * gguf);

/* ---- metadata ---- */

enum tat_gguf_value {
    TAT_GGUF_UINT8 = 0,
    TAT_GGUF_INT8 = 1,
    TAT_GGUF_UINT16 = 2,
    TAT_GGUF_INT16 = 3,
    TAT_GGUF_UINT32 = 4,
    TAT_GGUF_INT32 = 5,
    TAT_GGUF_FLOAT32 = 6,
    TAT_GGUF_BOOL = 7,
    TAT_GGUF_STRING = 8,
    TAT_GGUF_ARRAY = 9,
    TAT_GGUF_UINT64 = 10,
    TAT_GGUF_INT64 = 11,
    TAT_GGUF_FLOAT64 = 12,
    TAT_GGUF_VALUE_COUNT
};

#define TAT_GGUF_KEPT_BYTES 65536 /* longer strings are cut; longer arrays, and arrays of strings, stay in the file */

struct tat_gguf_kv {
    const char * key;
    enum tat_gguf_value type;
    enum tat_gguf_value element; /* type of an array's elements, else as `type` */
    uint64_t n;                  /* elements of an array, bytes of a string, else 1 */
    uint64_t file_offset;        /* of the value or of the array's first element, in the first file */
    uint64_t bytes;              /* of the value in the file */
    union {
        uint64_t u; /* unsigned types and bool */
        int64_t i;
        double f;
        const char * string; /* NUL-terminated; may hold NUL bytes and is not always UTF-8 */
        const void * array;  /* elements in host byte order; NULL if they stayed in the file */
    } value;
};

/* The metadata of the first file, in its order. */
const struct tat_gguf_kv * tat_gguf_metadata(const struct tat_gguf * gguf, uint32_t * count);
const struct tat_gguf_kv * tat_gguf_find_key(const struct tat_gguf * gguf, const char * key);
/* The name of a value type, such as "uint32". */
const char * tat_gguf_value_name(enum tat_gguf_value type);

/* Converts element `index` of a value; a scalar has element 0. Returns false and leaves *out alone if there is no such
 * element, if it stayed in the file, or if the value is of another kind (a negative or fractional number is not an
 * unsigned integer). `kv` may be NULL. */
bool tat_gguf_uint(const struct tat_gguf_kv * kv, uint64_t index, uint64_t * out);
bool tat_gguf_int(const struct tat_gguf_kv * kv, uint64_t index, int64_t * out);
bool tat_gguf_float(const struct tat_gguf_kv * kv, uint64_t index, double * out);
const char * tat_gguf_string(const struct tat_gguf_kv * kv); /* NULL if it is not a string */

/* An array of strings that stayed in the file, such as tokenizer.ggml.tokens. */
struct tat_gguf_strings {
    uint64_t n;
    const char * text; /* all strings, each with a NUL after it */
    uint64_t start[];  /* n + 1: string i is at text + start[i] and has start[i + 1] - start[i] - 1 bytes */
};

/* Reads it from the same file, and refuses if that has changed since. The caller owns the result and frees it with one
 * free(). NULL on failure. */
struct tat_gguf_strings * tat_gguf_read_strings(const struct tat_gguf * gguf, const struct tat_gguf_kv * kv,
                                                struct tat_error * error);

/* ---- findings ---- */

enum tat_gguf_finding_kind {
    TAT_GGUF_BEYOND_FILE = 0, /* error: a tensor ends after the file does */
    TAT_GGUF_OVERLAP,         /* error: a tensor begins before the one before it ends */
    TAT_GGUF_MISALIGNED,      /* error: a tensor's offset is not a multiple of the alignment */
    TAT_GGUF_GAP,             /* bytes between two tensors, beyond padding */
    TAT_GGUF_TRAILING,        /* bytes after the last tensor, beyond padding */
    TAT_GGUF_UNKNOWN_TYPE,    /* so the tensor's size is a guess */
    TAT_GGUF_LONG_NAME,       /* longer than llama.cpp takes */
    TAT_GGUF_STRAY_LAYER,     /* the number of a layer that the model does not have */
    TAT_GGUF_FINDING_COUNT
};

struct tat_gguf_finding {
    enum tat_gguf_finding_kind kind;
    bool is_error; /* tat_gguf_open refuses the file, unless TAT_GGUF_TOLERANT */
    uint16_t file;
    uint32_t tensor; /* the one it is about; for a gap, the one before it, or UINT32_MAX */
    uint64_t file_offset;
    uint64_t bytes;
};

#define TAT_GGUF_MAX_FINDINGS 1000 /* kept; *total counts all */

const struct tat_gguf_finding * tat_gguf_findings(const struct tat_gguf * gguf, uint32_t * count, uint64_t * total);
/* Writes one line without a newline into `buffer` and returns it. Long names are cut. */
const char * tat_gguf_finding_text(const struct tat_gguf * gguf, const struct tat_gguf_finding * finding, char * buffer,
                                   size_t size);

#ifdef __cplusplus
}
#endif
#endif
