/* SPDX-License-Identifier: MIT */
#include "cli/machine_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "system/clock.h"
#include "system/processor_times.h"

enum { SECTOR = 512 };

static void find_processors(struct machine_load * load) {
    char line[512];
    struct processor_times times;
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    FILE * file = fopen("/proc/stat", "re");
    if (file && fgets(line, sizeof line, file) && processors > 0 && processor_times_read(line, &times)) {
        load->processors = (unsigned) processors;
        load->busy_ns = times.busy_ns;
        load->stolen_ns = times.stolen_ns;
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
