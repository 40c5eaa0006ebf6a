/* SPDX-License-Identifier: MIT */
#include "manage/early_score.h"

#include <math.h>
#include <string.h>

enum { LANES = 4, CHAINS = 4 /* of additions, as each waits for the one before */ };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef uint32_t lanes_u32 __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef uint16_t lanes_u16 __attribute__((vector_size(LANES * sizeof(uint16_t))));

uint64_t early_row_bytes(int type, uint32_t n_embd) {
    switch (type) {
        case EARLY_F32: return (uint64_t) n_embd * sizeof(float);
        case EARLY_F16:
        case EARLY_BF16: return (uint64_t) n_embd * sizeof(uint16_t);
        default: return 0;
    }
}

/* ---- numbers ---- */

/* Infinity and NaN come out as large numbers: no weight is one. */
static float of_f16(uint16_t half) {
    const uint32_t bits = (half & 0x7fffu) << 13, sign = (half & 0x8000u) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (sign ? -1 : 1) * value * 0x1p112f;
}

static float of_bf16(uint16_t upper) {
    const uint32_t bits = (uint32_t) upper << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A weight and the LANES - 1 behind it. */
static lanes lanes_at(const char * row, int type, uint32_t i) {
    lanes value;
    lanes_u16 half;
    if (type == EARLY_F32) {
        memcpy(&value, row + i * sizeof(float), sizeof value);
        return value;
    }
    memcpy(&half, row + i * sizeof(uint16_t), sizeof half);
    const lanes_u32 wide = __builtin_convertvector(half, lanes_u32);
    if (type == EARLY_BF16) { return (lanes) (wide << 16); }
    return (lanes) ((lanes_u32) ((lanes) ((wide & 0x7fff) << 13) * 0x1p112f) | (wide & 0x8000) << 16);
}

static float one_at(const char * row, int type, uint32_t i) {
    uint16_t half;
    float value;
    if (type == EARLY_F32) {
        memcpy(&value, row + i * sizeof value, sizeof value);
        return value;
    }
    memcpy(&half, row + i * sizeof half, sizeof half);
    return type == EARLY_F16 ? of_f16(half) : of_bf16(half);
}

/* ---- scores ---- */

static float product(const char * row, int type, const float * x, uint32_t n) {
    lanes sums[CHAINS] = { { 0 } }, input;
    float sum = 0;
    uint32_t i = 0;
    for (; i + LANES * CHAINS <= n; i += LANES * CHAINS) {
        for (uint32_t chain = 0; chain < CHAINS; chain++) {
            memcpy(&input, x + i + chain * LANES, sizeof input);
            sums[chain] += lanes_at(row, type, i + chain * LANES) * input;
        }
    }
    for (; i < n; i++) { sum += one_at(row, type, i) * x[i]; }
    for (int chain = 1; chain < CHAINS; chain++) { sums[0] += sums[chain]; }
    for (int lane = 0; lane < LANES; lane++) { sum += sums[0][lane]; }
    return sum;
}

/* Only a bias needs the right scale: without one it changes no order. */
static const float * normalise(const struct early_weights * w, const float * x, float * work) {
    if (!w->norm) { return x; }
    float scale = 1;
    if (w->bias) {
        const float squares = product((const char *) x, EARLY_F32, x, w->n_embd);
        scale = 1 / sqrtf(squares / (float) w->n_embd + 1e-6f);
    }
    for (uint32_t i = 0; i < w->n_embd; i++) { work[i] = x[i] * w->norm[i] * scale; }
    return work;
}

/* Without libm, which the library does not need otherwise. To three digits. */
static float sigmoid(float x) {
    enum { DOUBLINGS = 12, MOST = 30 };
    if (!(x > -MOST)) { return 0; }
    if (x > MOST) { return 1; }
    float power = 1 - x / (float) (1 << DOUBLINGS);
    for (int i = 0; i < DOUBLINGS; i++) { power *= power; }
    return 1 / (1 + power);
}

void early_score(const struct early_weights * w, const float * x, float * work, float * score) {
    const float * input = normalise(w, x, work);
    const char * row = w->gate;
    const uint64_t bytes = early_row_bytes(w->type, w->n_embd);
    for (uint32_t e = 0; e < w->n_experts; e++, row += bytes) {
        score[e] = product(row, w->type, input, w->n_embd);
        if (w->is_sigmoid) { score[e] = sigmoid(score[e]); }
        if (w->bias) { score[e] += w->bias[e]; }
    }
}

uint32_t early_top(const float * score, uint32_t n, uint32_t k, uint32_t * ids) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < n && k; i++) {
        uint32_t at = found;
        if (isnan(score[i])) { continue; }
        while (at && score[ids[at - 1]] < score[i]) { at--; }
        if (at == k) { continue; }
        if (found < k) { found++; }
        memmove(ids + at + 1, ids + at, (found - 1 - at) * sizeof *ids);
        ids[at] = i;
    }
    return found;
}
