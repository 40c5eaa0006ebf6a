/* SPDX-License-Identifier: MIT */
#include "pressure/cold.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "system/file_system.h"
#include "system/page_cache.h"

static uint64_t resident(int fd) {
    struct stat file;
    uint64_t pages;
    if (fstat(fd, &file) != 0 || !page_cache_may_ask(fd, &file)) { return TAT_STAYED_UNKNOWN; }
    const uint64_t size = (uint64_t) file.st_size, page = (uint64_t) sysconf(_SC_PAGESIZE);
    if (!page_cache_count(fd, size, &pages)) { return TAT_STAYED_UNKNOWN; }
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
    return file_system_of(fd).kind == FILE_SYSTEM_IN_MEMORY;
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
