/* SPDX-License-Identifier: MIT */
#include "agent/ggml_layout.h"

#include <string.h>

enum { TYPE_F32 = 0, TYPE_F16 = 1, TYPE_I32 = 26 }; /* the GGUF format fixes them */

/* No version's struct is longer. The context has room after the last tensor, so scanning never leaves its memory. */
enum { SCAN_BYTES = 512, ARENA_BYTES = 64 * 1024, DATA_BYTES = 4096 };

#define ALIGNED_DATA 64

struct probe {
    const struct ggml_functions * ggml;
    size_t limit; /* bytes of a tensor to search */
    struct ggml_tensor * a;
    struct ggml_tensor * b;
    struct ggml_tensor * sum;
    struct ggml_tensor * product;
    struct ggml_tensor * scaled;
    struct ggml_tensor * view;
    struct ggml_tensor * half;
    struct ggml_tensor * index;
};

static const int64_t NE[4] = { 96, 7, 5, 3 };
static const size_t VIEW_OFFSET = 36;
static const float SCALE = 0.372519f;

/* The offset of `count` given bytes in a tensor, searched in steps of `step` from `from`. If they are absent, returns 0
 * with *found false. */
static uint16_t find(const struct probe * p, const struct ggml_tensor * t, const void * bytes, size_t count,
                     size_t step, size_t from, bool * found) {
    for (size_t at = from; at + count <= p->limit; at += step) {
        if (memcmp((const char *) t + at, bytes, count) == 0) {
            *found = true;
            return (uint16_t) at;
        }
    }
    *found = false;
    return 0;
}

/* The offset of the one int32 that has these values in these tensors. */
static uint16_t find_int(const struct probe * p, const struct ggml_tensor * const * tensors, const int32_t * values,
                         size_t count, bool * found) {
    size_t hits = 0;
    uint16_t where = 0;
    for (size_t at = 0; at + sizeof(int32_t) <= p->limit; at += sizeof(int32_t)) {
        bool all = true;
        for (size_t i = 0; i < count && all; i++) { all = GGML_FIELD(int32_t, tensors[i], at) == values[i]; }
        if (all && hits++ == 0) { where = (uint16_t) at; }
    }
    *found = hits == 1;
    return where;
}

/* The operation: 0 in leaves; small, nonzero and different in the results of ADD, MUL and SCALE; equal in two ADDs. */
static uint16_t find_op(const struct probe * p, const struct ggml_tensor * sum2, bool * found) {
    size_t hits = 0;
    uint16_t where = 0;
    for (size_t at = 0; at + sizeof(int32_t) <= p->limit; at += sizeof(int32_t)) {
        const int32_t none = GGML_FIELD(int32_t, p->a, at), add = GGML_FIELD(int32_t, p->sum, at),
                      mul = GGML_FIELD(int32_t, p->product, at), scale = GGML_FIELD(int32_t, p->scaled, at),
                      again = GGML_FIELD(int32_t, sum2, at);
        const bool small = add > 0 && add < 256 && mul > 0 && mul < 256 && scale > 0 && scale < 256;
        if (none == 0 && small && add == again && add != mul && mul != scale && add != scale && hits++ == 0) {
            where = (uint16_t) at;
        }
    }
    *found = hits == 1;
    return where;
}

static const char * find_shape(const struct probe * p, struct ggml_layout * l) {
    bool found;
    l->ne = find(p, p->a, NE, sizeof NE, 8, 0, &found);
    if (!found) { return "ne"; }
    const size_t nb[4] = { 4, 4 * 96, 4 * 96 * 7, 4 * 96 * 7 * 5 };
    l->nb = find(p, p->a, nb, sizeof nb, 8, 0, &found);
    if (!found) { return "nb"; }
    const struct ggml_tensor * typed[] = { p->a, p->half, p->index };
    const int32_t values[] = { TYPE_F32, TYPE_F16, TYPE_I32 };
    l->type = find_int(p, typed, values, 3, &found);
    return found ? NULL : "type";
}

