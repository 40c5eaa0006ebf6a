/* SPDX-License-Identifier: MIT */
#include "plan/timeline.h"

#include <math.h>
#include <stdlib.h>

#include "plan/reading.h"

#define LEFT_LEAST 1e-9
#define NS_LEAST   1e-3 /* of a read: no disk takes no time */

#define NOBODY UINT32_MAX

enum state { READ_NOT, READ_FLYING, READ_LANDED, READ_IN, READ_GONE };
enum task { TASK_NONE, TASK_START, TASK_DROP, TASK_PUT };

/* What is under way shares the disk: of n reads, each is as far as if all of them had begun together. */
struct flight {
    uint32_t read;
    double left;               /* share of it */
    double ns[2][BURST_READS]; /* by whether others compute, and how many are under way, less one */
};

/* Reads of a kind, in order. */
struct queue {
    uint32_t * read;
    uint32_t count, next;
};

struct line {
    const struct timeline_machine * m;
    const struct timeline_read * reads;
    uint8_t * state; /* enum state */
    double now, clock, taken;
    struct queue streams, chosen, guesses, landed;
    struct flight flight[BURST_READS];
    unsigned flying;
    uint64_t batch_left; /* bytes that may still be streamed with those under way */
    uint32_t awaited;    /* a read, or NOBODY */
    double drops_ns;     /* of mapping away what goes for what was started */
    struct {
        enum task what;
        uint32_t read;
        double left; /* ns */
    } task;
    uint64_t bytes, most;
};

