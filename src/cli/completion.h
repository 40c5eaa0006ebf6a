/* SPDX-License-Identifier: MIT
 *
 * Shell completions and man pages, printed from the commands' option tables. Both return an exit status.
 */
#ifndef TAT_CLI_COMPLETION_H
#define TAT_CLI_COMPLETION_H

int print_completion(const char * shell); /* bash, zsh or fish */
int print_man(const char * command);      /* in roff; "" is tat(1) */

#endif
