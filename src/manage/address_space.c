/* SPDX-License-Identifier: MIT */
#include "manage/address_space.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { BUFFER_LEAST = 100 << 10 }; /* bytes untouched: less is the allocator's slack */

struct mapping {
    uint64_t from, to, inode;
    char rights[5];
    bool has_name, is_path; /* a file's, or one like [heap] */
    uint64_t resident, anonymous;
    bool is_unreserved, is_small_paged; /* MAP_NORESERVE; MAP_STACK, of which the kernel makes no huge pages */
};

/* "7f00-7f10 rw-p 00000000 fe:00 123   /path" */
static bool read_head(const char * line, struct mapping * m) {
    int name = 0;
    *m = (struct mapping){ .from = 0 };
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64 " %n", &m->from, &m->to, m->rights, &m->inode,
               &name) < 4 ||
        m->to < m->from) {
        return false;
    }
    m->has_name = name && line[name] && line[name] != '\n';
    m->is_path = name && line[name] == '/' && strncmp(line + name, "/memfd:", 7) != 0;
    return true;
}

static void read_fact(const char * line, struct mapping * m) {
    uint64_t kib;
    if (sscanf(line, "Rss: %" SCNu64, &kib) == 1 && kib < UINT64_MAX >> 10) { m->resident = kib << 10; }
    if (sscanf(line, "Anonymous: %" SCNu64, &kib) == 1 && kib < UINT64_MAX >> 10) { m->anonymous = kib << 10; }
    if (strncmp(line, "VmFlags:", 8) == 0) {
        m->is_unreserved = strstr(line, " nr");
        m->is_small_paged = strstr(line, " nh");
    }
}

static uint64_t less(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

/* Of a private anonymous mapping that may be written. What was reserved with MAP_NORESERVE is a range of addresses, as
 * are the reserves of the allocator, which may not even be written. Stacks are not touched to their end; one that the
 * kernel does not mark as such has a guard below it, and the mapping may go on behind it. */
static uint64_t untouched(const struct mapping * m, const struct mapping * before, uint64_t stack) {
    if (strcmp(m->rights, "rw-p") != 0 || m->inode || m->has_name || m->is_unreserved || m->is_small_paged) {
        return 0;
    }
    const bool has_guard = before->to == m->from && strcmp(before->rights, "---p") == 0 && !before->inode;
    const uint64_t bytes = less(m->to - m->from, has_guard ? stack : 0), rest = less(bytes, m->resident);
    return rest >= BUFFER_LEAST ? rest : 0;
}

static uint64_t of_file(const struct mapping * m) {
    return m->is_path && m->rights[2] == 'x' ? less(m->resident, m->anonymous) : 0;
}

bool address_space_read(const char * proc, uint64_t stack, struct address_space * space) {
    char path[PATH_MAX], line[PATH_MAX + 128];
    struct mapping m = { .from = 0 }, before = m, next = m;
    bool begins = true;
    snprintf(path, sizeof path, "%s/self/smaps", proc);
    *space = (struct address_space){ 0, 0 };
    FILE * file = fopen(path, "re");
    if (!file) { return false; }
    for (bool more = true; more;) {
        more = fgets(line, sizeof line, file);
        const bool is_head = more && begins && read_head(line, &next);
        if (is_head || !more) {
            space->untouched += untouched(&m, &before, stack);
            space->files += of_file(&m);
            before = m;
            m = next;
        } else if (begins) {
            read_fact(line, &m);
        }
        begins = more && strchr(line, '\n'); /* names may be longer than a line may be here */
    }
    fclose(file);
    return true;
}
