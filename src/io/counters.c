/* SPDX-License-Identifier: MIT */
#include "io/counters.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "agent/clock.h"
#include "system/cgroup.h"

struct telling {
    struct io_writer * writer;
    uint64_t ns;
    char text[8192]; /* of the file at hand */
};

static void tell(struct telling * t, enum tat_io_counter counter, uint64_t value) {
    io_write_counter(t->writer, &(struct tat_io_counter_value){ t->ns, value, counter });
}

/* False: there is no such file, or it is not for us. */
static bool read_text(struct telling * t, const char * path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, t->text, sizeof t->text - 1) : -1;
    if (fd >= 0) { close(fd); }
    t->text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Tells the number behind a name at the beginning of a line, times `unit`. */
static void tell_line(struct telling * t, const char * name, enum tat_io_counter counter, uint64_t unit) {
    const size_t length = strlen(name);
    uint64_t value;
    for (const char * line = t->text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && sscanf(line + length, "%*[: \t]%" SCNu64, &value) == 1) {
            tell(t, counter, value * unit);
            return;
        }
    }
}

/* ---- the process ---- */

/* Fields of proc_pid_stat(5), from the third on: the second, a name, may hold anything. */
enum { STAT_FIRST = 3, STAT_MINOR = 10, STAT_MAJOR = 12, STAT_DELAY = 42 };

static void tell_stat(struct telling * t) {
    const char * at = strrchr(t->text, ')');
    for (int field = STAT_FIRST; at && (at = strchr(at, ' ')) && field <= STAT_DELAY; field++, at++) {
        const uint64_t value = strtoull(at + 1, NULL, 10);
        if (field == STAT_MINOR) { tell(t, TAT_IO_MINOR_FAULTS, value); }
        if (field == STAT_MAJOR) { tell(t, TAT_IO_MAJOR_FAULTS, value); }
        if (field == STAT_DELAY && value) {
            tell(t, TAT_IO_DELAY_NS, value * (1000000000u / (uint64_t) sysconf(_SC_CLK_TCK)));
        }
    }
}

static void tell_process(struct telling * t, pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/io", (int) pid);
    if (read_text(t, path)) {
        tell_line(t, "read_bytes", TAT_IO_READ_BYTES, 1);
        tell_line(t, "rchar", TAT_IO_READ_CALL_BYTES, 1);
    }
    snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
    if (read_text(t, path)) { tell_stat(t); }
    snprintf(path, sizeof path, "/proc/%d/status", (int) pid);
    if (read_text(t, path)) {
        tell_line(t, "RssFile", TAT_IO_FILE_RESIDENT_BYTES, 1024);
        tell_line(t, "RssAnon", TAT_IO_ANON_RESIDENT_BYTES, 1024);
        tell_line(t, "VmLck", TAT_IO_LOCKED_BYTES, 1024);
        tell_line(t, "VmSwap", TAT_IO_SWAP_BYTES, 1024);
    }
}

/* ---- its memory cgroup ---- */

/* The folder of the process's group in the hierarchy of `controller`; of version 2 if that is "". */
static bool find_group(pid_t pid, const char * controller, const char * mount, char folder[static PATH_MAX]) {
    char process[32], path[PATH_MAX];
    snprintf(process, sizeof process, "/proc/%d", (int) pid);
    return cgroup_path(process, controller, path) && snprintf(folder, PATH_MAX, "%s%s", mount, path) < PATH_MAX;
}

static bool read_group(struct telling * t, const char * folder, const char * name) {
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return read_text(t, path);
}

static void tell_group_file(struct telling * t, const char * folder, const char * name, enum tat_io_counter counter) {
    char * end;
    if (!read_group(t, folder, name)) { return; }
    const uint64_t value = strtoull(t->text, &end, 10);
    if (end != t->text && value < INT64_MAX / 4096 * 4096) {
        tell(t, counter, value);
    } /* else "max", or v1's word for it */
}

