/* SPDX-License-Identifier: MIT */
#ifndef TAT_CLI_HELP_H
#define TAT_CLI_HELP_H

#include <stdio.h>

/* What `tat --help` says: all commands in groups, a line each. */
void help_overview(FILE * out);

#endif
