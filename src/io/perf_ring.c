/* SPDX-License-Identifier: MIT */
#include "io/perf_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void perf_ring_clear(struct perf_ring * ring) {
    *ring = (struct perf_ring){ 0 };
    for (int i = 0; i < PERF_RING_EVENTS; i++) { ring->fd[i] = -1; }
}

/* As large as the limit on locked memory allows. */
static bool map(struct perf_ring * ring, size_t pages_most, size_t pages_least) {
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    for (size_t pages = pages_most; pages >= pages_least; pages /= 2) {
        ring->bytes = (1 + pages) * page;
        void * at = mmap(NULL, ring->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd[0], 0);
        if (at != MAP_FAILED) {
            ring->page = at;
            return true;
        }
    }
    return false;
}

bool perf_ring_open(struct perf_ring * ring, const struct perf_event_attr attributes[], int count,
                    const struct perf_ring_place * place) {
    for (int i = 0; i < count; i++) {
        struct perf_event_attr a = attributes[i];
        ring->fd[i] = (int) syscall(SYS_perf_event_open, &a, place->pid, place->processor, -1, PERF_FLAG_FD_CLOEXEC);
        if (ring->fd[i] < 0) { return i == 0 && errno == ENODEV; }
        const bool good = i == 0 ? map(ring, place->pages_most, place->pages_least)
                                 : ioctl(ring->fd[i], PERF_EVENT_IOC_SET_OUTPUT, ring->fd[0]) == 0;
        if (!good || ioctl(ring->fd[i], PERF_EVENT_IOC_ID, &ring->id[i]) != 0) { return false; }
    }
    return true;
}

void perf_ring_close(struct perf_ring * ring) {
    if (ring->page) { munmap(ring->page, ring->bytes); }
    for (int i = PERF_RING_EVENTS; i-- > 0;) {
        if (ring->fd[i] >= 0) { close(ring->fd[i]); }
    }
    perf_ring_clear(ring);
}

int perf_ring_which(const struct perf_ring * ring, uint64_t id) {
    for (int i = 0; i < PERF_RING_EVENTS; i++) {
        if (ring->fd[i] >= 0 && ring->id[i] == id) { return i; }
    }
    return -1;
}

/* A record may begin at the ring's end and go on at its beginning. */
void perf_ring_read(const struct perf_ring * ring, uint8_t record[static PERF_RECORD_BYTES], perf_record_sink sink,
                    void * user) {
    struct perf_event_mmap_page * page = ring->page;
    if (!page) { return; }
    const uint8_t * data = (const uint8_t *) page + page->data_offset;
    const uint64_t size = page->data_size, head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
    uint64_t tail = page->data_tail; /* only we write it */
    while (tail < head) {
        struct perf_event_header header;
        memcpy(&header, data + tail % size, sizeof header); /* records are aligned to 8: this does not wrap */
        const uint64_t first = size - tail % size < header.size ? size - tail % size : header.size;
        memcpy(record, data + tail % size, first);
        memcpy(record + first, data, header.size - first);
        sink(ring, (const struct perf_event_header *) record, user);
        tail += header.size;
    }
    __atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
}
