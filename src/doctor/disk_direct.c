/* SPDX-License-Identifier: MIT
 *
 * Requests through io_uring: as one ends, another begins, until the time is over.
 */
#include <errno.h>
#include <liburing.h>
#include <time.h>

#include "doctor/disk_round.h"
#include "system/clock.h"

enum { REST_NS = 300000 }; /* in which a disk and the processors come to rest */

struct direct {
    struct io_uring ring;
    int fd;
    const struct disk_rate * rate;
    uint8_t * buffers;
    uint64_t began[DISK_DEPTH_MAX]; /* by buffer */
    unsigned flying;
};

static void prepare(struct direct * d, struct disk_places * places, unsigned buffer) {
    struct io_uring_sqe * request = io_uring_get_sqe(&d->ring); /* there are as many as buffers */
    const uint32_t block = d->rate->block;
    io_uring_prep_read(request, d->fd, d->buffers + (size_t) buffer * block, block, disk_place(places, d->rate));
    io_uring_sqe_set_data64(request, buffer);
    d->began[buffer] = clock_ns();
}

/* 0, or an errno: then what was prepared does not fly. */
static int submit(struct direct * d) {
    int n;
    do { n = io_uring_submit(&d->ring); } while (n == -EINTR);
    if (n > 0) { d->flying += (unsigned) n; }
    return n < 0 ? -n : 0;
}

/* Waits for the next request to end. 0, or an errno; if waiting itself fails, nothing more is waited for. */
static int take(struct direct * d, struct disk_round * round, unsigned * buffer) {
    struct io_uring_cqe * end = NULL;
    int status;
    do { status = io_uring_wait_cqe(&d->ring, &end); } while (status == -EINTR);
    if (status != 0) {
        d->flying = 0; /* ending the ring ends them */
        return -status;
    }
    const int got = end->res;
    *buffer = (unsigned) io_uring_cqe_get_data64(end);
    io_uring_cqe_seen(&d->ring, end);
    d->flying--;
    disk_latency(round, clock_ns() - d->began[*buffer]);
    if (got > 0) { round->bytes += (uint64_t) got; }
    return got < 0 ? -got : got == 0 ? EIO : 0;
}

static void rest(uint64_t ns) {
    const struct timespec time = { .tv_nsec = (long) ns };
    nanosleep(&time, NULL);
}

/* Reads as they come when a router has chosen: none flies, then some begin together. What is between two bursts does
 * not count, but is long enough for the disk and the processors to come to rest. */
static int run_bursts(struct direct * d, struct disk_round * round, struct disk_places * places, uint64_t ns) {
    const uint64_t begin = clock_ns();
    unsigned buffer = 0;
    int status = 0;
    do {
        const uint64_t burst = clock_ns();
        for (unsigned i = 0; i < d->rate->depth; i++) { prepare(d, places, i); }
        status = submit(d);
        while (d->flying > 0) {
            const int failed = take(d, round, &buffer);
            status = status ? status : failed;
        }
        round->ns += clock_ns() - burst;
        rest(REST_NS);
    } while (status == 0 && clock_ns() - begin < ns);
    return status;
}

/* What flies writes to the buffers: none is left behind. */
static int run(struct direct * d, struct disk_round * round, struct disk_places * places, uint64_t ns) {
    const uint64_t begin = clock_ns();
    unsigned buffer = 0;
    for (unsigned i = 0; i < d->rate->depth; i++) { prepare(d, places, i); }
    int status = submit(d);
    while (d->flying > 0) {
        const int failed = take(d, round, &buffer);
        status = status ? status : failed;
        if (status == 0 && failed == 0 && clock_ns() - begin < ns) {
            prepare(d, places, buffer);
            status = submit(d);
        }
    }
    round->ns += clock_ns() - begin;
    return status;
}

/* ---- whether it tells of reads together ---- */

/* The second one of two reads begins `after` ns after the first. */
struct pair {
    uint64_t after, told[2]; /* told: since the first began */
};

static int read_pair(struct direct * d, struct disk_round * round, struct disk_places * places, struct pair * p) {
    unsigned buffer;
    const uint64_t begin = clock_ns();
    prepare(d, places, 0);
    int status = submit(d);
    if (p->after) { rest(p->after); }
    prepare(d, places, 1);
    const int second = submit(d);
    status = status ? status : second;
    for (int i = 0; i < 2 && d->flying > 0; i++) {
        const int failed = take(d, round, &buffer);
        status = status ? status : failed;
        p->told[i] = clock_ns() - begin;
    }
    return status;
}

/* A disk that tells of each read as it ends tells of the first one long before the second, which has as much of its way
 * left as it began later. */
int disk_tells_together(int fd, struct disk_places * places, uint8_t * buffers, double * share) {
    enum { PAIRS = 32, TRIED = 8, ALIKE = 8 };
    static const struct disk_rate rate = {
        .how = DISK_BURST, .random = true, .block = DISK_TOGETHER_BLOCK, .depth = 2
    };
    struct direct d = { .fd = fd, .rate = &rate, .buffers = buffers };
    struct disk_round round = { .n_latencies = LATENCIES_MAX };
    uint64_t both = UINT64_MAX; /* the least that two take which begin together */
    unsigned counted = 0, together = 0;
    int status = -io_uring_queue_init(2, &d.ring, 0);
    if (status != 0) { return status; }
    for (int i = 0; i < PAIRS && status == 0; i++) {
        struct pair p = { .after = i < TRIED ? 0 : both / 4 };
        rest(REST_NS);
        status = read_pair(&d, &round, places, &p);
        if (!p.after && p.told[1] < both) { both = p.told[1]; }
        if (!p.after || p.told[0] < 2 * p.after) { continue; }
        counted++;
        together += p.told[1] - p.told[0] < both / ALIKE;
    }
    io_uring_queue_exit(&d.ring);
    *share = counted ? (double) together / counted : -1;
    return status;
}

int disk_round_direct(struct disk_round * round, int fd, const struct disk_rate * rate, struct disk_places * places,
                      uint8_t * buffers, uint64_t ns) {
    struct direct d = { .fd = fd, .rate = rate, .buffers = buffers };
    int status = -io_uring_queue_init(DISK_DEPTH_MAX, &d.ring, 0);
    if (status != 0) { return status; }
    status = (rate->how == DISK_DIRECT ? run : run_bursts)(&d, round, places, ns);
    io_uring_queue_exit(&d.ring);
    return status;
}
