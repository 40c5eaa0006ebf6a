/* SPDX-License-Identifier: MIT
 *
 * Can this program be traced, and is the system fit for it? Files are read, nothing is run and nothing is changed.
 */
#ifndef TAT_DOCTOR_DOCTOR_H
#define TAT_DOCTOR_DOCTOR_H

#include <sys/types.h>

#include "doctor/findings.h"
#include "doctor/process.h"
#include "tat/error.h"

/* A program, script or library, by its path: adds what is found. 0, or -1 if it cannot be looked into at all. */
int doctor_program(const char * path, struct findings * findings, struct tat_error * error);

/* A running process. 0 or -1. */
int doctor_process(pid_t pid, struct findings * findings, struct tat_error * error);

/* What recording needs of the system; `traces` is the folder of the traces, there or not yet. */
void doctor_system(const char * traces, struct findings * findings);

/* What `tat run` needs of it besides. */
void doctor_managing(struct findings * findings);

/* Why no trace came of a program, with what to do about it, as a sentence in `text`: what makes one impossible, or else
 * backends that may have computed all of it; NULL if there are none. Any thread. */
const char * doctor_reason(const char * path, char * text, size_t size);

/* Why calls in a process cannot be seen that has run, by what it had mapped; NULL if nothing speaks against it. */
const char * doctor_mapped(const char * program, const struct process * process, char * text, size_t size);

#endif
