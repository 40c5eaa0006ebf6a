/* SPDX-License-Identifier: MIT
 *
 * Reads by io_uring. From Linux 6.7 on the ring can wait for the bell, which is a futex, as well as for reads. Before
 * that, the reader looks at the bell every WAKE_NS while reads are under way. An eventfd would work everywhere, but the
 * thread that wakes has another table of descriptors, and may close or reuse any number in it.
 *
 * Registered buffers were measured: they save 1 to 2 of 10 microseconds a read, but pin the pool, so that its memory
 * could not be given back.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "manage/reader_kind.h"

enum {
    OP_FUTEX_WAIT = 51, /* IORING_OP_FUTEX_WAIT; older headers lack it and its flag */
    FUTEX_U32 = 2,
    WAKE_NS = 250000,
    RETRY_NS = 1000000,
    TRIES_MOST = 1000,
    NS_PER_S = 1000000000,
    BELL = INT16_MAX + 1, /* no slot */
};

struct uring {
    struct io_uring ring;
    bool knows_futex, waits_for_bell;
    bool is_broken;              /* the kernel refuses calls for the ring; reads under way still complete */
    unsigned n_unsent, unsent[]; /* slots that the kernel did not accept */
};

/* ---- submitting ---- */

/* The kernel will never see the entries that it has not taken yet. */
static void take_unsent(struct uring * u) {
    struct io_uring_sq * sq = &u->ring.sq;
    const unsigned head = __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
    for (unsigned i = head; i != sq->sqe_tail; i++) {
        const uint64_t slot = sq->sqes[i & sq->ring_mask].user_data;
        if (slot == BELL) {
            u->waits_for_bell = false;
        } else {
            u->unsent[u->n_unsent++] = (unsigned) slot;
        }
    }
    sq->sqe_head = sq->sqe_tail = head;
}

/* If the kernel is short of memory, the entry stays in the queue and goes with the next call. */
static bool is_passing(int result) {
    return result >= 0 || result == -EINTR || result == -ETIME || result == -EAGAIN || result == -EBUSY;
}

static void heed(struct uring * u, int result) {
    if (is_passing(result)) { return; }
    u->is_broken = true;
    take_unsent(u);
}

static void send_read(struct reader * r, unsigned slot) {
    struct uring * u = r->own;
    struct read_slot * s = &r->slots[slot];
    struct io_uring_sqe * entry = u->is_broken ? NULL : io_uring_get_sqe(&u->ring);
    if (!entry) {
        u->unsent[u->n_unsent++] = slot;
        return;
    }
    io_uring_prep_readv(entry, s->job.fd, s->part, s->n_parts, s->job.offset + s->from);
    io_uring_sqe_set_data64(entry, slot);
    int n;
    do { n = io_uring_submit(&u->ring); } while (n == -EINTR);
    heed(u, n);
}

static unsigned unsent(struct reader * r, unsigned * slots, unsigned most) {
    struct uring * u = r->own;
    unsigned n = 0;
    while (n < most && u->n_unsent) { slots[n++] = u->unsent[--u->n_unsent]; }
    return n;
}

/* ---- what is over ---- */

static unsigned take(struct reader * r, unsigned * slots, unsigned most) {
    struct uring * u = r->own;
    struct io_uring_cqe * end;
    unsigned head, seen = 0, n = 0;
    io_uring_for_each_cqe(&u->ring, head, end) {
        if (n == most) { break; }
        seen++;
        if (end->user_data == BELL) {
            u->waits_for_bell = false;
            continue;
        }
        const unsigned slot = (unsigned) end->user_data;
        if (read_slot_went(&r->slots[slot], end->res)) {
            slots[n++] = slot;
        } else {
            send_read(r, slot);
        }
    }
    io_uring_cq_advance(&u->ring, seen);
    return n;
}

/* ---- waiting ---- */

/* The ring then waits until the bell rings, even while the reader is busy. If the bell has rung meanwhile, the wait
 * ends at once. */
