/* SPDX-License-Identifier: MIT */
#include "cli/help.h"

#include <string.h>

#include "cli/command_table.h"
#include "cli/external.h"
#include "cli/terminal.h"

/* The order in which commands are shown. One that no group names comes under the last title. */
static const struct group {
    const char * title;
    const char * names[12];
} groups[] = {
    { "Record and manage traces", { "record", "top", "list", "rm" } },
    { "Read a trace", { "report", "verify", "dump", "export", "view", "diff" } },
    { "Inspect a model", { "gguf", "plan", "reorder" } },
};
enum { GROUPS = sizeof groups / sizeof *groups };

static void show(FILE * out, const struct command * command) {
    fprintf(out, "  %s%-10s%s %s\n", style(out, STYLE_BOLD), command->name, style(out, STYLE_PLAIN), command->summary);
}

static bool has(const struct group * group, const char * name) {
    for (size_t i = 0; group->names[i]; i++) {
        if (strcmp(group->names[i], name) == 0) { return true; }
    }
    return false;
}

static bool is_grouped(const char * name) {
    for (size_t g = 0; g < GROUPS; g++) {
        if (has(&groups[g], name)) { return true; }
    }
    return false;
}

static void show_group(FILE * out, const struct group * group) {
    const char * title = group->title;
    for (size_t i = 0; group->names[i]; i++) {
        const struct command * command = command_find(group->names[i]);
        if (!command) { continue; }
        if (title) { fprintf(out, "\n%s:\n", title); }
        title = NULL;
        show(out, command);
    }
}

static void show_rest(FILE * out) {
    const char * title = "Other commands";
    for (size_t i = 0; command_table[i]; i++) {
        if (is_grouped(command_table[i]->name)) { continue; }
        if (title) { fprintf(out, "\n%s:\n", title); }
        title = NULL;
        show(out, command_table[i]);
    }
}

struct listing {
    FILE * out;
    bool described, begun;
};

/* Programs tat-NAME, of which those in Python are described. */
static void show_external(const char * name, void * state) {
    struct listing * listing = state;
    const struct command * command = command_find_described(name);
    if (command && listing->described) {
        if (!listing->begun) { fputs("\nIn Python:\n", listing->out); }
        show(listing->out, command);
    } else if (!command && !listing->described) {
        fprintf(listing->out, "%s %s", listing->begun ? "" : "\nExternal commands:", name);
    } else {
        return;
    }
    listing->begun = true;
}

void help_overview(FILE * out) {
    fputs("Usage: tat COMMAND [ARGUMENT...]\n\n"
          "Records which bytes of a model a llama.cpp run touches, when, and in what order.\n",
          out);
    for (size_t g = 0; g < GROUPS; g++) { show_group(out, &groups[g]); }
    show_rest(out);
    struct listing python = { .out = out, .described = true }, others = { .out = out };
    external_each(show_external, &python);
    external_each(show_external, &others);
    if (others.begun) { fputc('\n', out); }
    fputs("\nRun `tat COMMAND --help` for help on a command. Traces are stored in ./traces,\n"
          "or in $TAT_DIR. Commands that read a trace use the newest one by default.\n"
          "On a terminal, long output goes to $TAT_PAGER, $PAGER or less; not with\n`tat --no-pager COMMAND`.\n",
          out);
}
