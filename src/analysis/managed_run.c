/* SPDX-License-Identifier: MIT */
#include "analysis/managed_run.h"

#include <stdio.h>
#include <string.h>

#include "analysis/machine.h"
#include "analysis/run_metadata.h"

enum { FILE_MOST = 16 << 20 };

uint64_t managed_figure(const json_t * line, const char * name) {
    const json_int_t value = json_integer_value(json_object_get(line, name));
    return value > 0 ? (uint64_t) value : 0;
}

bool managed_line_is(const json_t * line, const char * kind, uint32_t pid) {
    const char * is = json_string_value(json_object_get(line, "kind"));
    return is && strcmp(is, kind) == 0 && managed_figure(line, "pid") == pid;
}

static double more_than(uint64_t all, uint64_t own) {
    return all > own ? (double) (all - own) : 0;
}

/* Processors count if the threads that compute lost some of their time by that; the disk, if they waited for it. */
struct managed_others managed_others(const json_t * line) {
    const double ns = (double) managed_figure(line, "machine_ns"), least = 0.1;
    const uint64_t busy_ns = managed_figure(line, "machine_busy_ns"), cpu_ns = managed_figure(line, "cpu_ns"),
                   bytes = managed_figure(line, "machine_disk_bytes"), own = managed_figure(line, "disk_bytes");
    const double waited = ratio(managed_figure(line, "wait_ns"), managed_figure(line, "ns"));
    struct machine m = { .process = true, .graphs = 1, .count = (uint32_t) managed_figure(line, "processors") };
    struct managed_others others = { .count = m.count };
    if (ns > 0 && busy_ns && cpu_ns) {
        m.processors = true;
        m.own = (double) cpu_ns / ns;
        m.others = more_than(busy_ns, cpu_ns) / ns;
        m.stolen = (double) managed_figure(line, "machine_stolen_ns") / ns;
        m.threads = (uint32_t) managed_figure(line, "threads");
    }
    if (machine_was_busy(&m)) { others.processors = m.others + m.stolen; }
    if (bytes && waited >= least && more_than(bytes, own) >= least * (double) bytes) {
        others.disk = more_than(bytes, own) / (double) bytes;
    }
    return others;
}

static void take_placement(struct managed_run * m, const json_t * line) {
    if (!json_object_get(line, "pinned")) { return; }
    m->placement = (struct managed_placement){ managed_figure(line, "pinned"), managed_figure(line, "streamed"),
                                               managed_figure(line, "ring"),   managed_figure(line, "cached"),
                                               managed_figure(line, "cache"),  managed_figure(line, "left") };
}

static void take_begin(struct managed_run * m, const json_t * line) {
    const char * reader = json_string_value(json_object_get(line, "reader"));
    take_placement(m, line);
    m->limit = managed_figure(line, "limit");
    m->pool = managed_figure(line, "pool");
    m->is_direct = managed_figure(line, "direct") != 0;
    m->predicted = (double) managed_figure(line, "predicted") / 1000;
    snprintf(m->reader, sizeof m->reader, "%s", reader ? reader : "");
}

static void take_totals(struct managed_run * m, const json_t * line) {
    const struct {
        const char * name;
        uint64_t * figure;
    } figures[] = {
        { "tokens", &m->tokens },
        { "ns", &m->ns },
        { "wait_ns", &m->wait_ns },
        { "token_read", &m->token_read },
        { "token_wanted", &m->token_wanted },
        { "token_held", &m->token_held },
        { "token_kept", &m->token_kept },
        { "read", &m->read },
        { "disk_ns", &m->disk_ns },
        { "map_ns", &m->map_ns },
        { "loads", &m->loads },
        { "drops", &m->drops },
        { "errors", &m->errors },
        { "given_up", &m->given_up },
        { "checked", &m->checked },
        { "wrong", &m->wrong },
        { "majflt", &m->major_faults },
        { "after_tokens", &m->after_tokens },
        { "after_ns", &m->after_ns },
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        *figures[i].figure = managed_figure(line, figures[i].name);
    }
    if (m->wait_ns > m->ns) { m->wait_ns = m->ns; }
    if (m->token_held > m->token_wanted) { m->token_held = m->token_wanted; }
    if (!json_object_get(line, "token_kept") || m->token_kept > m->token_held) { m->token_kept = m->token_held; }
    m->handed_back = managed_figure(line, "handed_back") != 0;
    m->others = managed_others(line);
    take_placement(m, line);
}

bool managed_run_read(const struct tat_trace * trace, struct managed_run * m) {
    const uint32_t pid = tat_trace_header(trace)->pid;
    bool has_begun = false;
    size_t i;
    const json_t * line;
    *m = (struct managed_run){ .file = run_json(trace, MANAGED_FILE, FILE_MOST) };
    const char * format = json_string_value(json_object_get(m->file, "format"));
    const json_t * lines = format && strcmp(format, "tat-managed") == 0 ? json_object_get(m->file, "lines") : NULL;
    json_array_foreach(lines, i, line) {
        const bool is_end = managed_line_is(line, "end", pid);
        if (managed_line_is(line, "begin", pid)) {
            take_begin(m, line);
            has_begun = true;
        } else if (has_begun && (is_end || managed_line_is(line, "so_far", pid))) {
            take_totals(m, line);
            m->has_ended = is_end;
        }
    }
    if (has_begun) {
        m->plan = run_json(trace, MANAGED_PLAN_FILE, FILE_MOST);
    } else {
        managed_run_free(m);
    }
    return has_begun;
}

void managed_run_free(struct managed_run * m) {
    json_decref(m->file);
    json_decref(m->plan);
    *m = (struct managed_run){ 0 };
}
