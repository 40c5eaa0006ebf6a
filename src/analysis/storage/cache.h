/* SPDX-License-Identifier: MIT
 *
 * The page cache as it was: what came into it, whether it was waited for, read ahead and used, or in vain. One pass
 * over the operations and the I/O events in the order of time.
 */
#ifndef TAT_ANALYSIS_STORAGE_CACHE_H
#define TAT_ANALYSIS_STORAGE_CACHE_H

#include "analysis/storage/page_map.h"
#include "analysis/storage/storage.h"
#include "format/list.h"

/* Pages that came. All but the first two and `late` are apart from each other, and come to `came`. */
struct came_sum {
    uint64_t came;
    uint64_t again;    /* not for the first time */
    uint64_t demanded; /* a fault waited for it from the beginning */
    uint64_t ahead;    /* before anything waited for it, and it was touched later */
    uint64_t late;     /* of these, those for which a fault waited all the same */
    uint64_t evicted;  /* it left before it was touched */
    uint64_t unused;   /* it was not touched until the run ended */
    uint64_t loaded;   /* of a weight that is copied out of the file */
    uint64_t header;   /* of the model's file, before its weights */
    uint64_t beside;   /* of no weight */
    uint64_t unknown;  /* the recording ended before the run */
};

/* What follows what: it begins where the last ended, near it, or elsewhere. */
struct order_sum {
    uint64_t sequential, near, random;
    uint64_t last; /* where the last ended */
    uint32_t file;
    bool begun;
};

/* The kernel's own measure: BFQ takes a request for a seek that begins more than 800 sectors from where the last one
 * ended (BFQQ_SEEK_THR). Less than a page is no distance: pages are read whole. */
enum { NEAR_BYTES = 800 * 512 };
void order_add(struct order_sum * o, uint32_t file, uint64_t begin, uint64_t end, uint64_t page_bytes);

enum { CURVE_TIMES = 128, CURVE_PARTS = 64, CURVE_FILES = 4 };

struct cache {
    enum tat_io_source source; /* what tells when pages came: PAGES, REQUESTS, or 0: nothing does */
    struct came_sum * slice;   /* by slice; one more for what is no weight's */
    struct came_sum all, when[TAT_WHENS];
    uint64_t wanted[TAT_WHENS]; /* bytes that operations touched in the mapped files, distinct in each graph */
    uint64_t copied;            /* bytes of weights that are copied out of the files: loading reads each once */
    uint64_t * wanted_of;       /* the same by slice, without loading; one more for none */
    uint64_t left;              /* pages that left */
    struct order_sum asked;
    struct {
        int64_t begin_ns, end_ns;
        uint32_t (*pages)[CURVE_FILES][CURVE_PARTS]; /* CURVE_TIMES; NULL: none */
    } curve;                                         /* residency, of the first files by number */
};

/* After everything else was placed: says of the parts of requests what they were for. `pages`: NULL, or where to list
 * what came, as struct tat_storage has it. 0, or -1 with *error. Free it in any case. */
int cache_find(struct cache * c, struct joined * j, struct list * pages, struct tat_error * error);
void cache_free(struct cache * c);

#endif
