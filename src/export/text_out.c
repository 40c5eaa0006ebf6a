/* SPDX-License-Identifier: MIT */
#include "export/text_out.h"

#include <errno.h>

void text_out_begin(struct text_out * out, FILE * file) {
    out->file = file;
    out->used = 0;
    out->error = 0;
}

void text_out_flush(struct text_out * out) {
    errno = EIO; /* should a write fail without a reason */
    if (!out->error && fwrite(out->bytes, 1, out->used, out->file) != out->used) { out->error = errno; }
    out->used = 0;
}

int text_out_end(struct text_out * out) {
    text_out_flush(out);
    errno = EIO;
    if (!out->error && fflush(out->file) != 0) { out->error = errno; }
    return out->error;
}

void text_out_bytes(struct text_out * out, const void * bytes, size_t count) {
    while (count) {
        if (out->used == TEXT_OUT_BYTES) { text_out_flush(out); }
        const size_t room = TEXT_OUT_BYTES - out->used, now = count < room ? count : room;
        memcpy(out->bytes + out->used, bytes, now);
        out->used += now;
        bytes = (const char *) bytes + now;
        count -= now;
    }
}

void text_out_number(struct text_out * out, uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char) ('0' + number % 10);
        number /= 10;
    } while (number);
    text_out_bytes(out, digits + at, sizeof digits - at);
}
