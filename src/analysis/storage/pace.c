/* SPDX-License-Identifier: MIT
 *
 * What a token's time is made of, for other sections: the same figures as the section on storage has.
 */
#include "analysis/storage/section.h"

/* False: it is of another run, or none of the faults is this process's. */
static bool is_of_run(const struct joined * j) {
    if (tat_storage_mismatch(j->subject->trace, j->io)) { return false; }
    for (size_t i = 0; i < j->io->n_faults; i++) {
        if (j->faults[i].place != TAT_PLACE_OTHER_PROCESS) { return true; }
    }
    return false;
}

struct storage_pace storage_pace_of(const struct subject * subject) {
    struct storage_pace pace = { 0 };
    struct joined j = { 0 };
    struct tat_error error;
    struct tat_io io;
    int status = io_events_read(&io, subject->trace, &error);
    if (status == 0 && io.n_faults) { status = join_faults(&j, subject, &io, &error); }
    if (status == 0 && io.n_faults && is_of_run(&j)) { pace = explained_pace(&j); }
    join_free(&j);
    tat_io_free(&io);
    return pace;
}
