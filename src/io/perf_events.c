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
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/clock.h"

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

enum { RING_PAGES = 128, RING_PAGES_LEAST = 8, RECORD_MAX = 1 << 16 };
enum { SETTLE_NS = 1000000 }; /* a record is in its ring that long after its time at the latest */

/* What stands behind each record but samples, which have the same fields in front (perf_event_open(2)). */
struct trailer {
    uint32_t pid, tid;
    uint64_t ns, id;
};

struct ring {
    struct perf_event_mmap_page * page; /* NULL: no such processor */
    size_t bytes;                       /* of the mapping */
    int fd[EVENT_COUNT];
    uint64_t id[EVENT_COUNT];
};

struct perf_events {
    struct ring * rings;
    struct pollfd * polled;
    unsigned n_rings;
    bool user_only;
    struct perf_event * pending; /* not passed on yet */
    size_t n_pending, room;
    uint64_t n_read;
    uint64_t dropped; /* by us, for want of memory */
    uint8_t record[RECORD_MAX];
};

/* ---- opening ---- */

static int open_event(struct perf_event_attr * attributes, pid_t pid, int processor) {
    return (int) syscall(SYS_perf_event_open, attributes, pid, processor, -1, PERF_FLAG_FD_CLOEXEC);
}

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

/* As large a ring as the limit on locked memory allows. */
static bool map_ring(struct ring * ring) {
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    for (size_t pages = RING_PAGES; pages >= RING_PAGES_LEAST; pages /= 2) {
        ring->bytes = (1 + pages) * page;
        void * at = mmap(NULL, ring->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd[0], 0);
        if (at != MAP_FAILED) {
            ring->page = at;
            return true;
        }
    }
    return false;
}

/* False with errno. */
static bool open_further(struct ring * ring, int event, pid_t pid, int processor, bool user_only) {
    struct perf_event_attr attributes = attributes_of(software_events[event].what, user_only);
    ring->fd[event] = open_event(&attributes, pid, processor);
    return ring->fd[event] >= 0 && ioctl(ring->fd[event], PERF_EVENT_IOC_SET_OUTPUT, ring->fd[0]) == 0;
}

/* False with errno. A processor that is not there is no failure: its ring stays empty. */
static bool open_ring(struct ring * ring, pid_t pid, int processor, bool user_only) {
    struct perf_event_attr first = attributes_of(software_events[0].what, user_only);
    first.context_switch = first.mmap_data = first.mmap = first.mmap2 = first.task = first.comm = 1;
    first.comm_exec = 1;
    first.watermark = 1;
    first.wakeup_watermark = RING_PAGES_LEAST / 2 * 4096;
    ring->fd[0] = open_event(&first, pid, processor);
    if (ring->fd[0] < 0) { return errno == ENODEV; }
    bool good = map_ring(ring);
    for (int i = 1; i < EVENT_COUNT && good; i++) { good = open_further(ring, i, pid, processor, user_only); }
    for (int i = 0; i < EVENT_COUNT && good; i++) { good = ioctl(ring->fd[i], PERF_EVENT_IOC_ID, &ring->id[i]) == 0; }
    return good;
}

static const struct ring no_ring = { .fd = { -1, -1, -1 } };

static void close_rings(struct perf_events * e) {
    for (unsigned i = 0; i < e->n_rings; i++) {
        struct ring * ring = &e->rings[i];
        if (ring->page) { munmap(ring->page, ring->bytes); }
        for (int k = EVENT_COUNT; k-- > 0;) {
            if (ring->fd[k] >= 0) { close(ring->fd[k]); }
        }
        *ring = no_ring;
    }
}

static bool open_rings(struct perf_events * e, pid_t pid, bool user_only) {
    for (unsigned i = 0; i < e->n_rings; i++) {
        if (!open_ring(&e->rings[i], pid, (int) i, user_only)) { return false; }
        e->polled[i] = (struct pollfd){ .fd = e->rings[i].fd[0], .events = POLLIN };
    }
    return true;
}

static int refuse(struct tat_error * error) {
    if (errno != EACCES && errno != EPERM) { return tat_fail_errno(error, "perf_event_open"); }
    return tat_fail(error, TAT_ERROR_SYSTEM,
                    "the system allows no perf events: sysctl kernel.perf_event_paranoid must be 2 or less, or tat be "
                    "run by root; in a container, perf_event_open must be allowed");
}

