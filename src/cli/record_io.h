/* SPDX-License-Identifier: MIT
 *
 * tat record --io: what is begun before the program and said after it.
 */
#ifndef TAT_CLI_RECORD_IO_H
#define TAT_CLI_RECORD_IO_H

#include <stdint.h>
#include <sys/types.h>

struct io_recorder;

/* For a process that is to become the command. `bytes_most`: of io_events.bin; 0: as many as it takes. NULL: a warning
 * said why. */
struct io_recorder * record_io_start(pid_t pid, const char * folder, uint64_t bytes_most, char ** command);

/* NULL is allowed. */
void record_io_stop(struct io_recorder * recorder);

#endif
