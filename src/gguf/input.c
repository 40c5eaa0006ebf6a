/* SPDX-License-Identifier: MIT */
#include "gguf/input.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "gguf/quiet_read.h"
#include "tat/gguf.h"

/* Relaxed sums for this process. */
static uint64_t bytes_read, bytes_fetched;

struct input_state {
    XXH64_state_t hash; /* of what was handed out, without what is still in the buffer */
    uint32_t used;      /* bytes of the buffer that were handed out */
    uint32_t filled;
    unsigned char buffer[QUIET_READ_MAX];
};

const char * input_path_end(const char * path) {
    const size_t length = strlen(path);
    return length > 500 ? path + length - 500 : path;
}

int input_fail(const struct input * input, uint64_t at, const char * format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tat_fail(input->error, TAT_ERROR_INPUT, "%s: byte %" PRIu64 ": %s", input_path_end(input->path), at, text);
}

int input_fail_memory(const struct input * input) {
    return tat_fail(input->error, TAT_ERROR_SYSTEM, "%s: no memory for the header", input_path_end(input->path));
}

int input_open(struct input * input, const char * path, struct tat_error * error) {
    *input = (struct input){ .path = path, .error = error };
    input->state = malloc(sizeof *input->state);
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    input->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (input->fd < 0) { return tat_fail_errno(error, "%s: cannot be opened", input_path_end(path)); }
    if (!input->state) { return input_fail_memory(input); }
    if (fstat(input->fd, &input->info)) { return tat_fail_errno(error, "%s: fstat", input_path_end(path)); }
    if (!S_ISREG(input->info.st_mode)) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: not a regular file; name a GGUF model file", input_path_end(path));
    }
    input->size = (uint64_t) input->info.st_size;
    input->mtime_ns = (int64_t) input->info.st_mtim.tv_sec * 1000000000 + input->info.st_mtim.tv_nsec;
    quiet_begin(input->fd);
    input_seek(input, 0);
    return 0;
}

void input_close(struct input * input, bool leave_open) {
    if (input->fd >= 0 && !leave_open) { close(input->fd); }
    free(input->state);
}

void input_seek(struct input * input, uint64_t position) {
    input->position = position;
    input->state->used = 0;
    input->state->filled = 0;
    XXH64_reset(&input->state->hash, 0);
}

uint64_t input_hash(struct input * input) {
    XXH64_state_t hash = input->state->hash;
    XXH64_update(&hash, input->state->buffer, input->state->used);
    return XXH64_digest(&hash);
}

/* Called when the whole buffer has been handed out and the file, by its size, has more. */
static int refill(struct input * input) {
    struct input_state * state = input->state;
    XXH64_update(&state->hash, state->buffer, state->used);
    state->used = state->filled = 0;
    uint64_t fetched = 0;
    const uint64_t left = input->size - input->position; /* more than 0: check_room has been asked */
    const size_t wanted = left < QUIET_READ_MAX ? (size_t) left : QUIET_READ_MAX;
    const ssize_t got =
        quiet_pread(input->fd, state->buffer, wanted, input->position, input->info.st_uid == geteuid(), &fetched);
    if (got < 0) {
        return tat_fail_errno(input->error, "%s: byte %" PRIu64, input_path_end(input->path), input->position);
    }
    if (got == 0) { return input_fail(input, input->position, "the file became shorter while it was read"); }
    state->filled = (uint32_t) got;
    __atomic_fetch_add(&bytes_read, (uint64_t) got, __ATOMIC_RELAXED);
    __atomic_fetch_add(&bytes_fetched, fetched, __ATOMIC_RELAXED);
    return 0;
}

static int check_room(const struct input * input, uint64_t count, const char * what) {
    const uint64_t left = input->position < input->size ? input->size - input->position : 0;
    if (count > left) {
        return input_fail(input, input->position, "%s needs %" PRIu64 " bytes, but the file ends at byte %" PRIu64,
                          what, count, input->size);
    }
    if (input->position + count > TAT_GGUF_MAX_HEADER) {
        return input_fail(input, input->position, "%s ends after %u MiB; no model has a header that long", what,
                          TAT_GGUF_MAX_HEADER >> 20);
    }
    return 0;
}

int input_bytes(struct input * input, void * to, uint64_t count, const char * what) {
    if (check_room(input, count, what)) { return -1; }
    struct input_state * state = input->state;
    unsigned char * next = to;
    while (count > 0) {
        if (state->used == state->filled && refill(input)) { return -1; }
        const uint32_t ready = state->filled - state->used;
        const uint32_t piece = count < ready ? (uint32_t) count : ready;
        if (next) {
            memcpy(next, state->buffer + state->used, piece);
            next += piece;
        }
        state->used += piece;
        input->position += piece;
        count -= piece;
    }
    return 0;
}

int input_u32(struct input * input, uint32_t * value, const char * what) {
    if (input_bytes(input, value, sizeof *value, what)) { return -1; }
    input_to_host(input, value, 1, sizeof *value);
    return 0;
}

int input_u64(struct input * input, uint64_t * value, const char * what) {
    if (input_bytes(input, value, sizeof *value, what)) { return -1; }
    input_to_host(input, value, 1, sizeof *value);
    return 0;
}

int input_length(struct input * input, uint64_t * length, const char * what) {
    const uint64_t at = input->position;
    if (input_u64(input, length, what)) { return -1; }
    if (*length > input->size - input->position) {
        return input_fail(input, at, "%s is %" PRIu64 " bytes long, but the file ends at byte %" PRIu64, what, *length,
                          input->size);
    }
    return 0;
}

void input_to_host(const struct input * input, void * elements, uint64_t count, uint32_t width) {
    if (input->big_endian == (BYTE_ORDER == BIG_ENDIAN) || width < 2) { return; }
    unsigned char * element = elements;
    for (uint64_t i = 0; i < count; i++, element += width) {
        for (uint32_t low = 0, high = width - 1; low < high; low++, high--) {
            const unsigned char byte = element[low];
            element[low] = element[high];
            element[high] = byte;
        }
    }
}

void tat_gguf_io(struct tat_gguf_io * io) {
    io->read = __atomic_load_n(&bytes_read, __ATOMIC_RELAXED);
    io->fetched = __atomic_load_n(&bytes_fetched, __ATOMIC_RELAXED);
}

const char * input_printable(const char * text, char buffer[PRINTABLE_SIZE]) {
    size_t used = 0;
    for (; text[used] && used < PRINTABLE_SIZE - 4; used++) {
        const unsigned char c = (unsigned char) text[used];
        buffer[used] = c < 0x20 || c >= 0x7f ? '?' : (char) c;
    }
    memcpy(buffer + used, text[used] ? "..." : "", text[used] ? 4 : 1);
    return buffer;
}
