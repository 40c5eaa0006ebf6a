/* SPDX-License-Identifier: MIT */
#include "format/io_events.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "format/list.h"
#include "tat/trace.h"

void io_put_fault(struct tat_out * out, struct io_state * state, const struct tat_io_fault * fault) {
    tat_put_varint(out, TAT_IO_FAULT);
    tat_put_zigzag(out, (int64_t) (fault->end_ns - state->ns));
    tat_put_varint(out, fault->duration_ns);
    tat_put_varint(out, fault->preempted_ns);
    tat_put_zigzag(out, (int64_t) (fault->address - state->address));
    tat_put_varint(out, fault->pid);
    tat_put_zigzag(out, (int64_t) fault->tid - (int64_t) fault->pid);
    tat_put_varint(out, fault->flags);
    *state = (struct io_state){ fault->end_ns, fault->address };
}

void io_put_count(struct tat_out * out, enum tat_io_type type, uint64_t count) {
    tat_put_varint(out, type);
    tat_put_varint(out, count);
}

void io_put_mark(struct tat_out * out, enum tat_io_type type) {
    tat_put_varint(out, type);
}

/* ---- reading ---- */

struct reading {
    struct tat_io * io;
    struct list faults;
    bool memory;
};

static struct tat_io_fault get_fault(struct tat_in * in, struct io_state * state) {
    struct tat_io_fault f = { .end_ns = state->ns + (uint64_t) tat_get_zigzag(in) };
    f.duration_ns = tat_get_varint(in);
    f.preempted_ns = tat_get_varint(in);
    f.address = state->address + (uint64_t) tat_get_zigzag(in);
    f.pid = (uint32_t) tat_get_varint(in);
    f.tid = (uint32_t) (f.pid + (uint64_t) tat_get_zigzag(in));
    f.flags = (uint32_t) tat_get_varint(in);
    if (f.duration_ns > f.end_ns || f.preempted_ns > f.duration_ns) { in->bad = true; }
    *state = (struct io_state){ f.end_ns, f.address };
    return f;
}

/* A type that is not known ends the block: how long its events are is not known either. */
static bool read_events(struct reading * r, struct tat_in * in) {
    struct io_state state = { 0 };
    while (in->at < in->end && !in->bad) {
        const uint64_t type = tat_get_varint(in);
        if (type == TAT_IO_FAULT) {
            const struct tat_io_fault fault = get_fault(in, &state);
            struct tat_io_fault * at = in->bad ? NULL : list_add(&r->faults, sizeof *at);
            if (at) { *at = fault; }
            r->memory &= in->bad || at;
        } else if (type == TAT_IO_IGNORED) {
            r->io->ignored += tat_get_varint(in);
        } else if (type == TAT_IO_LOST) {
            r->io->lost += tat_get_varint(in);
        } else if (type == TAT_IO_PARTIAL || type == TAT_IO_END) {
            *(type == TAT_IO_END ? &r->io->ended : &r->io->partial) = true;
        } else {
            return false;
        }
    }
    return !in->bad;
}

static bool see_block(const struct tat_block * block, void * user) {
    struct reading * r = user;
    if (block->type == TAT_BLOCK_IO) {
        struct tat_in in = { block->payload, block->payload + block->payload_bytes, false };
        if (!read_events(r, &in)) { r->io->damaged_bytes += (uint64_t) (in.end - in.at); }
    } else if (!block->payload) {
        r->io->damaged_bytes += block->bytes;
    }
    return r->memory;
}

static int by_end(const void * a, const void * b) {
    const struct tat_io_fault *x = a, *y = b;
    return x->end_ns != y->end_ns ? (x->end_ns < y->end_ns ? -1 : 1) : x->tid < y->tid ? -1 : x->tid > y->tid;
}

int tat_io_read(const char * path, struct tat_io * io, struct tat_error * error) {
    struct reading r = { .io = io, .memory = true };
    struct stat status;
    char * file = NULL;
    *io = (struct tat_io){ 0 };
    const bool folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    if (asprintf(&file, "%s%s", path, folder ? "/io_events.bin" : "") < 0) { return tat_fail_errno(error, "%s", path); }
    const int failed = tat_file_each_block(file, TAT_FILE_IO_EVENTS, &io->header, see_block, &r, error);
    if (!failed && !r.memory) { tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", file); }
    free(file);
    io->faults = r.faults.data;
    io->n_faults = r.faults.count;
    if (failed || !r.memory) {
        tat_io_free(io);
        return -1;
    }
    if (io->n_faults) { qsort(io->faults, io->n_faults, sizeof *io->faults, by_end); }
    return 0;
}

void tat_io_free(struct tat_io * io) {
    free(io->faults);
    *io = (struct tat_io){ 0 };
}