static double smaller(double a, double b) {
    return a < b ? a : b;
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

/* ---- life ---- */

static bool begin(struct line * l, const struct timeline_machine * m, const struct timeline_read * reads, uint32_t n) {
    struct queue * const queues[] = { &l->streams, &l->chosen, &l->guesses, &l->landed };
    *l = (struct line){ .m = m, .reads = reads, .awaited = NOBODY };
    l->state = calloc((size_t) n + 1, sizeof *l->state);
    bool good = l->state;
    for (int i = 0; i < 4; i++) { good &= (queues[i]->read = malloc(((size_t) n + 1) * sizeof(uint32_t))) != NULL; }
    for (uint32_t i = 0; i < n && good; i++) {
        const enum timeline_kind kind = reads[i].kind;
        const bool may_guess = kind == TIMELINE_CHOSEN || kind == TIMELINE_WASTED;
        if (kind == TIMELINE_STREAM) { l->streams.read[l->streams.count++] = i; }
        if (kind == TIMELINE_CHOSEN) { l->chosen.read[l->chosen.count++] = i; }
        if (may_guess && reads[i].guessed < reads[i].from) { l->guesses.read[l->guesses.count++] = i; }
    }
    return good;
}

static void end(struct line * l) {
    free(l->state);
    free(l->streams.read);
    free(l->chosen.read);
    free(l->guesses.read);
    free(l->landed.read);
}

/* ---- the thread that reads and maps ---- */

/* The next one that nobody has started; NULL: there is none. */
static const struct timeline_read * head(const struct line * l, struct queue * q) {
    while (q->next < q->count && l->state[q->read[q->next]] != READ_NOT) { q->next++; }
    return q->next < q->count ? &l->reads[q->read[q->next]] : NULL;
}

static bool is_due(const struct line * l, const struct timeline_read * read) {
    return read && (double) read->from <= l->clock;
}

/* When what streams next may be read, on the clock of computing. Several reads at a time, where the ring is full. A
 * disk that tells of its reads together gets half of the ring at a time, and no more before it has told. */
static double stream_from(const struct line * l) {
    const struct queue * q = &l->streams;
    const uint64_t least = reading_least_room(l->m->ring, l->m->together);
    const struct timeline_read * first = &l->reads[q->read[q->next]];
    double from = (double) first->from;
    if (l->awaited != NOBODY && q->read[q->next] <= l->awaited) { return from; }
    if (l->flying && l->m->together) { return l->batch_left >= first->bytes ? from : INFINITY; }
    for (uint64_t i = q->next, bytes = 0; i < q->count && bytes < least; i++) {
        from = larger(from, (double) l->reads[q->read[i]].from);
        bytes += l->reads[q->read[i]].bytes;
    }
    return from;
}

static bool is_guess(const struct line * l, uint32_t read) {
    return l->reads[read].kind == TIMELINE_WASTED || (double) l->reads[read].from > l->clock;
}

static bool may_guess(const struct line * l, const struct timeline_read * read) {
    if (!read || (double) read->guessed > l->clock || l->flying >= l->m->guesses_at_once) { return false; }
    for (unsigned i = 0; i < l->flying; i++) {
        if (!is_guess(l, l->flight[i].read)) { return false; }
    }
    return true;
}

static void set_task(struct line * l, enum task what, uint32_t read, double ns, bool is_woken) {
    l->task.what = what;
    l->task.read = read;
    l->task.left = ns + (is_woken ? l->m->wake_ns : 0);
}

/* What streams has to go first, as the ring is full; for what was chosen there is some room. */
static bool start_next(struct line * l, bool is_woken) {
    const struct timeline_read *chosen = head(l, &l->chosen), *stream = head(l, &l->streams);
    const double half = l->m->map_ns_per_byte / 2;
    if (l->flying >= l->m->at_once) { return false; }
    if (is_due(l, chosen)) {
        set_task(l, TASK_START, (uint32_t) (chosen - l->reads), l->m->start_ns, is_woken);
        l->drops_ns += half * (double) chosen->bytes;
        return true;
    }
    if (l->drops_ns > 0) { return false; }
    const bool may_stream = stream && stream_from(l) <= l->clock;
    if (!may_stream) { l->batch_left = 0; } /* what becomes free from now on is for the next batch */
    if (may_stream) {
        l->batch_left = l->flying ? l->batch_left : reading_batch(l->m->ring);
        l->batch_left -= l->batch_left < stream->bytes ? l->batch_left : stream->bytes;
        set_task(l, TASK_START, (uint32_t) (stream - l->reads), l->m->start_ns + half * (double) stream->bytes,
                 is_woken);
        return true;
    }
    return false;
}

/* What is waited for first. */
static uint32_t next_landed(struct line * l) {
    uint32_t * first = &l->landed.read[l->landed.next++];
    for (uint32_t i = l->landed.next; i < l->landed.count; i++) {
        if (l->landed.read[i] != l->awaited) { continue; }
        l->landed.read[i] = *first;
        *first = l->awaited;
    }
    return *first;
}

/* In this order: reads that are needed, what goes for them, what was read, guesses. */
static void take_task(struct line * l, bool was_idle) {
    const double half = l->m->map_ns_per_byte / 2;
    l->task.what = TASK_NONE;
    if (start_next(l, was_idle)) { return; }
    if (l->drops_ns > 0) {
        set_task(l, TASK_DROP, 0, l->drops_ns, false);
        l->drops_ns = 0;
        return;
    }
    if (l->landed.next < l->landed.count) {
        const uint32_t read = next_landed(l);
        set_task(l, TASK_PUT, read, half * (double) l->reads[read].bytes, false);
        return;
    }
    const struct timeline_read * guess = head(l, &l->guesses);
    if (l->flying < l->m->at_once && may_guess(l, guess)) {
        set_task(l, TASK_START, (uint32_t) (guess - l->reads), l->m->start_ns + half * (double) guess->bytes, was_idle);
    }
}

static void start(struct line * l, uint32_t read) {
    struct flight * f = &l->flight[l->flying++];
    *f = (struct flight){ .read = read, .left = 1 };
    for (unsigned n = 0; n < BURST_READS; n++) {
        const double bytes = (double) l->reads[read].bytes;
        f->ns[false][n] = larger(disk_burst_ns(&l->m->disk, n + 1, bytes), NS_LEAST);
        f->ns[true][n] = larger(disk_burst_ns(&l->m->while_computing, n + 1, bytes), NS_LEAST);
    }
    l->state[read] = READ_FLYING;
}

static void begin_task(struct line * l, bool was_idle) {
    take_task(l, was_idle);
    if (l->task.what != TASK_START) { return; }
    l->state[l->task.read] = READ_FLYING; /* nobody else starts it */
    l->bytes += l->reads[l->task.read].bytes;
    if (l->bytes > l->most) { l->most = l->bytes; }
}

static void end_task(struct line * l) {
    if (l->task.what == TASK_START) { start(l, l->task.read); }
    if (l->task.what == TASK_PUT && l->state[l->task.read] == READ_LANDED) { l->state[l->task.read] = READ_IN; }
    begin_task(l, false);
}

/* ---- time ---- */

/* When the next read may be started, on the clock of computing. */
static double next_from(struct line * l, double until) {
    struct queue * const queues[] = { &l->streams, &l->chosen, &l->guesses };
    for (int i = 0; i < 3; i++) {
        const struct timeline_read * read = head(l, queues[i]);
        if (!read) { continue; }
        const double from = i == 0 ? stream_from(l) : (double) (i == 2 ? read->guessed : read->from);
        if (from > l->clock && from < until) { until = from; }
    }
    return until;
}

static unsigned under_way(const struct line * l) {
    unsigned n = 0;
    for (unsigned i = 0; i < l->flying; i++) { n += l->flight[i].left > LEFT_LEAST; }
    return n;
}

static void land(struct line * l) {
    if (l->m->together && under_way(l)) { return; }
    for (unsigned i = 0; i < l->flying;) {
        const uint32_t read = l->flight[i].read;
        if (l->flight[i].left > LEFT_LEAST) {
            i++;
            continue;
        }
        if (l->state[read] == READ_FLYING) { l->state[read] = READ_LANDED; }
        l->landed.read[l->landed.count++] = read;
        for (unsigned k = i + 1; k < l->flying; k++) {
            l->flight[k - 1] = l->flight[k];
        } /* the order that they began in */
        l->flying--;
    }
}

/* To the next event, `most` nanoseconds at most, while the clock of computing runs at `speed`. False: nothing would
 * happen. */
static bool pass(struct line * l, double most, double until, bool computes) {
    if (l->task.what == TASK_NONE) { begin_task(l, true); }
    const double speed = !computes ? 0 : l->task.what ? 1 - l->m->taken : 1;
    const double mark = computes ? next_from(l, until) : until;
    double dt = most;
    if (speed > 0 && (mark - l->clock) / speed < dt) { dt = (mark - l->clock) / speed; }
    const unsigned n = under_way(l);
    for (unsigned i = 0; i < l->flying; i++) {
        const struct flight * f = &l->flight[i];
        if (f->left > LEFT_LEAST) { dt = smaller(dt, f->left * f->ns[computes][n - 1]); }
    }
    if (l->task.what) { dt = smaller(dt, l->task.left); }
    if (!isfinite(dt)) { return false; }
    l->now += dt;
    l->taken += computes ? dt * (1 - speed) : 0;
    l->clock = speed > 0 && l->clock + dt * speed >= mark - 1e-6 ? mark : l->clock + dt * speed;
    for (unsigned i = 0; i < l->flying && n; i++) { l->flight[i].left -= dt / l->flight[i].ns[computes][n - 1]; }
    land(l);
    if (l->task.what) {
        l->task.left -= dt;
        if (l->task.left <= 1e-6) { end_task(l); }
    }
    return true;
}

static void compute(struct line * l, double until) {
    while (l->clock < until && pass(l, INFINITY, until, true)) {}
}

static void stand(struct line * l, double ns) {
    const double until = l->now + ns;
    while (until - l->now > 1e-6 && pass(l, until - l->now, l->clock, false)) {}
}

static void await(struct line * l, uint32_t read) {
    if (l->state[read] == READ_IN) { return; }
    l->awaited = read;
    while (l->state[read] != READ_IN && pass(l, INFINITY, l->clock, false)) {}
    l->awaited = NOBODY;
    stand(l, l->m->wake_ns);
}

static void need(struct line * l, uint32_t read) {
    const struct timeline_read * r = &l->reads[read];
    switch (r->kind) {
        case TIMELINE_STREAM:
        case TIMELINE_CHOSEN: await(l, read); break;
        case TIMELINE_FAULT: stand(l, r->fault_ns); return;
        case TIMELINE_WASTED:
            if (l->state[read] != READ_NOT) { l->drops_ns += l->m->map_ns_per_byte / 2 * (double) r->bytes; }
            break;
    }
    if (l->state[read] != READ_NOT) { l->bytes -= r->bytes; }
    l->state[read] = READ_GONE;
}

bool timeline_run(const struct timeline_machine * machine, const struct timeline_read * reads, uint32_t n,
                  struct timeline_loss * lost, uint64_t * ahead) {
    struct line l;
    const bool good = begin(&l, machine, reads, n);
    for (uint32_t i = 0; i < n && good; i++) {
        const double before = l.now - l.clock, taken = l.taken;
        compute(&l, (double) reads[i].at);
        need(&l, i);
        lost[i].taken = l.taken - taken;
        lost[i].waited = l.now - l.clock - before - lost[i].taken;
    }
    *ahead = l.most;
    end(&l);
    return good;
}
