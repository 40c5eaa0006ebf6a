/* SPDX-License-Identifier: MIT */
#ifndef TAT_CLI_MAN_PAGE_H
#define TAT_CLI_MAN_PAGE_H

/* Prints the man page of a command, or of tat itself (NULL), made from its table. Returns the exit status. */
int man_page_print(const char * name);

#endif
