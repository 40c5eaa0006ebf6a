/* SPDX-License-Identifier: MIT
 *
 * What trace_metadata.json adds to a trace: the host and the command line.
 */
#ifndef TAT_ANALYSIS_RUN_METADATA_H
#define TAT_ANALYSIS_RUN_METADATA_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "tat/trace.h"

enum { RUN_METADATA_MOST = 1 << 20, RUN_ID_TEXT = 33 }; /* bytes; it has a few KiB */

/* The contents of a JSON file of `most` bytes less one; the caller owns them. NULL: there is no regular file of JSON.
 */
json_t * run_json_file(const char * path, size_t most);

/* The contents of a JSON file beside the trace, of `most` bytes less one; the caller owns them. NULL: there is none
 * that can be read. */
json_t * run_json(const struct tat_trace * trace, const char * name, size_t most);

/* Those of trace_metadata.json. NULL too if it is another run's. */
json_t * run_metadata(const struct tat_trace * trace);

/* Whether what the metadata count and check is all that is in the trace now: a file may have been cut or damaged since.
 */
bool run_metadata_counts(const json_t * metadata, const struct tat_trace * trace);

/* The random number of a run, as the metadata have it. Returns `text`. */
const char * run_id_text(char text[static RUN_ID_TEXT], const struct tat_file_header * header);

/* Bytes of memory that the run could have: what `tat record --memory` left it, else the machine's; 0: not known. */
uint64_t run_memory(const json_t * metadata, bool * is_limited);

/* Whether `tat run` managed the model's memory: then times and reads are not those of plain mmap. */
bool run_was_managed(const json_t * metadata);

/* How many tokens the program that computed was asked to generate (-n); -1: the command line does not say. */
int64_t run_asked_tokens(const json_t * metadata);

#endif
