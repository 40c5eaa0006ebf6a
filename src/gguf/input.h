/* SPDX-License-Identifier: MIT
 *
 * The header of one model file, read from front to back in bounded pieces and hashed on the way. Every function that
 * can fail fills the error given to input_open with the file, the byte and the field, and returns -1.
 */
#ifndef TAT_GGUF_INPUT_H
#define TAT_GGUF_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "gguf/arena.h"
#include "tat/error.h"

struct input {
    const char * path;
    struct tat_error * error;
    struct input_state * state;
    struct stat info;
    uint64_t size; /* of the file */
    int64_t mtime_ns;
    uint64_t position; /* of the next byte handed out */
    bool big_endian;
    int fd;
};

/* Regular files only. `path` must outlive the input. Close it even if this failed. */
int input_open(struct input * input, const char * path, struct tat_error * error);
/* `leave_open`: frees all but the descriptor (TAT_GGUF_LEAVE_OPEN). */
void input_close(struct input * input, bool leave_open);

/* Starts over at `position`; the hash is then meaningless. */
void input_seek(struct input * input, uint64_t position);

/* `what` names the field in messages. */
int input_bytes(struct input * input, void * to, uint64_t count, const char * what); /* `to` NULL: skips */
int input_u32(struct input * input, uint32_t * value, const char * what);
int input_u64(struct input * input, uint64_t * value, const char * what);
/* Reads a length and checks it against what the file still holds. */
int input_length(struct input * input, uint64_t * length, const char * what);

/* Turns elements of `width` bytes, as the file has them, into the host's byte order. */
void input_to_host(const struct input * input, void * elements, uint64_t count, uint32_t width);

/* XXH64 of all bytes handed out so far. */
uint64_t input_hash(struct input * input);

/* Fills in the error: "FILE: byte AT: ...". */
int input_fail(const struct input * input, uint64_t at, const char * format, ...) __attribute__((format(printf, 3, 4)));
int input_fail_memory(const struct input * input);

/* The end of a path, short enough to leave room in a message for what is wrong. */
const char * input_path_end(const char * path);

/* A name from a file, fit for a message: cut, and without control characters. Returns `buffer`. */
#define PRINTABLE_SIZE 72
const char * input_printable(const char * text, char buffer[PRINTABLE_SIZE]);

#endif
