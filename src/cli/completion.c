/* SPDX-License-Identifier: MIT */
#include "cli/completion.h"

#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/commands.h"

static int is_end(const struct argp_option * o) {
    return !o->name && !o->key && !o->doc;
}

/* ------------------------------------------------------------------------------------------------------ completions */

static void bash(void) {
    puts("_tat() {\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} options=\n"
         "    if (( COMP_CWORD == 1 )); then");
    printf("        COMPREPLY=($(compgen -W \"");
    for (size_t i = 0; commands[i]; i++) { printf("%s ", commands[i]->name); }
    puts("--help --version\" -- \"$word\"))\n        return\n    fi\n    case $command in");
    for (size_t i = 0; commands[i]; i++) {
        printf("        %s) options=\"", commands[i]->name);
        for (const struct argp_option * o = commands[i]->options; o && !is_end(o); o++) {
            if (o->name) { printf("--%s ", o->name); }
        }
        puts("--help\" ;;");
    }
    puts("    esac\n"
         "    if [[ $word == -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
         "    else COMPREPLY=($(compgen -f -- \"$word\")); fi\n"
         "}\n"
         "complete -o filenames -F _tat tat");
}

/* A description inside single quotes, without what zsh's specifications would read. */
static void quoted(const char * text) {
    for (; *text; text++) {
        if (strchr("'[]:\\", *text)) { continue; }
        putchar(*text);
    }
}

static void zsh(void) {
    puts("#compdef tat\nlocal -a commands\ncommands=(");
    for (size_t i = 0; commands[i]; i++) {
        printf("    '%s:", commands[i]->name);
        quoted(commands[i]->summary);
        puts("'");
    }
    puts(")\nif (( CURRENT == 2 )); then\n    _describe command commands\n    return\nfi\ncase $words[2] in");
    for (size_t i = 0; commands[i]; i++) {
        printf("    %s) _arguments", commands[i]->name);
        for (const struct argp_option * o = commands[i]->options; o && !is_end(o); o++) {
            if (!o->name) { continue; }
            printf(" '--%s%s[", o->name, o->arg ? "=" : "");
            quoted(o->doc ? o->doc : "");
            printf("]%s'", o->arg ? ":value:_files" : "");
        }
        puts(" '*:file:_files' ;;");
    }
    puts("esac");
}

static void fish(void) {
    for (size_t i = 0; commands[i]; i++) {
        printf("complete -c tat -n __fish_use_subcommand -a %s -d '", commands[i]->name);
        quoted(commands[i]->summary);
        puts("'");
        for (const struct argp_option * o = commands[i]->options; o && !is_end(o); o++) {
            if (!o->name) { continue; }
            printf("complete -c tat -n '__fish_seen_subcommand_from %s' -l %s%s -d '", commands[i]->name, o->name,
                   o->arg ? " -r" : "");
            quoted(o->doc ? o->doc : "");
            puts("'");
        }
    }
}

int print_completion(const char * shell) {
    if (strcmp(shell, "bash") == 0) {
        bash();
    } else if (strcmp(shell, "zsh") == 0) {
        zsh();
    } else if (strcmp(shell, "fish") == 0) {
        fish();
    } else {
        fprintf(stderr, "tat: completions are there for bash, zsh and fish, not for '%s'\n", shell);
        return TAT_ERROR_USAGE;
    }
    return TAT_OK;
}

/* -------------------------------------------------------------------------------------------------------- man pages */

/* Roff takes a leading dot or quote as a request, and a backslash as an escape. */
static void roff(const char * text) {
    for (const char * c = text; *c; c++) {
        const int begins = c == text || c[-1] == '\n';
        if (begins && (*c == '.' || *c == '\'')) { fputs("\\&", stdout); }
        if (*c == '\\' || *c == '-') { putchar('\\'); }
        putchar(*c);
    }
}

static void man_options(const struct argp_option * options) {
    if (!options || is_end(options)) { return; }
    puts(".SH OPTIONS");
    for (const struct argp_option * o = options; !is_end(o); o++) {
        if (!o->name) { continue; }
        puts(".TP");
        if (o->key > 32 && o->key < 127) { printf("\\fB\\-%c\\fR, ", o->key); }
        fputs("\\fB\\-\\-", stdout);
        roff(o->name);
        printf("\\fR%s%s\n", o->arg ? "=" : "", o->arg ? o->arg : "");
        roff(o->doc ? o->doc : "");
        putchar('\n');
    }
}

static int man_command(const struct command * c) {
    printf(".TH TAT\\-%s 1 \"\" \"tat %s\"\n.SH NAME\ntat\\-%s \\- ", c->name, TAT_VERSION, c->name);
    roff(c->summary);
    printf("\n.SH SYNOPSIS\n.B tat %s\n[options] ", c->name);
    roff(c->arguments ? c->arguments : "");
    puts("\n.SH DESCRIPTION");
    roff(c->description);
    putchar('\n');
    man_options(c->options);
    if (c->examples) {
        puts(".SH EXAMPLES\n.nf");
        roff(c->examples);
        puts("\n.fi");
    }
    puts(".SH EXIT STATUS\n0 good, 1 the answer is no, 2 used wrongly, 3 the input is bad, 4 the system refused.");
    return TAT_OK;
}

int print_man(const char * name) {
    for (size_t i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0) { return man_command(commands[i]); }
    }
    if (*name) {
        fprintf(stderr, "tat: no command '%s'\n", name);
        return TAT_ERROR_USAGE;
    }
    printf(".TH TAT 1 \"\" \"tat %s\"\n.SH NAME\ntat \\- record which bytes of a model llama.cpp touches\n",
           TAT_VERSION);
    puts(".SH SYNOPSIS\n.B tat\nCOMMAND [options]\n.SH COMMANDS");
    for (size_t i = 0; commands[i]; i++) {
        printf(".TP\n\\fBtat %s\\fR\n", commands[i]->name);
        roff(commands[i]->summary);
        putchar('\n');
    }
    return TAT_OK;
}
