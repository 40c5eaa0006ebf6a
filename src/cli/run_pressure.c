/* SPDX-License-Identifier: MIT */
#include "cli/run_pressure.h"

#include <stdio.h>

#include "cli/units.h"
#include "io/privilege.h"
#include "pressure/memory_group.h"

int run_pressure_begin(struct run_pressure * p, struct tat_error * error) {
    if (!p->limit) { return 0; }
    privilege_raise();
    p->group = memory_group_make(p->limit, error);
    if (p->group) { memory_group_read(p->group, &p->memory); }
    privilege_lower();
    if (!p->group) { return -1; }
    if (!p->memory.no_swap) {
        fprintf(stderr, "tat record: warning: this kernel does not limit swap: the program may use swap beyond its "
                        "memory; `swapoff -a` prevents that\n");
    }
    return 0;
}

int run_pressure_enter(const struct run_pressure * p, pid_t pid, struct tat_error * error) {
    if (!p->group) { return 0; }
    privilege_raise();
    const int result = memory_group_enter(p->group, pid, error);
    privilege_lower();
    return result;
}

static void say(const struct tat_run_memory * m) {
    char limit[UNITS_SIZE], peak[UNITS_SIZE], faults[UNITS_SIZE], pages[UNITS_SIZE];
    format_bytes(limit, m->limit);
    format_bytes(peak, m->peak);
    if (m->oom_kills) {
        fprintf(
            stderr,
            "tat record: the kernel killed %s because what it needs besides the model's file does not fit in %s: "
            "allow more memory (--memory), or have the program need less, such as with a smaller context (-c 512)\n",
            m->oom_kills == 1 ? "the program" : "processes of the program", limit);
    }
    fprintf(stderr,
            "tat: at most %s of %s of memory in use; %s major page faults, %s pages read again after eviction\n",
            m->peak ? peak : "an unknown part", limit, format_count(faults, m->major_faults),
            format_count(pages, m->refaulted_pages));
}

void run_pressure_end(struct run_pressure * p) {
    if (!p->group) { return; }
    privilege_raise();
    memory_group_read(p->group, &p->memory);
    memory_group_end(p->group);
    privilege_lower();
    p->group = NULL;
    say(&p->memory);
}
