/* SPDX-License-Identifier: MIT
 *
 * Access records for a reader at a terminal: graph by graph and node by node, 80 columns wide as far as names allow.
 */
#ifndef TAT_CLI_ACCESS_TABLE_H
#define TAT_CLI_ACCESS_TABLE_H

#include "export/access_writer.h"

extern const struct access_format access_table;

#endif
