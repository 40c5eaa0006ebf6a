/* SPDX-License-Identifier: MIT */
#include "gguf/rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "gguf/input.h"

#define ALIGNMENT_KEY "general.alignment"

enum {
    N_KV_AT = 16,                                       /* behind magic, version and number of tensors */
    ADDED_BYTES = 8 + sizeof ALIGNMENT_KEY - 1 + 4 + 4, /* the key, its type, a number of 32 bits */
};

/* ---- planning ---- */

static int check_tensors(const struct tat_gguf * gguf, const struct rewrite * r, struct tat_error * error) {
    uint32_t count;
    uint64_t total;
    char text[400], name[PRINTABLE_SIZE];
    const struct tat_gguf_finding * findings = tat_gguf_findings(gguf, &count, &total);
    for (uint32_t i = 0; i < count; i++) {
        if (!findings[i].is_error) { continue; }
        tat_gguf_finding_text(gguf, &findings[i], text, sizeof text);
        return tat_fail(error, TAT_ERROR_INPUT, "%s: %s", input_path_end(r->file->path), text);
    }
    for (uint32_t i = 0; i < r->file->n_tensors; i++) {
        if (tat_type_of(r->tensors[i].type)) { continue; }
        return tat_fail(error, TAT_ERROR_INPUT, "%s: tensor '%s' is of unknown type %u, so its size is unknown too",
                        input_path_end(r->file->path), input_printable(r->tensors[i].name, name), r->tensors[i].type);
    }
    return 0;
}

static int take_order(struct rewrite * r, const uint32_t * order, struct tat_error * error) {
    const uint32_t n = r->file->n_tensors;
    r->order = malloc((n + (size_t) 1) * sizeof *r->order);
    r->place = calloc(n + (size_t) 1, sizeof *r->place);
    r->piece = malloc(2 * (size_t) REWRITE_PIECE); /* verifying compares two */
    if (!r->order || !r->place || !r->piece) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "%s: no memory for copying", input_path_end(r->file->path));
    }
    for (uint32_t i = 0; i < n; i++) {
        if (order[i] >= n || r->place[order[i]]) {
            return tat_fail(error, TAT_ERROR_USAGE, "place %u of the order has tensor %u, which %s", i, order[i],
                            order[i] >= n ? "does not exist" : "has a place already");
        }
        r->place[order[i]] = 1;
        r->order[i] = order[i];
    }
    return 0;
}

static uint64_t pad(uint64_t offset, uint32_t alignment) {
    const uint64_t mask = (uint64_t) alignment - 1;
    return (offset + mask) & ~mask;
}

static int place_tensors(struct rewrite * r, struct tat_error * error) {
    const uint64_t most = INT64_MAX / 2;
    uint64_t at = pad(r->header_bytes, r->alignment);
    for (uint32_t i = 0; i < r->file->n_tensors; i++) {
        const struct tat_gguf_tensor * t = &r->tensors[r->order[i]];
        r->place[r->order[i]] = at;
        if (at > most || t->bytes > most - at) {
            return tat_fail(error, TAT_ERROR_INPUT, "%s: the new file would be larger than files can be",
                            input_path_end(r->file->path));
        }
        at = pad(at + t->bytes, r->alignment);
    }
    r->size = at;
    return 0;
}

static int take_alignment(struct rewrite * r, const struct tat_gguf * gguf, uint32_t alignment,
                          struct tat_error * error) {
    if (alignment &&
        (alignment < REWRITE_ALIGNMENT_LEAST || alignment > REWRITE_ALIGNMENT_MOST || alignment & (alignment - 1))) {
        return tat_fail(error, TAT_ERROR_USAGE, "alignment %u is not a power of two from %d to %d", alignment,
                        REWRITE_ALIGNMENT_LEAST, REWRITE_ALIGNMENT_MOST);
    }
    r->alignment = alignment ? alignment : r->file->alignment;
    r->alignment_key = tat_gguf_find_key(gguf, ALIGNMENT_KEY);
    r->adds_key = !r->alignment_key && r->alignment != r->file->alignment;
    return 0;
}

static int check_unchanged(const struct rewrite * r, struct tat_error * error) {
    struct stat s;
    if (fstat(r->from, &s) != 0) { return tat_fail_errno(error, "%s: fstat", input_path_end(r->file->path)); }
    const int64_t mtime = (int64_t) s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
    if (s.st_dev == r->file->device && s.st_ino == r->file->inode && (uint64_t) s.st_size == r->file->size &&
        mtime == r->file->mtime_ns) {
        return 0;
    }
    return tat_fail(error, TAT_ERROR_INPUT, "%s: the file was changed meanwhile; try again",
                    input_path_end(r->file->path));
}

