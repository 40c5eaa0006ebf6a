/* SPDX-License-Identifier: MIT
 *
 * What the traces under a folder hold, one `name value` a line, summed over all of them; what contradicts itself goes
 * to stderr and makes the status 1. usage: check_trace [--killed] FOLDER
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace_facts.h"

int main(int argc, char ** argv) {
    const bool killed = argc > 1 && strcmp(argv[1], "--killed") == 0;
    const char * folder = argv[argc - 1];
    struct trace_facts facts = { 0 };
    DIR * dir = argc == 2 + killed ? opendir(folder) : NULL;
    if (!dir) {
        perror(folder);
        return 2;
    }
    bool good = true;
    for (struct dirent * entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') { continue; }
        char path[4096];
        struct tat_error error = { 0 };
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (trace_facts_add(&facts, path, killed, &error) != 0) {
            fprintf(stderr, "%s\n", error.message);
            good = false;
        }
    }
    closedir(dir);
    trace_facts_print(&facts);
    return good ? 0 : 1;
}
