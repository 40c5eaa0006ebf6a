/* SPDX-License-Identifier: MIT */
#include "cli/target.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char is_static[] =
    "is statically linked, so the tracer cannot be loaded into it: build llama.cpp with shared "
    "libraries (-DBUILD_SHARED_LIBS=ON)";
static const char is_raised[] =
    "gains privileges when it starts (set-user-ID, set-group-ID or capabilities), so the system does not load the "
    "tracer into it: run a copy without these privileges";
static const char is_foreign[] = "is built for another kind of processor than the tracer";

static const char * look_at_header(int fd, const Elf64_Ehdr * header) {
    Elf64_Ehdr own;
    const int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (self >= 0) {
        const bool is_other =
            pread(self, &own, sizeof own, 0) == sizeof own &&
            (own.e_machine != header->e_machine || own.e_ident[EI_CLASS] != header->e_ident[EI_CLASS]);
        close(self);
        if (is_other) { return is_foreign; }
    }
    if (header->e_phentsize != sizeof(Elf64_Phdr)) { return NULL; }
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        const Elf64_Off at = header->e_phoff + (Elf64_Off) i * sizeof segment;
        if (pread(fd, &segment, sizeof segment, (off_t) at) != sizeof segment) { return NULL; }
        if (segment.p_type == PT_INTERP) { return NULL; }
    }
    return is_static;
}

static bool gains_privileges(int fd, const struct stat * status) {
    char value;
    if ((status->st_mode & S_ISUID) && status->st_uid != geteuid()) { return true; }
    if ((status->st_mode & S_ISGID) && status->st_gid != getegid()) { return true; }
    return geteuid() != 0 && fgetxattr(fd, "security.capability", &value, 0) > 0;
}

const char * target_obstacle(const char * program) {
    const int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd < 0) { return NULL; } /* may be run without being readable */
    const char * obstacle = NULL;
    struct stat status;
    Elf64_Ehdr header;
    if (fstat(fd, &status) == 0 && gains_privileges(fd, &status)) {
        obstacle = is_raised;
    } else if (pread(fd, &header, sizeof header, 0) == sizeof header && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0) {
        obstacle = look_at_header(fd, &header);
    }
    close(fd);
    return obstacle;
}
