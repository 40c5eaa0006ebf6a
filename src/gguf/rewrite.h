/* SPDX-License-Identifier: MIT
 *
 * A model file written anew, with its tensors in another order. All else stays: the metadata byte for byte, and of each
 * tensor the name, the shape, the type and the data. Only general.alignment may change.
 *
 * llama.cpp accepts one layout for an order: each tensor begins where the one before it ends, padded to the alignment,
 * and the descriptions stand in the order of the data. So bytes that belong to no tensor are left out.
 */
#ifndef TAT_GGUF_REWRITE_H
#define TAT_GGUF_REWRITE_H

#include "tat/gguf.h"

enum {
    REWRITE_ALIGNMENT_LEAST = 32, /* what ggml's CPU backend needs of a mapped tensor */
    REWRITE_ALIGNMENT_MOST = 65536,
    REWRITE_PIECE = 4 << 20, /* bytes that are copied at once */
};

struct rewrite {
    const struct tat_gguf_file * file;
    const struct tat_gguf_tensor * tensors;
    const struct tat_gguf_kv * alignment_key; /* NULL: the file has none */
    uint32_t * order;                         /* which tensor comes first, and so on */
    uint64_t * place;                         /* by tensor: where it will begin in the file */
    unsigned char * header;                   /* as in the file */
    unsigned char * piece;                    /* twice REWRITE_PIECE bytes */
    uint64_t described;                       /* byte of the header at which the descriptions of tensors begin */
    uint64_t header_bytes, size;              /* of the new file */
    uint32_t alignment, n_keys;
    bool adds_key;
    int from; /* the file, open for reading */
};

/* Bytes that were done, of this call. Return false to stop. */
typedef bool (*rewrite_watcher)(uint64_t done, void * user);

/* `gguf` is one file (TAT_GGUF_SINGLE) and must live longer. `order` has the number of each of its tensors once.
 * `alignment`: a power of two in the limits above, or 0 to keep the file's. Refuses files with errors, with tensors of
 * unknown type, and those that have changed since they were opened. Returns 0, or -1 with *error. Call rewrite_close in
 * either case. */
int rewrite_open(struct rewrite * r, const struct tat_gguf * gguf, const uint32_t * order, uint32_t alignment,
                 struct tat_error * error);
void rewrite_close(struct rewrite * r);

/* The new file would be the old one. */
bool rewrite_is_needless(const struct rewrite * r);

/* Writes the new file to `to`, which is empty, and waits until the disk has it. `name` is for messages. Returns 0, or
 * -1 with *error. */
int rewrite_write(const struct rewrite * r, int to, const char * name, rewrite_watcher watcher, void * user,
                  struct tat_error * error);

/* Reads the new file as any model file is read, and compares it with the old one: metadata, and of each tensor the
 * name, the shape, the type, the place and every byte. Returns 0, or -1 with *error. */
int rewrite_verify(const struct rewrite * r, int written, const char * name, rewrite_watcher watcher, void * user,
                   struct tat_error * error);

/* rewrite.c, for rewrite_verify.c: reads so many bytes, or fails. */
int rewrite_read(int fd, void * to, size_t count, uint64_t at, const char * name, struct tat_error * error);

/* Bytes that a tensor's description takes in the header. */
static inline uint64_t rewrite_description(const struct tat_gguf_tensor * t) {
    return 8 + t->name_len + 4 + 8 * (uint64_t) t->n_dims + 4 + 8;
}

#endif
