/* SPDX-License-Identifier: MIT
 *
 * A thread of the host's, while it makes system calls for the agent: none of the host's signal handlers interrupts
 * them, changes descriptors between them, or leaves by a jump; the thread is not cancelled where it would not be
 * without the agent; errno stays; and a file that would become too large is an error, and no signal.
 */
#ifndef TAT_AGENT_CALM_H
#define TAT_AGENT_CALM_H

#include <signal.h>
#include <stdbool.h>

struct calm {
    sigset_t before;
    int cancelling, error;
    bool too_large; /* a SIGXFSZ of the host's own waits until the host unblocks it */
};

/* May be nested. Between them, make no call that a signal has to end. */
void calm_begin(struct calm * calm);
void calm_end(const struct calm * calm);

/* After a call on a file failed with this errno: takes the signal that the kernel may have sent. */
void calm_take_signal(const struct calm * calm, int error);

#endif