static void wait_for_bell(struct reader * r) {
    struct uring * u = r->own;
    struct io_uring_sqe * entry = io_uring_get_sqe(&u->ring);
    if (!entry) { return; }
    io_uring_prep_rw(OP_FUTEX_WAIT, entry, FUTEX_U32, &r->bell, 0, BELL_SLEEPS);
    entry->addr3 = UINT32_MAX; /* any wake-up */
    io_uring_sqe_set_data64(entry, BELL);
    u->waits_for_bell = true;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void sleep_until(struct reader * r, uint64_t ns) {
    struct uring * u = r->own;
    const bool is_idle = r->n_idle == r->depth;
    if (u->is_broken || (is_idle && !u->knows_futex)) {
        reader_bell_wait(r, is_idle ? ns : least(ns, RETRY_NS));
        return;
    }
    if (u->knows_futex && !u->waits_for_bell) { wait_for_bell(r); }
    if (!u->waits_for_bell) { ns = least(ns, WAKE_NS); }
    struct __kernel_timespec time = { .tv_sec = (int64_t) (ns / NS_PER_S), .tv_nsec = (int64_t) (ns % NS_PER_S) };
    struct io_uring_cqe * end;
    const int n = io_uring_submit_and_wait_timeout(&u->ring, &end, 1, &time, NULL);
    if (n == -EAGAIN || n == -EBUSY) { reader_bell_wait(r, least(ns, RETRY_NS)); }
    heed(u, n);
}

/* ---- life ---- */

/* The program could take a descriptor below 3 for its input or output. */
static bool move_up(struct io_uring * ring) {
    if (ring->ring_fd > STDERR_FILENO) { return true; }
    const int fd = fcntl(ring->ring_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0) { return false; }
    close(ring->ring_fd);
    ring->ring_fd = ring->enter_ring_fd = fd;
    return true;
}

static bool knows_futex(struct io_uring * ring) {
    struct io_uring_probe * probe = io_uring_get_probe_ring(ring);
    const bool knows = probe && io_uring_opcode_supported(probe, OP_FUTEX_WAIT);
    io_uring_free_probe(probe);
    return knows;
}

/* The queues have room for all reads and the bell, so they are never full. COOP_TASKRUN: the kernel need not interrupt
 * the reader when a read ends, because it looks when it waits. */
static int make_ring(struct io_uring * ring, unsigned depth) {
    const unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
    int error = -io_uring_queue_init(depth + 1, ring, IORING_SETUP_COOP_TASKRUN);
    if (error == EINVAL) { error = -io_uring_queue_init(depth + 1, ring, 0); }
    if (error) { return error; }
    /* The child of a fork must not touch the parent's ring. */
    if ((ring->features & needed) == needed && move_up(ring) && io_uring_ring_dontfork(ring) == 0) { return 0; }
    io_uring_queue_exit(ring);
    return ENOSYS;
}

static int begin(struct reader * r) {
    struct uring * u = calloc(1, sizeof *u + r->depth * sizeof u->unsent[0]);
    if (!u) { return ENOMEM; }
    const int error = make_ring(&u->ring, r->depth);
    if (error) {
        free(u);
        return error;
    }
    u->knows_futex = knows_futex(&u->ring);
    r->own = u;
    return 0;
}

/* The ring must not wait for the bell any longer when its memory is used for something else: it would swallow a wake-up
 * that is meant for another thread. */
static void end(struct reader * r) {
    struct uring * u = r->own;
    unsigned none;
    for (unsigned tries = 0; u->waits_for_bell && tries < TRIES_MOST; tries++) {
        __atomic_store_n(&r->bell, BELL_SLEEPS, __ATOMIC_RELAXED); /* so that waking calls the kernel */
        reader_wake(r);
        sleep_until(r, RETRY_NS);
        take(r, &none, 1);
    }
    io_uring_queue_exit(&u->ring);
    free(u);
}

const struct reader_engine reader_uring = { begin, end, send_read, take, unsent, sleep_until };
