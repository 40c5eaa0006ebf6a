/* SPDX-License-Identifier: MIT */
#include "cli/model_arguments.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/command_options.h"
#include "analysis/units.h"
#include "tat/gguf.h"

void model_arguments_add(struct model_arguments * m, const char * path) {
    char whole[PATH_MAX];
    if (!realpath(path, whole)) { snprintf(whole, sizeof whole, "%s", path); }
    for (size_t i = 0; i < m->count; i++) {
        if (strcmp(m->files[i], whole) == 0) { return; }
    }
    char ** files = realloc(m->files, (m->count + 1) * sizeof *files);
    if (!files) { return; }
    m->files = files;
    files[m->count] = strdup(whole);
    m->count += files[m->count] != NULL;
}

/* GGUF files are called so; of other files nothing is read. */
static bool is_named_so(const char * path) {
    static const char end[] = ".gguf";
    const size_t length = strlen(path);
    return length >= sizeof end && strcmp(path + length - (sizeof end - 1), end) == 0;
}

static void look_at(struct model_arguments * m, const char * path) {
    uint32_t count;
    struct tat_gguf * gguf = is_named_so(path) ? tat_gguf_open(path, TAT_GGUF_TOLERANT, NULL) : NULL;
    if (!gguf) { return; }
    const struct tat_gguf_file * files = tat_gguf_files(gguf, &count);
    for (uint32_t i = 0; i < count; i++) { model_arguments_add(m, files[i].path); }
    if (!m->first && tat_gguf_part(gguf) == TAT_PART_MODEL) {
        m->first = gguf;
    } else {
        tat_gguf_close(gguf);
    }
}

static void look_into(struct model_arguments * m, const char * text) {
    char * words = strdup(text);
    char * rest = NULL;
    for (char * word = words ? strtok_r(words, " \t\n\"'=;|&<>()", &rest) : NULL; word;
         word = strtok_r(NULL, " \t\n\"'=;|&<>()", &rest)) {
        look_at(m, word);
    }
    free(words);
}

void model_arguments_find(char ** command, struct model_arguments * m) {
    const char * variable = getenv("LLAMA_ARG_MODEL");
    *m = (struct model_arguments){ 0 };
    for (size_t i = 1; command[0] && command[i]; i++) {
        look_at(m, command[i]);
        if (strstr(command[i], ".gguf")) { look_into(m, command[i]); }
    }
    if (variable) { look_at(m, variable); }
}

json_t * model_arguments_options(char ** command) {
    const char * program = NULL;
    json_t * arguments = json_array();
    for (size_t i = 0; command[i]; i++) {
        const char * name = last_part(command[i]);
        json_array_append_new(arguments, json_string(command[i]));
        if (!program && strncmp(name, "llama-", 6) == 0 && !strchr(name, ' ')) { program = command[i]; }
    }
    /* llama-bench makes a context for each test */
    const bool is_known = program && strncmp(last_part(program), "llama-bench", 11) != 0;
    json_t * run = json_pack("{s:o, s:s}", "command", arguments, "program", is_known ? program : "");
    json_t * options = is_known ? command_options(run) : NULL;
    json_decref(run);
    return options;
}

void model_arguments_free(struct model_arguments * m) {
    for (size_t i = 0; i < m->count; i++) { free(m->files[i]); }
    free(m->files);
    tat_gguf_close(m->first);
    *m = (struct model_arguments){ 0 };
}
