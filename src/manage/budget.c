/* SPDX-License-Identifier: MIT */
#include "manage/budget.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manage/address_space.h"
#include "plan/reserve.h"
#include "system/cgroup.h"

static uint64_t less(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

static int64_t difference(uint64_t a, uint64_t b) {
    const uint64_t size = a > b ? a - b : b - a;
    const int64_t most = size < INT64_MAX ? (int64_t) size : INT64_MAX;
    return a > b ? most : -most;
}

/* ---- small files ---- */

enum { TEXT = 8192 };

/* All of it, or its beginning, whole lines of it. False: there is none. */
static bool read_text(const char * folder, const char * name, char text[static TEXT]) {
    char path[PATH_MAX + 64];
    size_t length = 0;
    ssize_t n = -1;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && length < TEXT - 1 && (n = read(fd, text + length, TEXT - 1 - length)) > 0) {
        length += (size_t) n;
    }
    if (fd >= 0) { close(fd); }
    text[length] = '\0';
    char * last = strrchr(text, '\n');
    if (last) { last[1] = '\0'; }
    return length > 0;
}

static bool read_number(const char * folder, const char * name, uint64_t * number) {
    char text[TEXT], *end;
    if (!read_text(folder, name, text)) { return false; }
    *number = strtoull(text, &end, 10);
    return end != text;
}

/* Behind the key at the beginning of a line; 0: there is no such line. */
static uint64_t number_of(const char * text, const char * key) {
    const size_t length = strlen(key);
    for (const char * line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0) { return strtoull(line + length, NULL, 10); }
    }
    return 0;
}

/* ---- limits ---- */

static uint64_t pool_cached; /* relaxed */

void budget_count_cached(uint64_t bytes) {
    __atomic_store_n(&pool_cached, bytes, __ATOMIC_RELAXED);
}

/* Page cache that the kernel can give to others, without what is the pool's. */
static uint64_t others_cache(uint64_t cache) {
    return less(cache, __atomic_load_n(&pool_cached, __ATOMIC_RELAXED));
}

/* `used` with the pool; `all` also with page cache. */
struct use {
    uint64_t limit, used, all;
};

/* Its own memory and page tables. Memory that it shares with others counts as the others'. Pages of the pool are mapped
 * twice, and the kernel counts them twice here. */
static bool use_of_process(const char * proc, uint64_t asked, uint64_t pool_bytes, struct use * use) {
    char text[TEXT];
    if (!asked || !read_text(proc, "self/status", text)) { return false; }
    const uint64_t kib = number_of(text, "RssAnon:") + number_of(text, "VmPTE:");
    const uint64_t used = (kib << 10) + pool_bytes;
    *use = (struct use){ asked, used, used + (number_of(text, "RssFile:") << 10) };
    return true;
}

/* Whatever is charged to the group, but not its page cache, save that which is locked or in tmpfs. Version 2 has a
 * second limit, above which it slows programs down. */
static bool use_of_group(const struct memory_cgroup * group, struct use * use) {
    const bool is_v1 = group->version == 1;
    char stat[TEXT];
    uint64_t high, all;
    use->limit = memory_cgroup_limit(group);
    if (!is_v1 && read_number(group->folder, "memory.high", &high) && high < use->limit) { use->limit = high; }
    if (use->limit == UINT64_MAX || !read_text(group->folder, "memory.stat", stat) ||
        !read_number(group->folder, is_v1 ? "memory.usage_in_bytes" : "memory.current", &all)) {
        return false;
    }
    const uint64_t back = is_v1 ? number_of(stat, "total_active_file ") + number_of(stat, "total_inactive_file ")
                                : number_of(stat, "active_file ") + number_of(stat, "inactive_file ") +
                                      number_of(stat, "slab_reclaimable ");
    use->used = less(all, others_cache(back));
    use->all = all;
    return true;
}

static bool use_of_machine(const char * proc, struct use * use) {
    char text[TEXT];
    if (!read_text(proc, "meminfo", text)) { return false; }
    const uint64_t all = number_of(text, "MemTotal:"), available = number_of(text, "MemAvailable:");
    *use = (struct use){ all << 10, less(all << 10, others_cache(available << 10)),
                         less(all, number_of(text, "MemFree:")) << 10 };
    return all && available;
}

