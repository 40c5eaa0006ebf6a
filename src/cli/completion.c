/* SPDX-License-Identifier: MIT */
#include "cli/completion.h"

#include <stdio.h>
#include <string.h>

#include "cli/command_table.h"

/* What an operand is, told from the usage line. */
enum operand { OPERAND_NONE, OPERAND_FILE, OPERAND_RUN, OPERAND_PROGRAM, OPERAND_COMMAND, OPERAND_FOLDER };

static enum operand operand_of(const struct command * command) {
    static const struct {
        const char * word;
        enum operand operand;
    } words[] = {
        { "TRACE", OPERAND_RUN }, { "COMMAND", OPERAND_COMMAND }, { "PROGRAM", OPERAND_PROGRAM },
        { "RUN", OPERAND_RUN },   { "[DIR]", OPERAND_FOLDER },
    };
    if (!command->arguments || !*command->arguments) { return OPERAND_NONE; }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strstr(command->arguments, words[i].word)) { return words[i].operand; }
    }
    return OPERAND_FILE;
}

static bool takes_folder(const struct argp_option * option) {
    return strstr(option->arg, "DIR") != NULL;
}

/* The words that its value is one of: "csv|bin". */
static bool has_words(const struct argp_option * option) {
    return option->arg && strchr(option->arg, '|');
}

static void print_words(const struct argp_option * option) {
    for (const char * at = option->arg; *at; at++) { putchar(*at == '|' ? ' ' : *at); }
}

/* Where the shells quote with ' and zsh gives [ ] and : a meaning. */
static void print_quoted(const char * text) {
    for (; text && *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else {
            if (strchr("[]:\\", *text)) { putchar('\\'); }
            putchar(*text);
        }
    }
}

/* ---- bash ---- */

static void bash_words(const struct argp_option * options, bool with_argument) {
    for (; options && !option_is_last(options); options++) {
        if (!option_is_given(options) || (with_argument && !option_takes_next(options))) { continue; }
        if (option_letter(options)) { printf(" -%c", option_letter(options)); }
        if (options->name) { printf(" --%s", options->name); }
    }
}

static void bash_values(const struct argp_option * options) {
    for (; options && !option_is_last(options); options++) {
        if (!option_is_given(options) || !has_words(options)) { continue; }
        printf("            [[ $before == --%s", options->name);
        if (option_letter(options)) { printf(" || $before == -%c", option_letter(options)); }
        fputs(" ]] && values='", stdout);
        print_words(options);
        puts("'");
    }
}

static void bash_command(const struct command * command) {
    static const char * const names[] = { "none", "file", "run", "program", "command", "folder" };
    printf("        %s)\n            options='--help", command->name);
    bash_words(command->options, false);
    fputs("'\n            with_value='", stdout);
    bash_words(command->options, true);
    puts(" '");
    bash_values(command->options);
    printf("            operand=%s ;;\n", names[operand_of(command)]);
}

static void bash_print(void) {
    fputs("# bash completion for tat\n"
          "_tat() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} options with_value values "
          "operand i\n"
          "    COMPREPLY=()\n"
          "    if ((COMP_CWORD == 1)); then\n"
          "        COMPREPLY=($(compgen -W '--help --version --no-pager",
          stdout);
    for (size_t i = 0; command_described(i); i++) { printf(" %s", command_described(i)->name); }
    fputs("' -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n", stdout);
    for (size_t i = 0; command_described(i); i++) { bash_command(command_described(i)); }
    fputs("        *) compopt -o default; return ;;\n"
          "    esac\n"
          "    if [[ $operand == command ]]; then\n"
          "        for ((i = 2; i < COMP_CWORD; i++)); do\n"
          "            case ${COMP_WORDS[i]} in\n"
          "                --) ((i++)) ;;\n"
          "                -*) [[ $with_value == *\" ${COMP_WORDS[i]} \"* ]] && ((i++)); continue ;;\n"
          "            esac\n"
          "            if ((i < COMP_CWORD)) && declare -F _command_offset >/dev/null; then\n"
          "                _command_offset \"$i\"\n"
          "                return\n"
          "            fi\n"
          "            ((i < COMP_CWORD)) && { compopt -o default; return; }\n"
          "        done\n"
          "    fi\n"
          "    if [[ $values ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$values\" -- \"$word\"))\n"
          "    elif [[ $with_value == *\" $before \"* ]]; then\n"
          "        compopt -o default\n"
          "    elif [[ $word == -* ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
          "    elif [[ $operand == program || $operand == command ]]; then\n"
          "        COMPREPLY=($(compgen -c -- \"$word\"))\n"
          "        compopt -o default\n"
          "    elif [[ $operand == run ]]; then\n"
          "        COMPREPLY=($(cd \"${TAT_DIR:-traces}\" 2>/dev/null && compgen -d -- \"${word:-run_}\"))\n"
          "        compopt -o default\n"
          "    elif [[ $operand == folder ]]; then\n"
          "        compopt -o dirnames\n"
          "    elif [[ $operand == file ]]; then\n"
          "        compopt -o default\n"
          "    fi\n"
          "}\n"
          "complete -F _tat tat\n",
          stdout);
}

