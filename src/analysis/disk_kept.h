/* SPDX-License-Identifier: MIT
 *
 * What `tat doctor --disk` measured of a disk, and kept.
 */
#ifndef TAT_ANALYSIS_DISK_KEPT_H
#define TAT_ANALYSIS_DISK_KEPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "plan/disk_bursts.h"

/* The name of a device's whole disk, as /sys has it. Empty: it is not on this machine, or files of that device are on
 * none. Returns `name`.
 */
enum { DISK_NAME_SIZE = 64 };
const char * disk_name(uint64_t device, char name[static DISK_NAME_SIZE]);

/* What was kept of the disk, or the file system, of that name; the caller owns it. NULL: nothing. */
json_t * disk_kept(const char * name);

/* The highest rate in bytes a second, of those in an order ("sequential", "random"), and measured that way unless `how`
 * is NULL. 0: none was measured. */
double disk_kept_most(const json_t * kept, const char * how, const char * order);

/* The rate of the blocks whose size is nearest to `block`, with nearly `depth` requests at once. */
double disk_kept_rate(const json_t * kept, const char * how, const char * order, uint64_t block, unsigned depth);

/* How long reads take that begin together; `busy`: while all processors compute, if that was measured. False: neither
 * was. */
bool disk_kept_bursts(const json_t * kept, bool busy, struct disk_bursts * bursts);

/* The disk tells of no read before all that are under way have ended. */
bool disk_kept_tells_together(const json_t * kept);

/* What was read past the page cache went into small pages, as before tat read into large ones, or where the kernel
 * makes none. `tat run` may be faster then. */
bool disk_kept_is_of_small_pages(const json_t * kept);

/* Other programs ran while it was measured: of more than a quarter of the rates, one round was twice as fast as
 * another. A disk that does nothing else, and processors that do not, give rates that are alike. */
bool disk_kept_was_busy(const json_t * kept);

#endif
