/* SPDX-License-Identifier: MIT */
#include "storage_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/io_events.h"
#include "tat/analysis.h"

uint32_t started = PID;
char folder[] = "/tmp/tat_test_storage_XXXXXX";

static struct tat_io_extent extents[] = { { 0, AT_DISK, 4096 }, { 4096, 200000, 4096 } };
struct tat_io_file model_file[] = { { .number = 1,
                                      .device = 5,
                                      .inode = 6,
                                      .bytes = 1 << 20,
                                      .path = "/model.gguf",
                                      .file_system = "ext4",
                                      .disk = DISK,
                                      .no_extents = "",
                                      .extents = extents,
                                      .n_extents = 2 } };

void put(const char * name, const uint8_t * bytes, size_t size) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE * file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

struct tat_io_fault fault(uint64_t offset, uint64_t end_ns, bool major) {
    return (struct tat_io_fault){ .end_ns = START + end_ns,
                                  .duration_ns = FAULT_NS,
                                  .address = ADDRESS + offset,
                                  .pid = PID,
                                  .tid = TID,
                                  .flags = TAT_IO_IN_FILE | (major ? TAT_IO_MAJOR : 0u) };
}

struct tat_io_fault long_fault(uint64_t offset, uint64_t begin_ns, uint64_t end_ns) {
    struct tat_io_fault f = fault(offset, end_ns, true);
    f.duration_ns = end_ns - begin_ns;
    return f;
}

struct tat_io_pages pages(uint64_t first, uint64_t count, uint64_t ns, bool left) {
    return (struct tat_io_pages){ .ns = START + ns, .first = first, .count = count, .file = 1, .left = left };
}

struct tat_io_request request(uint64_t offset, uint64_t bytes, uint64_t begin_ns, uint64_t end_ns, uint32_t flags) {
    return (struct tat_io_request){ .end_ns = START + end_ns,
                                    .duration_ns = end_ns - begin_ns,
                                    .disk = DISK,
                                    .disk_offset = offset,
                                    .bytes = bytes,
                                    .flags = flags };
}

/* ---- what was recorded ---- */

void put_ended(const struct tat_io * io, uint64_t lost, bool ended) {
    static struct payload p;
    struct trace_builder b;
    struct io_state s = { 0 };
    tb_begin(&b);
    tb_header(&b)->file_kind = TAT_FILE_IO_EVENTS;
    tb_header(&b)->pid = started;
    tb_seal(&b);
    payload_begin(&p);
    for (size_t i = 0; i < io->n_files; i++) {
        io_put_file(&p.out, &io->files[i]);
        io_put_extents(&p.out, io->files[i].number, io->files[i].extents, io->files[i].n_extents);
    }
    for (int i = 1; i < TAT_IO_SOURCE_COUNT; i++) {
        if (io->recorded[i] || io->missing[i]) { io_put_source(&p.out, (enum tat_io_source) i, io->missing[i]); }
    }
    for (size_t i = 0; i < io->n_faults; i++) { io_put_fault(&p.out, &s, &io->faults[i]); }
    for (size_t i = 0; i < io->n_pages; i++) { io_put_pages(&p.out, &s, &io->pages[i]); }
    for (size_t i = 0; i < io->n_requests; i++) { io_put_request(&p.out, &s, &io->requests[i]); }
    for (size_t i = 0; i < io->n_counters; i++) { io_put_counter(&p.out, &s, &io->counters[i]); }
    for (size_t i = 0; i < io->n_residency; i++) { io_put_residency(&p.out, &io->residency[i]); }
    if (io->partial) { io_put_mark(&p.out, TAT_IO_PARTIAL); }
    if (lost) { io_put_count(&p.out, TAT_IO_LOST, lost); }
    if (ended) { io_put_mark(&p.out, TAT_IO_END); }
    tb_payload(&b, TAT_BLOCK_IO, &p);
    put("io_events.bin", b.bytes, b.size);
    tb_free(&b);
}

void put_all(const struct tat_io * io, uint64_t lost) {
    put_ended(io, lost, true);
}

void put_io(const struct tat_io_fault * faults, size_t n, uint64_t lost) {
    const struct tat_io io = { .faults = (struct tat_io_fault *) faults, .n_faults = n };
    put_all(&io, lost);
}

uint64_t put_trace_slow_in(const int64_t * tokens, size_t count, size_t slow) {
    static const uint32_t experts[] = { 1, 3 };
    struct trace_builder b;
    struct small_model m;
    small_model_begin(&b, &m);
    tb_header(&b)->pid = PID;
    tb_header(&b)->page_bytes = PAGE;
    tb_header(&b)->start_monotonic_ns = START;
    tb_seal(&b);
    tb_event(&b, TAT_EVENT_MAPPING, 1, (const uint64_t[]){ 1, ADDRESS, MAPPED, 0 }, 4, NULL);
    const uint32_t template_id = small_model_template(&b, &m, 1);
    b.tick = 5000;
    for (size_t i = 0; i < count; i++) {
        b.callback_ns = i == slow ? SLOW * TB_CALLBACK_NS : TB_CALLBACK_NS;
        small_model_evaluate(&b, template_id, &tokens[i], 1, experts);
    }
    tb_end(&b);
    put("tensor_access.bin", b.bytes, b.size);
    tb_free(&b);
    return 5000;
}

