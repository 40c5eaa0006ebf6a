/* SPDX-License-Identifier: MIT */
#include "cli/man_page.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/command_table.h"

/* A line that starts with . or ' is a request; a bare - may become a typographic one. */
static void print_text(const char * text) {
    bool is_start = true;
    for (; text && *text; text++) {
        if (is_start && strchr(".'", *text)) { fputs("\\&", stdout); }
        if (*text == '\\') {
            fputs("\\e", stdout);
        } else {
            if (*text == '-') { putchar('\\'); }
            putchar(*text);
        }
        is_start = *text == '\n';
    }
}

static void print_title(const char * name, const char * summary) {
    fputs(".TH \"TAT", stdout);
    for (const char * at = name; *at; at++) { putchar(toupper((unsigned char) *at)); }
    printf("\" 1 \"\" \"tat %s\" \"Tensor Access Tracker\"\n.SH NAME\ntat", TAT_VERSION);
    print_text(name);
    fputs(" \\- ", stdout);
    print_text(summary);
    puts("\n.SH SYNOPSIS");
}

static void print_option(const struct argp_option * option) {
    puts(".TP");
    if (option_letter(option)) { printf("\\fB\\-%c\\fR%s", option_letter(option), option->name ? ", " : ""); }
    if (option->name) {
        fputs("\\fB\\-\\-", stdout);
        print_text(option->name);
        fputs("\\fR", stdout);
    }
    if (option->arg && option->flags & OPTION_ARG_OPTIONAL) {
        printf("[=\\fI%s\\fR]", option->arg);
    } else if (option->arg) {
        printf("%s\\fI%s\\fR", option->name ? "=" : " ", option->arg);
    }
    putchar('\n');
    print_text(option->doc);
    putchar('\n');
}

static void print_command(const struct command * command) {
    char name[64];
    snprintf(name, sizeof name, "-%s", command->name);
    print_title(name, command->summary);
    printf("\\fBtat %s\\fR [options] ", command->name);
    print_text(command->arguments);
    puts("\n.SH DESCRIPTION");
    print_text(command->description);
    puts("\n.SH OPTIONS");
    for (const struct argp_option * o = command->options; o && !option_is_last(o); o++) {
        if (option_is_given(o)) {
            print_option(o);
        } else if (o->doc && !(o->flags & OPTION_HIDDEN)) { /* a title of those that follow */
            puts(".PP");
            print_text(o->doc);
            putchar('\n');
        }
    }
    puts(".TP\n\\fB\\-?\\fR, \\fB\\-\\-help\\fR\nPrint help for this command.");
    if (command->examples) {
        puts(".SH EXAMPLES\n.nf");
        print_text(command->examples);
        puts("\n.fi");
    }
    puts(".SH EXIT STATUS\nUnless the description says otherwise:\n"
         ".TP\n0\nSuccess.\n"
         ".TP\n1\nThe answer is no, or there is nothing to show.\n"
         ".TP\n2\nWrong usage.\n"
         ".TP\n3\nThe input is missing or invalid.\n"
         ".TP\n4\nThe system refused, for example because of a full disk or missing permissions.");
    puts(".SH SEE ALSO\n\\fBtat\\fR(1)");
}

static void print_overview(void) {
    print_title("", "record every tensor access of a llama.cpp run");
    puts("\\fBtat\\fR [\\fB\\-\\-no\\-pager\\fR] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n.SH DESCRIPTION\n"
         "Records which bytes of a model a llama.cpp run touches, when, and in what order.\n"
         "If \\fICOMMAND\\fR is not built in, tat runs the program tat\\-\\fICOMMAND\\fR from its folder libexec/tat\n"
         "or from PATH.\n.SH COMMANDS");
    for (size_t i = 0; command_described(i); i++) {
        printf(".TP\n\\fBtat\\-%s\\fR(1)\n", command_described(i)->name);
        print_text(command_described(i)->summary);
        putchar('\n');
    }
    puts(".SH ENVIRONMENT\n.TP\nTAT_DIR\nFolder for traces. Default: ./traces.\n"
         ".TP\nTAT_AGENT\nLibrary to load into the traced program. Default: the installed one.\n"
         ".TP\nTAT_PAGER, PAGER\nCommand that shows output that is longer than the screen. Default: less. If empty or\n"
         "cat, or with \\fB\\-\\-no\\-pager\\fR, output goes to the terminal. A pager is used on terminals only.\n"
         ".TP\nNO_COLOR\nIf set, output has no colours.");
}

int man_page_print(const char * name) {
    if (!name) { return print_overview(), TAT_OK; }
    const struct command * command = command_find_described(name);
    if (!command) {
        fprintf(stderr, "tat --man: there is no command '%s'\n", name);
        return TAT_ERROR_USAGE;
    }
    print_command(command);
    return TAT_OK;
}
