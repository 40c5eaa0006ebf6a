/* SPDX-License-Identifier: MIT
 *
 * What each operation computes, in plain loops. Row r of a result belongs to thread r % n_threads, and its sum never
 * depends on how many threads there are: so the answer is the same in every run.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fakeggml.h"

enum { KV_MAX = 1024 };

struct row {
    int64_t i1, i2, i3;
};

static void * at(const struct ggml_tensor * t, int64_t i0, int64_t i1, int64_t i2, int64_t i3) {
    return (char *) t->data + (size_t) i0 * t->nb[0] + (size_t) i1 * t->nb[1] + (size_t) i2 * t->nb[2] +
           (size_t) i3 * t->nb[3];
}

static float f32(const struct ggml_tensor * t, int64_t i0, int64_t i1, int64_t i2, int64_t i3) {
    return *(const float *) at(t, i0, i1, i2, i3);
}

static int32_t i32(const struct ggml_tensor * t, int64_t i0, int64_t i1, int64_t i2, int64_t i3) {
    return *(const int32_t *) at(t, i0, i1, i2, i3);
}

static float * row_of(const struct ggml_tensor * t, struct row r) {
    return at(t, 0, r.i1, r.i2, r.i3);
}

/* A mask holds 0 or minus infinity in half precision. */
static bool hidden(const struct ggml_tensor * mask, int64_t cell, int64_t token) {
    return mask && *(const uint16_t *) at(mask, cell, token, 0, 0) != 0;
}

static void add_or_mul(const struct ggml_tensor * d, struct row r) {
    const struct ggml_tensor *a = d->src[0], *b = d->src[1];
    float * to = row_of(d, r);
    for (int64_t i = 0; i < d->ne[0]; i++) {
        const float x = f32(a, i, r.i1, r.i2, r.i3);
        const float y = f32(b, i % b->ne[0], r.i1 % b->ne[1], r.i2 % b->ne[2], r.i3 % b->ne[3]);
        to[i] = d->op == GGML_OP_ADD ? x + y : x * y;
    }
}

static void scale(const struct ggml_tensor * d, struct row r) {
    float factor;
    memcpy(&factor, d->op_params, sizeof factor);
    for (int64_t i = 0; i < d->ne[0]; i++) { row_of(d, r)[i] = factor * f32(d->src[0], i, r.i1, r.i2, r.i3); }
}

static float norm_of(const struct ggml_tensor * a, struct row r) {
    float sum = 0;
    for (int64_t i = 0; i < a->ne[0]; i++) { sum += f32(a, i, r.i1, r.i2, r.i3) * f32(a, i, r.i1, r.i2, r.i3); }
    return 1.0f / sqrtf(sum / (float) a->ne[0] + 1e-5f);
}

static void rms_norm(const struct ggml_tensor * d, struct row r) {
    const float factor = norm_of(d->src[0], r);
    for (int64_t i = 0; i < d->ne[0]; i++) { row_of(d, r)[i] = factor * f32(d->src[0], i, r.i1, r.i2, r.i3); }
}

static void mul_mat(const struct ggml_tensor * d, struct row r) {
    const struct ggml_tensor *a = d->src[0], *b = d->src[1];
    const int64_t a2 = r.i2 / (b->ne[2] / a->ne[2]);
    for (int64_t i = 0; i < d->ne[0]; i++) {
        float sum = 0;
        for (int64_t k = 0; k < a->ne[0]; k++) { sum += f32(a, k, i, a2, 0) * f32(b, k, r.i1, r.i2, r.i3); }
        row_of(d, r)[i] = sum;
    }
}

static void mul_mat_id(const struct ggml_tensor * d, struct row r) {
    const struct ggml_tensor *a = d->src[0], *b = d->src[1];
    const int32_t expert = i32(d->src[2], r.i1, r.i2, 0, 0);
    for (int64_t i = 0; i < d->ne[0]; i++) {
        float sum = 0;
        for (int64_t k = 0; k < a->ne[0]; k++) { sum += f32(a, k, i, expert, 0) * f32(b, k, r.i1 % b->ne[1], r.i2, 0); }
        row_of(d, r)[i] = sum;
    }
}

static void get_rows(const struct ggml_tensor * d, struct row r) {
    const int32_t row = i32(d->src[1], r.i1, r.i2, r.i3, 0);
    memcpy(row_of(d, r), at(d->src[0], 0, row, r.i2, r.i3), (size_t) d->ne[0] * sizeof(float));
}

static void set_rows(const struct ggml_tensor * d, struct row r) {
    const int64_t row = *(const int64_t *) at(d->src[1], r.i1, 0, 0, 0);
    memcpy(at(d, 0, row, r.i2, r.i3), row_of(d->src[0], r), (size_t) d->src[0]->ne[0] * sizeof(float));
}

static void soft_max(const struct ggml_tensor * d, struct row r) {
    float * to = row_of(d, r);
    float sum = d->src[2] ? expf(f32(d->src[2], r.i2, 0, 0, 0)) : 0;
    for (int64_t i = 0; i < d->ne[0]; i++) {
        to[i] = hidden(d->src[1], i, r.i1) ? 0 : expf(0.1f * f32(d->src[0], i, r.i1, r.i2, r.i3));
        sum += to[i];
    }
    for (int64_t i = 0; i < d->ne[0]; i++) { to[i] /= sum; }
}