static int read_header(struct rewrite * r, struct tat_error * error) {
    const char * path = r->file->path;
    r->from = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (r->from < 0) { return tat_fail_errno(error, "%s: cannot be opened", input_path_end(path)); }
    if (check_unchanged(r, error)) { return -1; }
    r->header = malloc(r->file->header_bytes);
    if (!r->header) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: no memory for the header", input_path_end(path)); }
    if (rewrite_read(r->from, r->header, r->file->header_bytes, 0, path, error)) { return -1; }
    if (XXH64(r->header, r->file->header_bytes, 0) != r->file->header_hash) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: the header was changed meanwhile; try again",
                        input_path_end(path));
    }
    r->described = r->file->header_bytes;
    for (uint32_t i = 0; i < r->file->n_tensors; i++) { r->described -= rewrite_description(&r->tensors[i]); }
    return 0;
}

int rewrite_open(struct rewrite * r, const struct tat_gguf * gguf, const uint32_t * order, uint32_t alignment,
                 struct tat_error * error) {
    uint32_t count;
    *r = (struct rewrite){ .file = tat_gguf_files(gguf, &count), .from = -1 };
    if (count != 1) { return tat_fail(error, TAT_ERROR_USAGE, "%s: has %u parts", r->file->path, count); }
    r->tensors = tat_gguf_tensors(gguf, &count);
    tat_gguf_metadata(gguf, &r->n_keys);
    if (check_tensors(gguf, r, error) || take_alignment(r, gguf, alignment, error) || take_order(r, order, error) ||
        read_header(r, error)) {
        return -1;
    }
    r->header_bytes = r->file->header_bytes + (r->adds_key ? ADDED_BYTES : 0);
    return place_tensors(r, error);
}

void rewrite_close(struct rewrite * r) {
    if (r->from >= 0) { close(r->from); }
    free(r->order);
    free(r->place);
    free(r->header);
    free(r->piece);
    *r = (struct rewrite){ .from = -1 };
}

bool rewrite_is_needless(const struct rewrite * r) {
    bool same = r->alignment == r->file->alignment;
    for (uint32_t i = 0; same && i < r->file->n_tensors; i++) {
        same = r->order[i] == i && r->place[i] == r->tensors[i].file_offset;
    }
    return same;
}

/* ---- reading and writing ---- */

int rewrite_read(int fd, void * to, size_t count, uint64_t at, const char * name, struct tat_error * error) {
    for (unsigned char * next = to; count > 0;) {
        const ssize_t got = pread(fd, next, count, (off_t) at);
        if (got < 0 && errno == EINTR) { continue; }
        if (got < 0) { return tat_fail_errno(error, "%s: byte %" PRIu64, input_path_end(name), at); }
        if (got == 0) {
            return tat_fail(error, TAT_ERROR_INPUT, "%s: byte %" PRIu64 ": the file became shorter while it was read",
                            input_path_end(name), at);
        }
        next += got;
        at += (uint64_t) got;
        count -= (size_t) got;
    }
    return 0;
}

static int write_all(int fd, const void * from, size_t count, uint64_t at, const char * name,
                     struct tat_error * error) {
    for (const unsigned char * next = from; count > 0;) {
        const ssize_t put = pwrite(fd, next, count, (off_t) at);
        if (put < 0 && errno == EINTR) { continue; }
        if (put <= 0) { return tat_fail_errno(error, "%s: cannot write byte %" PRIu64, input_path_end(name), at); }
        next += put;
        at += (uint64_t) put;
        count -= (size_t) put;
    }
    return 0;
}

/* ---- the new header ---- */

static void put_number(const struct rewrite * r, unsigned char * at, uint64_t value, unsigned width) {
    for (unsigned i = 0; i < width; i++) {
        at[i] = (unsigned char) (value >> 8 * (r->file->big_endian ? width - 1 - i : i));
    }
}

static uint64_t get_number(const struct rewrite * r, const unsigned char * at, unsigned width) {
    uint64_t value = 0;
    for (unsigned i = 0; i < width; i++) { value |= (uint64_t) at[i] << 8 * (r->file->big_endian ? width - 1 - i : i); }
    return value;
}

