/* SPDX-License-Identifier: MIT */
#ifndef TAT_FORMAT_CONTENTS_H
#define TAT_FORMAT_CONTENTS_H

#include "tat/trace.h"

/* A number for what stands in the blocks of a trace: two traces with the same header, size and number hold the same. */
uint64_t trace_contents(const struct tat_trace * trace);

#endif
