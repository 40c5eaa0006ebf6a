/* SPDX-License-Identifier: MIT
 *
 * The key-value pairs of a header. Long arrays are passed over, for the token list of a model is most of its header.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/model.h"

#define MAX_KEY 65535 /* the limit of GGUF's specification */

static const struct {
    const char * name;
    uint32_t width; /* bytes; 0: not fixed */
} values[TAT_GGUF_VALUE_COUNT] = {
    [TAT_GGUF_UINT8] = { "uint8", 1 },     [TAT_GGUF_INT8] = { "int8", 1 },     [TAT_GGUF_UINT16] = { "uint16", 2 },
    [TAT_GGUF_INT16] = { "int16", 2 },     [TAT_GGUF_UINT32] = { "uint32", 4 }, [TAT_GGUF_INT32] = { "int32", 4 },
    [TAT_GGUF_FLOAT32] = { "float32", 4 }, [TAT_GGUF_BOOL] = { "bool", 1 },     [TAT_GGUF_STRING] = { "string", 0 },
    [TAT_GGUF_ARRAY] = { "array", 0 },     [TAT_GGUF_UINT64] = { "uint64", 8 }, [TAT_GGUF_INT64] = { "int64", 8 },
    [TAT_GGUF_FLOAT64] = { "float64", 8 },
};

const char * tat_gguf_value_name(enum tat_gguf_value type) {
    return (unsigned) type < TAT_GGUF_VALUE_COUNT ? values[type].name : "unknown";
}

/* ---- reading a header ---- */

static int read_type(struct input * input, enum tat_gguf_value * type, const char * what) {
    const uint64_t at = input->position;
    uint32_t number;
    if (input_u32(input, &number, what)) { return -1; }
    if (number >= TAT_GGUF_VALUE_COUNT) {
        return input_fail(input, at, "%s is %u, which does not exist", what, number);
    }
    *type = (enum tat_gguf_value) number;
    return 0;
}

static int read_key(struct tat_gguf_kv * kv, struct arena * arena, struct input * input) {
    const uint64_t at = input->position;
    uint64_t length;
    if (input_length(input, &length, "a metadata key")) { return -1; }
    if (length == 0) { return input_fail(input, at, "a metadata key is empty"); }
    if (length > MAX_KEY) {
        return input_fail(input, at, "a metadata key is %" PRIu64 " bytes long; the maximum is %d", length, MAX_KEY);
    }
    char * key = arena_alloc(arena, length + 1);
    if (!key) { return input_fail_memory(input); }
    if (input_bytes(input, key, length, "a metadata key")) { return -1; }
    key[length] = '\0';
    if (strlen(key) != length) { return input_fail(input, at, "a metadata key holds a NUL byte"); }
    kv->key = key;
    return 0;
}

static int read_string(struct tat_gguf_kv * kv, struct arena * arena, struct input * input) {
    if (input_length(input, &kv->n, "a metadata string")) { return -1; }
    const uint64_t kept = kv->n < TAT_GGUF_KEPT_BYTES ? kv->n : TAT_GGUF_KEPT_BYTES;
    char * text = arena_alloc(arena, kept + 1);
    if (!text) { return input_fail_memory(input); }
    text[kept] = '\0';
    kv->value.string = text;
    if (input_bytes(input, text, kept, "a metadata string")) { return -1; }
    return input_bytes(input, NULL, kv->n - kept, "a metadata string");
}

static int skip_strings(struct input * input, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t length;
        if (input_length(input, &length, "a string of an array")) { return -1; }
        if (input_bytes(input, NULL, length, "a string of an array")) { return -1; }
    }
    return 0;
}

static int read_numbers(struct tat_gguf_kv * kv, struct arena * arena, struct input * input, uint32_t width) {
    if (kv->n * width > TAT_GGUF_KEPT_BYTES) { return input_bytes(input, NULL, kv->n * width, "an array"); }
    void * elements = arena_alloc(arena, kv->n * width);
    if (!elements) { return input_fail_memory(input); }
    if (input_bytes(input, elements, kv->n * width, "an array")) { return -1; }
    input_to_host(input, elements, kv->n, width);
    kv->value.array = elements;
    return 0;
}

