/* SPDX-License-Identifier: MIT */
#ifndef TAT_CLI_COMPLETION_H
#define TAT_CLI_COMPLETION_H

/* Prints the completions for "bash", "zsh" or "fish", made from the tables of the commands. Returns the exit status. */
int completion_print(const char * shell);

#endif
