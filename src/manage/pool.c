/* SPDX-License-Identifier: MIT */
#include "manage/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "system/large_pages.h"

#ifndef MFD_NOEXEC_SEAL
enum { MFD_NOEXEC_SEAL = 8 };
#endif

enum { PREPARED = 8 << 20 }; /* bytes at once, because each call waits for all processors */

/* In the order of pages; two runs never touch. At most every second page begins a run, so no list ever needs more
 * memory.
 */
struct run_list {
    struct pool_run * run;
    uint32_t count;
};

struct pool {
    char * at;
    char * read_only;
    size_t page_bytes;
    uint32_t pages_mapped, pages, pages_free;
    uint32_t end;               /* pages from here on have never been the pool's */
    uint32_t prepared;          /* pages before this one have their memory */
    uint32_t used;              /* pages from here on have never been taken */
    uint32_t large_until;       /* pages before this one may become part of a large page */
    struct run_list free, gone; /* gone: given back to the system, and not taken again yet */
};

/* Some systems log or refuse a memfd that can be executed. Kernels before 6.3 do not know the flag. */
static int make_memory(uint64_t bytes) {
    int fd = memfd_create("tat-pool", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) { fd = memfd_create("tat-pool", MFD_CLOEXEC); }
    if (fd < 0) { return -1; }
    if (ftruncate(fd, (off_t) bytes) == 0) { return fd; }
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Finds address space that begins where a large page can. */
static char * find_place(size_t bytes) {
    char * at = mmap(NULL, bytes + LARGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) { return NULL; }
    const size_t before = (LARGE_PAGE - (uintptr_t) at % LARGE_PAGE) % LARGE_PAGE;
    if (before) { munmap(at, before); }
    munmap(at + before + bytes, LARGE_PAGE - before);
    return at + before;
}

static char * map(int fd, size_t bytes, int protection) {
    char * place = find_place(bytes);
    char * at = place ? mmap(place, bytes, protection, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0) : MAP_FAILED;
    if (at == MAP_FAILED) { return NULL; }
    madvise(at, bytes, MADV_DONTDUMP); /* a core file does not need the model */
    if (madvise(at, bytes, MADV_DONTFORK) == 0) { return at; }
    const int error = errno;
    munmap(at, bytes);
    errno = error;
    return NULL;
}

/* What covers a model can be made writable, or have holes made into it, no more than a model's file that was opened for
 * reading. The thread may have a table of descriptors of its own. */
static int reopen(int fd) {
    char path[48];
    snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool map_memory(struct pool * pool) {
    const size_t bytes = (size_t) pool->pages_mapped * pool->page_bytes;
    const int fd = make_memory(bytes);
    if (fd < 0) { return false; }
    pool->at = map(fd, bytes, PROT_READ | PROT_WRITE);
    const int reading = pool->at ? reopen(fd) : -1;
    pool->read_only = reading >= 0 ? map(reading, bytes, PROT_READ) : NULL;
    const int error = errno;
    if (reading >= 0) { close(reading); }
    close(fd);
    errno = error;
    return pool->read_only;
}

struct pool * pool_new(uint64_t bytes) {
    return pool_new_growing(bytes, bytes);
}

struct pool * pool_new_growing(uint64_t bytes, uint64_t most_bytes) {
    const size_t page_bytes = (size_t) sysconf(_SC_PAGESIZE);
    const uint64_t pages = bytes / page_bytes + (bytes % page_bytes != 0);
    const uint64_t most = most_bytes > bytes ? most_bytes / page_bytes : pages;
    if (pages == 0 || most > UINT32_MAX || most > SIZE_MAX / 2 / page_bytes) {
        errno = EINVAL;
        return NULL;
    }
    struct pool * pool = calloc(1, sizeof *pool);
    if (!pool) { return NULL; }
    *pool = (struct pool){ .page_bytes = page_bytes,
                           .pages_mapped = (uint32_t) most,
                           .pages = (uint32_t) pages,
                           .pages_free = (uint32_t) pages,
                           .end = (uint32_t) pages,
                           .large_until = (uint32_t) most };
    pool->free.run = malloc((size_t) (most / 2 + 1) * sizeof *pool->free.run);
    pool->gone.run = malloc((size_t) (most / 2 + 1) * sizeof *pool->gone.run);
    if (pool->free.run && pool->gone.run && map_memory(pool)) {
        pool->free.run[pool->free.count++] = (struct pool_run){ 0, (uint32_t) pages };
        return pool;
    }
    const int error = errno;
    pool_free(pool);
    errno = error;
    return NULL;
}

void pool_free(struct pool * pool) {
    if (!pool) { return; }
    const size_t bytes = (size_t) pool->pages_mapped * pool->page_bytes;
    if (pool->read_only) { munmap(pool->read_only, bytes); }
    if (pool->at) { munmap(pool->at, bytes); }
    free(pool->free.run);
    free(pool->gone.run);
    free(pool);
}

char * pool_at(const struct pool * pool, uint32_t page) {
    return pool->at + (size_t) page * pool->page_bytes;
}

char * pool_read_only_at(const struct pool * pool, uint32_t page) {
    return pool->read_only + (size_t) page * pool->page_bytes;
}

uint32_t pool_pages_free(const struct pool * pool) {
    return pool->pages_free;
}

uint32_t pool_pages(const struct pool * pool) {
    return pool->pages;
}

uint32_t pool_pages_unused(const struct pool * pool) {
    if (!pool->free.count) { return 0; }
    const struct pool_run last = pool->free.run[pool->free.count - 1];
    const uint32_t end = last.page + last.count, used = pool->used > pool->prepared ? pool->used : pool->prepared;
    if (end <= used) { return 0; }
    return end - (last.page > used ? last.page : used);
}

/* The smallest run of at least so many pages, or else the largest run. There must be a run. */
static uint32_t best_run(const struct pool * pool, uint32_t pages) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < pool->free.count && pool->free.run[best].count != pages; i++) {
        const uint32_t a = pool->free.run[best].count, b = pool->free.run[i].count;
        if (a < pages ? b > a : b >= pages && b < a) { best = i; }
    }
    return best;
}

