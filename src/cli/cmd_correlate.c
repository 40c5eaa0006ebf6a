/* SPDX-License-Identifier: MIT
 *
 * tat correlate: what each page fault, disk request and page that was read was for.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/storage/storage.h"
#include "cli/access_options.h"
#include "cli/command.h"
#include "cli/correlate.h"
#include "cli/pager.h"
#include "format/number_set.h"

enum {
    KEY_JSON = 256,
    KEY_CSV,
    KEY_FORMAT,
    KEY_TABLE,
    KEY_BLKTRACE,
    KEY_DEVICE,
    KEY_DISK,
    KEY_BLOCK_FORMAT,
    KEY_ANCHOR,
    KEY_OFFSET,
    KEY_PARTITION,
    KEY_WRITE_MAP,
};

struct options {
    struct access_options access;
    struct import_options import;
    enum event_kind rows; /* EVENT_KINDS: sums */
    enum correlate_format format;
    bool has_format, has_offset, write_map;
    const char * models[IMPORT_FILES_MOST]; /* of --write-map */
    size_t n_models;
};

static const struct argp_option table[] = {
    { "table", KEY_TABLE, "faults|requests|pages", 0, "Print each event of this kind, in place of sums", 0 },
    FILTER_OPTIONS_FIRST,
    FILTER_OPTIONS_LAST,
    { NULL, 0, NULL, 0, "Block traces of other tools:", 2 },
    { "blktrace", KEY_BLKTRACE, "FILE", 0,
      "Take the disk's requests from this block trace, of blktrace, blkparse, the kernel's blk tracer or trace events, "
      "perf script or biosnoop; - is standard input. Can be repeated, for files of blktrace of one processor each",
      2 },
    { "device", KEY_DEVICE, "MAP", 0,
      "Where the model's file is on that disk: a map that --write-map wrote, or what filefrag -v printed. Can be "
      "repeated for a model of several files",
      2 },
    { "disk", KEY_DISK, "DISK", 0, "Which disk of the block trace the map is of: nvme0n1 or 259:0", 2 },
    { "partition-start", KEY_PARTITION, "SECTORS", 0,
      "Where the file system of a map of filefrag begins on the disk, in sectors of 512 bytes, as "
      "/sys/class/block/NAME/start says. Default: 0",
      2 },
    { "anchor", KEY_ANCHOR, "auto|none|requests|faults|first-read|wall", 0,
      "What sets the block trace's clock: nothing (its times are those of the run's machine), requests that the run "
      "recorded too, the faults that waited for its reads, the first read of the model, the time of day in binary "
      "files of blktrace; or a time of the block trace and the same since the trace began: 36225.66s=120ms. Default: "
      "what makes most faults overlap a read "
      "of their page",
      2 },
    { "clock-offset", KEY_OFFSET, "TIME", 0,
      "Add this to the block trace's times for those of CLOCK_MONOTONIC: -1.5s, 20ms", 2 },
    { "blktrace-format", KEY_BLOCK_FORMAT, "FORMAT", 0,
      "blktrace, blkparse, blk, events or biosnoop; or the format that blkparse -f was given, as in '%D %T.%t %a %d %S "
      "%n'. Default: by content",
      2 },
    { "write-map", KEY_WRITE_MAP, "MODEL", 0,
      "In place of all else, write the map of this model file, and of others that are named behind it, to standard "
      "output: on the machine where the block trace is recorded",
      2 },
    { NULL, 0, NULL, 0, "Output:", 3 },
    { "format", KEY_FORMAT, "NAME", 0,
      "Of --table: table (to read), tsv, csv or jsonl (one object per line). Default: table on a terminal, else tsv",
      3 },
    { "csv", KEY_CSV, NULL, 0, "Same as --format csv", 3 },
    { "json", KEY_JSON, NULL, 0, "Print JSON: the sums or, with --table, one object per line", 3 },
    { 0 },
};

/* ---- options ---- */

static void set_format(struct options * o, const char * name, struct argp_state * state) {
    static const char * const names[] = { "table", "tsv", "csv", "jsonl" };
    for (int i = 0; i < 4; i++) {
        if (strcmp(name, names[i]) == 0) {
            o->format = (enum correlate_format) i;
            o->has_format = true;
            return;
        }
    }
    argp_error(state, "--format '%s': must be table, tsv, csv or jsonl", name);
}

