/* SPDX-License-Identifier: MIT */
#include "cli/completion.h"

#include <stdio.h>
#include <string.h>

#include "cli/command_table.h"

/* What an operand is, told from the usage line. */
static bool takes_program(const struct command * command) {
    return command->arguments && strstr(command->arguments, "COMMAND");
}

static bool takes_run(const struct command * command) {
    return command->arguments && (strstr(command->arguments, "RUN") || strstr(command->arguments, "TRACE"));
}

static bool takes_folder(const struct argp_option * option) {
    return strstr(option->arg, "DIR") != NULL;
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

/* -------------------------------------------------------------------------------------------------------- bash */

static void bash_words(const struct argp_option * options, bool with_argument) {
    for (; options && !option_is_last(options); options++) {
        if (!option_is_given(options) || (with_argument && !options->arg)) { continue; }
        if (option_letter(options)) { printf(" -%c", option_letter(options)); }
        if (options->name) { printf(" --%s", options->name); }
    }
}

static void bash_command(const struct command * command) {
    printf("        %s)\n            options='--help", command->name);
    bash_words(command->options, false);
    fputs("'\n            with_value='", stdout);
    bash_words(command->options, true);
    printf(" '\n            operand=%s ;;\n", takes_program(command) ? "program" : takes_run(command) ? "run" : "file");
}

static void bash_print(void) {
    fputs("# bash completion for tat\n"
          "_tat() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} options with_value operand i\n"
          "    COMPREPLY=()\n"
          "    if ((COMP_CWORD == 1)); then\n"
          "        COMPREPLY=($(compgen -W '--help --version",
          stdout);
    for (size_t i = 0; command_table[i]; i++) { printf(" %s", command_table[i]->name); }
    fputs("' -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n", stdout);
    for (size_t i = 0; command_table[i]; i++) { bash_command(command_table[i]); }
    fputs("        *) compopt -o default; return ;;\n"
          "    esac\n"
          "    if [[ $operand == program ]]; then\n"
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
          "    if [[ $with_value == *\" $before \"* ]]; then\n"
          "        compopt -o default\n"
          "    elif [[ $word == -* ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
          "    elif [[ $operand == program ]]; then\n"
          "        COMPREPLY=($(compgen -c -- \"$word\"))\n"
          "    elif [[ $operand == run ]]; then\n"
          "        COMPREPLY=($(cd \"${TAT_DIR:-traces}\" 2>/dev/null && compgen -d -- \"${word:-run_}\"))\n"
          "        compopt -o default\n"
          "    else\n"
          "        compopt -o default\n"
          "    fi\n"
          "}\n"
          "complete -F _tat tat\n",
          stdout);
}

/* --------------------------------------------------------------------------------------------------------- zsh */

static void zsh_option(const struct argp_option * option) {
    const char   letter = option_letter(option);
    const char * end    = option->arg && option->name ? "=" : "";
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
        putchar(':');
        print_quoted(option->arg);
        fputs(takes_folder(option) ? ":_files -/" : ":_files", stdout);
    }
    fputs("' \\\n", stdout);
}

static void zsh_command(const struct command * command) {
    printf("            %s)\n                _arguments -s -S '--help[explain the command]' \\\n", command->name);
    for (const struct argp_option * o = command->options; o && !option_is_last(o); o++) {
        if (option_is_given(o)) { zsh_option(o); }
    }
    const char * operand = takes_program(command) ? "'*::command:_normal'"
                           : takes_run(command)   ? "'*:run:_files -W ${TAT_DIR:-traces} -/'"
                                                  : "'*:file:_files'";
    printf("                %s ;;\n", operand);
}

static void zsh_print(void) {
    fputs("#compdef tat\n"
          "_tat() {\n"
          "    local context state line\n"
          "    local -a commands=(\n",
          stdout);
    for (size_t i = 0; command_table[i]; i++) {
        printf("        '%s:", command_table[i]->name);
        print_quoted(command_table[i]->summary);
        fputs("'\n", stdout);
    }
    fputs("    )\n"
          "    _arguments -C '--help[list the commands]' '--version[print the version]' '1:command:->command' "
          "'*::argument:->rest'\n"
          "    case $state in\n"
          "    command) _describe command commands ;;\n"
          "    rest)\n"
          "        case $line[1] in\n",
          stdout);
    for (size_t i = 0; command_table[i]; i++) { zsh_command(command_table[i]); }
    fputs("            *) _files ;;\n"
          "        esac ;;\n"
          "    esac\n"
          "}\n"
          "if [[ $funcstack[1] == _tat ]]; then _tat \"$@\"; else compdef _tat tat; fi\n",
          stdout);
}

/* -------------------------------------------------------------------------------------------------------- fish */

static void fish_quoted(const char * text) {
    putchar('\'');
    for (; text && *text; text++) {
        if (strchr("'\\", *text)) { putchar('\\'); }
        putchar(*text);
    }
    putchar('\'');
}

static void fish_command(const struct command * command) {
    printf("complete -c tat -n __fish_use_subcommand -f -a %s -d ", command->name);
    fish_quoted(command->summary);
    putchar('\n');
    for (const struct argp_option * o = command->options; o && !option_is_last(o); o++) {
        if (!option_is_given(o)) { continue; }
        printf("complete -c tat -n '__fish_seen_subcommand_from %s'", command->name);
        if (option_letter(o)) { printf(" -s %c", option_letter(o)); }
        if (o->name) { printf(" -l %s", o->name); }
        if (o->arg) { fputs(" -r", stdout); }
        fputs(" -d ", stdout);
        fish_quoted(o->doc);
        putchar('\n');
    }
    if (takes_run(command)) {
        printf("complete -c tat -n '__fish_seen_subcommand_from %s' -a '(tat list --names 2>/dev/null)'\n",
               command->name);
    }
    if (takes_program(command)) {
        printf("complete -c tat -n '__fish_seen_subcommand_from %s' -a '(__fish_complete_subcommand)'\n",
               command->name);
    }
}

static void fish_print(void) {
    puts("# fish completion for tat");
    for (size_t i = 0; command_table[i]; i++) { fish_command(command_table[i]); }
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
