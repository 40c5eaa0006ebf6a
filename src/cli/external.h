/* SPDX-License-Identifier: MIT
 *
 * Subcommands that are programs of their own, named tat-NAME: in libexec/tat, in the build tree, or on PATH.
 */
#ifndef TAT_CLI_EXTERNAL_H
#define TAT_CLI_EXTERNAL_H

/* Becomes the program for argv[0], with the rest as its arguments. Returns if there is none; exits if it cannot be
 * run. */
void external_run(char ** argv);

/* Calls `each` with NAME of every one in libexec/tat. */
void external_each(void (*each)(const char * name, void * state), void * state);

#endif