static void take_tighter(const struct use * use, struct use * tightest) {
    if (difference(use->limit, use->used) < difference(tightest->limit, tightest->used)) { *tightest = *use; }
}

/* The process's group; its `folder` is empty if there is none. Where it is outside of what is mounted, its container is
 * what can be seen. */
static void find_group(const char * proc, struct memory_cgroup * group) {
    const enum memory_cgroup_found found = memory_cgroup_find(proc, group);
    if (found != MEMORY_CGROUP_FOUND && found != MEMORY_CGROUP_OUTSIDE) { *group->folder = '\0'; }
}

/* The limit that leaves the least. False: none is known. */
static bool find_use(const char * proc, struct memory_cgroup group, uint64_t asked, uint64_t pool_bytes,
                     struct use * tightest) {
    struct use use;
    *tightest = (struct use){ UINT64_MAX, 0, 0 };
    if (use_of_machine(proc, &use)) { take_tighter(&use, tightest); }
    if (use_of_process(proc, asked, pool_bytes, &use)) { take_tighter(&use, tightest); }
    if (*group.folder) {
        do {
            if (use_of_group(&group, &use)) { take_tighter(&use, tightest); }
        } while (memory_cgroup_up(&group));
    }
    return tightest->limit != UINT64_MAX;
}

/* ---- the budget ---- */

static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    struct budget budget;
    struct memory_cgroup group;
} last; /* that was found: looking for the group takes longer than reading its files */

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

uint64_t budget_plain(const struct budget * b) {
    return less(b->limit, b->used + b->code);
}

bool budget_find_in(const char * proc, uint64_t asked, uint64_t pool_bytes, uint64_t growth, struct budget * b) {
    struct use use;
    struct address_space_files files;
    struct memory_cgroup group;
    find_group(proc, &group);
    if (!find_use(proc, group, asked, pool_bytes, &use) || !address_space_files(proc, &files)) { return false; }
    const uint64_t cache = less(use.all, use.used); /* of libraries, what others have read first is not charged here */
    *b = (struct budget){ .limit = use.limit,
                          .used = less(use.used, pool_bytes),
                          .growth = growth,
                          .files = least(files.code, cache),
                          .code = least(files.code, less(cache, files.other)),
                          .reserve = plan_reserve(use.limit) };
    b->pool = less(less(b->limit, b->used), b->growth + b->files + b->reserve);
    pthread_mutex_lock(&last_lock);
    last.budget = *b;
    last.group = group;
    pthread_mutex_unlock(&last_lock);
    return true;
}

void budget_grant(uint64_t pool_bytes) {
    pthread_mutex_lock(&last_lock);
    last.budget.pool = pool_bytes;
    pthread_mutex_unlock(&last_lock);
}

/* The use now, where it was found last. */
static bool find_use_again(const char * proc, uint64_t asked, struct budget * b, struct use * use) {
    pthread_mutex_lock(&last_lock);
    const struct memory_cgroup group = last.group;
    *b = last.budget;
    pthread_mutex_unlock(&last_lock);
    return find_use(proc, group, asked, b->pool, use);
}

int64_t budget_left_in(const char * proc, uint64_t asked) {
    struct budget b;
    struct use use;
    if (!find_use_again(proc, asked, &b, &use)) { return INT64_MAX; }
    return difference(use.limit, use.used + b.files + b.reserve);
}

uint64_t budget_room_in(const char * proc, uint64_t asked, uint64_t pool_free) {
    struct budget b;
    struct use use;
    if (!find_use_again(proc, asked, &b, &use)) { return 0; }
    return less(less(use.limit, use.all), b.reserve + pool_free);
}

bool budget_find(uint64_t asked, uint64_t pool_bytes, uint64_t growth, struct budget * b) {
    return budget_find_in("/proc", asked, pool_bytes, growth, b);
}

int64_t budget_left(uint64_t asked) {
    return budget_left_in("/proc", asked);
}

uint64_t budget_room(uint64_t asked, uint64_t pool_free) {
    return budget_room_in("/proc", asked, pool_free);
}
