/* SPDX-License-Identifier: MIT
 *
 * tat dump: what a trace says, record by record.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/access_options.h"
#include "cli/access_table.h"
#include "cli/command.h"
#include "cli/pager.h"
#include "export/block_text.h"
#include "format/number_set.h"

enum { KEY_JSON = 256, KEY_FORMAT, KEY_BLOCKS, KEY_GRAPH };

struct options {
    struct access_options access;
    enum text_format format;
    bool blocks, graph;
    uint32_t evaluation; /* of the graph */
};

static const struct argp_option table[] = {
    ACCESS_OPTIONS,
    { NULL, 0, NULL, 0, "Instead of access records, print:", 2 },
    { "blocks", KEY_BLOCKS, NULL, 0, "The blocks of the trace file, with the first fields of each", 2 },
    { "graph", KEY_GRAPH, "NUMBER", 0, "The graph of this evaluation: leaves, then nodes. Sources are entry numbers",
      2 },
    { NULL, 0, NULL, 0, "Output:", 3 },
    { "format", KEY_FORMAT, "NAME", 0,
      "table (to read), tsv (all columns, tab-separated) or jsonl (one object per line). Default: table on a terminal, "
      "else tsv",
      3 },
    { "json", KEY_JSON, NULL, 0, "Same as --format jsonl", 3 },
    { 0 },
};

static enum text_format format_of(const char * name, struct argp_state * state) {
    if (strcmp(name, "table") == 0) { return TEXT_TABLE; }
    if (strcmp(name, "tsv") == 0) { return TEXT_TSV; }
    if (strcmp(name, "jsonl") != 0) { argp_error(state, "--format '%s': must be table, tsv or jsonl", name); }
    return TEXT_JSON;
}

static void set_graph(struct options * o, const char * text, struct argp_state * state) {
    uint64_t number;
    const char * end = text;
    if (!number_read(&end, &number) || *end || number > UINT32_MAX) {
        argp_error(state, "--graph '%s': must be the number of an evaluation", text);
    }
    o->graph = true;
    o->evaluation = (uint32_t) number;
}

static void check(const struct options * o, struct argp_state * state) {
    const bool chosen = o->access.n_conditions || o->access.request.limit;
    if (o->blocks && o->graph) { argp_error(state, "use --blocks or --graph, not both"); }
    if ((o->blocks || o->graph) && chosen) {
        argp_error(state, "--%s prints no access records: leave out filters and -n", o->blocks ? "blocks" : "graph");
    }
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * o = state->input;
    switch (key) {
        case KEY_JSON: o->format = TEXT_JSON; return 0;
        case KEY_FORMAT: o->format = format_of(argument, state); return 0;
        case KEY_BLOCKS: o->blocks = true; return 0;
        case KEY_GRAPH: set_graph(o, argument, state); return 0;
        case ARGP_KEY_SUCCESS: check(o, state); return 0;
        default: return access_options_parse(&o->access, key, argument, state);
    }
}

static int dump_records(const struct options * o, const struct tat_trace * trace, struct tat_error * error) {
    static const struct access_format * const formats[] = {
        [TEXT_TABLE] = &access_table, [TEXT_TSV] = &access_tsv, [TEXT_JSON] = &access_jsonl
    };
    struct access_writer writer;
    struct access_heads * heads = NULL;
    if (o->access.heads && o->format == TEXT_TABLE && !(heads = tat_access_heads_new(trace, error))) { return -1; }
    access_writer_begin(&writer, formats[o->format], trace, stdout, "standard output");
    writer.heads = heads;
    const int status = access_stream(&o->access.request, trace, &writer, error);
    access_writer_free(&writer);
    tat_access_heads_free(heads);
    return status;
}

static int dump(const struct options * o, const struct tat_trace * trace, struct tat_error * error) {
    if (o->blocks) { return blocks_text(trace, o->format, stdout, error); }
    if (o->graph) { return graph_text(trace, o->evaluation, o->format, stdout, error); }
    return dump_records(o, trace, error);
}

static int run(int argc, char ** argv) {
    struct options options = { .format = isatty(STDOUT_FILENO) ? TEXT_TABLE : TEXT_TSV };
    struct tat_error error;
    access_options_begin(&options.access);
    command_parse(&cmd_dump, parse, argc, argv, 0, &options);
    signal(SIGPIPE, SIG_DFL); /* "| head" ends us quietly, whoever started us */
    struct tat_trace * trace = access_options_open(&options.access, &error);
    if (!trace) { return command_fail(&cmd_dump, &error); }
    pager_open();
    const int status = dump(&options, trace, &error) == 0 ? TAT_OK : command_fail(&cmd_dump, &error);
    access_options_close(&options.access, trace);
    return status;
}

const struct command cmd_dump = {
    .name = "dump",
    .summary = "print access records, blocks or a graph as text",
    .arguments = "[TRACE]",
    .description =
        "Prints every access record of a trace in order of execution: which bytes of which tensor were read or "
        "written, by which node of which graph, for which token, and when. On a terminal, records are grouped by node "
        "in a table; otherwise, they are tab-separated columns. Records are streamed, so a trace can be of any length. "
        "If no record matches the filters, nothing is printed and the exit status is 1.",
    .examples = "  tat dump --format table | less          all records of the newest trace\n"
                "  tat dump --tokens 50 --layers 3         one layer of one token\n"
                "  tat dump --tensors 'cache_?_l0' --tokens 50 --heads   a layer's KV cache\n"
                "  tat dump --at 0x1000:0x1fff             what touches a page of the model\n"
                "  tat dump --at-time 20ms:25ms            what ran in that part of the run\n"
                "  tat dump --kinds weights --phases generate --json | jq .size\n"
                "  tat dump --graph 3                      what evaluation 3 computed\n"
                "  tat dump --blocks RUN                   what the file consists of",
    .options = table,
    .run = run,
};
