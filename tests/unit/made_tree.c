/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "made_tree.h"

char made_root[64];

int made_begin(void ** state) {
    (void) state;
    strcpy(made_root, "/tmp/tat-made.XXXXXX");
    return mkdtemp(made_root) ? 0 : -1;
}

int made_end(void ** state) {
    char command[128];
    (void) state;
    snprintf(command, sizeof command, "rm -rf %s", made_root);
    return system(command);
}

void made_file(const char * path, const char * text) {
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", made_root, path);
    for (char * slash = strchr(whole + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(whole, 0755);
        *slash = '/';
    }
    FILE * file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

void made_proc(const char * cgroup, const char * type, const char * mounted, const char * options) {
    char line[512];
    made_file("proc/self/cgroup", cgroup);
    snprintf(line, sizeof line,
             "24 1 0:22 / /proc rw - proc proc rw\n35 31 0:32 %s %s/cg rw,relatime shared:9 - %s %s rw%s\n", mounted,
             made_root, type, type, options);
    made_file("proc/self/mountinfo", line);
}