static void set_rows(struct options * o, const char * name, struct argp_state * state) {
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        if (strcmp(name, event_kind_name(kind)) == 0) {
            o->rows = (enum event_kind) kind;
            return;
        }
    }
    argp_error(state, "--table '%s': must be faults, requests or pages", name);
}

static void set_block_format(struct block_options * o, const char * name, struct argp_state * state) {
    *o = (struct block_options){ 0 };
    if (strchr(name, '%')) {
        *o = (struct block_options){ .format = BLOCK_BLKPARSE, .line_format = name };
        return;
    }
    for (int f = BLOCK_ANY + 1; f < BLOCK_FORMATS; f++) {
        if (strcmp(name, block_format_name(f)) == 0) { o->format = (enum block_format) f; }
    }
    if (o->format == BLOCK_ANY) {
        argp_error(state,
                   "--blktrace-format '%s': must be blktrace, blkparse, blk, events, biosnoop or a format of "
                   "blkparse -f",
                   name);
    }
}

/* "-1.5s": nanoseconds. */
static bool read_time(const char ** text, int64_t * ns) {
    uint64_t number;
    const bool minus = **text == '-';
    *text += minus || **text == '+';
    if (!number_read_time(text, &number) || number > INT64_MAX / 2) { return false; }
    *ns = minus ? -(int64_t) number : (int64_t) number;
    return true;
}

static void set_offset(struct options * o, const char * text, struct argp_state * state) {
    const char * at = text;
    if (!read_time(&at, &o->import.offset_ns) || *at) {
        argp_error(state, "--clock-offset '%s': must be a time such as -1.5s or 20ms", text);
    }
    o->has_offset = true;
}

static void set_anchor(struct options * o, const char * text, struct argp_state * state) {
    const char * at = text;
    int64_t blocks, run;
    for (int a = 0; a < ANCHOR_TIMES; a++) {
        if (strcmp(text, anchor_name(a)) == 0) {
            o->import.anchor = (enum anchor) a;
            return;
        }
    }
    if (!read_time(&at, &blocks) || *at++ != '=' || !read_time(&at, &run) || *at) {
        argp_error(
            state,
            "--anchor '%s': must be auto, none, requests, faults, first-read, wall or two times: 36225.66s=120ms",
            text);
        return;
    }
    o->import.anchor = ANCHOR_TIMES;
    o->import.offset_ns = run - blocks;
    o->import.from_start = true;
}

static void set_partition(struct options * o, const char * text, struct argp_state * state) {
    uint64_t sectors;
    const char * end = text;
    if (!number_read(&end, &sectors) || *end || sectors > INT64_MAX / 512) {
        argp_error(state, "--partition-start '%s': must be a number of sectors", text);
    }
    o->import.partition_bytes = sectors * 512;
}

static void add_name(const char ** names, size_t * count, const char * name, struct argp_state * state) {
    if (*count == IMPORT_FILES_MOST) { argp_error(state, "more than %d files", IMPORT_FILES_MOST); }
    names[(*count)++] = name;
}

