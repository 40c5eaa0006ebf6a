/* SPDX-License-Identifier: MIT
 *
 * One ring for each processor, which the kernel fills: events of a process and its children cannot share one across
 * processors. The rings are read in turn and their records put in order.
 */
#include "io/perf_events.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/clock.h"
#include "io/perf_ring.h"

/* The events of a ring. The first one's file has the ring. */
enum { EVENT_MAJOR, EVENT_MINOR, EVENT_BEGINS, EVENT_COUNT };
static const struct {
    uint64_t what;
    enum perf_kind kind;
} software_events[EVENT_COUNT] = {
    [EVENT_MAJOR] = { PERF_COUNT_SW_PAGE_FAULTS_MAJ, PERF_FAULT_MAJOR }, /* where the fault has been handled */
    [EVENT_MINOR] = { PERF_COUNT_SW_PAGE_FAULTS_MIN, PERF_FAULT_MINOR },
    [EVENT_BEGINS] = { PERF_COUNT_SW_PAGE_FAULTS, PERF_FAULT_BEGINS }, /* where the processor reports it */
};

enum { RING_PAGES = 128, RING_PAGES_LEAST = 8 };

struct perf_events {
    struct perf_ring * rings; /* one for each processor */
    struct pollfd * polled;
    unsigned n_rings;
    bool user_only;
    struct perf_event * pending; /* not passed on yet */
    size_t n_pending, room;
    uint64_t n_read;
    uint64_t dropped; /* by us, for want of memory */
    uint8_t record[PERF_RECORD_BYTES];
};

/* ---- opening ---- */

static struct perf_event_attr attributes_of(uint64_t what, bool user_only) {
    return (struct perf_event_attr){ .size = sizeof(struct perf_event_attr),
                                     .type = PERF_TYPE_SOFTWARE,
                                     .config = what,
                                     .sample_period = 1,
                                     .sample_type =
                                         PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR,
                                     .inherit = 1,
                                     .disabled = 1,
                                     .enable_on_exec = 1,
                                     .use_clockid = 1,
                                     .clockid = CLOCK_MONOTONIC,
                                     .sample_id_all = 1,
                                     .exclude_kernel = user_only,
                                     .exclude_hv = 1 };
}

/* False with errno. */
static bool open_rings(struct perf_events * e, pid_t pid, bool user_only) {
    struct perf_event_attr attributes[EVENT_COUNT];
    for (int i = 0; i < EVENT_COUNT; i++) { attributes[i] = attributes_of(software_events[i].what, user_only); }
    struct perf_event_attr * first = &attributes[0];
    first->context_switch = first->mmap_data = first->mmap = first->mmap2 = first->task = first->comm = 1;
    first->comm_exec = 1;
    first->watermark = 1;
    first->wakeup_watermark = RING_PAGES_LEAST / 2 * 4096;
    for (unsigned i = 0; i < e->n_rings; i++) {
        const struct perf_ring_place place = { pid, (int) i, RING_PAGES, RING_PAGES_LEAST };
        if (!perf_ring_open(&e->rings[i], attributes, EVENT_COUNT, &place)) { return false; }
        e->polled[i] = (struct pollfd){ .fd = e->rings[i].fd[0], .events = POLLIN };
    }
    return true;
}

static void close_rings(struct perf_ring * rings, unsigned count) {
    for (unsigned i = 0; i < count; i++) { perf_ring_close(&rings[i]); }
}

static int refuse(struct tat_error * error) {
    if (errno != EACCES && errno != EPERM) { return tat_fail_errno(error, "perf_event_open"); }
    return tat_fail(error, TAT_ERROR_SYSTEM,
                    "the system allows no perf events: sysctl kernel.perf_event_paranoid must be 2 or less, or tat be "
                    "run by root; in a container, perf_event_open must be allowed");
}

static struct perf_events * make(void) {
    struct perf_events * e = calloc(1, sizeof *e);
    const long processors = sysconf(_SC_NPROCESSORS_CONF);
    if (!e) { return NULL; }
    e->n_rings = processors > 0 ? (unsigned) processors : 1;
    e->rings = malloc(e->n_rings * sizeof *e->rings);
    e->polled = calloc(e->n_rings, sizeof *e->polled);
    for (unsigned i = 0; e->rings && i < e->n_rings; i++) { perf_ring_clear(&e->rings[i]); }
    if (e->rings && e->polled) { return e; }
    free(e->rings);
    free(e->polled);
    free(e);
    return NULL;
}

struct perf_events * perf_events_open(pid_t pid, struct tat_error * error) {
    struct perf_events * e = make();
    if (!e) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    for (int user_only = 0; user_only < 2; user_only++) { /* faults inside system calls need a privilege */
        e->user_only = user_only;
        if (open_rings(e, pid, user_only)) { return e; }
        const int why = errno;
        close_rings(e->rings, e->n_rings);
        errno = why;
        if (why != EACCES && why != EPERM) { break; }
    }
    refuse(error);
    perf_events_close(e);
    return NULL;
}

bool perf_events_user_only(const struct perf_events * e) {
    return e->user_only;
}

static void forget(const struct perf_event * event) {
    if (event->kind == PERF_MAPS) { free(event->map.path); }
}

