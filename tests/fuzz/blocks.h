/* SPDX-License-Identifier: MIT
 *
 * Traces out of a fuzzer's bytes. Checksums would stop it at the door, so the input is a series of blocks without their
 * frame, type (1 byte), length (2), payload; type 0 stands for bytes put between blocks as they are. split_trace.py
 * makes such files of traces.
 */
#ifndef TAT_FUZZ_BLOCKS_H
#define TAT_FUZZ_BLOCKS_H

#include <stdlib.h>

#include "trace_builder.h"

static void put_blocks(struct trace_builder * b, const uint8_t * data, size_t size) {
    while (size >= 3) {
        const size_t length = data[1] | (size_t) data[2] << 8, bytes = length < size - 3 ? length : size - 3;
        if (data[0]) {
            tb_block(b, (enum tat_block_type) data[0], data + 3, bytes);
        } else {
            tb_bytes(b, data + 3, bytes);
        }
        data += 3 + bytes;
        size -= 3 + bytes;
    }
}

/* Opens them as a trace, of which `b` holds the bytes. */
static struct tat_trace * open_blocks(struct trace_builder * b, const uint8_t * data, size_t size) {
    struct tat_error error;
    tb_begin(b);
    put_blocks(b, data, size);
    struct tat_trace * trace = tb_open(b, &error);
    if (!trace) { abort(); } /* the header is right */
    return trace;
}

#endif
