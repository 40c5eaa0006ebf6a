/* SPDX-License-Identifier: MIT
 *
 * A run of a small model with its I/O events, made of what a test says, and what `tat report --section storage` says of
 * it.
 */
#ifndef STORAGE_RUN_H
#define STORAGE_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "small_model.h"
#include "tat/analysis.h"
#include "tat/io.h"

enum { PID = 77, TID = 78, ADDRESS = 0x100000, MAPPED = 8192, PAGE = 32, START = 1000000, FAULT_NS = 20 };
enum { SLOW = 3, DISK = 0x801, AT_DISK = 100000, SECOND = (CALLBACKS + 2) * TB_CALLBACK_NS };

extern uint32_t started; /* the first process of the run that I/O was recorded of */
extern struct tat_io_file model_file[1];

/* The run's folder, for cmocka_run_group_tests. */
extern char folder[];
int make_folder(void ** state);
int remove_folder(void ** state);

/* ---- what happens; times are ns since the trace began ---- */

/* A fault at this byte of the model's file, which ends then. */
struct tat_io_fault fault(uint64_t offset, uint64_t end_ns, bool major);
/* A fault that takes longer. */
struct tat_io_fault long_fault(uint64_t offset, uint64_t begin_ns, uint64_t end_ns);
struct tat_io_pages pages(uint64_t first, uint64_t count, uint64_t ns, bool left);
struct tat_io_request request(uint64_t offset, uint64_t bytes, uint64_t begin_ns, uint64_t end_ns, uint32_t flags);

/* ---- the run's files ---- */

void put(const char * name, const uint8_t * bytes, size_t size);

/* Graphs of one token each: the first one's callbacks are from the returned moment on, TB_CALLBACK_NS apart. */
uint64_t put_trace_of(const int64_t * tokens, size_t count);
/* One of them, by index, takes SLOW times as long. */
uint64_t put_trace_slow_in(const int64_t * tokens, size_t count, size_t slow);
uint64_t put_trace(void);

/* Whatever else is recorded; the header is filled in. */
void put_ended(const struct tat_io * io, uint64_t lost, bool ended);
void put_all(const struct tat_io * io, uint64_t lost);
void put_io(const struct tat_io_fault * faults, size_t n, uint64_t lost);

/* ---- what is said; the caller owns a section ---- */

json_t * section_named(const char * name, const struct tat_analysis_options * options);
json_t * storage_of(const struct tat_analysis_options * options);
json_t * storage(void);

json_int_t value(const json_t * section, const char * name);
bool has_value(const json_t * section, const char * name);
/* Of the row whose key has that text; -1: there is none. */
json_int_t cell(const json_t * section, const char * table, const char * key, const char * value, const char * column);
/* Faults of both sorts in such a row. */
int faults_in(const json_t * section, const char * table, const char * key, const char * value);
bool contains(const json_t * section, const char * what);
bool says(const json_t * section, const char * text);
bool has_note(const json_t * section, const char * text);
bool has_line(const json_t * section, const char * label);

/* "": it is not answered. */
const char * answer(const json_t * section, const char * question);
void expect_answer(const json_t * section, const char * question, const char * words);

#endif