static void tell_group_v1(struct telling * t, const char * folder) {
    tell_group_file(t, folder, "memory.usage_in_bytes", TAT_IO_GROUP_BYTES);
    tell_group_file(t, folder, "memory.limit_in_bytes", TAT_IO_GROUP_LIMIT_BYTES);
    if (read_group(t, folder, "memory.stat")) {
        tell_line(t, "total_pgpgin", TAT_IO_GROUP_FILLED_BYTES, (uint64_t) sysconf(_SC_PAGESIZE));
        tell_line(t, "total_pgmajfault", TAT_IO_GROUP_MAJOR_FAULTS, 1);
    }
}

/* "259:0 rbytes=1 wbytes=2 ...", a line for each disk. */
static void tell_group_v2(struct telling * t, const char * folder, uint64_t disk) {
    char name[32];
    tell_group_file(t, folder, "memory.current", TAT_IO_GROUP_BYTES);
    tell_group_file(t, folder, "memory.max", TAT_IO_GROUP_LIMIT_BYTES);
    if (read_group(t, folder, "memory.stat")) { tell_line(t, "pgmajfault", TAT_IO_GROUP_MAJOR_FAULTS, 1); }
    snprintf(name, sizeof name, "%u:%u rbytes=", major(disk), minor(disk));
    const char * line = disk && read_group(t, folder, "io.stat") ? strstr(t->text, name) : NULL;
    if (line) { tell(t, TAT_IO_GROUP_READ_BYTES, strtoull(line + strlen(name), NULL, 10)); }
}

static void find_groups(struct counters * c) {
    if (find_group(c->pid, "memory", "/sys/fs/cgroup/memory", c->group)) {
        c->version = 1;
    } else if (find_group(c->pid, "", "/sys/fs/cgroup", c->group)) {
        c->version = 2;
    }
}

static void tell_group(struct counters * c, struct telling * t, uint64_t disk) {
    if (!c->version) { find_groups(c); }
    if (c->version == 1) { tell_group_v1(t, c->group); }
    if (c->version == 2) { tell_group_v2(t, c->group, disk); }
}

/* ---- disk and machine ---- */

/* In block/stat the third number is sectors read, of 512 bytes. */
static void tell_disk(struct telling * t, uint64_t disk) {
    char path[64];
    uint64_t sectors;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/stat", major(disk), minor(disk));
    if (disk && read_text(t, path) && sscanf(t->text, "%*u %*u %" SCNu64, &sectors) == 1) {
        tell(t, TAT_IO_DISK_READ_BYTES, sectors * 512);
    }
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", in microseconds. */
static void tell_pressure(struct telling * t, const char * path, enum tat_io_counter counter) {
    const char * total = read_text(t, path) ? strstr(t->text, "total=") : NULL;
    if (total) { tell(t, counter, strtoull(total + strlen("total="), NULL, 10) * 1000); }
}

void counters_tell(struct counters * c, uint64_t disk) {
    struct telling t = { .writer = c->writer, .ns = clock_monotonic_ns() };
    tell_process(&t, c->pid);
    tell_group(c, &t, disk);
    tell_disk(&t, disk);
    tell_pressure(&t, "/proc/pressure/io", TAT_IO_PRESSURE_IO_NS);
    tell_pressure(&t, "/proc/pressure/memory", TAT_IO_PRESSURE_MEMORY_NS);
    struct rusage own; /* /proc/self/io has also what children read that were waited for */
    if (getrusage(RUSAGE_SELF, &own) == 0) { tell(&t, TAT_IO_TRACER_READ_BYTES, (uint64_t) own.ru_inblock * 512); }
}

void counters_tell_run(struct counters * c) {
    struct telling t = { .writer = c->writer, .ns = clock_monotonic_ns() };
    struct rusage usage;
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0) { return; }
    tell(&t, TAT_IO_RUN_READ_BYTES, (uint64_t) usage.ru_inblock * 512);
    tell(&t, TAT_IO_RUN_MAJOR_FAULTS, (uint64_t) usage.ru_majflt);
    tell(&t, TAT_IO_RUN_MINOR_FAULTS, (uint64_t) usage.ru_minflt);
}
