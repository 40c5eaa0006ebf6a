/* SPDX-License-Identifier: MIT
 *
 * What the same graphs would take with plain mmap, at best: the page cache has what memory is left besides, keeps the
 * pieces that were read or used last, and reads the others, with what the kernel reads around them, as fast as the
 * manager does. Nothing is computed meanwhile. Who is slower than that for a while had better not manage.
 *
 * It knows nothing of ggml: tests drive it with made-up graphs.
 */
#ifndef TAT_MANAGE_PLAIN_RUN_H
#define TAT_MANAGE_PLAIN_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct plain_run;

/* `bytes`: of each piece in the order of the file, and not of it what its neighbour has too; copied. `read_ahead`:
 * bytes that the kernel reads at a fault, half of them before it. `capacity`: of the page cache, which begins as
 * loading the model leaves it: with the end of the file, as far as there is room. NULL: memory. */
struct plain_run * plain_run_new(const uint64_t * bytes, uint32_t n_pieces, uint64_t read_ahead, uint64_t capacity);
void plain_run_free(struct plain_run * plain); /* NULL is allowed */

/* The page cache may have so much from the next graph on. Any thread. */
void plain_run_resize(struct plain_run * plain, uint64_t capacity);

/* The graph at hand reads all of that piece. Neither this nor the next allocates. One thread at a time. */
void plain_run_touch(struct plain_run * plain, uint32_t piece);

/* What a graph was like that is over, as it was managed. */
struct plain_run_graph {
    bool is_token;                /* it computed one generated token; others only fill the page cache */
    uint64_t ns, waited_ns;       /* all of it, and of it waiting for pieces */
    uint64_t read_bytes, disk_ns; /* read since the graph before, and the time in which a read was under way */
};

/* `known_ns`: what plain mmap takes for a token; 0: reckon. True: managing was slower than plain mmap
 * would have been, over the last PLAIN_RUN_TOKENS tokens: by more than 5 % where all fits in the page cache. Where not
 * all does, by more than 50 %: the kernel drops larger pieces, and not quite those that were used longest ago, so it
 * reads several times what is reckoned here. */
bool plain_run_is_faster(struct plain_run * plain, const struct plain_run_graph * graph, uint64_t known_ns);

enum { PLAIN_RUN_TOKENS = 32 };

/* Over those tokens, of one of them; 0: not known. */
struct plain_run_times {
    uint64_t managed_ns, plain_ns;
    bool all_fits; /* in the page cache */
};
struct plain_run_times plain_run_times(const struct plain_run * plain);

#endif
