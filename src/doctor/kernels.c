/* SPDX-License-Identifier: MIT */
#include "doctor/kernels.h"

#include <string.h>

static volatile uint64_t seen;
static volatile float result;

typedef uint64_t words __attribute__((vector_size(32)));

void kernel_read(const uint8_t * bytes, size_t size) {
    enum { AT_ONCE = 8 };
    words sum[AT_ONCE] = { 0 };
    for (size_t at = 0; at + AT_ONCE * sizeof(words) <= size; at += AT_ONCE * sizeof(words)) {
        for (int i = 0; i < AT_ONCE; i++) {
            words w;
            memcpy(&w, bytes + at + (size_t) i * sizeof w, sizeof w);
            sum[i] ^= w;
        }
    }
    for (int i = 1; i < AT_ONCE; i++) { sum[0] ^= sum[i]; }
    seen = sum[0][0] ^ sum[0][1] ^ sum[0][2] ^ sum[0][3];
}

/* As many sums as hide the latency of a multiply-add on two ports; all of them, a factor and a term fit the registers.
 */
#define MULTIPLY(name, bytes, attribute)                                                                               \
    attribute static void name(uint64_t times) {                                                                       \
        typedef float vec __attribute__((vector_size(bytes)));                                                         \
        const vec factor = { 0 }, term = { 0 };                                                                        \
        vec sum[KERNEL_STEP] = { 0 }, by = factor + 0.999f, plus = term + 0.001f;                                      \
        for (uint64_t i = 0; i < times; i++) {                                                                         \
            _Pragma("GCC unroll 12") for (int k = 0; k < KERNEL_STEP; k++) {                                           \
                sum[k] = sum[k] * by + plus;                                                                           \
            }                                                                                                          \
            __asm__ volatile("" : : : "memory");                                                                       \
        }                                                                                                              \
        for (int k = 1; k < KERNEL_STEP; k++) { sum[0] += sum[k]; }                                                    \
        result = sum[0][0];                                                                                            \
    }

MULTIPLY(multiply_16, 16, )
#if defined(__x86_64__)
MULTIPLY(multiply_32, 32, __attribute__((target("avx2,fma"))))
MULTIPLY(multiply_64, 64, __attribute__((target("avx512f"))))
#endif

unsigned kernel_multiply(uint64_t times) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        multiply_64(times);
        return 16;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        multiply_32(times);
        return 8;
    }
#endif
    multiply_16(times);
    return 4;
}
