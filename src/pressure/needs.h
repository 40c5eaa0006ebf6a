/* SPDX-License-Identifier: MIT
 *
 * What a run of llama.cpp needs in memory besides the model's weights, estimated before it begins.
 */
#ifndef TAT_PRESSURE_NEEDS_H
#define TAT_PRESSURE_NEEDS_H

#include <stdint.h>

#include "tat/gguf.h"

/* As on the command line of the run; 0 and NULL where it says nothing. */
struct needs_options {
    uint64_t context;            /* tokens; 0: the model's own */
    uint64_t batch;              /* tokens of a ubatch; 0: llama.cpp's own */
    const char *type_k, *type_v; /* ggml's names of types; f16 */
};

/* Bytes. Repacked weights are copies in the program's own memory, of types that llama.cpp repacks on some processors:
 * the most that there may be, unless --no-repack forbids it. The KV cache is exact for full attention, and the most
 * that there may be where layers have a window or a latent; it is written when it is made, so all of it takes memory.
 * The buffers for computing are reserved for a whole batch and take memory only as far as batches fill them. The
 * program's own is a rule of thumb: what grows with the vocabulary, and what does not. Its libraries are pages of
 * files, which the kernel may drop and read again. */
struct needs {
    uint64_t context; /* tokens */
    uint64_t kv, repack_most, compute_most, program, libraries;
};

struct needs needs_of(const struct tat_gguf * gguf, const struct needs_options * options);

#endif
