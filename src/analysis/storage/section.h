/* SPDX-License-Identifier: MIT
 *
 * The parts of the section on storage, a file each.
 */
#ifndef TAT_ANALYSIS_STORAGE_SECTION_H
#define TAT_ANALYSIS_STORAGE_SECTION_H

#include "analysis/disk_kept.h"
#include "analysis/result.h"
#include "analysis/storage/cache.h"

/* Of page faults. */
struct fault_sum {
    uint64_t major, minor, stall_ns;
};
void fault_sum_add(struct fault_sum * sum, const struct joined * j, const struct tat_placed * p);
struct fault_sum fault_sum_all(const struct joined * j); /* without those of other processes */

/* Whether a fault counts: it is this process's and, where certain tokens were asked for, of their graphs. */
bool fault_counts(const struct joined * j, const struct tat_placed * p);

/* Of `count` faults of one process, by end: the time in which any of its threads was in one. */
uint64_t faults_blocked(const struct joined * j, const struct tat_placed * const * faults, size_t count);

/* Of generated tokens, those while I/O was recorded. */
struct recorded_tokens {
    uint64_t recorded, all;
};
struct recorded_tokens recorded_tokens(const struct joined * j);

/* Sentences with a space before them: how long I/O was recorded, and what was lost. Empty: to the end, and nothing. */
enum { RECORDED_SIZE = 320 };
const char * say_recorded(const struct joined * j, char * text, size_t size);

/* Sentences for where no major fault was recorded. Returns `text`. */
enum { NO_FAULT_SIZE = RECORDED_SIZE + 256 };
const char * no_major_fault(const struct joined * j, char * text, size_t size);

void waiting_table(const struct joined * j, struct result * r);                         /* weights waited for */
void reread_tables(const struct joined * j, const struct cache * c, struct result * r); /* weights read again */
void fault_tables(const struct joined * j, struct result * r);

/* What was read of the model's files, from the source that says most. */
struct reading {
    enum {
        READ_NOTHING, /* nothing tells */
        READ_REQUESTS,
        READ_PAGES,
        READ_RUN,     /* getrusage of the whole run */
        READ_PROCESS, /* /proc/PID/io */
        READ_USAGE,   /* getrusage, since the first graph */
    } source;
    uint64_t bytes, unique; /* unique: known from requests and pages */
    uint64_t wanted;        /* of all graphs, and once what loading copies */
};
struct reading reading_of(const struct joined * j, const struct cache * c);

/* From its first value to its last. False: there are none, or it was set back. */
bool counter_growth(const struct tat_io * io, enum tat_io_counter counter, uint64_t * growth);
/* The same of a counter of the process that was started. False also if that is not the traced one, but a shell that
 * started it. */
bool process_growth(const struct joined * j, enum tat_io_counter counter, uint64_t * growth);
/* A counter that is told once, when the run has ended. */
bool run_counter(const struct tat_io * io, enum tat_io_counter counter, uint64_t * value);
const char * reading_source(const struct reading * reading);

/* The disk that the model is on, and what `tat doctor --disk` measured of it, in bytes a second; 0: not. */
struct disk_known {
    char name[DISK_NAME_SIZE];
    double sequential, random, mapped; /* the most of each; mapped: page faults, in order */
    double best;                       /* the most of all, as `tat doctor --disk` says it */
};
struct disk_known disk_known(const struct joined * j);

void add_totals(const struct joined * j, const struct cache * c, const struct reading * x, struct result * r);
void add_states(const struct joined * j, struct result * r);
/* After the others, whose values it takes. */
void add_verdict(const struct joined * j, const struct cache * c, struct result * r);
void add_residency(const struct joined * j, const struct cache * c, struct result * r);
void disk_tables(const struct joined * j, const struct cache * c, struct result * r);
void reading_tables(const struct joined * j, const struct cache * c, struct result * r);
void add_threads(const struct joined * j, struct result * r);
void explain(const struct joined * j, struct result * r);    /* a token's time; operations */
struct storage_pace explained_pace(const struct joined * j); /* the same of generated tokens; all 0: there are none */
void token_stalls(const struct joined * j, struct result * r);

#endif