/* ---- zsh ---- */

static void zsh_option(const struct argp_option * option) {
    const char letter = option_letter(option);
    const char * end = !option->arg || !option->name ? "" : option->flags & OPTION_ARG_OPTIONAL ? "=-" : "=";
    fputs("                ", stdout);
    if (letter && option->name) {
        printf("'(-%c --%s)'{-%c%s,--%s%s}'[", letter, option->name, letter, option->arg ? "+" : "", option->name, end);
    } else if (letter) {
        printf("'-%c%s[", letter, option->arg ? "+" : "");
    } else {
        printf("'--%s%s[", option->name, end);
    }
    print_quoted(option->doc);
    putchar(']');
    if (option->arg) {
        fputs(option->flags & OPTION_ARG_OPTIONAL ? "::" : ":", stdout);
        print_quoted(option->arg);
        if (has_words(option)) {
            fputs(":(", stdout);
            print_words(option);
            putchar(')');
        } else {
            fputs(takes_folder(option) ? ":_files -/" : ":_files", stdout);
        }
    }
    fputs("' \\\n", stdout);
}

static void zsh_command(const struct command * command) {
    printf("            %s)\n                _arguments -s -S '--help[print help for the command]' \\\n",
           command->name);
    for (const struct argp_option * o = command->options; o && !option_is_last(o); o++) {
        if (option_is_given(o)) { zsh_option(o); }
    }
    static const char * const operands[] = {
        [OPERAND_NONE] = "",
        [OPERAND_FILE] = "'*:file:_files'",
        [OPERAND_RUN] = "'*:run:_tat_runs'",
        [OPERAND_PROGRAM] = "'1:program:_tat_programs'",
        [OPERAND_FOLDER] = "'1:folder:_path_files -/'",
        [OPERAND_COMMAND] = "'(-)1:command:_tat_programs' '*::arguments:_normal'",
    };
    printf("                %s ;;\n", operands[operand_of(command)]);
}

static void zsh_print(void) {
    fputs("#compdef tat\n"
          "_tat_runs() {\n"
          "    local -a runs=(${TAT_DIR:-traces}/run_*(N/:t))\n"
          "    compadd -a runs\n"
          "    _files -/\n"
          "}\n"
          "_tat_programs() {\n"
          "    _alternative 'commands:command:_command_names -e' 'files:file:_files'\n"
          "}\n"
          "_tat() {\n"
          "    local context state line\n"
          "    local -a names=(\n",
          stdout);
    for (size_t i = 0; command_described(i); i++) {
        printf("        '%s:", command_described(i)->name);
        print_quoted(command_described(i)->summary);
        fputs("'\n", stdout);
    }
    fputs("    )\n"
          "    _arguments -C '--help[list the commands]' '--version[print the version]' "
          "'--no-pager[print straight to the terminal]' '1:command:->command' "
          "'*::argument:->rest'\n"
          "    case $state in\n"
          "    command) _describe command names ;;\n"
          "    rest)\n"
          "        case $line[1] in\n",
          stdout);
    for (size_t i = 0; command_described(i); i++) { zsh_command(command_described(i)); }
    fputs("            *) _files ;;\n"
          "        esac ;;\n"
          "    esac\n"
          "}\n"
          "if [[ $funcstack[1] == _tat ]]; then _tat \"$@\"; else compdef _tat tat; fi\n",
          stdout);
}