void perf_events_close(struct perf_events * e) {
    if (!e) { return; }
    close_rings(e->rings, e->n_rings);
    for (size_t i = 0; i < e->n_pending; i++) { forget(&e->pending[i]); }
    free(e->rings);
    free(e->polled);
    free(e->pending);
    free(e);
}

/* ---- records ---- */

static void add(struct perf_events * e, const struct perf_event * event) {
    if (e->n_pending == e->room) {
        const size_t room = e->room ? 2 * e->room : 4096;
        struct perf_event * more = realloc(e->pending, room * sizeof *more);
        if (!more) {
            e->dropped++;
            forget(event);
            return;
        }
        e->pending = more;
        e->room = room;
    }
    e->pending[e->n_pending] = *event;
    e->pending[e->n_pending++].order = e->n_read++;
}

static void add_sample(struct perf_events * e, const struct perf_ring * ring, const uint8_t * body) {
    const struct {
        uint64_t id;
        uint32_t pid, tid;
        uint64_t ns, address;
    } * s = (const void *) body;
    const int which = perf_ring_which(ring, s->id);
    if (which < 0) { return; }
    add(e, &(struct perf_event){
               .kind = software_events[which].kind, .pid = s->pid, .tid = s->tid, .ns = s->ns, .address = s->address });
}

static void add_map(struct perf_events * e, const uint8_t * body, const uint8_t * end, uint64_t ns) {
    const struct {
        uint32_t pid, tid;
        uint64_t address, bytes, offset;
        uint32_t major, minor;
        uint64_t inode, generation;
        uint32_t protection, flags;
    } * m = (const void *) body;
    const char * path = (const char *) (m + 1);
    if (!m->inode) { return; }
    add(e, &(struct perf_event){ .kind = PERF_MAPS,
                                 .pid = m->pid,
                                 .tid = m->tid,
                                 .ns = ns,
                                 .map = { m->address, m->bytes, m->inode, makedev(m->major, m->minor),
                                          strndup(path, (size_t) ((const char *) end - path)),
                                          (m->protection & PROT_EXEC) != 0 } });
}

static void add_record(const struct perf_ring * ring, const struct perf_event_header * h, void * user) {
    struct perf_events * e = user;
    const uint8_t * body = (const uint8_t *) (h + 1);
    const struct perf_trailer * t = (const void *) ((const uint8_t *) h + h->size - sizeof *t);
    const uint32_t * words = (const void *) body;
    struct perf_event event = { .pid = t->pid, .tid = t->tid, .ns = t->ns };
    switch (h->type) {
        case PERF_RECORD_SAMPLE: add_sample(e, ring, body); return;
        case PERF_RECORD_MMAP2: add_map(e, body, (const uint8_t *) t, t->ns); return;
        case PERF_RECORD_SWITCH:
            event.kind = h->misc & PERF_RECORD_MISC_SWITCH_OUT ? PERF_STOPS : PERF_GOES_ON;
            event.preempted = event.kind == PERF_STOPS && h->misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT;
            break;
        case PERF_RECORD_COMM:
            if (!(h->misc & PERF_RECORD_MISC_COMM_EXEC)) { return; }
            event.kind = PERF_EXECS;
            break;
        case PERF_RECORD_FORK:
            event = (struct perf_event){
                .kind = PERF_FORKS, .pid = words[0], .tid = words[2], .ns = t->ns, .parent = words[1]
            };
            break;
        case PERF_RECORD_EXIT:
            event = (struct perf_event){ .kind = PERF_EXITS, .pid = words[0], .tid = words[2], .ns = t->ns };
            break;
        case PERF_RECORD_LOST:
            event.kind = PERF_LOST;
            memcpy(&event.count, body + sizeof(uint64_t), sizeof event.count);
            break;
        default: return;
    }
    add(e, &event);
}

/* ---- taking ---- */

void perf_events_wait(struct perf_events * e, int milliseconds) {
    poll(e->polled, e->n_rings, milliseconds);
}

static int by_time(const void * a, const void * b) {
    const struct perf_event *x = a, *y = b;
    return x->ns != y->ns ? (x->ns < y->ns ? -1 : 1) : x->order < y->order ? -1 : 1;
}

void perf_events_add(struct perf_events * e, const struct perf_event * event) {
    add(e, event);
}

int perf_events_take(struct perf_events * e, uint64_t until_ns, perf_sink sink, void * user) {
    size_t n = 0;
    for (unsigned i = 0; i < e->n_rings; i++) { perf_ring_read(&e->rings[i], e->record, add_record, e); }
    qsort(e->pending, e->n_pending, sizeof *e->pending, by_time);
    for (; n < e->n_pending && e->pending[n].ns < until_ns; n++) {
        sink(&e->pending[n], user);
        forget(&e->pending[n]);
    }
    if (n) { memmove(e->pending, e->pending + n, (e->n_pending - n) * sizeof *e->pending); }
    e->n_pending -= n;
    if (!e->dropped) { return 0; }
    sink(&(struct perf_event){ .kind = PERF_LOST, .ns = clock_monotonic_ns(), .count = e->dropped }, user);
    e->dropped = 0;
    return -1;
}
