/* SPDX-License-Identifier: MIT */
#include "cli/machine_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "doctor/clock.h"

enum { NS_PER_S = 1000000000, SECTOR = 512 };

static void find_processors(struct machine_load * load) {
    uint64_t user, nice, system, idle, iowait, irq, softirq, steal;
    const long hertz = sysconf(_SC_CLK_TCK), processors = sysconf(_SC_NPROCESSORS_ONLN);
    FILE * file = fopen("/proc/stat", "re");
    if (file && hertz > 0 && processors > 0 &&
        fscanf(file, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal) == 8) {
        const uint64_t tick = NS_PER_S / (uint64_t) hertz;
        load->processors = (unsigned) processors;
        load->busy_ns = (user + nice + system + irq + softirq) * tick;
        load->stolen_ns = steal * tick;
    }
    if (file) { fclose(file); }
}

static uint64_t bytes_of(const struct whole_disk * disk) {
    char line[256];
    uint64_t read, written;
    whole_disk_read(disk, "stat", line, sizeof line);
    return sscanf(line, "%*u %*u %" SCNu64 " %*u %*u %*u %" SCNu64, &read, &written) == 2 ? (read + written) * SECTOR
                                                                                          : 0;
}

struct machine_load machine_load_now(const struct whole_disk * disk) {
    struct machine_load load = { .at_ns = clock_ns(), .disk_bytes = bytes_of(disk) };
    find_processors(&load);
    return load;
}
