/* SPDX-License-Identifier: MIT */
#include "system/cgroup.h"

#include <stdio.h>
#include <string.h>

enum { LINE = 2 * PATH_MAX };

bool has_word(const char * list, const char * word, const char * separators) {
    const size_t length = strlen(word);
    for (const char * at = list; *at; at += strspn(at, separators)) {
        const size_t n = strcspn(at, separators);
        if (n == length && strncmp(at, word, n) == 0) { return true; }
        at += n;
    }
    return false;
}

/* "4:cpu,memory:/a/b", a line for each hierarchy; "0::/a/b" for version 2. */
bool cgroup_path(const char * process, const char * controller, char path[static PATH_MAX]) {
    char name[PATH_MAX], line[LINE];
    snprintf(name, sizeof name, "%s/cgroup", process);
    FILE * file = fopen(name, "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char * names = strchr(line, ':');
        char * group = names ? strchr(names + 1, ':') : NULL;
        if (!group) { continue; }
        *group = '\0';
        found = *controller ? has_word(names + 1, controller, ",") : !names[1];
        if (found) { snprintf(path, PATH_MAX, "%s", group + 1); }
    }
    if (file) { fclose(file); }
    return found;
}
