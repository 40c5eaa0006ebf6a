/* SPDX-License-Identifier: MIT
 *
 * The rates, in turn, and those of one thread through the page cache.
 */
#include "doctor/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor/busy.h"
#include "doctor/disk_buffer.h"
#include "doctor/disk_round.h"
#include "system/clock.h"
#include "system/file_system.h"
#include "system/page_cache.h"
#include "system/whole_disk.h"

enum { PAGE = 4096 };
#define RESIDENT_MOST 0.01 /* above that, reading through the page cache would be reading from memory */

struct file {
    const char * path;
    int fd, direct_fd;
    const uint8_t * bytes; /* mapped */
    struct disk_buffer buffer;
    bool is_ours; /* else the kernel does not tell which of its pages are in memory (mincore(2)) */
    struct disk_places places[DISK_RATES_MAX];
    struct disk_round rounds[DISK_RATES_MAX];
    double per_second[DISK_RATES_MAX][DISK_ROUNDS];
};

/* A round function for the network below: the finalizer of splitmix64. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* The n-th of [0, blocks) in a random order that has each once: a Feistel network, walked until it is inside. */
static uint64_t shuffled(uint64_t n, uint64_t blocks, uint64_t key) {
    unsigned half = 1;
    while (1ull << 2 * half < blocks) { half++; }
    const uint64_t mask = (1ull << half) - 1;
    do {
        uint64_t left = n >> half, right = n & mask;
        for (uint64_t i = 0; i < 4; i++) {
            const uint64_t next = left ^ (mix(right + key + i) & mask);
            left = right;
            right = next;
        }
        n = left << half | right;
    } while (n >= blocks);
    return n;
}

uint64_t disk_place(struct disk_places * places, const struct disk_rate * rate) {
    const uint64_t blocks = places->size / rate->block, n = places->next++ % blocks;
    return rate->block * (rate->random ? shuffled(n, blocks, places->key) : n);
}

void disk_latency(struct disk_round * round, uint64_t ns) {
    if (round->n_latencies == LATENCIES_MAX) { return; }
    round->latency_ns[round->n_latencies++] = ns < UINT32_MAX ? (uint32_t) ns : UINT32_MAX;
}

/* ---- what is measured ---- */

const uint32_t disk_blocks[DISK_BLOCKS] = { PAGE, 16 << 10, 64 << 10, 256 << 10, 1 << 20, DISK_BLOCK_MAX };
const unsigned disk_depths[DISK_DEPTHS] = { 1, 8, DISK_DEPTH_MAX };

const uint32_t disk_burst_blocks[DISK_BURST_BLOCKS] = { 64 << 10, 256 << 10, 512 << 10, 1 << 20 };
const unsigned disk_burst_depths[DISK_BURST_DEPTHS] = { 1, 2, 3, 4, 6, 8 };

static void add_rate(struct disk_rates * r, enum disk_how how, bool random, uint32_t block, unsigned depth) {
    r->rate[r->n_rates++] = (struct disk_rate){ .how = how, .random = random, .block = block, .depth = depth };
}

static void choose_rates(struct disk_rates * r) {
    add_rate(r, DISK_MAPPED, false, PAGE, 1);
    add_rate(r, DISK_MAPPED, true, PAGE, 1);
    add_rate(r, DISK_MAPPED_RANDOM, true, PAGE, 1);
    for (int random = 0; random < 2; random++) {
        add_rate(r, DISK_READ, random, PAGE, 1);
        add_rate(r, DISK_READ, random, 1 << 20, 1);
    }
    for (int random = 0; random < 2; random++) {
        for (size_t d = 0; d < DISK_DEPTHS; d++) {
            for (size_t b = 0; b < DISK_BLOCKS; b++) {
                add_rate(r, DISK_DIRECT, random, disk_blocks[b], disk_depths[d]);
            }
        }
    }
    for (size_t d = 0; d < DISK_BURST_DEPTHS; d++) {
        for (size_t b = 0; b < DISK_BURST_BLOCKS; b++) {
            add_rate(r, DISK_BURST, true, disk_burst_blocks[b], disk_burst_depths[d]);
            add_rate(r, DISK_BURST_BUSY, true, disk_burst_blocks[b], disk_burst_depths[d]);
        }
    }
}

/* ---- rounds through the page cache ---- */

