/* SPDX-License-Identifier: MIT */
#include "analysis/diff/permutation.h"

#include <math.h>

#define ROUNDING 1e-12

/* How many ways there are to take k of n; above PERMUTATIONS, some number above it. */
static uint64_t arrangements_of(size_t n, size_t k) {
    uint64_t ways = 1;
    for (size_t i = 1; i <= k; i++) {
        ways = ways * (n - k + i) / i;
        if (ways > PERMUTATIONS) { return ways; } /* it only grows */
    }
    return ways;
}

/* The next larger number with as many bits (R. W. Gosper, HAKMEM item 175). */
static uint64_t next_arrangement(uint64_t bits) {
    const uint64_t low = bits & -bits, carried = bits + low;
    return carried | ((bits ^ carried) / low) >> 2;
}

static double exact_p(size_t ny, uint64_t ways, double seen, double (*distance)(uint64_t, void *), void * user) {
    uint64_t bits = (UINT64_C(1) << ny) - 1, far = 0;
    for (uint64_t i = 0; i < ways; i++, bits = next_arrangement(bits)) {
        far += distance(bits, user) >= seen - ROUNDING;
    }
    return (double) far / (double) ways;
}

/* George Marsaglia's xorshift. */
static uint64_t next_random(uint64_t * state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Takes `ny` of `n`, all sets equally likely (Knuth, volume 2, algorithm S). */
static uint64_t random_arrangement(size_t n, size_t ny, uint64_t * state) {
    uint64_t bits = 0;
    for (size_t i = 0, left = ny; left; i++) {
        if (next_random(state) % (n - i) >= left) { continue; }
        bits |= UINT64_C(1) << i;
        left--;
    }
    return bits;
}

static double sampled_p(size_t n, size_t ny, double seen, double (*distance)(uint64_t, void *), void * user) {
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t far = 1; /* the arrangement seen is one of them */
    for (int i = 0; i < PERMUTATIONS; i++) {
        far += distance(random_arrangement(n, ny, &state), user) >= seen - ROUNDING;
    }
    return (double) far / (PERMUTATIONS + 1);
}

struct permutation permutation_test(size_t nx, size_t ny, double (*distance)(uint64_t is_y, void * user), void * user) {
    const size_t n = nx + ny;
    if (nx < 2 || ny < 2 || n > PERMUTATION_RUNS) { return (struct permutation){ NAN, NAN, false }; }
    const uint64_t ways = arrangements_of(n, ny);
    const bool exact = ways <= PERMUTATIONS;
    const double seen = distance(((UINT64_C(1) << ny) - 1) << nx, user);
    return (struct permutation){
        .p = exact ? exact_p(ny, ways, seen, distance, user) : sampled_p(n, ny, seen, distance, user),
        /* If both sides have as many runs, an arrangement and its mirror image lie equally far apart. */
        .least = exact ? (nx == ny ? 2.0 : 1.0) / (double) ways : 1.0 / (PERMUTATIONS + 1),
        .exact = exact,
    };
}