static void remove_run(struct run_list * list, uint32_t i) {
    list->count--;
    memmove(&list->run[i], &list->run[i + 1], (list->count - i) * sizeof *list->run);
}

/* Takes the first pages of a free run. */
static struct pool_run take_from(struct pool * pool, uint32_t i, uint32_t pages) {
    struct pool_run * run = &pool->free.run[i];
    const struct pool_run taken = { run->page, pages < run->count ? pages : run->count };
    run->page += taken.count;
    run->count -= taken.count;
    if (run->count == 0) { remove_run(&pool->free, i); }
    pool->pages_free -= taken.count;
    if (taken.page + taken.count > pool->used) { pool->used = taken.page + taken.count; }
    return taken;
}

/* Makes large pages of memory that is about to be used for the first time. */
static void prepare(struct pool * pool, uint32_t end) {
    const uint32_t step = PREPARED / (uint32_t) pool->page_bytes;
    while (pool->prepared < end && pool->prepared < pool->large_until) {
        const uint32_t until = pool->end < pool->large_until ? pool->end : pool->large_until;
        const uint32_t left = until - pool->prepared, n = left < step ? left : step;
        if (!large_pages_make(pool_at(pool, pool->prepared), n * pool->page_bytes)) { pool->large_until = 0; }
        pool->prepared += n;
    }
}

bool pool_take(struct pool * pool, uint32_t pages, struct pool_place * place) {
    place->n_runs = 0;
    if (pages == 0 || pages > pool->pages_free) { return false; }
    while (pages && place->n_runs < POOL_RUNS_MOST) {
        const struct pool_run run = take_from(pool, best_run(pool, pages), pages);
        place->run[place->n_runs++] = run;
        pages -= run.count;
    }
    if (pages) {
        pool_give(pool, place);
        return false;
    }
    for (unsigned i = 0; i < place->n_runs; i++) { prepare(pool, place->run[i].page + place->run[i].count); }
    return true;
}

