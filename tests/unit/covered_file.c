/* SPDX-License-Identifier: MIT */
#include "covered_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

struct mapped_file file;
struct pool * pool;
struct pool_place held[PIECES];
int begin(void ** state) {
    (void) state;
    const size_t bytes = (size_t) PAGES * PAGE;
    file = (struct mapped_file){ .bytes = bytes, .protection = PROT_READ, .is_shared = true };
    file.fd = paged_file(bytes, NULL);
    file.at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file.fd, 0);
    pool = pool_new((uint64_t) ROOM * PAGE);
    memset(held, 0, sizeof held);
    return file.at != MAP_FAILED && pool && cover_begin(&file) ? 0 : -1;
}

int end(void ** state) {
    (void) state;
    const bool good = cover_remove_all(&file) && paged_is_right(file.at, 0, file.bytes);
    cover_end(&file);
    munmap(file.at, file.bytes);
    close(file.fd);
    pool_free(pool);
    return good ? 0 : -1;
}

char * at_piece(unsigned piece) {
    return file.at + (size_t) piece * PIECE * PAGE;
}

void fill(unsigned piece) {
    uint64_t offset = (uint64_t) piece * PIECE * PAGE;
    for (unsigned i = 0; i < held[piece].n_runs; i++) {
        const struct pool_run run = held[piece].run[i];
        paged_fill(pool_at(pool, run.page), offset, (size_t) run.count * PAGE);
        offset += (uint64_t) run.count * PAGE;
    }
}

void spoil(unsigned piece) {
    for (unsigned i = 0; i < held[piece].n_runs; i++) {
        memset(pool_at(pool, held[piece].run[i].page), 0xee, (size_t) held[piece].run[i].count * PAGE);
    }
}

bool put(unsigned piece) {
    if (!pool_take(pool, PIECE, &held[piece])) { return false; }
    fill(piece);
    assert_true(cover_put(&file, at_piece(piece), PIECE, pool, &held[piece], 0));
    return true;
}

void drop(unsigned piece) {
    assert_true(cover_remove(&file, at_piece(piece), PIECE));
    spoil(piece);
    pool_give(pool, &held[piece]);
}

bool is_covered(unsigned piece) {
    char * byte = pool_at(pool, held[piece].run[0].page) + 8;
    const char was = *byte;
    *(volatile char *) byte = (char) (was ^ 1);
    const bool same = ((volatile char *) at_piece(piece))[8] != was;
    *byte = was;
    return same;
}
