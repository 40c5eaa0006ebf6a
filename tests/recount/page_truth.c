/* SPDX-License-Identifier: MIT
 *
 * The kernel's word on which pages of a model were touched. Preloaded into llama.cpp beside the agent, it makes the
 * mapping of a .gguf file honest: evicted first, not populated, no readahead, no advice. A page is then in the page
 * cache only if a load through the mapping brought it in, and mincore tells which are. What read() brings in is evicted
 * when the descriptor is closed: pages in a page table stay, all others go. Readahead is off there too, for pages that
 * are still on their way cannot be evicted.
 *
 *     PAGE_TRUTH=OUT LD_PRELOAD="page_truth.so libtat_agent.so" llama-completion -m MODEL ...
 *
 * writes lines "file PATH" and under each "pages FIRST LAST". No other process may use the model meanwhile.
 *
 * Without PAGE_TRUTH only mappings are honest: descriptors are as they come, so that what their owners read stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, FILES_MAX = 16, MAPPINGS_MAX = 64 };

static struct file {
    char path[PATH_MAX];
    dev_t device;
    ino_t inode;
    size_t n_pages;
    unsigned char * touched; /* by page */
} files[FILES_MAX];
static unsigned n_files;

static struct mapping {
    char * address;
    size_t n_pages;
    size_t first; /* page of the file */
    struct file * file;
    unsigned char * gone; /* by page: unmapped */
} mappings[MAPPINGS_MAX];
static unsigned n_mappings;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool counts(void) {
    return getenv("PAGE_TRUTH") != NULL;
}

static bool model_path(int fd, char * path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, size - 1);
    if (length < 5) { return false; }
    path[length] = '\0';
    return strcmp(path + length - 5, ".gguf") == 0;
}

static struct file * known_file(const struct stat * s) {
    for (unsigned i = 0; i < n_files; i++) {
        if (files[i].inode == s->st_ino && files[i].device == s->st_dev) { return &files[i]; }
    }
    return NULL;
}

static struct file * file_of(int fd) {
    struct stat s;
    char path[PATH_MAX];
    if (fd < 0 || !model_path(fd, path, sizeof path) || fstat(fd, &s) != 0) { return NULL; }
    struct file * file = known_file(&s);
    if (file || n_files == FILES_MAX) { return file; }
    file = &files[n_files++];
    *file = (struct file){ .device = s.st_dev, .inode = s.st_ino, .n_pages = (size_t) (s.st_size + PAGE - 1) / PAGE };
    memcpy(file->path, path, strlen(path) + 1);
    file->touched = calloc(file->n_pages, 1);
    return file;
}

/* ---- the honest mapping ---- */

/* Until nothing is left: what is on its way comes after the first eviction. */
static void evict(int fd, void * mapped, size_t length) {
    const size_t n_pages = (length + PAGE - 1) / PAGE;
    unsigned char * there = calloc(n_pages, 1);
    for (int tries = 0; there && tries < 1000; tries++) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        size_t n = 0;
        if (mincore(mapped, length, there) != 0) { break; }
        for (size_t i = 0; i < n_pages; i++) { n += there[i] & 1; }
        if (n == 0) { break; }
        usleep(1000);
    }
    free(there);
}

static void * map(void * address, size_t length, int protection, int flags, int fd, off_t offset) {
    pthread_mutex_lock(&lock);
    /* One that cannot be read only asks which pages there are. */
    struct file * file = flags & MAP_ANONYMOUS || !(protection & PROT_READ) ? NULL : file_of(fd);
    if (file) { flags &= ~(MAP_POPULATE | MAP_LOCKED); }
    void * mapped = (void *) syscall(SYS_mmap, address, length, protection, flags, fd, offset);
    if (file && mapped != MAP_FAILED && n_mappings < MAPPINGS_MAX) {
        syscall(SYS_madvise, mapped, length, MADV_RANDOM);
        evict(fd, mapped, length);
        struct mapping * m = &mappings[n_mappings++];
        m->address = mapped;
        m->n_pages = (length + PAGE - 1) / PAGE;
        m->first = (size_t) offset / PAGE;
        m->file = file;
        m->gone = calloc(m->n_pages, 1);
    }
    pthread_mutex_unlock(&lock);
    return mapped;
}

