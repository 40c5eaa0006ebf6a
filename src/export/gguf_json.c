/* SPDX-License-Identifier: MIT */
#include "export/gguf_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* JSON is UTF-8 and a model's strings need not be: invalid bytes are escaped as ASCII. */
static json_t * text(const char * bytes, size_t length) {
    json_t * string = json_stringn(bytes, length);
    if (string) { return string; }
    char * ascii = malloc(length + 1);
    if (!ascii) { return NULL; }
    for (size_t i = 0; i < length; i++) { ascii[i] = (unsigned char) bytes[i] < 0x80 ? bytes[i] : '?'; }
    string = json_stringn(ascii, length);
    free(ascii);
    return string;
}

static json_t * c_text(const char * bytes) {
    return text(bytes, strlen(bytes));
}

/* 64 bits do not fit the numbers of every JSON reader, so hashes are strings. */
static json_t * hash(uint64_t value) {
    char digits[17];
    snprintf(digits, sizeof digits, "%016" PRIx64, value);
    return json_string(digits);
}

/* JSON's integers are signed; no real size or offset comes near the limit. */
static json_t * number(uint64_t value) {
    return value <= INT64_MAX ? json_integer((json_int_t) value) : json_real((double) value);
}

json_t * export_gguf_files(const struct tat_gguf * gguf) {
    uint32_t count;
    const struct tat_gguf_file * files = tat_gguf_files(gguf, &count);
    json_t * array = json_array();
    for (uint32_t i = 0; i < count; i++) {
        json_t * file = json_object();
        json_object_set_new(file, "path", c_text(files[i].path));
        json_object_set_new(file, "size", number(files[i].size));
        json_object_set_new(file, "mtime_ns", json_integer(files[i].mtime_ns));
        json_object_set_new(file, "version", json_integer(files[i].version));
        json_object_set_new(file, "big_endian", json_boolean(files[i].big_endian));
        json_object_set_new(file, "alignment", json_integer(files[i].alignment));
        json_object_set_new(file, "data_offset", number(files[i].data_offset));
        json_object_set_new(file, "header_hash", hash(files[i].header_hash));
        json_object_set_new(file, "tensors", json_integer(files[i].n_tensors));
        json_array_append_new(array, file);
    }
    return array;
}

/* One number where all layers have the same. */
static void set_layers(json_t * params, const char * key, const uint32_t * layers, uint32_t count) {
    bool same = true;
    for (uint32_t i = 1; i < count; i++) { same &= layers[i] == layers[0]; }
    if (count == 0 || (same && layers[0] == 0)) { return; }
    if (same) {
        json_object_set_new(params, key, json_integer(layers[0]));
        return;
    }
    json_t * array = json_array();
    for (uint32_t i = 0; i < count; i++) { json_array_append_new(array, json_integer(layers[i])); }
    json_object_set_new(params, key, array);
}

json_t * export_gguf_params(const struct tat_gguf * gguf) {
    const struct tat_gguf_params * p = tat_gguf_params(gguf);
    const struct {
        const char * key;
        uint32_t value;
    } numbers[] = {
        { "layers", p->n_layer },
        { "nextn_layers", p->n_layer_nextn },
        { "embedding_length", p->n_embd },
        { "vocabulary", p->n_vocab },
        { "context_length", p->n_ctx_train },
        { "key_length", p->n_embd_head_k },
        { "value_length", p->n_embd_head_v },
        { "experts", p->n_expert },
        { "experts_used", p->n_expert_used },
        { "experts_shared", p->n_expert_shared },
        { "expert_feed_forward_length", p->n_ff_expert },
    };
    json_t * params = json_object();
    json_object_set_new(params, "architecture", c_text(p->architecture));
    json_object_set_new(params, "name", c_text(p->name));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i].value) { json_object_set_new(params, numbers[i].key, json_integer(numbers[i].value)); }
    }
    set_layers(params, "heads", p->layer_n_head, p->n_layer);
    set_layers(params, "kv_heads", p->layer_n_head_kv, p->n_layer);
    set_layers(params, "feed_forward_length", p->layer_n_ff, p->n_layer);
    return params;
}