static int read_array(struct tat_gguf_kv * kv, struct arena * arena, struct input * input) {
    const uint64_t at = input->position;
    if (read_type(input, &kv->element, "the type of an array's elements")) { return -1; }
    if (kv->element == TAT_GGUF_ARRAY) {
        return input_fail(input, at, "an array of arrays, which ggml does not support either");
    }
    if (input_u64(input, &kv->n, "the length of an array")) { return -1; }
    kv->file_offset = input->position;
    /* Even an empty string takes the 8 bytes of its length. */
    const uint32_t width = values[kv->element].width;
    if (kv->n > (input->size - input->position) / (width ? width : 8)) {
        return input_fail(input, at + 4, "an array of %" PRIu64 " elements, but the file ends at byte %" PRIu64, kv->n,
                          input->size);
    }
    return width ? read_numbers(kv, arena, input, width) : skip_strings(input, kv->n);
}

static int read_scalar(struct tat_gguf_kv * kv, struct input * input) {
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } raw = { 0 };
    const uint32_t width = values[kv->type].width;
    if (input_bytes(input, &raw, width, "a metadata value")) { return -1; }
    input_to_host(input, &raw, 1, width);
    kv->n = 1;
    switch (kv->type) {
        case TAT_GGUF_UINT8: kv->value.u = raw.u8; break;
        case TAT_GGUF_INT8: kv->value.i = raw.i8; break;
        case TAT_GGUF_UINT16: kv->value.u = raw.u16; break;
        case TAT_GGUF_INT16: kv->value.i = raw.i16; break;
        case TAT_GGUF_UINT32: kv->value.u = raw.u32; break;
        case TAT_GGUF_INT32: kv->value.i = raw.i32; break;
        case TAT_GGUF_FLOAT32: kv->value.f = raw.f32; break;
        case TAT_GGUF_BOOL: kv->value.u = raw.u8 != 0; break;
        case TAT_GGUF_INT64: kv->value.i = raw.i64; break;
        case TAT_GGUF_FLOAT64: kv->value.f = raw.f64; break;
        default: kv->value.u = raw.u64; break;
    }
    return 0;
}

static int read_kv(struct tat_gguf_kv * kv, struct arena * arena, struct input * input) {
    if (read_key(kv, arena, input)) { return -1; }
    if (read_type(input, &kv->type, "the type of a metadata value")) { return -1; }
    kv->element = kv->type;
    kv->file_offset = input->position;
    int result;
    switch (kv->type) {
        case TAT_GGUF_STRING: result = read_string(kv, arena, input); break;
        case TAT_GGUF_ARRAY: result = read_array(kv, arena, input); break;
        default: result = read_scalar(kv, input); break;
    }
    kv->bytes = input->position - kv->file_offset;
    return result;
}

int metadata_read(struct metadata * metadata, struct arena * arena, struct input * input, uint64_t count) {
    metadata->kvs = calloc(count + 1, sizeof *metadata->kvs);
    if (!metadata->kvs || name_index_reserve(&metadata->index, sizeof *metadata->kvs, (uint32_t) count)) {
        return input_fail_memory(input);
    }
    for (; metadata->count < count; metadata->count++) {
        struct tat_gguf_kv * kv = &metadata->kvs[metadata->count];
        const uint64_t at = input->position;
        char name[PRINTABLE_SIZE];
        if (read_kv(kv, arena, input)) { return -1; }
        switch (name_index_add(&metadata->index, metadata->kvs, metadata->count)) {
            case NAME_INDEX_ADDED: break;
            case NAME_INDEX_DUPLICATE:
                return input_fail(input, at, "there are two keys '%s'", input_printable(kv->key, name));
            case NAME_INDEX_CROWDED: return input_fail(input, at, "the keys are crafted to collide");
        }
    }
    return 0;
}

void metadata_free(struct metadata * metadata) {
    name_index_free(&metadata->index);
    free(metadata->kvs);
}

/* ---- asking for values ---- */

const struct tat_gguf_kv * metadata_find(const struct metadata * metadata, const char * key) {
    const uint32_t position = name_index_find(&metadata->index, metadata->kvs, key);
    return position == NAME_INDEX_NONE ? NULL : &metadata->kvs[position];
}

enum number_kind { NOT_A_NUMBER, UNSIGNED, SIGNED, FLOAT };