void * mmap(void * address, size_t length, int protection, int flags, int fd, off_t offset) {
    return map(address, length, protection, flags, fd, offset);
}

void * mmap64(void * address, size_t length, int protection, int flags, int fd, off64_t offset) {
    return map(address, length, protection, flags, fd, offset);
}

/* WILLNEED would bring pages in that nobody touches, NORMAL and SEQUENTIAL neighbours. */
static bool is_model(const void * address) {
    const char * at = address;
    for (unsigned i = 0; i < n_mappings; i++) {
        const struct mapping * m = &mappings[i];
        if (m->address <= at && at < m->address + m->n_pages * PAGE) { return true; }
    }
    return false;
}

int posix_madvise(void * address, size_t length, int advice) {
    return is_model(address) ? 0 : syscall(SYS_madvise, address, length, advice) != 0 ? errno : 0;
}

int madvise(void * address, size_t length, int advice) {
    return is_model(address) ? 0 : (int) syscall(SYS_madvise, address, length, advice);
}

int mlock(const void * address, size_t length) {
    return is_model(address) ? 0 : (int) syscall(SYS_mlock, address, length);
}

static int open_quietly(const char * path, int flags, mode_t mode) {
    const int fd = (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    const size_t length = strlen(path);
    if (fd >= 0 && counts() && length > 5 && strcmp(path + length - 5, ".gguf") == 0) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    }
    return fd;
}

#define OPEN(name)                                                                                                     \
    int name(const char * path, int flags, ...) {                                                                      \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                  \
        va_end(rest);                                                                                                  \
        return open_quietly(path, flags, mode);                                                                        \
    }

OPEN(open)
OPEN(open64)

/* ---- counting ---- */

/* Pages [from, to) of a mapping that are there; they are looked at once, before they are unmapped. */
static void count_pages(struct mapping * m, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        unsigned char there = 0;
        if (m->gone[i] || mincore(m->address + i * PAGE, PAGE, &there) != 0) { continue; }
        m->gone[i] = 1;
        m->file->touched[m->first + i] |= there & 1;
    }
}

int munmap(void * address, size_t length) {
    const char * begin = address;
    const char * end = begin + (length + PAGE - 1) / PAGE * PAGE;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < n_mappings; i++) {
        struct mapping * m = &mappings[i];
        const char * last = m->address + m->n_pages * PAGE;
        if (end <= m->address || last <= begin) { continue; }
        const size_t from = begin > m->address ? (size_t) (begin - m->address) / PAGE : 0;
        count_pages(m, from, end < last ? (size_t) (end - m->address) / PAGE : m->n_pages);
    }
    const int result = (int) syscall(SYS_munmap, address, length);
    pthread_mutex_unlock(&lock);
    return result;
}

/* The agent reads the model's header: that does not count as the model's access. */
int close(int fd) {
    struct stat s;
    pthread_mutex_lock(&lock);
    if (n_files && counts() && fstat(fd, &s) == 0 && known_file(&s)) { posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); }
    const int result = (int) syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return result;
}

static void write_file(FILE * out, const struct file * file) {
    fprintf(out, "file %s\n", file->path);
    for (size_t i = 0; i < file->n_pages; i++) {
        const size_t first = i;
        while (i < file->n_pages && file->touched[i]) { i++; }
        if (i > first) { fprintf(out, "pages %zu %zu\n", first, i - 1); }
    }
}

__attribute__((destructor)) static void finish(void) {
    const char * path = getenv("PAGE_TRUTH");
    FILE * out = path && n_files ? fopen(path, "we") : NULL;
    if (!out) { return; }
    for (unsigned i = 0; i < n_mappings; i++) { count_pages(&mappings[i], 0, mappings[i].n_pages); }
    for (unsigned i = 0; i < n_files; i++) { write_file(out, &files[i]); }
    fclose(out);
}
