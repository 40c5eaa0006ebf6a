/* SPDX-License-Identifier: MIT
 *
 * What `tat run` asks of the library: the text of the environment variable TAT_MANAGE, "KEY=VALUE;KEY=VALUE".
 *
 *     memory    bytes that the program may take; 0: what its cgroups and the machine allow
 *     strategy  of pin, stream and cache those that are wanted, joined by '+'; and how: one of populate, willneed and
 *               pread, and lock, if pieces are to be in the page cache and not in place. `lock` without one of them
 *               stands for lock+pin. With demand, what streams is read when it is waited for, and not ahead
 *     disk      bytes per second that the disk gives; 0: unknown
 *     reader    any, uring or threads
 *     check     1: compare each piece that is read with the file
 *     plain     nanoseconds that plain mmap takes for a token; 0: unknown. For tests
 *     predicted tokens a second that a plan expects, times 1000
 *     foresee   router, previous, markov or none: how to foresee which experts will be chosen
 *     gain      0: a plan found nothing to gain, so nothing is to be done
 *     report    the named pipe for manage_report
 */
#ifndef TAT_MANAGE_OPTIONS_H
#define TAT_MANAGE_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "manage/foresee.h"
#include "manage/reader.h"

#define MANAGE_VARIABLE "TAT_MANAGE"

struct manage_options {
    uint64_t memory, disk, predicted, plain;
    unsigned may; /* of PLACE_MAY_PIN and the like (plan/placement.h) */
    enum reader_kind reader;
    enum read_how ahead; /* READ_INTO: in place */
    bool locks, on_demand;
    enum foresee_method foresee;
    bool check, no_gain;
    char report[PATH_MAX]; /* empty: nobody listens */
};

/* Fills in all of `options`, defaults where the text says nothing: any memory, all strategies, any reader. What is not
 * as above is ignored, and a note in the report names the first such part. False: `text` is NULL or empty, so nobody
 * asked for anything. Allocates nothing. */
bool manage_options_read(const char * text, struct manage_options * options);

#endif