static void check(struct options * o, struct argp_state * state) {
    const struct import_options * i = &o->import;
    const bool foreign = i->n_maps || i->disk || i->partition_bytes || i->block.format || i->anchor || o->has_offset;
    if (o->write_map) {
        if (o->access.trace) { /* named behind the option */
            add_name(o->models, &o->n_models, o->access.trace, state);
            memmove(o->models + 2, o->models + 1, (o->n_models - 2) * sizeof o->models[0]);
            o->models[1] = o->access.trace;
        }
        return;
    }
    if (o->n_models) { argp_error(state, "name only one trace"); }
    if (i->n_traces && !i->n_maps) {
        argp_error(state, "--blktrace needs --device MAP: write the map with --write-map where the trace was recorded");
    }
    if (!i->n_traces && foreign) { argp_error(state, "--device and what sets a clock or a disk need --blktrace FILE"); }
    if (o->has_offset && o->import.anchor) { argp_error(state, "use --anchor or --clock-offset, not both"); }
    if (o->has_offset) { o->import.anchor = ANCHOR_TIMES; }
    if (o->rows == EVENT_KINDS && o->has_format && o->format != CORRELATE_JSON) {
        argp_error(state, "--format and --csv are about --table faults, requests or pages");
    }
    if (o->rows == EVENT_KINDS && o->access.request.limit) { argp_error(state, "-n is about --table"); }
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * o = state->input;
    switch (key) {
        case KEY_JSON: set_format(o, "jsonl", state); return 0;
        case KEY_CSV: set_format(o, "csv", state); return 0;
        case KEY_FORMAT: set_format(o, argument, state); return 0;
        case KEY_TABLE: set_rows(o, argument, state); return 0;
        case KEY_BLKTRACE: add_name(o->import.traces, &o->import.n_traces, argument, state); return 0;
        case KEY_DEVICE: add_name(o->import.maps, &o->import.n_maps, argument, state); return 0;
        case KEY_DISK: o->import.disk = argument; return 0;
        case KEY_BLOCK_FORMAT: set_block_format(&o->import.block, argument, state); return 0;
        case KEY_ANCHOR: set_anchor(o, argument, state); return 0;
        case KEY_OFFSET: set_offset(o, argument, state); return 0;
        case KEY_PARTITION: set_partition(o, argument, state); return 0;
        case KEY_WRITE_MAP:
            o->write_map = true;
            add_name(o->models, &o->n_models, argument, state);
            return 0;
        case ARGP_KEY_ARG:
            if (o->access.trace) {
                add_name(o->models, &o->n_models, argument, state);
                return 0;
            }
            break;
        case ARGP_KEY_SUCCESS: check(o, state); return 0;
        default: break;
    }
    return access_options_parse(&o->access, key, argument, state);
}

/* ---- filters ---- */

/* A record of the bytes, at the time. */
static struct tat_access as_access(const struct tat_placed * p) {
    const uint64_t end = p->end_ns > 0 ? (uint64_t) p->end_ns : 0, begin = p->begin_ns > 0 ? (uint64_t) p->begin_ns : 0;
    return (struct tat_access){
        .start_ns = begin,
        .duration_ns = end - begin > UINT32_MAX ? UINT32_MAX : (uint32_t) (end - begin),
        .offset = p->offset,
        .bytes = p->bytes,
        .tensor = p->tensor,
        .evaluation = p->evaluation,
        .layer = p->layer,
        .op = p->node == TAT_NO_NUMBER ? TAT_NO_OP : p->op,
        .expert = p->expert,
        .head_first = TAT_NO_HEAD,
        .rows = 1,
        .flags = p->end_ns < 0 ? TAT_ACCESS_UNTIMED : 0,
    };
}

static int choose(struct correlated * c, enum event_kind kind, const struct tat_filter * filter,
                  struct tat_error * error) {
    size_t n;
    const struct tat_placed * events = events_of(c, kind, &n);
    struct tat_access * records = malloc((n + 1) * sizeof *records);
    c->chosen[kind] = calloc(n + 1, sizeof *c->chosen[kind]);
    int failed = records && c->chosen[kind] ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    for (size_t i = 0; i < n && !failed; i++) { records[i] = as_access(&events[i]); }
    if (!failed) { failed = tat_filter_choose(filter, records, n, c->chosen[kind], error); }
    free(records);
    return failed;
}

/* ---- all ---- */

static bool has_events(const struct correlated * c) {
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        size_t n;
        events_of(c, kind, &n);
        for (size_t i = 0; i < n; i++) {
            if (is_chosen(c, kind, i)) { return true; }
        }
    }
    return false;
}

