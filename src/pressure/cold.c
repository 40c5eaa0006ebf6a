/* SPDX-License-Identifier: MIT */
#include "pressure/cold.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { PIECE_PAGES = 1 << 16 };

/* Of one piece of the file. */
static uint64_t count_pages(int fd, uint64_t at, size_t bytes, size_t page) {
    static unsigned char there[PIECE_PAGES];
    const size_t pages = (bytes + page - 1) / page;
    uint64_t count = 0;
    void * mapped = mmap(NULL, bytes, PROT_NONE, MAP_SHARED, fd, (off_t) at);
    if (mapped == MAP_FAILED) { return TAT_STAYED_UNKNOWN; }
    const int failed = mincore(mapped, bytes, there);
    munmap(mapped, bytes);
    for (size_t i = 0; !failed && i < pages; i++) { count += there[i] & 1; }
    return failed ? TAT_STAYED_UNKNOWN : count;
}

/* mincore answers "all" to those who neither own the file nor may write it. */
static bool may_ask(int fd, const struct stat * file) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return geteuid() == 0 || file->st_uid == geteuid() || eaccess(path, W_OK) == 0;
}

static uint64_t resident(int fd) {
    struct stat file;
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    uint64_t pages = 0;
    if (fstat(fd, &file) != 0 || !may_ask(fd, &file)) { return TAT_STAYED_UNKNOWN; }
    const uint64_t size = (uint64_t) file.st_size, piece = (uint64_t) PIECE_PAGES * page;
    for (uint64_t at = 0; at < size; at += piece) {
        const uint64_t count = count_pages(fd, at, (size_t) (size - at < piece ? size - at : piece), page);
        if (count == TAT_STAYED_UNKNOWN) { return TAT_STAYED_UNKNOWN; }
        pages += count;
    }
    return pages * page < size ? pages * page : size;
}

/* Pages that another processor has just touched stay at the first attempt. */
uint64_t cold_evict(int fd) {
    enum { ATTEMPTS = 3 };
    uint64_t stayed = 0;
    fdatasync(fd);
    for (int i = 0; i < ATTEMPTS; i++) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        stayed = resident(fd);
        if (stayed == 0 || stayed == TAT_STAYED_UNKNOWN) { break; }
    }
    return stayed;
}

bool cold_is_memory(int fd) {
    struct statfs system;
    return fstatfs(fd, &system) == 0 && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

/* ---- who maps it ---- */

/* By its number and name: some file systems give another device in maps than to stat. */
static bool maps(const char * pid, uint64_t inode, const char * name) {
    char path[64 + NAME_MAX], line[PATH_MAX + 256];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    FILE * file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        uint64_t number;
        line[strcspn(line, "\n")] = '\0';
        const char * slash = strrchr(line, '/');
        found = sscanf(line, "%*s %*s %*s %*s %" SCNu64, &number) == 1 && number == inode && slash &&
                strcmp(slash + 1, name) == 0;
    }
    if (file) { fclose(file); }
    return found;
}

pid_t cold_mapped_by(const struct stat * file, const char * path) {
    const char * slash = strrchr(path, '/');
    pid_t found = 0;
    DIR * processes = opendir("/proc");
    for (const struct dirent * entry; !found && processes && (entry = readdir(processes));) {
        const pid_t pid = (pid_t) atoi(entry->d_name);
        if (pid > 0 && maps(entry->d_name, (uint64_t) file->st_ino, slash ? slash + 1 : path)) { found = pid; }
    }
    if (processes) { closedir(processes); }
    return found;
}