uint64_t put_trace_of(const int64_t * tokens, size_t count) {
    return put_trace_slow_in(tokens, count, SIZE_MAX);
}

uint64_t put_trace(void) {
    static const int64_t tokens[] = { 4, 5 };
    return put_trace_of(tokens, 2);
}

/* ---- what is said of it ---- */

json_t * section_named(const char * name, const struct tat_analysis_options * options) {
    struct tat_error error = { 0 };
    struct tat_trace * trace = tat_trace_open(folder, &error);
    if (!trace) { fail_msg("%s", error.message); }
    char * answers = tat_analyze(trace, &name, 1, options, &error);
    if (!answers) { fail_msg("%s", error.message); }
    json_t * all = json_loads(answers, 0, NULL);
    json_t * section = json_incref(json_object_get(all, name));
    json_decref(all);
    free(answers);
    tat_trace_close(trace);
    return section;
}

json_t * storage_of(const struct tat_analysis_options * options) {
    return section_named("storage", options);
}

json_t * storage(void) {
    return storage_of(NULL);
}

int faults_in(const json_t * section, const char * table, const char * key, const char * value) {
    size_t i;
    const json_t * row;
    json_array_foreach(json_object_get(json_object_get(json_object_get(section, "tables"), table), "rows"), i, row) {
        const char * text = json_string_value(json_object_get(row, key));
        if (text && strcmp(text, value) == 0) {
            return (int) (json_integer_value(json_object_get(row, "major_faults")) +
                          json_integer_value(json_object_get(row, "minor_faults")));
        }
    }
    return -1;
}

json_int_t value(const json_t * section, const char * name) {
    return json_integer_value(json_object_get(json_object_get(section, "values"), name));
}

bool contains(const json_t * section, const char * what) {
    char * text = json_dumps(section, JSON_ENSURE_ASCII);
    const bool found = strstr(text, what) != NULL;
    free(text);
    return found;
}

bool has_value(const json_t * section, const char * name) {
    return json_object_get(json_object_get(section, "values"), name) != NULL;
}

json_int_t cell(const json_t * section, const char * table, const char * key, const char * value, const char * column) {
    size_t i;
    const json_t * row;
    json_array_foreach(json_object_get(json_object_get(json_object_get(section, "tables"), table), "rows"), i, row) {
        const char * text = json_string_value(json_object_get(row, key));
        if (text && strcmp(text, value) == 0) { return json_integer_value(json_object_get(row, column)); }
    }
    return -1;
}

bool says(const json_t * section, const char * text) {
    return strstr(json_string_value(json_object_get(section, "headline")), text) != NULL;
}

bool has_note(const json_t * section, const char * text) {
    size_t i;
    const json_t * note;
    json_array_foreach(json_object_get(section, "notes"), i, note) {
        if (strstr(json_string_value(note), text)) { return true; }
    }
    return false;
}

bool has_line(const json_t * section, const char * label) {
    size_t i;
    const json_t * line;
    json_array_foreach(json_object_get(section, "lines"), i, line) {
        if (strcmp(json_string_value(json_object_get(line, "label")), label) == 0) { return true; }
    }
    return false;
}

const char * answer(const json_t * section, const char * question) {
    size_t i;
    const json_t * one;
    json_array_foreach(json_object_get(section, "answers"), i, one) {
        if (strstr(json_string_value(json_object_get(one, "question")), question)) {
            return json_string_value(json_object_get(one, "answer"));
        }
    }
    return "";
}

void expect_answer(const json_t * section, const char * question, const char * words) {
    size_t i;
    const json_t * a;
    json_array_foreach(json_object_get(section, "answers"), i, a) {
        if (strcmp(json_string_value(json_object_get(a, "question")), question) != 0) { continue; }
        if (!strstr(json_string_value(json_object_get(a, "answer")), words)) {
            fail_msg("%s", json_string_value(json_object_get(a, "answer")));
        }
        return;
    }
    fail_msg("'%s' is not answered", question);
}

int make_folder(void ** state) {
    (void) state;
    return mkdtemp(folder) == NULL;
}

int remove_folder(void ** state) {
    char path[64];
    (void) state;
    snprintf(path, sizeof path, "%s/tensor_access.bin", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/io_events.bin", folder);
    unlink(path);
    return rmdir(folder);
}