struct perf_events * perf_events_open(pid_t pid, struct tat_error * error) {
    struct perf_events * e = calloc(1, sizeof *e);
    const long processors = sysconf(_SC_NPROCESSORS_CONF);
    if (e) {
        e->n_rings = processors > 0 ? (unsigned) processors : 1;
        e->rings = malloc(e->n_rings * sizeof *e->rings);
        e->polled = calloc(e->n_rings, sizeof *e->polled);
    }
    if (!e || !e->rings || !e->polled) {
        if (e) { e->n_rings = 0; }
        perf_events_close(e);
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    for (unsigned i = 0; i < e->n_rings; i++) { e->rings[i] = no_ring; }
    for (int user_only = 0; user_only < 2; user_only++) { /* faults inside system calls need a privilege */
        e->user_only = user_only;
        if (open_rings(e, pid, user_only)) { return e; }
        const int why = errno;
        close_rings(e);
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

void perf_events_close(struct perf_events * e) {
    if (!e) { return; }
    close_rings(e);
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
            return;
        }
        e->pending = more;
        e->room = room;
    }
    e->pending[e->n_pending] = *event;
    e->pending[e->n_pending++].order = e->n_read++;
}

static void add_sample(struct perf_events * e, const struct ring * ring, const uint8_t * body) {
    const struct {
        uint64_t id;
        uint32_t pid, tid;
        uint64_t ns, address;
    } * s = (const void *) body;
    for (int i = 0; i < EVENT_COUNT; i++) {
        if (s->id != ring->id[i]) { continue; }
        add(e, &(struct perf_event){
                   .kind = software_events[i].kind, .pid = s->pid, .tid = s->tid, .ns = s->ns, .address = s->address });
    }
}

static void add_map(struct perf_events * e, const uint8_t * body, uint64_t ns) {
    const struct {
        uint32_t pid, tid;
        uint64_t address, bytes, offset;
        uint32_t major, minor;
        uint64_t inode, generation;
        uint32_t protection, flags;
    } * m = (const void *) body;
    if (!m->inode) { return; }
    add(e, &(struct perf_event){ .kind = PERF_MAPS,
                                 .pid = m->pid,
                                 .tid = m->tid,
                                 .ns = ns,
                                 .map = { m->address, m->bytes, m->inode, (uint64_t) m->major << 32 | m->minor,
                                          (m->protection & PROT_EXEC) != 0 } });
}

static void add_record(struct perf_events * e, const struct ring * ring, const struct perf_event_header * h) {
    const uint8_t * body = (const uint8_t *) (h + 1);
    const struct trailer * t = (const void *) ((const uint8_t *) h + h->size - sizeof *t);
    const uint32_t * words = (const void *) body;
    struct perf_event event = { .pid = t->pid, .tid = t->tid, .ns = t->ns };
    switch (h->type) {
        case PERF_RECORD_SAMPLE: add_sample(e, ring, body); return;
        case PERF_RECORD_MMAP2: add_map(e, body, t->ns); return;
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

/* A record may begin at the ring's end and go on at its beginning. */
static void read_ring(struct perf_events * e, const struct ring * ring) {
    struct perf_event_mmap_page * page = ring->page;
    const uint8_t * data = (const uint8_t *) page + page->data_offset;
    const uint64_t size = page->data_size, head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
    uint64_t tail = page->data_tail; /* only we write it */
    while (tail < head) {
        struct perf_event_header header;
        memcpy(&header, data + tail % size, sizeof header); /* records are aligned to 8: this does not wrap */
        const uint64_t first = size - tail % size < header.size ? size - tail % size : header.size;
        memcpy(e->record, data + tail % size, first);
        memcpy(e->record + first, data, header.size - first);
        add_record(e, ring, (const struct perf_event_header *) e->record);
        tail += header.size;
    }
    __atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
}

/* ---- taking ---- */

void perf_events_wait(struct perf_events * e, int milliseconds) {
    poll(e->polled, e->n_rings, milliseconds);
}

static int by_time(const void * a, const void * b) {
    const struct perf_event *x = a, *y = b;
    return x->ns != y->ns ? (x->ns < y->ns ? -1 : 1) : x->order < y->order ? -1 : 1;
}

int perf_events_take(struct perf_events * e, bool all, perf_sink sink, void * user) {
    const uint64_t horizon = all ? UINT64_MAX : clock_monotonic_ns() - SETTLE_NS;
    size_t n = 0;
    for (unsigned i = 0; i < e->n_rings; i++) {
        if (e->rings[i].page) { read_ring(e, &e->rings[i]); }
    }
    qsort(e->pending, e->n_pending, sizeof *e->pending, by_time);
    for (; n < e->n_pending && e->pending[n].ns < horizon; n++) { sink(&e->pending[n], user); }
    if (n) { memmove(e->pending, e->pending + n, (e->n_pending - n) * sizeof *e->pending); }
    e->n_pending -= n;
    if (!e->dropped) { return 0; }
    sink(&(struct perf_event){ .kind = PERF_LOST, .ns = clock_monotonic_ns(), .count = e->dropped }, user);
    e->dropped = 0;
    return -1;
}