static void drop_pages(const struct file * f) {
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static double resident_share(const struct file * f, uint64_t size) {
    uint64_t pages;
    if (!page_cache_count(f->fd, size, &pages)) { return 0; }
    return (double) pages / (double) ((size + PAGE - 1) / PAGE);
}

/* The mapping is made anew, as pages that a process has mapped cannot be dropped. 0, or an errno. */
static int map(struct file * f, uint64_t size) {
    if (f->bytes) { munmap((void *) f->bytes, (size_t) size); }
    drop_pages(f);
    f->bytes = mmap(NULL, (size_t) size, PROT_READ, MAP_SHARED, f->fd, 0);
    if (f->bytes != MAP_FAILED) { return 0; }
    f->bytes = NULL;
    return errno;
}

static sigjmp_buf bad_page;

static void leave(int signal) {
    (void) signal;
    siglongjmp(bad_page, 1);
}

static void touch(const uint8_t * byte) {
    (void) *(const volatile uint8_t *) byte;
}

static int read_block(const struct file * f, const struct disk_rate * rate, uint64_t at) {
    if (rate->how != DISK_READ) {
        touch(f->bytes + at);
        return 0;
    }
    ssize_t n;
    do { n = pread(f->fd, f->buffer.at, rate->block, (off_t) at); } while (n < 0 && errno == EINTR);
    return n < 0 ? errno : n == 0 ? EIO : 0;
}

/* After these, all may be in memory: the kernel reads ahead around a fault. */
static uint64_t requests_most(const struct disk_rates * r, const struct disk_rate * rate) {
    const bool ahead = rate->how == DISK_MAPPED && rate->random && r->ahead > rate->block;
    const uint64_t n = r->bytes / (ahead ? r->ahead : rate->block);
    return n ? n : 1;
}

static int read_blocks(struct file * f, const struct disk_rates * r, size_t i, uint64_t ns) {
    const struct disk_rate * rate = &r->rate[i];
    struct disk_round * round = &f->rounds[i];
    const uint64_t begin = clock_ns(), most = requests_most(r, rate);
    uint64_t last = begin;
    int status = 0;
    for (uint64_t n = 0; n < most && last - begin < ns && status == 0; n++) {
        status = read_block(f, rate, disk_place(&f->places[i], rate));
        const uint64_t now = clock_ns();
        disk_latency(round, now - last);
        round->bytes += rate->block;
        last = now;
    }
    round->ns += last - begin;
    return status;
}

/* A page raises SIGBUS where the file has become shorter, or the disk cannot read it. Caught once for a round, as a
 * touch takes less time than a system call. 0, or an errno. */
static int round_through(struct file * f, struct disk_rates * r, size_t i, uint64_t ns) {
    const struct disk_rate * rate = &r->rate[i];
    const struct sigaction ours = { .sa_handler = leave };
    struct sigaction before;
    const int unmapped = map(f, r->bytes);
    if (unmapped != 0) { return unmapped; }
    madvise((void *) f->bytes, (size_t) r->bytes, rate->how == DISK_MAPPED_RANDOM ? MADV_RANDOM : MADV_NORMAL);
    posix_fadvise(f->fd, 0, 0, rate->how == DISK_READ && rate->random ? POSIX_FADV_RANDOM : POSIX_FADV_NORMAL);
    if (sigaction(SIGBUS, &ours, &before) != 0) { return errno; }
    const int status = sigsetjmp(bad_page, 1) ? EIO : read_blocks(f, r, i, ns);
    sigaction(SIGBUS, &before, NULL);
    return status;
}

/* ---- all rounds ---- */

static int by_number(const void * a, const void * b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return x < y ? -1 : x > y;
}

static int by_latency(const void * a, const void * b) {
    const uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return x < y ? -1 : x > y;
}

static void say_why(char * why, size_t size, const char * what, int error) {
    snprintf(why, size, "%s: %s", what, strerror(error));
}

/* What one rate cannot, its kind cannot. */
static void measure_one(struct file * f, struct disk_rates * r, size_t i, int number, uint64_t ns) {
    struct disk_rate * rate = &r->rate[i];
    struct disk_round * round = &f->rounds[i];
    const bool direct = disk_is_direct(rate->how);
    if (direct ? *r->direct : *r->through) { return; }
    struct busy * busy = rate->how == DISK_BURST_BUSY ? busy_begin() : NULL;
    if (rate->how == DISK_BURST_BUSY && !busy) { return; }
    const int status = direct ? disk_round_direct(round, f->direct_fd, rate, &f->places[i], f->buffer.at, ns)
                              : round_through(f, r, i, ns);
    busy_end(busy);
    if (status != 0 && direct) { say_why(r->direct, sizeof r->direct, "reading with O_DIRECT by io_uring", status); }
    if (status != 0 && !direct) { say_why(r->through, sizeof r->through, "reading", status); }
    f->per_second[i][number] = round->ns ? 1e9 * (double) round->bytes / (double) round->ns : 0;
    round->bytes = round->ns = 0;
}

static void summarize(struct file * f, struct disk_rates * r, size_t i) {
    struct disk_rate * rate = &r->rate[i];
    const struct disk_round * round = &f->rounds[i];
    if (*(disk_is_direct(rate->how) ? r->direct : r->through)) { return; }
    qsort(f->per_second[i], DISK_ROUNDS, sizeof f->per_second[i][0], by_number);
    rate->low = f->per_second[i][0];
    rate->per_second = f->per_second[i][DISK_ROUNDS / 2];
    rate->high = f->per_second[i][DISK_ROUNDS - 1];
    qsort(round->latency_ns, round->n_latencies, sizeof round->latency_ns[0], by_latency);
    if (round->n_latencies) {
        rate->p50_ns = round->latency_ns[round->n_latencies / 2];
        rate->p99_ns = round->latency_ns[round->n_latencies * 99 / 100];
    }
}

static void measure_all(struct file * f, struct disk_rates * r, uint64_t ns) {
    for (int number = 0; number < DISK_ROUNDS; number++) {
        for (size_t i = 0; i < r->n_rates; i++) { measure_one(f, r, i, number, ns); }
    }
    struct disk_places places = { r->bytes, 0, mix(r->n_rates + 1) };
    if (!*r->direct && disk_tells_together(f->direct_fd, &places, f->buffer.at, &r->together) != 0) {
        r->together = -1;
    }
    for (size_t i = 0; i < r->n_rates; i++) { summarize(f, r, i); }
}

/* ---- the file and what it is on ---- */

static void find_device(struct disk_rates * r, dev_t device) {
    const struct whole_disk disk = whole_disk_of(device);
    char ahead[32];
    snprintf(r->device, sizeof r->device, "%s", disk.name);
    whole_disk_read(&disk, "device/model", r->model, sizeof r->model);
    whole_disk_read(&disk, "queue/read_ahead_kb", ahead, sizeof ahead);
    r->ahead = strtoull(ahead, NULL, 10) << 10;
}

static void name_system(struct disk_rates * r, int fd) {
    const struct file_system fs = file_system_of(fd);
    if (fs.name) {
        snprintf(r->system, sizeof r->system, "%s", fs.name);
    } else if (fs.magic) {
        snprintf(r->system, sizeof r->system, "%#lx", (unsigned long) fs.magic);
    }
}

static int open_file(struct file * f, struct disk_rates * r, struct tat_error * error) {
    struct stat status;
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0 || fstat(f->fd, &status) != 0) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: %s", f->path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return tat_fail(error, TAT_ERROR_INPUT,
                        "%s is not a regular file: name a model, or another large file on that disk", f->path);
    }
    if (status.st_size < DISK_FILE_LEAST) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s is smaller than %d MiB: name a larger file on that disk", f->path,
                        DISK_FILE_LEAST >> 20);
    }
    if (lseek(f->fd, 0, SEEK_HOLE) < status.st_size) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s has holes, which no disk reads: name another file on that disk",
                        f->path);
    }
    r->bytes = (uint64_t) status.st_size;
    f->is_ours = page_cache_may_ask(f->fd, &status);
    find_device(r, status.st_dev);
    name_system(r, f->fd);
    f->direct_fd = open(f->path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (f->direct_fd < 0) { say_why(r->direct, sizeof r->direct, "opening with O_DIRECT", errno); }
    return 0;
}