static const char * find_sources(const struct probe * p, struct ggml_layout * l) {
    bool found;
    const struct ggml_tensor * pair[2] = { p->a, p->b };
    l->src = find(p, p->sum, pair, sizeof pair, 8, 0, &found);
    if (!found) { return "src"; }
    /* The view holds its source twice: as src[0], and as view_src, which the offset follows. */
    const struct {
        const struct ggml_tensor * source;
        size_t offset;
    } view = { p->a, VIEW_OFFSET };
    l->view_src = find(p, p->view, &view, sizeof view, 8, 0, &found);
    if (!found || l->view_src <= l->src) { return "view_src"; }
    l->view_offs = (uint16_t) (l->view_src + sizeof(void *));
    l->n_src = (uint16_t) ((l->view_src - l->src) / sizeof(void *));
    return l->n_src >= 6 && l->n_src <= TAT_MAX_SRC ? NULL : "length of src";
}

static const char * find_scalars(const struct probe * p, struct ggml_layout * l, const struct ggml_tensor * sum2) {
    bool found;
    l->op = find_op(p, sum2, &found);
    if (!found) { return "op"; }
    l->op_params = find(p, p->scaled, &SCALE, sizeof SCALE, 4, 0, &found);
    if (!found) { return "op_params"; }
    const struct ggml_tensor * before[] = { p->half, p->b };
    const int32_t flagged[] = { GGML_FLAG_INPUT | GGML_FLAG_OUTPUT, 0 };
    p->ggml->set_input(p->half);
    p->ggml->set_output(p->half);
    l->flags = find_int(p, before, flagged, 2, &found);
    if (!found) { return "flags"; }
    const ptrdiff_t name = p->ggml->get_name(p->a) - (const char *) p->a;
    if (name < 0 || (size_t) name >= p->limit) { return "name"; }
    l->name = (uint16_t) name;
    return NULL;
}

static const char * find_memory(const struct probe * p, struct ggml_layout * l) {
    static _Alignas(ALIGNED_DATA) char memory[DATA_BYTES];
    bool found;
    struct ggml_backend_buffer * buffer = p->ggml->buffer_from_ptr(memory, sizeof memory);
    if (!buffer) { return "buffer (none made)"; }
    char * const at = memory + ALIGNED_DATA;
    p->ggml->tensor_alloc(buffer, p->half, at);
    const char * missing = NULL;
    l->data = find(p, p->half, &at, sizeof at, 8, 0, &found);
    if (!found || p->ggml->get_data(p->half) != at) { missing = "data"; }
    l->buffer = find(p, p->half, &buffer, sizeof(void *), 8, 0, &found);
    if (!found) { missing = "buffer"; }
    p->ggml->buffer_free(buffer);
    return missing;
}

static const char * probe_in(const struct ggml_functions * ggml, struct ggml_context * context,
                             struct ggml_layout * layout) {
    struct probe p = { .ggml = ggml };
    p.a = ggml->new_tensor_4d(context, TYPE_F32, NE[0], NE[1], NE[2], NE[3]);
    p.b = ggml->new_tensor_4d(context, TYPE_F32, NE[0], NE[1], NE[2], NE[3]);
    p.half = ggml->new_tensor_4d(context, TYPE_F16, 8, 2, 1, 1);
    p.index = ggml->new_tensor_4d(context, TYPE_I32, 8, 1, 1, 1);
    if (!p.a || !p.b || !p.half || !p.index || p.b <= p.a) { return "tensors (none made)"; }
    const size_t distance = (size_t) ((const char *) p.b - (const char *) p.a);
    p.limit = distance < SCAN_BYTES ? distance : SCAN_BYTES;
    p.sum = ggml->add(context, p.a, p.b);
    p.product = ggml->mul(context, p.a, p.b);
    p.scaled = ggml->scale(context, p.a, SCALE);
    p.view = ggml->view_1d(context, p.a, 5, VIEW_OFFSET);
    struct ggml_tensor * sum2 = ggml->add(context, p.b, p.a);

    const char * missing = find_shape(&p, layout);
    if (!missing) { missing = find_sources(&p, layout); }
    if (!missing) { missing = find_scalars(&p, layout, sum2); }
    if (!missing) { missing = find_memory(&p, layout); }
    return missing;
}

const char * ggml_layout_probe(const struct ggml_functions * ggml, struct ggml_layout * layout) {
    struct ggml_context * context =
        ggml->init((struct ggml_init_room){ .params = { .mem_size = ARENA_BYTES, .no_alloc = true } });
    if (!context) { return "context (none made)"; }
    const char * missing = probe_in(ggml, context, layout);
    ggml->free(context);
    return missing;
}