static json_t * element(const struct tat_gguf_kv * kv, uint64_t index) {
    uint64_t u;
    int64_t i;
    double f;
    if (kv->element == TAT_GGUF_BOOL && tat_gguf_uint(kv, index, &u)) { return json_boolean(u); }
    if (kv->element == TAT_GGUF_FLOAT32 || kv->element == TAT_GGUF_FLOAT64) {
        return tat_gguf_float(kv, index, &f) && isfinite(f) ? json_real(f) : json_null();
    }
    if (tat_gguf_int(kv, index, &i)) { return json_integer(i); }
    return tat_gguf_uint(kv, index, &u) ? number(u) : json_null();
}

static json_t * value(const struct tat_gguf_kv * kv) {
    if (kv->type == TAT_GGUF_STRING) {
        return text(kv->value.string, kv->n < TAT_GGUF_KEPT_BYTES ? kv->n : TAT_GGUF_KEPT_BYTES);
    }
    if (kv->type != TAT_GGUF_ARRAY) { return element(kv, 0); }
    if (!kv->value.array) {
        return json_pack("{s:s, s:o, s:o}", "array_of", tat_gguf_value_name(kv->element), "length", number(kv->n),
                         "file_offset", number(kv->file_offset));
    }
    json_t * array = json_array();
    for (uint64_t i = 0; i < kv->n; i++) { json_array_append_new(array, element(kv, i)); }
    return array;
}

static json_t * metadata(const struct tat_gguf * gguf) {
    uint32_t count;
    const struct tat_gguf_kv * kvs = tat_gguf_metadata(gguf, &count);
    json_t * object = json_object();
    for (uint32_t i = 0; i < count; i++) {
        if (json_object_set_new(object, kvs[i].key, value(&kvs[i])) == 0) { continue; }
        /* The key is no UTF-8. */
        json_t * key = c_text(kvs[i].key);
        json_object_set_new(object, json_string_value(key), value(&kvs[i]));
        json_decref(key);
    }
    return object;
}

static json_t * tensor(const struct tat_gguf_tensor * t) {
    char type[TAT_TYPE_NAME_SIZE];
    json_t * object = json_object();
    json_t * shape = json_array();
    for (uint32_t i = 0; i < t->n_dims; i++) { json_array_append_new(shape, number(t->ne[i])); }
    json_object_set_new(object, "name", c_text(t->name));
    json_object_set_new(object, "file", json_integer(t->file));
    json_object_set_new(object, "file_offset", number(t->file_offset));
    json_object_set_new(object, "size", number(t->bytes));
    json_object_set_new(object, "layer", t->layer == TAT_NO_LAYER ? json_null() : json_integer(t->layer));
    json_object_set_new(object, "component", json_string(tat_component_name(t->component)));
    json_object_set_new(object, "type", json_string(tat_type_name(t->type, type)));
    json_object_set_new(object, "shape", shape);
    if (t->expert != TAT_NO_EXPERT) { json_object_set_new(object, "expert", json_integer(t->expert)); }
    if (t->n_slices) {
        json_object_set_new(object, "experts", json_integer(t->n_slices));
        json_object_set_new(object, "expert_size", number(t->slice_bytes));
    }
    return object;
}

static json_t * tensors(const struct tat_gguf * gguf) {
    uint32_t count;
    const struct tat_gguf_tensor * list = tat_gguf_tensors(gguf, &count);
    json_t * array = json_array();
    for (uint32_t i = 0; i < count; i++) { json_array_append_new(array, tensor(&list[i])); }
    return array;
}

static json_t * findings(const struct tat_gguf * gguf) {
    uint32_t count;
    uint64_t total;
    const struct tat_gguf_finding * list = tat_gguf_findings(gguf, &count, &total);
    json_t * array = json_array();
    for (uint32_t i = 0; i < count; i++) {
        char line[300];
        tat_gguf_finding_text(gguf, &list[i], line, sizeof line);
        json_array_append_new(
            array, json_pack("{s:b, s:i, s:s}", "error", list[i].is_error, "file", list[i].file, "text", line));
    }
    return json_pack("{s:o, s:o}", "total", number(total), "list", array);
}

json_t * export_gguf_json(const struct tat_gguf * gguf) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "files", export_gguf_files(gguf), "hash",
                     hash(tat_gguf_hash(gguf)), "hyperparameters", export_gguf_params(gguf), "metadata", metadata(gguf),
                     "tensors", tensors(gguf), "findings", findings(gguf));
}
