/* SPDX-License-Identifier: MIT */
#include "agent/usage.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/events.h"
#include "system/processor_times.h"
#include "tat/format.h"

enum { TEXT = 1024, SECTOR = 512 };

/* The beginning of a file, as text. False: there is none. */
static bool read_text(const char * path, char text[static TEXT]) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, TEXT - 1) : -1;
    if (fd >= 0) { close(fd); }
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static uint64_t in_us(const struct timeval * t) {
    return (uint64_t) t->tv_sec * 1000000 + (uint64_t) t->tv_usec;
}

static void note_process(void) {
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0) { return; }
    const uint64_t values[] = {
        in_us(&u.ru_utime),    in_us(&u.ru_stime),     (uint64_t) u.ru_minflt,           (uint64_t) u.ru_majflt,
        (uint64_t) u.ru_nvcsw, (uint64_t) u.ru_nivcsw, (uint64_t) u.ru_inblock * SECTOR,
    };
    event_numbers(TAT_EVENT_USAGE, values, sizeof values / sizeof values[0]);
}

/* Of all processors, since the machine was started: busy, idle, stolen by the hypervisor, in microseconds. */
static void read_times(uint64_t us[static 3]) {
    enum { NS_PER_US = 1000 };
    char text[TEXT];
    struct processor_times times;
    if (!read_text("/proc/stat", text) || !processor_times_read(text, &times)) { return; }
    us[0] = times.busy_ns / NS_PER_US;
    us[1] = times.idle_ns / NS_PER_US;
    us[2] = times.stolen_ns / NS_PER_US;
}

/* Of the processor that this thread runs on: the clock now, and the highest, in kHz. */
static void read_clock(uint64_t khz[static 2]) {
    static const char * const names[] = { "scaling_cur_freq", "cpuinfo_max_freq" };
    char path[96], text[TEXT];
    const int processor = sched_getcpu();
    for (int i = 0; i < 2 && processor >= 0; i++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/%s", processor, names[i]);
        if (read_text(path, text)) { khz[i] = strtoull(text, NULL, 10); }
    }
}

/* How long this process's control group (version 2) was kept from computing by its quota, in microseconds. */
static uint64_t read_throttled(void) {
    static const char key[] = "throttled_usec ";
    char group[TEXT], path[TEXT + 64], text[TEXT];
    if (!read_text("/proc/self/cgroup", group)) { return 0; }
    const char * own = strstr(group, "0::");
    if (!own || (own != group && own[-1] != '\n')) { return 0; }
    snprintf(path, sizeof path, "/sys/fs/cgroup%.*s/cpu.stat", (int) strcspn(own + 3, "\n"), own + 3);
    const char * throttled = read_text(path, text) ? strstr(text, key) : NULL;
    return throttled ? strtoull(throttled + sizeof key - 1, NULL, 10) : 0;
}

static void note_machine(void) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t us[3] = { 0 }, khz[2] = { 0 };
    read_times(us);
    read_clock(khz);
    const uint64_t values[] = {
        processors > 0 ? (uint64_t) processors : 0, us[0], us[1], us[2], read_throttled(), khz[0], khz[1],
    };
    event_numbers(TAT_EVENT_MACHINE, values, sizeof values / sizeof values[0]);
}

void usage_note(void) {
    note_process();
    note_machine();
}