struct number {
    enum number_kind kind;
    uint64_t u;
    int64_t i;
    double f;
};

static struct number from_u(uint64_t u) {
    return (struct number){ .kind = UNSIGNED, .u = u };
}

static struct number from_i(int64_t i) {
    return (struct number){ .kind = SIGNED, .i = i };
}

static struct number from_f(double f) {
    return (struct number){ .kind = FLOAT, .f = f };
}

static struct number scalar_of(const struct tat_gguf_kv * kv) {
    switch (kv->type) {
        case TAT_GGUF_INT8:
        case TAT_GGUF_INT16:
        case TAT_GGUF_INT32:
        case TAT_GGUF_INT64: return from_i(kv->value.i);
        case TAT_GGUF_FLOAT32:
        case TAT_GGUF_FLOAT64: return from_f(kv->value.f);
        default: return from_u(kv->value.u);
    }
}

static struct number element_of(const struct tat_gguf_kv * kv, uint64_t i) {
    const void * array = kv->value.array;
    switch (kv->element) {
        case TAT_GGUF_UINT8: return from_u(((const uint8_t *) array)[i]);
        case TAT_GGUF_INT8: return from_i(((const int8_t *) array)[i]);
        case TAT_GGUF_UINT16: return from_u(((const uint16_t *) array)[i]);
        case TAT_GGUF_INT16: return from_i(((const int16_t *) array)[i]);
        case TAT_GGUF_UINT32: return from_u(((const uint32_t *) array)[i]);
        case TAT_GGUF_INT32: return from_i(((const int32_t *) array)[i]);
        case TAT_GGUF_FLOAT32: return from_f(((const float *) array)[i]);
        case TAT_GGUF_BOOL: return from_u(((const uint8_t *) array)[i] != 0);
        case TAT_GGUF_UINT64: return from_u(((const uint64_t *) array)[i]);
        case TAT_GGUF_INT64: return from_i(((const int64_t *) array)[i]);
        case TAT_GGUF_FLOAT64: return from_f(((const double *) array)[i]);
        default: return (struct number){ .kind = NOT_A_NUMBER };
    }
}

static struct number number_at(const struct tat_gguf_kv * kv, uint64_t index) {
    if (kv && kv->type == TAT_GGUF_ARRAY && kv->value.array && index < kv->n) { return element_of(kv, index); }
    if (kv && values[kv->type].width && index == 0) { return scalar_of(kv); }
    return (struct number){ .kind = NOT_A_NUMBER };
}

bool tat_gguf_uint(const struct tat_gguf_kv * kv, uint64_t index, uint64_t * out) {
    const struct number number = number_at(kv, index);
    switch (number.kind) {
        case UNSIGNED: *out = number.u; return true;
        case SIGNED:
            if (number.i < 0) { return false; }
            *out = (uint64_t) number.i;
            return true;
        case FLOAT:
            if (!(number.f >= 0 && number.f < 0x1p64) || number.f != (double) (uint64_t) number.f) { return false; }
            *out = (uint64_t) number.f;
            return true;
        default: return false;
    }
}

bool tat_gguf_int(const struct tat_gguf_kv * kv, uint64_t index, int64_t * out) {
    const struct number number = number_at(kv, index);
    uint64_t magnitude;
    if (number.kind == SIGNED) {
        *out = number.i;
        return true;
    }
    if (!tat_gguf_uint(kv, index, &magnitude) || magnitude > INT64_MAX) { return false; }
    *out = (int64_t) magnitude;
    return true;
}

bool tat_gguf_float(const struct tat_gguf_kv * kv, uint64_t index, double * out) {
    const struct number number = number_at(kv, index);
    switch (number.kind) {
        case UNSIGNED: *out = (double) number.u; return true;
        case SIGNED: *out = (double) number.i; return true;
        case FLOAT: *out = number.f; return true;
        default: return false;
    }
}

uint64_t metadata_uint(const struct metadata * metadata, const char * key, uint64_t otherwise) {
    tat_gguf_uint(metadata_find(metadata, key), 0, &otherwise);
    return otherwise;
}

const char * tat_gguf_string(const struct tat_gguf_kv * kv) {
    return kv && kv->type == TAT_GGUF_STRING ? kv->value.string : NULL;
}
