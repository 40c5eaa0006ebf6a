/* SPDX-License-Identifier: MIT
 *
 * What recording needs of the system. Only a full disk stands in its way; all else bears on looking at the kernel's
 * page faults and reads beside the trace, on memory under pressure, and on how exact times are.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor/doctor.h"
#include "system/cgroup.h"

enum { LINE = 4096 };

/* The first line of a file; false if there is none. */
static bool read_line(const char * path, char line[static LINE]) {
    FILE * file = fopen(path, "re");
    const bool read = file && fgets(line, LINE, file);
    if (file) { fclose(file); }
    if (read) { line[strcspn(line, "\n")] = '\0'; }
    return read;
}

static bool read_number(const char * path, long long * number) {
    char line[LINE];
    char * end;
    if (!read_line(path, line)) { return false; }
    *number = strtoll(line, &end, 10);
    return end != line;
}

static void check_kernel(struct findings * findings) {
    struct utsname system;
    int major = 0, minor = 0;
    uname(&system);
    const bool is_old = sscanf(system.release, "%d.%d", &major, &minor) == 2 && major * 100 + minor < 504;
    finding_add(findings, "kernel", is_old ? VERDICT_WARNING : VERDICT_GOOD, is_old ? "use Linux 5.4 or newer" : NULL,
                "%s, %s", system.release, system.machine);
}

#if defined(__x86_64__)
/* The flags of the first processor, a line of thousands of bytes. */
static void check_clock(struct findings * findings) {
    static const char path[] = "/proc/cpuinfo";
    FILE * info = fopen(path, "re");
    char * line = NULL;
    size_t size = 0;
    bool steady = false;
    while (info && getline(&line, &size, info) > 0) {
        if (strncmp(line, "flags", 5) != 0) { continue; }
        steady = strstr(line, " constant_tsc") && strstr(line, " nonstop_tsc");
        break;
    }
    free(line);
    if (info) { fclose(info); }
    finding_add(findings, "clock", steady ? VERDICT_GOOD : VERDICT_WARNING,
                steady ? NULL : "nothing to do: a time stamp costs about 25 ns instead of 10",
                steady ? "invariant time-stamp counter"
                       : "no invariant time-stamp counter, so the system clock is used");
}
#else
static void check_clock(struct findings * findings) {
    finding_add(findings, "clock", VERDICT_GOOD, NULL, "system clock");
}
#endif

static void check_disk(const char * traces, struct findings * findings) {
    enum { NEEDED_MIB = 16, SOME_MIB = 256 };
    struct statvfs disk;
    char folder[LINE];
    snprintf(folder, sizeof folder, "%s", traces);
    while (statvfs(folder, &disk) != 0) { /* it may be that the folder is not made yet */
        char * slash = strrchr(folder, '/');
        if (errno != ENOENT || (slash == folder && !folder[1])) { return; }
        if (slash == folder) { slash++; }
        snprintf(slash ? slash : folder, 2, "%s", slash ? "" : ".");
    }
    const uint64_t mib = (uint64_t) disk.f_bavail * disk.f_frsize >> 20;
    const enum verdict verdict = mib < NEEDED_MIB ? VERDICT_BAD : mib < SOME_MIB ? VERDICT_WARNING : VERDICT_GOOD;
    finding_add(findings, "disk", verdict,
                verdict == VERDICT_GOOD ? NULL : "free some space, or name another folder in TAT_DIR",
                "%" PRIu64 " MiB free for %s", mib, traces);
}

static void check_memlock(struct findings * findings) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) { return; }
    if (limit.rlim_cur == RLIM_INFINITY || geteuid() == 0) {
        finding_add(findings, "memlock", VERDICT_GOOD, NULL, "no limit");
        return;
    }
    finding_add(
        findings, "memlock", VERDICT_WARNING,
        "to lock a model in memory (llama.cpp's --mlock, `tat run --strategy lock`), raise the limit with `ulimit -l`",
        "at most %" PRIu64 " KiB can be locked in memory", (uint64_t) limit.rlim_cur >> 10);
}

/* The smallest limit from this process's group to the topmost that can be seen. */
static void check_cgroup(struct findings * findings) {
    struct memory_cgroup group;
    if (memory_cgroup_find("/proc", &group) != MEMORY_CGROUP_FOUND) {
        finding_add(findings, "cgroup", VERDICT_GOOD, NULL, "no control group for memory");
        return;
    }
    const unsigned version = group.version;
    uint64_t limit = UINT64_MAX;
    do {
        const uint64_t own = memory_cgroup_limit(&group);
        if (own < limit) { limit = own; }
    } while (memory_cgroup_up(&group));
    if (limit == UINT64_MAX) {
        finding_add(findings, "cgroup", VERDICT_GOOD, NULL, "no memory limit (version %u)", version);
        return;
    }
    finding_add(findings, "cgroup", VERDICT_WARNING,
                "if you did not mean to limit it, raise the limit: a model that does not fit is read again and again",
                "memory is limited to %" PRIu64 " MiB (version %u)", limit >> 20, version);
}

static void check_perf(struct findings * findings) {
    long long paranoid;
    if (!read_number("/proc/sys/kernel/perf_event_paranoid", &paranoid)) {
        finding_add(findings, "perf events", VERDICT_WARNING,
                    "needed for `tat record --io` alone: without them it only takes samples", "not in this kernel");
    } else if (paranoid > 2 && geteuid() != 0) {
        finding_add(
            findings, "perf events", VERDICT_WARNING,
            "for `tat record --io`, which only takes samples now: sysctl kernel.perf_event_paranoid=2 lets it record "
            "page faults",
            "perf_event_paranoid is %lld", paranoid);
    } else {
        finding_add(findings, "perf events", VERDICT_GOOD, NULL, "perf_event_paranoid is %lld%s", paranoid,
                    geteuid() == 0 ? ", and you are root" : "");
    }
}

static void check_io_uring(struct findings * findings) {
    long long disabled;
    if (!read_number("/proc/sys/kernel/io_uring_disabled", &disabled)) { disabled = 0; } /* kernels before 6.6 */
    const bool is_off = disabled == 2 || (disabled == 1 && geteuid() != 0);
    finding_add(
        findings, "io_uring", is_off ? VERDICT_WARNING : VERDICT_GOOD,
        is_off ? "not needed for recording; `tat run` reads by threads without it, which takes more of the processors: "
                 "sysctl kernel.io_uring_disabled=0"
               : NULL,
        "%s", is_off ? "disabled" : "enabled");
}

void doctor_system(const char * traces, struct findings * findings) {
    check_kernel(findings);
    check_clock(findings);
    check_disk(traces, findings);
    check_memlock(findings);
    check_cgroup(findings);
    check_perf(findings);
    check_io_uring(findings);
}
