/* SPDX-License-Identifier: MIT
 *
 * Whether a file that was written anew holds what the old one does. Of the plan only the order counts: the new file is
 * read as any model file is, and its bytes are compared with those of the old one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gguf/input.h"
#include "gguf/rewrite.h"

enum { METADATA_AT = 24 }; /* behind magic, version, number of tensors, number of keys */

struct verification {
    const struct rewrite * r;
    const struct tat_gguf * new;
    const struct tat_gguf_file * file; /* the new one */
    const char * name;
    int fd;
    struct tat_error * error;
};

/* `what` differs. */
static int differ(const struct verification * v, const char * what) {
    char text[PRINTABLE_SIZE];
    return tat_fail(v->error, TAT_ERROR_SYSTEM, "%s: what the disk has is not what was written: %s differs",
                    input_path_end(v->name), input_printable(what, text));
}

/* The keys are the same, byte for byte, but for the alignment's value; one more may follow. */
static int verify_metadata(const struct verification * v) {
    const struct rewrite * r = v->r;
    const uint64_t bytes = r->described - METADATA_AT;
    uint32_t n_keys;
    tat_gguf_metadata(v->new, &n_keys);
    unsigned char * found = malloc(bytes + 1);
    if (!found) {
        return tat_fail(v->error, TAT_ERROR_SYSTEM, "%s: no memory for the header", input_path_end(v->name));
    }
    int status = rewrite_read(v->fd, found, bytes, METADATA_AT, v->name, v->error);
    if (status == 0 && r->alignment_key) {
        const uint64_t at = r->alignment_key->file_offset;
        memcpy(found + at - METADATA_AT, r->header + at, r->alignment_key->bytes);
    }
    if (status == 0 && (memcmp(found, r->header + METADATA_AT, bytes) != 0 || n_keys != r->n_keys + r->adds_key)) {
        status = differ(v, "the metadata");
    }
    free(found);
    if (status == 0 && v->file->alignment != r->alignment) { status = differ(v, "the alignment"); }
    return status;
}

static int verify_description(const struct verification * v, const struct tat_gguf_tensor * new,
                              const struct tat_gguf_tensor * old, uint64_t place) {
    const bool same =
        strcmp(new->name, old->name) == 0 &&
        new->type == old->type && new->n_dims == old->n_dims && memcmp(new->ne, old->ne, sizeof new->ne) == 0 &&
        new->bytes == old->bytes && new->file_offset == place;
    return same ? 0 : differ(v, old->name);
}

static int verify_bytes(const struct verification * v, const struct tat_gguf_tensor * new,
                        const struct tat_gguf_tensor * old, uint64_t * done, rewrite_watcher watcher, void * user) {
    unsigned char *a = v->r->piece, *b = v->r->piece + REWRITE_PIECE;
    for (uint64_t at = 0; at < old->bytes;) {
        const uint64_t left = old->bytes - at;
        const size_t piece = left < REWRITE_PIECE ? (size_t) left : REWRITE_PIECE;
        if (rewrite_read(v->r->from, a, piece, old->file_offset + at, v->r->file->path, v->error) ||
            rewrite_read(v->fd, b, piece, new->file_offset + at, v->name, v->error)) {
            return -1;
        }
        if (memcmp(a, b, piece) != 0) { return differ(v, old->name); }
        at += piece;
        *done += piece;
        if (watcher && !watcher(*done, user)) {
            return tat_fail(v->error, TAT_ERROR_SYSTEM, "%s: stopped", input_path_end(v->name));
        }
    }
    return 0;
}

static int verify_tensors(const struct verification * v, rewrite_watcher watcher, void * user) {
    uint32_t count;
    uint64_t done = 0;
    const struct tat_gguf_tensor * new = tat_gguf_tensors(v->new, &count);
    if (count != v->r->file->n_tensors) { return differ(v, "the number of tensors"); }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t t = v->r->order[i];
        const struct tat_gguf_tensor * old = &v->r->tensors[t];
        if (verify_description(v, &new[i], old, v->r->place[t]) ||
            verify_bytes(v, &new[i], old, &done, watcher, user)) {
            return -1;
        }
    }
    return 0;
}

int rewrite_verify(const struct rewrite * r, int written, const char * name, rewrite_watcher watcher, void * user,
                   struct tat_error * error) {
    char path[64];
    uint32_t count;
    struct tat_error inner = { 0 };
    snprintf(path, sizeof path, "/proc/self/fd/%d", written); /* it may have no name yet */
    struct tat_gguf * new = tat_gguf_open(path, TAT_GGUF_SINGLE, &inner);
    if (!new) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "%s: cannot be read back: %s", input_path_end(name), inner.message);
    }
    struct verification v = { .r = r, .new = new, .file = tat_gguf_files(new, &count), .name = name, .error = error };
    v.fd = open(path, O_RDONLY | O_CLOEXEC);
    int status = v.fd < 0 ? tat_fail_errno(error, "%s: cannot be read back", input_path_end(name)) : 0;
    if (status == 0) { status = verify_metadata(&v); }
    if (status == 0) { status = verify_tensors(&v, watcher, user); }
    if (v.fd >= 0) { close(v.fd); }
    tat_gguf_close(new);
    return status;
}