/* ---- fish ---- */

static void fish_quoted(const char * text) {
    putchar('\'');
    for (; text && *text; text++) {
        if (strchr("'\\", *text)) { putchar('\\'); }
        putchar(*text);
    }
    putchar('\'');
}

static void fish_option(const struct command * command, const struct argp_option * option) {
    printf("complete -c tat -n '__tat_is %s'", command->name);
    if (option_letter(option)) { printf(" -s %c", option_letter(option)); }
    if (option->name) { printf(" -l %s", option->name); }
    if (has_words(option)) {
        fputs(" -x -a '", stdout);
        print_words(option);
        putchar('\'');
    } else if (option_takes_next(option)) {
        fputs(" -r", stdout);
    }
    fputs(" -d ", stdout);
    fish_quoted(option->doc);
    putchar('\n');
}

/* The traced command begins after two words, options and their values left out. */
static void fish_traced_command(const struct command * command) {
    fputs("(__fish_complete_subcommand --fcs-skip=2", stdout);
    for (const struct argp_option * o = command->options; o && !option_is_last(o); o++) {
        if (!option_is_given(o) || !option_takes_next(o)) { continue; }
        if (option_letter(o)) { printf(" -%c", option_letter(o)); }
        if (o->name) { printf(" --%s", o->name); }
    }
    putchar(')');
}

static void fish_operand(const struct command * command) {
    const enum operand operand = operand_of(command);
    if (operand == OPERAND_FILE) { return; }
    printf("complete -c tat -n '__tat_is %s'", command->name);
    switch (operand) {
        case OPERAND_RUN: fputs(" -a '(__tat_runs)'", stdout); break;
        case OPERAND_PROGRAM: fputs(" -a '(__fish_complete_command)'", stdout); break;
        case OPERAND_FOLDER: fputs(" -x -a '(__fish_complete_directories)'", stdout); break;
        case OPERAND_COMMAND:
            fputs(" -x -a '", stdout);
            fish_traced_command(command);
            putchar('\'');
            break;
        default: fputs(" -f", stdout);
    }
    putchar('\n');
}

static void fish_command(const struct command * command) {
    printf("complete -c tat -n __fish_is_first_token -f -a %s -d ", command->name);
    fish_quoted(command->summary);
    printf("\ncomplete -c tat -n '__tat_is %s' -l help -d 'print help for the command'\n", command->name);
    for (const struct argp_option * o = command->options; o && !option_is_last(o); o++) {
        if (option_is_given(o)) { fish_option(command, o); }
    }
    fish_operand(command);
}

static void fish_print(void) {
    puts("# fish completion for tat\n"
         "function __tat_is\n"
         "    set -l words (commandline -opc)\n"
         "    test \"$words[2]\" = $argv[1]\n"
         "end\n"
         "function __tat_runs\n"
         "    set -l words (commandline -opc)\n"
         "    command $words[1] list --names 2>/dev/null\n"
         "end\n"
         "complete -c tat -n __fish_is_first_token -l help -d 'list the commands'\n"
         "complete -c tat -n __fish_is_first_token -l version -d 'print the version'\n"
         "complete -c tat -n __fish_is_first_token -l no-pager -d 'print straight to the terminal'");
    for (size_t i = 0; command_described(i); i++) { fish_command(command_described(i)); }
}

int completion_print(const char * shell) {
    if (strcmp(shell, "bash") == 0) {
        bash_print();
    } else if (strcmp(shell, "zsh") == 0) {
        zsh_print();
    } else if (strcmp(shell, "fish") == 0) {
        fish_print();
    } else {
        fprintf(stderr, "tat --completion: unknown shell '%s': use bash, zsh or fish\n", shell);
        return TAT_ERROR_USAGE;
    }
    return TAT_OK;
}
