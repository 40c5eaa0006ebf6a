/* SPDX-License-Identifier: MIT
 *
 * EVENT blocks. Any thread. Lock-free once there is a trace, except that a change of warm-up or a clearing takes the
 * lock of token_filter.c if certain tokens were asked for. An event that finds no room counts as lost.
 */
#ifndef TAT_AGENT_EVENTS_H
#define TAT_AGENT_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "tat/gguf.h"

void event_clock(void);
void event_mapping(uint32_t file, uint64_t address, uint64_t bytes, uint64_t file_offset);
/* The file is `part` of `model`; `hash` is that of the whole model. */
void event_model_file(uint32_t file, uint32_t model, uint32_t part, const struct tat_gguf_file * f, uint64_t hash,
                      enum tat_part holds, const char * architecture);
void event_context(uint32_t context, uint64_t key, bool is_buffer);
void event_text(int type, const char * text); /* LOAD_BEGIN, OPEN_MODEL, NOTE */
/* USAGE, MACHINE: values without a sign. */
void event_numbers(int type, const uint64_t * values, size_t count);
void event_values(int type, uint64_t subject, int64_t value); /* all others: the subject and one value */

/* Writes what was noted before there was a trace. */
void events_flush_early(void);

/* The calling thread's id in the kernel. */
uint32_t events_thread_id(void);

uint64_t events_emitted(void);
uint64_t events_lost(void);

void events_after_fork(void);

#endif
