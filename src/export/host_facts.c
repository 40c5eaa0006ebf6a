/* SPDX-License-Identifier: MIT */
#include "export/host_facts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "system/whole_disk.h"

static void cpu_model(char * name, size_t size) {
    char line[512];
    FILE * info = fopen("/proc/cpuinfo", "re");
    snprintf(name, size, "unknown");
    while (info && fgets(line, sizeof line, info)) {
        const char * colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) { continue; }
        snprintf(name, size, "%.*s", (int) strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (info) { fclose(info); }
}

/* What the kernel calls the disk that a file is on: the device's model, or its name where it has none. */
static void disk_of(const char * path, char * name, size_t size) {
    struct stat status;
    snprintf(name, size, "unknown");
    if (stat(path, &status) != 0) { return; }
    const struct whole_disk disk = whole_disk_of(status.st_dev);
    if (!*disk.name) { return; }
    whole_disk_read(&disk, "device/model", name, size);
    if (!*name) { snprintf(name, size, "%s", disk.name); }
}

static json_int_t memory_bytes(void) {
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return (json_int_t) pages * page;
}

json_t * host_identity_json(void) {
    char cpu[256];
    cpu_model(cpu, sizeof cpu);
    return json_pack("{s:s, s:i, s:I}", "cpu", cpu, "cpus", (int) sysconf(_SC_NPROCESSORS_ONLN), "memory_bytes",
                     memory_bytes());
}

json_t * host_facts_json(const struct tat_trace * trace, bool is_private) {
    struct utsname system;
    char cpu[256], disk[256] = "unknown";
    uint32_t count;
    uname(&system);
    cpu_model(cpu, sizeof cpu);
    const struct tat_model_file * files = tat_trace_model_files(trace, &count);
    if (count) { disk_of(files[0].path, disk, sizeof disk); }
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:s}", "name", is_private ? "(left out)" : system.nodename,
                     "kernel", system.release, "machine", system.machine, "cpu", cpu, "cpus",
                     (int) sysconf(_SC_NPROCESSORS_ONLN), "memory_bytes", memory_bytes(), "model_disk", disk);
}