static int prepare(struct file * f, struct disk_rates * r, struct tat_error * error) {
    if (disk_buffer_make(&f->buffer, (size_t) DISK_BLOCK_MAX * DISK_DEPTH_MAX) != 0) {
        return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    }
    r->into = f->buffer.page_bytes;
    for (size_t i = 0; i < r->n_rates; i++) {
        /* Rates of a kind begin at different places: what one has read, the disk's own cache may hold for the next. */
        const uint64_t blocks = r->bytes / r->rate[i].block;
        f->places[i] = (struct disk_places){ r->bytes, blocks * i / r->n_rates, mix(i + 1) };
        f->rounds[i].latency_ns = malloc(LATENCIES_MAX * sizeof f->rounds[i].latency_ns[0]);
        if (!f->rounds[i].latency_ns) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    }
    const int status = map(f, r->bytes);
    if (status != 0) {
        say_why(r->through, sizeof r->through, "mapping", status);
        return 0;
    }
    r->resident = f->is_ours ? resident_share(f, r->bytes) : 0;
    if (r->resident > RESIDENT_MOST) {
        snprintf(r->through, sizeof r->through,
                 "%.0f %% of the file stays in memory: another program uses it, or it is in memory alone",
                 100 * r->resident);
    }
    return 0;
}

static void close_file(struct file * f, const struct disk_rates * r) {
    if (f->bytes) { munmap((void *) f->bytes, (size_t) r->bytes); }
    for (size_t i = 0; i < r->n_rates; i++) { free(f->rounds[i].latency_ns); }
    disk_buffer_free(&f->buffer);
    if (f->direct_fd >= 0) { close(f->direct_fd); }
    if (f->fd >= 0) { close(f->fd); }
    free(f);
}

int disk_measure(struct disk_rates * r, const char * path, uint64_t round_ns, struct tat_error * error) {
    struct file * f = calloc(1, sizeof *f);
    *r = (struct disk_rates){ .together = -1 };
    if (!f) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    *f = (struct file){ .path = path, .fd = -1, .direct_fd = -1 };
    choose_rates(r);
    int status = open_file(f, r, error);
    if (status == 0) { status = prepare(f, r, error); }
    if (status == 0) { measure_all(f, r, round_ns); }
    close_file(f, r);
    return status;
}
