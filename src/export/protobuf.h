/* SPDX-License-Identifier: MIT
 *
 * Writing protocol buffers: a message is made in memory, field by field, and messages nest.
 */
#ifndef TAT_EXPORT_PROTOBUF_H
#define TAT_EXPORT_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Begins zeroed. */
struct protobuf {
    uint8_t * bytes; /* free it */
    size_t used, capacity;
    bool failed; /* no memory, or a message beyond 2 GiB; what follows is dropped */
};

void protobuf_uint(struct protobuf * p, uint32_t field, uint64_t value); /* uint32, uint64, int64, enum, bool */
void protobuf_fixed64(struct protobuf * p, uint32_t field, uint64_t value);
void protobuf_bytes(struct protobuf * p, uint32_t field, const void * bytes, size_t count); /* also a whole message */

static inline void protobuf_string(struct protobuf * p, uint32_t field, const char * string) {
    protobuf_bytes(p, field, string, strlen(string));
}

/* The fields between the two are those of a message inside. protobuf_end takes what protobuf_begin returned. */
size_t protobuf_begin(struct protobuf * p, uint32_t field);
void protobuf_end(struct protobuf * p, size_t begun);

#endif