/* The first run behind the page. */
static uint32_t run_behind(const struct run_list * list, uint32_t page) {
    uint32_t low = 0, high = list->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (list->run[middle].page > page) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static void add_run(struct run_list * list, struct pool_run run) {
    const uint32_t i = run_behind(list, run.page);
    struct pool_run *before = i > 0 ? &list->run[i - 1] : NULL, *after = i < list->count ? &list->run[i] : NULL;
    const bool joins_before = before && before->page + before->count == run.page;
    const bool joins_after = after && run.page + run.count == after->page;
    if (joins_before && joins_after) {
        before->count += run.count + after->count;
        remove_run(list, i);
    } else if (joins_before) {
        before->count += run.count;
    } else if (joins_after) {
        after->page = run.page;
        after->count += run.count;
    } else {
        memmove(&list->run[i + 1], &list->run[i], (list->count - i) * sizeof *list->run);
        list->run[i] = run;
        list->count++;
    }
}

static void give_run(struct pool * pool, struct pool_run run) {
    add_run(&pool->free, run);
    pool->pages_free += run.count;
}

void pool_give(struct pool * pool, struct pool_place * place) {
    for (unsigned i = 0; i < place->n_runs; i++) { give_run(pool, place->run[i]); }
    place->n_runs = 0;
}

/* Of what was given back, or else of what was never the pool's. */
static struct pool_run more(struct pool * pool, uint32_t pages) {
    if (pool->gone.count == 0) {
        const uint32_t left = pool->pages_mapped - pool->end, n = pages < left ? pages : left;
        pool->end += n;
        return (struct pool_run){ pool->end - n, n };
    }
    struct pool_run * last = &pool->gone.run[pool->gone.count - 1];
    const uint32_t n = pages < last->count ? pages : last->count;
    last->count -= n;
    const struct pool_run run = { last->page + last->count, n };
    if (last->count == 0) { pool->gone.count--; }
    return run;
}

uint32_t pool_grow(struct pool * pool, uint32_t pages) {
    uint32_t grown = 0;
    while (grown < pages) {
        const struct pool_run run = more(pool, pages - grown);
        if (run.count == 0) { break; }
        give_run(pool, run);
        grown += run.count;
    }
    pool->pages += grown;
    return grown;
}

uint32_t pool_pages_most(const struct pool * pool) {
    return pool->pages_mapped;
}

/* The kernel frees no part of a large page while a read into it is under way. */
static bool is_gone(const struct pool * pool, struct pool_run run) {
    unsigned char here[1024];
    for (uint32_t done = 0; done < run.count;) {
        const uint32_t left = run.count - done, n = left < sizeof here ? left : (uint32_t) sizeof here;
        if (mincore(pool_at(pool, run.page + done), n * pool->page_bytes, here) != 0) { return false; }
        for (uint32_t i = 0; i < n; i++) {
            if (here[i] & 1) { return false; }
        }
        done += n;
    }
    return true;
}

static bool release(const struct pool * pool, struct pool_run run) {
    return madvise(pool_at(pool, run.page), run.count * pool->page_bytes, MADV_REMOVE) == 0 && is_gone(pool, run);
}

/* Making a large page would bring back the part of it that was given away. */
static void keep_small(struct pool * pool, uint32_t page) {
    const uint32_t large = page - page % (LARGE_PAGE / (uint32_t) pool->page_bytes);
    if (large < pool->large_until) { pool->large_until = large; }
}

/* Begins at the end, so that whole large pages go if possible. */
uint32_t pool_shrink(struct pool * pool, uint32_t pages) {
    uint32_t given = 0;
    for (uint32_t i = pool->free.count; i-- > 0 && given < pages;) {
        struct pool_run * run = &pool->free.run[i];
        const uint32_t n = pages - given < run->count ? pages - given : run->count;
        const struct pool_run end = { run->page + run->count - n, n };
        if (!release(pool, end)) { continue; }
        add_run(&pool->gone, end);
        if (end.page >= pool->prepared) { keep_small(pool, end.page); }
        run->count -= n;
        given += n;
        if (run->count == 0) { remove_run(&pool->free, i); }
    }
    pool->pages_free -= given;
    pool->pages -= given;
    return given;
}