static void rope(const struct ggml_tensor * d, struct row r) {
    const float angle = 0.01f * (float) i32(d->src[1], r.i2, 0, 0, 0), c = cosf(angle), s = sinf(angle);
    float * to = row_of(d, r);
    for (int64_t i = 0; i + 1 < d->ne[0]; i += 2) {
        const float x = f32(d->src[0], i, r.i1, r.i2, r.i3), y = f32(d->src[0], i + 1, r.i1, r.i2, r.i3);
        to[i] = x * c - y * s;
        to[i + 1] = x * s + y * c;
    }
}

/* Largest first; equal ones in the order of their indices. */
static void argsort(const struct ggml_tensor * d, struct row r) {
    int32_t * to = (int32_t *) row_of(d, r);
    for (int64_t i = 0; i < d->ne[0]; i++) {
        const float value = f32(d->src[0], i, r.i1, r.i2, r.i3);
        int64_t rank = i;
        for (; rank > 0 && f32(d->src[0], to[rank - 1], r.i1, r.i2, r.i3) < value; rank--) { to[rank] = to[rank - 1]; }
        to[rank] = (int32_t) i;
    }
}

/* Row i1 of the result is a head, i2 a token. */
static void flash_attn(const struct ggml_tensor * d, struct row r) {
    const struct ggml_tensor *q = d->src[0], *k = d->src[1], *v = d->src[2], *sinks = d->src[4];
    const int64_t group = r.i1 / (q->ne[2] / k->ne[2]);
    float weight[KV_MAX], sum = sinks ? expf(f32(sinks, r.i1, 0, 0, 0)) : 0;
    for (int64_t cell = 0; cell < k->ne[1]; cell++) {
        float dot = 0;
        for (int64_t i = 0; i < k->ne[0]; i++) { dot += f32(q, i, r.i2, r.i1, 0) * f32(k, i, cell, group, 0); }
        weight[cell] = hidden(d->src[3], cell, r.i2) ? 0 : expf(0.1f * dot);
        sum += weight[cell];
    }
    for (int64_t i = 0; i < d->ne[0]; i++) {
        float value = 0;
        for (int64_t cell = 0; cell < v->ne[1]; cell++) { value += weight[cell] * f32(v, i, cell, group, 0); }
        row_of(d, r)[i] = value / sum;
    }
}

/* Elements in the order of their indices, whatever the shapes. */
static void cont(const struct ggml_tensor * d, struct row r) {
    const struct ggml_tensor * a = d->src[0];
    int64_t flat = ((r.i3 * d->ne[2] + r.i2) * d->ne[1] + r.i1) * d->ne[0];
    for (int64_t i = 0; i < d->ne[0]; i++, flat++) {
        row_of(d, r)[i] = f32(a, flat % a->ne[0], flat / a->ne[0] % a->ne[1], flat / (a->ne[0] * a->ne[1]) % a->ne[2],
                              flat / (a->ne[0] * a->ne[1] * a->ne[2]));
    }
}

static void silu(const struct ggml_tensor * d, struct row r) {
    for (int64_t i = 0; i < d->ne[0]; i++) {
        const float x = f32(d->src[0], i, r.i1, r.i2, r.i3);
        row_of(d, r)[i] = x / (1 + expf(-x));
    }
}

static void (*const operations[GGML_OP_COUNT])(const struct ggml_tensor *, struct row) = {
    [GGML_OP_ADD] = add_or_mul,    [GGML_OP_MUL] = add_or_mul,    [GGML_OP_SCALE] = scale,
    [GGML_OP_RMS_NORM] = rms_norm, [GGML_OP_MUL_MAT] = mul_mat,   [GGML_OP_MUL_MAT_ID] = mul_mat_id,
    [GGML_OP_GET_ROWS] = get_rows, [GGML_OP_SET_ROWS] = set_rows, [GGML_OP_SOFT_MAX] = soft_max,
    [GGML_OP_ROPE] = rope,         [GGML_OP_ARGSORT] = argsort,   [GGML_OP_FLASH_ATTN_EXT] = flash_attn,
    [GGML_OP_CONT] = cont,         [GGML_OP_SILU] = silu,
};

static void each_row(const struct ggml_tensor * node, const int64_t * ne, int thread, int n_threads,
                     void (*operation)(const struct ggml_tensor *, struct row)) {
    const int64_t rows = ne[1] * ne[2] * ne[3];
    for (int64_t i = thread; i < rows; i += n_threads) {
        operation(node, (struct row){ i % ne[1], i / ne[1] % ne[2], i / (ne[1] * ne[2]) });
    }
}

void ggml_compute_node(const struct ggml_tensor * node, int thread, int n_threads) {
    if (!operations[node->op]) { return; }
    const struct ggml_tensor * rows = node->op == GGML_OP_SET_ROWS ? node->src[0] : node;
    each_row(node, rows->ne, thread, n_threads, operations[node->op]);
}

static void norm_and_mul(const struct ggml_tensor * mul, struct row r) {
    const struct ggml_tensor * norm = mul->src[0]->op == GGML_OP_RMS_NORM ? mul->src[0] : mul->src[1];
    const struct ggml_tensor * weight = mul->src[0] == norm ? mul->src[1] : mul->src[0];
    const float factor = norm_of(norm->src[0], r);
    for (int64_t i = 0; i < mul->ne[0]; i++) {
        const float x = factor * f32(norm->src[0], i, r.i1, r.i2, r.i3);
        row_of(mul, r)[i] = x * f32(weight, i, r.i1 % weight->ne[1], 0, 0);
    }
}

void ggml_compute_fused(const struct ggml_tensor * norm, const struct ggml_tensor * mul, int thread, int n_threads) {
    (void) norm;
    each_row(mul, mul->ne, thread, n_threads, norm_and_mul);
}