/* 0, 1: there is nothing; or -1 with *error. */
static int print(const struct correlated * c, const struct options * o, struct tat_error * error) {
    pager_open();
    if (o->rows < EVENT_KINDS) {
        const int64_t count = correlate_rows(c, o->rows, o->format, o->access.request.limit, stdout, error);
        return count > 0 ? 0 : count < 0 ? -1 : 1;
    }
    int failed;
    errno = ENOMEM;
    if (o->has_format) {
        json_t * json = correlate_json(c);
        failed = !json || json_dumpf(json, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF;
        json_decref(json);
    } else {
        failed = correlate_text(c, stdout);
    }
    if (failed || fflush(stdout)) { return tat_fail_errno(error, "cannot write to standard output"); }
    return has_events(c) ? 0 : 1;
}

static int join(struct correlated * c, const struct options * o, const struct block_import * import,
                struct tat_error * error) {
    const bool pages = o->rows == EVENT_PAGES || o->rows == EVENT_KINDS;
    c->io = import ? &import->io : c->io;
    c->import = import;
    if (tat_storage_join(c->trace, c->io, pages, &c->storage, error) != 0) { return -1; }
    for (int kind = 0; kind < EVENT_KINDS && o->access.n_conditions; kind++) {
        if (choose(c, kind, o->access.request.filter, error) != 0) { return -1; }
    }
    return 0;
}

static void warn(const struct correlated * c) {
    if (c->mismatch) { fprintf(stderr, "tat correlate: io_events.bin may be of another run: %s\n", c->mismatch); }
    if (c->recorded && !c->io->ended) {
        fputs("tat correlate: io_events.bin has no end: it is still written, or tat was killed; the last events are "
              "missing\n",
              stderr);
    }
    if (c->io->lost) {
        fprintf(stderr, "tat correlate: the kernel lost %llu events of this run\n", (unsigned long long) c->io->lost);
    }
    if (c->import) { block_import_warn(c->import); }
}

static int correlate(const struct options * o, const struct tat_trace * trace, struct tat_error * error) {
    struct block_import import = { 0 };
    struct tat_io io;
    int status = io_events_read(&io, trace, error);
    if (status > 0 && !o->import.n_traces) {
        return tat_fail(error, TAT_ERROR_NO,
                        "%s: I/O events were not recorded: `tat record --io` does that; or give a block trace with "
                        "--blktrace",
                        tat_trace_path(trace));
    }
    if (status < 0) { return -1; }
    struct correlated c = { .trace = trace, .path = tat_trace_path(trace), .io = &io, .recorded = status == 0 };
    if (c.recorded) { c.mismatch = tat_storage_mismatch(trace, &io); }
    status = o->import.n_traces ? block_import(&import, &o->import, trace, &io, error) : 0;
    if (status == 0) { status = join(&c, o, o->import.n_traces ? &import : NULL, error); }
    if (status == 0) {
        warn(&c);
        status = print(&c, o, error);
    }
    for (int kind = 0; kind < EVENT_KINDS; kind++) { free(c.chosen[kind]); }
    tat_storage_free(&c.storage);
    block_import_free(&import);
    tat_io_free(&io);
    return status;
}

static int run(int argc, char ** argv) {
    static struct options options;
    struct tat_error error = { 0 };
    options =
        (struct options){ .rows = EVENT_KINDS, .format = isatty(STDOUT_FILENO) ? CORRELATE_TABLE : CORRELATE_TSV };
    access_options_begin(&options.access);
    command_parse(&cmd_correlate, parse, argc, argv, 0, &options);
    signal(SIGPIPE, SIG_DFL); /* "| head" ends us quietly, whoever started us */
    if (options.write_map) {
        return disk_map_write(options.models, options.n_models, stdout, stderr, &error) == 0
                   ? TAT_OK
                   : command_fail(&cmd_correlate, &error);
    }
    struct tat_trace * trace = access_options_open(&options.access, &error);
    if (!trace) { return command_fail(&cmd_correlate, &error); }
    const int status = correlate(&options, trace, &error);
    access_options_close(&options.access, trace);
    return status < 0 ? command_fail(&cmd_correlate, &error) : status > 0 ? TAT_ERROR_NO : TAT_OK;
}

const struct command cmd_correlate = {
    .name = "correlate",
    .summary = "say what each page fault and disk request was for",
    .arguments = "[TRACE]",
    .description =
        "Places what `tat record --io` recorded beside a trace: each page fault, request to the disk and page that "
        "came "
        "into the page cache, by the tensor whose bytes it was and by the operation and token that wanted them, or "
        "with "
        "the reason why that is unknown. With --blktrace, the requests are those of a block trace that another tool "
        "recorded of the same run. Prints sums by place and by phase, or each event with --table. The exit status is 1 "
        "if there is no event.",
    .examples = "  tat correlate                            the newest trace\n"
                "  tat correlate --table faults --tokens 3  the page faults of one token\n"
                "  tat correlate --table requests --csv > requests.csv\n"
                "  tat correlate --write-map model.gguf > map.json   where blktrace runs\n"
                "  tat correlate --blktrace trace.txt --device map.json RUN",
    .options = table,
    .run = run,
};
