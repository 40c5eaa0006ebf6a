/* SPDX-License-Identifier: MIT
 *
 * struct tat_access as it is, for numpy.fromfile, and a description of what its numbers stand for.
 */
#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "export/access_writer.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the records are written as they are in memory"
#endif

/* Layouts are numbered anew: parts by head have some that the trace has not. */
static void bin_record(struct access_writer * w, const struct tat_access * a, struct tat_layout layout) {
    struct tat_access record = *a;
    record.layout = 0;
    if (a->flags & TAT_ACCESS_STRIDED) {
        record.layout = layout_table_number(&w->layouts, layout);
        if (!record.layout) { record.flags ^= TAT_ACCESS_STRIDED | TAT_ACCESS_APPROXIMATE; }
    }
    text_out_bytes(&w->out, &record, sizeof record);
}

const struct access_format access_bin = { "bin", NULL, bin_record, NULL };

/* ---- description ---- */

#define FIELDS(X)                                                                                                      \
    X(start_ns, "<u8", 0)                                                                                              \
    X(offset, "<u8", 8)                                                                                                \
    X(bytes, "<u8", 16)                                                                                                \
    X(duration_ns, "<u4", 24)                                                                                          \
    X(tensor, "<u4", 28)                                                                                               \
    X(evaluation, "<u4", 32)                                                                                           \
    X(node, "<u4", 36)                                                                                                 \
    X(token, "<u4", 40)                                                                                                \
    X(rows, "<u4", 44)                                                                                                 \
    X(layer, "<u2", 48)                                                                                                \
    X(op, "<u2", 50)                                                                                                   \
    X(expert, "<u2", 52)                                                                                               \
    X(head_first, "<u2", 54)                                                                                           \
    X(head_count, "<u2", 56)                                                                                           \
    X(layout, "<u2", 58)                                                                                               \
    X(operand, "u1", 60)                                                                                               \
    X(kind, "u1", 61)                                                                                                  \
    X(flags, "<u2", 62)
#define CHECK(name, type, at) _Static_assert(offsetof(struct tat_access, name) == at, "the dtype lists all in order");
FIELDS(CHECK)

static json_t * dtype(void) {
    json_t * fields = json_array();
#define ADD(name, type, at) json_array_append_new(fields, json_pack("[ss]", #name, type));
    FIELDS(ADD)
#undef ADD
    return fields;
}

/* Names come from files: invalid UTF-8 is left out, as jansson takes none. */
static json_t * name_of(const char * text) {
    json_t * name = json_string(text);
    return name ? name : json_null();
}

static json_t * tensor_names(const struct tat_trace * trace) {
    uint32_t count;
    const struct tat_tensor * tensors = tat_trace_tensors(trace, &count);
    json_t * names = json_array();
    for (uint32_t i = 0; i < count; i++) { json_array_append_new(names, name_of(tensors[i].name)); }
    return names;
}

static json_t * op_names(const struct tat_trace * trace) {
    json_t * names = json_array();
    for (uint16_t i = 0; i < tat_trace_n_ops(trace); i++) {
        json_array_append_new(names, name_of(tat_trace_op_name(trace, i)));
    }
    return names;
}

static json_t * layouts(const struct layout_table * table) {
    json_t * pairs = json_array();
    json_array_append_new(pairs, json_pack("[ii]", 0, 0));
    for (uint32_t i = 1; i < table->count; i++) {
        json_array_append_new(
            pairs, json_pack("[II]", (json_int_t) table->layouts[i].run_bytes, (json_int_t) table->layouts[i].stride));
    }
    return pairs;
}

static json_t * list_of(const char * (*name)(unsigned), unsigned count) {
    json_t * names = json_array();
    for (unsigned i = 0; i < count; i++) { json_array_append_new(names, json_string(name(i))); }
    return names;
}

static const char * phase_name(unsigned phase) {
    return tat_phase_name((enum tat_phase) phase);
}

static json_t * flags(void) {
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "write", TAT_ACCESS_WRITE, "fused", TAT_ACCESS_FUSED, "strided",
                     TAT_ACCESS_STRIDED, "approximate", TAT_ACCESS_APPROXIMATE, "unread", TAT_ACCESS_UNREAD, "untimed",
                     TAT_ACCESS_UNTIMED);
}

static const char example[] = "import json, numpy as np; about = json.load(open(NAME + '.json')); "
                              "a = np.fromfile(NAME, np.dtype([tuple(f) for f in about['dtype']])); "
                              "run_bytes, stride = np.array(about['layouts'], 'u8')[a['layout']].T; "
                              "phase = a['flags'] >> 8 & 7; role = a['kind'] & 15; memory = a['kind'] >> 4";

/* An item a line: the lists are long. */
static int put_items(json_t * about, FILE * out) {
    const char * key;
    json_t * value;
    const char * before = "{\n ";
    json_object_foreach(about, key, value) {
        fprintf(out, "%s\"%s\": ", before, key);
        if (json_dumpf(value, out, JSON_ENCODE_ANY) != 0) { return -1; }
        before = ",\n ";
    }
    fputs("\n}\n", out);
    return ferror(out) ? -1 : 0;
}

int access_bin_describe(const struct access_writer * w, FILE * out, struct tat_error * error) {
    const struct tat_trace * trace = w->context.trace;
    char * name = strdup(w->name);
    json_t * about = json_pack(
        "{s:o, s:I, s:i, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "file", name_of(name ? basename(name) : ""),
        "records", (json_int_t) w->count, "record_bytes", (int) sizeof(struct tat_access), "dtype", dtype(), "example",
        example, "ops", op_names(trace), "phases", list_of(phase_name, TAT_PHASE_COUNT), "roles",
        list_of(access_role_name, TAT_ROLE_COUNT), "memories", list_of(access_memory_name, TAT_MEMORY_BUFFER + 1),
        "flags", flags(), "layouts", layouts(&w->layouts), "tensors", tensor_names(trace));
    errno = ENOMEM;
    const int status = about ? put_items(about, out) : -1;
    json_decref(about);
    free(name);
    return status == 0 ? 0 : tat_fail_errno(error, "%s.json: cannot write", w->name);
}
