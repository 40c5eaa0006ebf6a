/* SPDX-License-Identifier: MIT
 *
 * Threads that make answers, so that none that takes long holds up what is sent, or an answer that takes no time.
 */
#ifndef TAT_SERVE_WORKERS_H
#define TAT_SERVE_WORKERS_H

#include <stdbool.h>

#include "tat/error.h"

/* How long something takes: no time; as long as a picture; or seconds. */
enum pace { PACE_QUICK, PACE_SLOW, PACE_LONG, PACES };

/* Part of what is to be done, and the caller's. */
struct job {
    struct job * next;
    enum pace pace; /* one thread is always left for what is quick, and another one for what is not long */
    /* Called once, by one of the threads. `ending`: nobody waits for it any longer. */
    void (*run)(struct job * job, bool ending);
};

struct workers;

/* As many as there are processors, and three at least. NULL with *error. */
struct workers * workers_start(struct tat_error * error);

void workers_add(struct workers * workers, struct job * job);

/* Runs what was not begun with `ending`, and waits for the rest. What is added later runs with `ending`, at once.
 * False: a job did not end within a second; then the threads stay. */
bool workers_stop(struct workers * workers);

/* After they were stopped, when nobody adds jobs any more. NULL is allowed. */
void workers_free(struct workers * workers);

#endif
