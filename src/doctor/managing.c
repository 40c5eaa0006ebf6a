/* SPDX-License-Identifier: MIT
 *
 * What `tat run` needs of the system to manage a model's memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "doctor/doctor.h"
#include "system/file_system.h"

static void check_memfd(struct findings * findings) {
    const int fd = memfd_create("tat", MFD_CLOEXEC);
    finding_add(findings, "run: memory", fd >= 0 ? VERDICT_GOOD : VERDICT_WARNING,
                fd >= 0 ? NULL : "for `tat run` alone, which needs memfd_create: allow that system call here", "%s%s",
                fd >= 0 ? "memfd_create works" : "memfd_create: ", fd >= 0 ? "" : strerror(errno));
    if (fd >= 0) { close(fd); }
}

/* Each piece of a model that is in memory is a mapping of its own. */
static void check_mappings(struct findings * findings) {
    enum { USUAL = 65530 };
    uint64_t most = 0;
    FILE * file = fopen("/proc/sys/vm/max_map_count", "re");
    const bool is_read = file && fscanf(file, "%" SCNu64, &most) == 1;
    if (file) { fclose(file); }
    if (!is_read) { return; }
    const bool is_few = most < USUAL;
    finding_add(findings, "run: mappings", is_few ? VERDICT_WARNING : VERDICT_GOOD,
                is_few ? "for `tat run` alone, which maps each piece of a model: sysctl vm.max_map_count=65530" : NULL,
                "a process may have %" PRIu64 " mappings", most);
}

/* A model is most often there where tat is called, or `tat doctor --disk MODEL` looks. */
static void check_direct(struct findings * findings) {
    static const char ask[] = "`tat doctor --disk MODEL` says whether the model can be read past the page cache";
    const int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct file_system system = fd >= 0 ? file_system_of(fd) : (struct file_system){ 0 };
    const char * name = system.name ? system.name : "a file system that tat does not know";
    if (fd >= 0) { close(fd); }
    switch (system.kind) {
        case FILE_SYSTEM_ON_DISK:
        case FILE_SYSTEM_OWN_SPACE:
            finding_add(findings, "run: O_DIRECT", VERDICT_GOOD, NULL, "%s, in this folder", name);
            return;
        case FILE_SYSTEM_IN_MEMORY:
            finding_add(
                findings, "run: O_DIRECT", VERDICT_WARNING,
                "for `tat run` alone: a model there is in memory already, so nothing is gained; put it on a disk",
                "%s, in this folder", name);
            return;
        default: finding_add(findings, "run: O_DIRECT", VERDICT_WARNING, ask, "%s, in this folder", name);
    }
}

/* Size and use of each, in KiB, behind its name and type. */
static void check_swap(struct findings * findings) {
    char line[512];
    uint64_t all = 0, kib;
    FILE * file = fopen("/proc/swaps", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%*s %*s %" SCNu64, &kib) == 1) { all += kib; }
    }
    if (file) { fclose(file); }
    if (!all) {
        finding_add(findings, "run: swap", VERDICT_GOOD, NULL, "off");
        return;
    }
    finding_add(
        findings, "run: swap", VERDICT_WARNING,
        "`tat run` does not count it as memory, but the kernel may still swap out what is kept there, which costs "
        "more than reading it: `tat run --memory` forbids it in a cgroup, `swapoff -a` everywhere",
        "%" PRIu64 " MiB of swap are on", all >> 10);
}

void doctor_managing(struct findings * findings) {
    check_memfd(findings);
    check_mappings(findings);
    check_direct(findings);
    check_swap(findings);
}
