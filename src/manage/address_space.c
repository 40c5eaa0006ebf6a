/* SPDX-License-Identifier: MIT */
#include "manage/address_space.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct mapping {
    uint64_t from, to;
    char rights[5];
    bool is_path; /* a file's, and not a name like [heap] */
    uint64_t resident, anonymous;
};

/* "7f00-7f10 rw-p 00000000 fe:00 123   /path" */
static bool read_head(const char * line, struct mapping * m) {
    int name = 0;
    *m = (struct mapping){ .from = 0 };
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*u %n", &m->from, &m->to, m->rights, &name) < 3 || !name ||
        m->to < m->from) {
        return false;
    }
    m->is_path = line[name] == '/' && strncmp(line + name, "/memfd:", 7) != 0;
    return true;
}

static void read_fact(const char * line, struct mapping * m) {
    uint64_t kib;
    if (sscanf(line, "Rss: %" SCNu64, &kib) == 1 && kib < UINT64_MAX >> 10) { m->resident = kib << 10; }
    if (sscanf(line, "Anonymous: %" SCNu64, &kib) == 1 && kib < UINT64_MAX >> 10) { m->anonymous = kib << 10; }
}

static uint64_t less(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

static void count(const struct mapping * m, struct address_space_files * files) {
    if (m->is_path) { *(m->rights[2] == 'x' ? &files->code : &files->other) += less(m->resident, m->anonymous); }
}

bool address_space_files(const char * proc, struct address_space_files * files) {
    char path[PATH_MAX], line[PATH_MAX + 128];
    struct mapping m = { .from = 0 }, next = m;
    bool begins = true;
    snprintf(path, sizeof path, "%s/self/smaps", proc);
    *files = (struct address_space_files){ 0 };
    FILE * file = fopen(path, "re");
    if (!file) { return false; }
    for (bool more = true; more;) {
        more = fgets(line, sizeof line, file);
        const bool is_head = more && begins && read_head(line, &next);
        if (is_head || !more) {
            count(&m, files);
            m = next;
        } else if (begins) {
            read_fact(line, &m);
        }
        begins = more && strchr(line, '\n'); /* names may be longer than a line may be here */
    }
    fclose(file);
    return true;
}
