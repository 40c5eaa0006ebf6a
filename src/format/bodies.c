/* SPDX-License-Identifier: MIT */
#include "format/bodies.h"

#include <errno.h>
#include <inttypes.h>

void bodies_begin(struct bodies * b, const struct tat_trace * trace) {
    *b = (struct bodies){ .trace = trace, .window = { .fd = trace->fd } };
}

void bodies_end(struct bodies * b) {
    window_free(&b->window);
}

/* In a trace, only the lock and what it guards change. */
static void exchange_window(const struct tat_trace * trace, struct window * window) {
    struct tat_trace * t = (struct tat_trace *) trace;
    pthread_mutex_lock(&t->lock);
    const struct window kept = t->window;
    t->window = *window;
    pthread_mutex_unlock(&t->lock);
    *window = kept;
}

void bodies_borrow(struct bodies * b, const struct tat_trace * trace) {
    bodies_begin(b, trace);
    exchange_window(trace, &b->window);
    b->window.fd = trace->fd;
}

void bodies_give_back(struct bodies * b) {
    exchange_window(b->trace, &b->window);
    window_free(&b->window); /* if another thread was quicker */
}

static struct tat_in part(const uint8_t ** at, uint32_t bytes) {
    const struct tat_in in = { .at = *at, .end = *at + bytes };
    *at += bytes;
    return in;
}

bool bodies_read(struct bodies * b, uint32_t evaluation, struct body_bytes * bytes) {
    const struct body * body = &LIST(struct body, b->trace->bodies)[evaluation];
    const size_t count =
        (size_t) body->stamps_bytes + body->captures_at + body->captures_bytes + body->waits_at + body->waits_bytes;
    const uint8_t * at = window_get(&b->window, body->file_offset, count);
    if (!at) {
        struct tat_trace * trace = (struct tat_trace *) b->trace;
        __atomic_store_n(&trace->trouble, b->window.error ? b->window.error : ENODATA, __ATOMIC_RELAXED);
        return false;
    }
    bytes->stamps = part(&at, body->stamps_bytes);
    at += body->captures_at;
    bytes->captures = part(&at, body->captures_bytes);
    at += body->waits_at;
    bytes->waits = part(&at, body->waits_bytes);
    return true;
}

int tat_trace_trouble(const struct tat_trace * trace, struct tat_error * error) {
    const int trouble = __atomic_load_n(&trace->trouble, __ATOMIC_RELAXED);
    if (trouble == 0) { return 0; }
    if (trouble == ENODATA) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: the file became shorter than the %" PRIu64 " bytes that were read",
                        trace->path, trace->size);
    }
    errno = trouble;
    return tat_fail_errno(error, "%s: cannot be read any longer", trace->path);
}

int bodies_fail(struct bodies * b, struct tat_error * error) {
    if (!bodies_may_work(b, 0)) {
        return tat_fail(error, TAT_ERROR_INPUT,
                        "%s: needs more work than a trace of %" PRIu64 " bytes can: it is crafted to keep readers busy",
                        b->trace->path, b->trace->size);
    }
    if (tat_trace_trouble(b->trace, error) != 0) { return -1; }
    return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", b->trace->path);
}
