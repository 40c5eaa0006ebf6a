/* SPDX-License-Identifier: MIT
 *
 * Sizes as people write them, and numbers as text.
 */
#ifndef TAT_CLI_UNITS_H
#define TAT_CLI_UNITS_H

#include "analysis/size_text.h"
#include "analysis/units.h"

#endif