static unsigned char * put_key(const struct rewrite * r, unsigned char * at) {
    put_number(r, at, sizeof ALIGNMENT_KEY - 1, 8);
    memcpy(at + 8, ALIGNMENT_KEY, sizeof ALIGNMENT_KEY - 1);
    at += 8 + sizeof ALIGNMENT_KEY - 1;
    put_number(r, at, TAT_GGUF_UINT32, 4);
    put_number(r, at + 4, r->alignment, 4);
    return at + 8;
}

/* The descriptions are the file's, but for the offset at the end of each. */
static void put_descriptions(const struct rewrite * r, const uint64_t * old, unsigned char * at) {
    const uint64_t data = pad(r->header_bytes, r->alignment);
    for (uint32_t i = 0; i < r->file->n_tensors; i++) {
        const uint32_t t = r->order[i];
        const uint64_t bytes = rewrite_description(&r->tensors[t]);
        memcpy(at, r->header + old[t], bytes);
        at += bytes;
        put_number(r, at - 8, r->place[t] - data, 8);
    }
}

/* NULL: no memory. */
static unsigned char * make_header(const struct rewrite * r) {
    unsigned char * header = malloc(r->header_bytes);
    uint64_t * old = malloc((r->file->n_tensors + (size_t) 1) * sizeof *old); /* where descriptions are */
    if (!header || !old) {
        free(header);
        free(old);
        return NULL;
    }
    uint64_t at = r->described;
    for (uint32_t i = 0; i < r->file->n_tensors; i++) {
        old[i] = at;
        at += rewrite_description(&r->tensors[i]);
    }
    memcpy(header, r->header, r->described);
    if (r->alignment_key) { put_number(r, header + r->alignment_key->file_offset, r->alignment, 4); }
    unsigned char * next = header + r->described;
    if (r->adds_key) {
        put_number(r, header + N_KV_AT, get_number(r, header + N_KV_AT, 8) + 1, 8);
        next = put_key(r, next);
    }
    put_descriptions(r, old, next);
    free(old);
    return header;
}

/* ---- writing ---- */

/* Takes the disk space beforehand, where the file system can. */
static int reserve(const struct rewrite * r, int to, const char * name, struct tat_error * error) {
    const bool taken = fallocate(to, 0, 0, (off_t) r->size) == 0;
    if (!taken && (errno == ENOSPC || errno == EFBIG || errno == EDQUOT)) {
        return tat_fail_errno(error, "%s: no room for %" PRIu64 " bytes", input_path_end(name), r->size);
    }
    if (ftruncate(to, (off_t) r->size) == 0) { return 0; }
    return tat_fail_errno(error, "%s: cannot have %" PRIu64 " bytes", input_path_end(name), r->size);
}

static int copy_tensor(const struct rewrite * r, uint32_t t, int to, const char * name, uint64_t * done,
                       rewrite_watcher watcher, void * user, struct tat_error * error) {
    for (uint64_t at = 0; at < r->tensors[t].bytes;) {
        const uint64_t left = r->tensors[t].bytes - at;
        const size_t piece = left < REWRITE_PIECE ? (size_t) left : REWRITE_PIECE;
        if (rewrite_read(r->from, r->piece, piece, r->tensors[t].file_offset + at, r->file->path, error) ||
            write_all(to, r->piece, piece, r->place[t] + at, name, error)) {
            return -1;
        }
        at += piece;
        *done += piece;
        if (watcher && !watcher(*done, user)) {
            return tat_fail(error, TAT_ERROR_SYSTEM, "%s: stopped", input_path_end(name));
        }
    }
    return 0;
}

int rewrite_write(const struct rewrite * r, int to, const char * name, rewrite_watcher watcher, void * user,
                  struct tat_error * error) {
    uint64_t done = 0;
    if (reserve(r, to, name, error)) { return -1; }
    unsigned char * header = make_header(r);
    if (!header) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: no memory for the header", input_path_end(name)); }
    int status = write_all(to, header, r->header_bytes, 0, name, error);
    free(header);
    for (uint32_t i = 0; status == 0 && i < r->file->n_tensors; i++) {
        status = copy_tensor(r, r->order[i], to, name, &done, watcher, user, error);
    }
    if (status == 0) { status = check_unchanged(r, error); }
    if (status == 0 && fsync(to) != 0) {
        status = tat_fail_errno(error, "%s: cannot write to the disk", input_path_end(name));
    }
    if (status == 0) { posix_fadvise(to, 0, 0, POSIX_FADV_DONTNEED); } /* verifying is to ask the disk */
    return status;
}
