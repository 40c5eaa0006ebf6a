/* SPDX-License-Identifier: MIT
 *
 * Preloaded into llama.cpp, which has no options for it: how the model's file is mapped. MAPPING=faults reads pages
 * when they are touched and not beforehand; MAPPING=random does so without read-ahead too; MAPPING=willneed asks the
 * kernel for the whole file, and waits for none of it. Other files are left alone.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool wants(const char * mapping) {
    const char * given = getenv("MAPPING");
    return given && (!mapping || strcmp(given, mapping) == 0);
}

static bool is_model(int fd) {
    char magic[4];
    return fd >= 0 && pread(fd, magic, sizeof magic, 0) == sizeof magic && memcmp(magic, "GGUF", sizeof magic) == 0;
}

static void * map(const char * name, void * at, size_t length, int protection, int flags, int fd, off_t offset) {
    void * (*real)(void *, size_t, int, int, int, off_t) =
        (void * (*) (void *, size_t, int, int, int, off_t)) dlsym(RTLD_NEXT, name);
    const bool is_ours = (flags & MAP_SHARED) && wants(NULL) && is_model(fd);
    void * mapped = real(at, length, protection, is_ours ? flags & ~MAP_POPULATE : flags, fd, offset);
    if (is_ours && mapped != MAP_FAILED && wants("random")) { madvise(mapped, length, MADV_RANDOM); }
    return mapped;
}

void * mmap(void * at, size_t length, int protection, int flags, int fd, off_t offset) {
    return map("mmap", at, length, protection, flags, fd, offset);
}

void * mmap64(void * at, size_t length, int protection, int flags, int fd, off_t offset) {
    return map("mmap64", at, length, protection, flags, fd, offset);
}

/* With it llama.cpp asks for the whole file beforehand. */
int posix_madvise(void * at, size_t length, int advice) {
    const bool is_passed_over = advice == POSIX_MADV_WILLNEED && wants(NULL) && !wants("willneed");
    return is_passed_over ? 0 : madvise(at, length, advice);
}
