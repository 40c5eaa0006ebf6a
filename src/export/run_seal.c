/* SPDX-License-Identifier: MIT
 *
 * What stands beside a trace in its folder. All of it follows from the trace, the model files and the machine.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analysis/caveats.h"
#include "analysis/command_options.h"
#include "analysis/machine.h"
#include "analysis/run_metadata.h"
#include "analysis/units.h"
#include "export/file_replace.h"
#include "export/gguf_csv.h"
#include "export/host_facts.h"
#include "export/tensor_names.h"
#include "format/file_names.h"
#include "tat/run.h"

/* Nanoseconds the agent takes for a callback: twice what bench/RESULTS.md has for it alone, as the caches of a real
 * model are colder. An estimate. */
#define CALLBACK_NS 30

static int write_names(const char * folder, const struct tat_trace * trace, struct tat_error * error) {
    struct file_replace r;
    if (file_replace_begin(&r, folder, "tensor_names.txt", error) != 0) { return -1; }
    const int written = tensor_names_write(trace, r.file, error);
    return file_replace_end(&r, written == 0, error);
}

/* ---- model files ---- */

/* The models whose files are still the ones the trace saw. The caller closes them. */
static uint32_t open_models(const struct tat_trace * trace, struct tat_gguf ** models) {
    uint32_t count, n = 0;
    const struct tat_model_file * files = tat_trace_model_files(trace, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (files[i].part != 0) { continue; }
        struct tat_gguf * gguf = tat_gguf_open(files[i].path, TAT_GGUF_TOLERANT, NULL);
        if (gguf && tat_gguf_hash(gguf) == files[i].model_hash) {
            models[n++] = gguf;
        } else {
            tat_gguf_close(gguf);
        }
    }
    return n;
}

static int write_structure(const char * folder, struct tat_gguf ** models, uint32_t count, struct tat_error * error) {
    struct file_replace r;
    if (file_replace_begin(&r, folder, "gguf_structure.csv", error) != 0) { return -1; }
    const int written = export_gguf_csv((const struct tat_gguf * const *) models, count, r.file, error);
    return file_replace_end(&r, written >= 0, error);
}

static json_t * model_files_json(const struct tat_trace * trace, bool is_private) {
    uint32_t count;
    const struct tat_model_file * f = tat_trace_model_files(trace, &count);
    json_t * array = json_array();
    for (uint32_t i = 0; i < count; i++, f++) {
        const char * slash = strrchr(f->path, '/');
        char hash[24];
        snprintf(hash, sizeof hash, "%016" PRIx64, f->header_hash);
        json_array_append_new(
            array, json_pack("{s:s, s:i, s:i, s:I, s:I, s:s, s:s}", "path", is_private && slash ? slash + 1 : f->path,
                             "model", (int) f->model, "part", (int) f->part, "bytes", (json_int_t) f->size, "mtime_ns",
                             (json_int_t) f->mtime_ns, "header_hash", hash, "holds", tat_part_name(f->holds)));
    }
    return array;
}

static json_t * models_json(struct tat_gguf ** models, uint32_t count) {
    json_t * array = json_array();
    for (uint32_t i = 0; i < count; i++) {
        const struct tat_gguf_params * p = tat_gguf_params(models[i]);
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I}", "architecture",
                             p->architecture, "name", p->name, "layers", (int) p->n_layer, "embedding", (int) p->n_embd,
                             "heads", (int) p->n_head, "kv_heads", (int) p->n_head_kv, "feed_forward", (int) p->n_ff,
                             "vocabulary", (int) p->n_vocab, "experts", (int) p->n_expert, "experts_used",
                             (int) p->n_expert_used, "context_trained", (int) p->n_ctx_train, "tensor_bytes",
                             (json_int_t) tat_gguf_tensor_bytes(models[i])));
    }
    return array;
}

/* ---- totals ---- */

static bool add_bytes(const struct tat_access * records, size_t count, void * user) {
    uint64_t * bytes = user;
    for (size_t i = 0; i < count; i++) { *bytes += records[i].bytes; }
    return true;
}

/* What the agent itself has noted explains the others. */
static void note_failure(const struct tat_verification * v, struct tat_run_totals * t) {
    const struct tat_check * telling = NULL;
    for (unsigned i = 0; i < v->n_checks; i++) {
        const struct tat_check * check = &v->check[i];
        if (check->verdict != TAT_VERDICT_FAIL) { continue; }
        if (!telling || strcmp(check->name, "agent") == 0) { telling = check; }
    }
    if (telling) { snprintf(t->failure, sizeof t->failure, "%s: %s", telling->name, telling->detail); }
}

static int total(const struct tat_trace * trace, const struct tat_verification * v, struct tat_run_totals * t,
                 struct tat_error * error) {
    const struct tat_trace_summary * s = tat_trace_summary(trace);
    uint32_t count, threads = 0;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &count);
    uint64_t callbacks = 0;
    *t = (struct tat_run_totals){
        .evaluations = count, .accesses = v->n_accesses, .file_bytes = s->used_bytes, .checks_failed = v->n_failed
    };
    note_failure(v, t);
    for (int reason = 1; reason < TAT_LOSS_COUNT; reason++) { t->lost += s->lost[reason]; }
    for (uint32_t i = 0; i < count; i++) {
        t->tokens[e[i].phase] += e[i].n_tokens;
        t->graph_ns += e[i].end_ns - e[i].begin_ns;
        callbacks += e[i].n_callbacks;
        if (e[i].n_threads > threads) { threads = e[i].n_threads; }
    }
    if (t->graph_ns) { t->overhead = (double) callbacks * CALLBACK_NS / (double) t->graph_ns; }
    return tat_trace_expand(trace, 0, count, add_bytes, &t->bytes, error) < 0 ? -1 : 0;
}

static json_t * totals_json(const struct tat_trace * trace, const struct tat_run_totals * t) {
    const struct tat_trace_summary * s = tat_trace_summary(trace);
    json_t * tokens = json_object();
    for (int phase = 0; phase < TAT_PHASE_COUNT; phase++) {
        json_object_set_new(tokens, tat_phase_name((enum tat_phase) phase),
                            json_integer((json_int_t) t->tokens[phase]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "evaluations", (json_int_t) t->evaluations, "callbacks",
                     (json_int_t) s->callbacks_stored, "accesses", (json_int_t) t->accesses, "bytes_touched",
                     (json_int_t) t->bytes, "trace_bytes", (json_int_t) t->file_bytes, "tokens", tokens, "graph_ns",
                     (json_int_t) t->graph_ns);
}

static json_t * losses_json(const struct tat_trace * trace) {
    const struct tat_trace_summary * s = tat_trace_summary(trace);
    json_t * reasons = json_object();
    for (int reason = 1; reason < TAT_LOSS_COUNT; reason++) {
        json_object_set_new(reasons, tat_loss_name((enum tat_loss_reason) reason),
                            json_integer((json_int_t) s->lost[reason]));
    }
    return json_pack("{s:I, s:I, s:I, s:o, s:I, s:b}", "evaluations_emitted", (json_int_t) s->evaluations_emitted,
                     "evaluations_stored", (json_int_t) s->evaluations_stored, "damaged_bytes",
                     (json_int_t) s->damaged_bytes, "evaluations_lost", reasons, "events_lost",
                     (json_int_t) s->events_lost, "ended", s->ended);
}

/* What the tracer itself read of the model files and wrote of the trace: to be told from what the program did. */
static json_t * own_io_json(const struct tat_trace * trace, const struct tat_run_totals * t,
                            const struct tat_gguf_io * before) {
    struct tat_gguf_io agent = { 0 }, now;
    uint32_t count;
    const struct tat_event * events = tat_trace_events(trace, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (events[i].type != TAT_EVENT_OWN_READ) { continue; }
        agent.read += events[i].value[0];
        agent.fetched += events[i].value[1];
    }
    tat_gguf_io(&now);
    return json_pack("{s:{s:I, s:I, s:I}, s:{s:I, s:I}}", "agent", "read", (json_int_t) agent.read, "fetched",
                     (json_int_t) agent.fetched, "written", (json_int_t) t->file_bytes, "tat", "read",
                     (json_int_t) (now.read - before->read), "fetched", (json_int_t) (now.fetched - before->fetched));
}

static json_t * checks_json(const struct tat_verification * v) {
    static const char * const verdicts[] = { "good", "FAILED", "not checked" };
    json_t * checks = json_object();
    for (unsigned i = 0; i < v->n_checks; i++) {
        json_object_set_new(checks, v->check[i].name, json_string(verdicts[v->check[i].verdict]));
    }
    return checks;
}

static json_t * cold_files_json(const struct tat_run_info * info, bool is_private) {
    json_t * array = json_array();
    for (size_t i = 0; i < info->n_cold; i++) {
        const struct tat_run_cold_file * f = &info->cold[i];
        json_t * path = json_string(is_private ? last_part(f->path) : f->path);
        json_t * stayed = f->stayed == TAT_STAYED_UNKNOWN ? json_null() : json_integer((json_int_t) f->stayed);
        json_array_append_new(array, json_pack("{s:o, s:I, s:o}", "path", path ? path : json_string("(not UTF-8)"),
                                               "bytes", (json_int_t) f->bytes, "stayed", stayed));
    }
    return array;
}

/* NULL: the run had the memory of the machine, and its files as they were. */
static json_t * pressure_json(const struct tat_run_info * info, bool is_private) {
    const struct tat_run_memory * m = info ? info->memory : NULL;
    const bool is_limited = m && m->limit;
    if (!info || (!is_limited && !info->n_cold)) { return NULL; }
    json_t * p = json_object();
    json_object_set_new(p, "cold_files", cold_files_json(info, is_private));
    if (!is_limited) { return p; }
    json_t * memory = json_pack("{s:I, s:i, s:s, s:I, s:I, s:I, s:I}", "memory_limit", (json_int_t) m->limit, "cgroup",
                                (int) m->cgroup, "swap", m->no_swap ? "off" : "not limited", "peak_bytes",
                                (json_int_t) m->peak, "oom_kills", (json_int_t) m->oom_kills, "major_faults",
                                (json_int_t) m->major_faults, "refaulted_pages", (json_int_t) m->refaulted_pages);
    if (memory) { json_object_update(p, memory); }
    json_decref(memory);
    return p;
}

/* ---- trace_metadata.json ---- */

/* A number, several of them, or a range. */
static bool is_number(const char * text) {
    return strspn(text, "0123456789.,:-+") == strlen(text);
}

static bool may_be_told(const char * value, const struct command_option * option) {
    if (option && option->tells) { return false; }
    return is_number(value) || (option && option->takes == OPTION_WORD && !strpbrk(value, "/ "));
}

/* Only what cannot be a prompt, a path or a key: options, numbers, and the values of options known to be harmless. Of
 * the program that computed its name stays, by which its options are found. */
static bool is_harmless(const struct tat_run_info * info, int i) {
    const char * argument = info->argv[i];
    const char * value = strchr(argument, '=');
    if (i == 0) { return !strpbrk(argument, "/ "); }
    const char * last = info->argv[i - 1];
    const struct command_option * before = strchr(last, '=') ? NULL : command_option(last);
    if (may_be_told(argument, before)) { return true; }
    if (argument[0] != '-' || (before && before->takes == OPTION_TEXT) || strpbrk(argument, "/ ")) { return false; }
    return !value || may_be_told(value + 1, command_option(argument));
}

static json_t * private_argument(const struct tat_run_info * info, int i, const char * program) {
    const char * argument = info->argv[i];
    if (strcmp(last_part(argument), last_part(program)) == 0) { return json_string(last_part(argument)); }
    return json_string(is_harmless(info, i) ? argument : "(left out)");
}

static json_t * command_json(const struct tat_run_info * info, const struct tat_file_header * h) {
    json_t * array = json_array();
    for (int i = 0; info && i < info->argc; i++) {
        json_t * text =
            h->features & TAT_FEATURE_PRIVATE ? private_argument(info, i, h->program) : json_string(info->argv[i]);
        json_array_append_new(array, text ? text : json_string("(not UTF-8)"));
    }
    return array;
}

static uint32_t threads_of(const struct tat_trace * trace) {
    uint32_t count, threads = 0;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (e[i].n_threads > threads) { threads = e[i].n_threads; }
    }
    return threads;
}

static json_t * clock_json(const struct tat_file_header * h) {
    static const char * const clocks[] = { "CLOCK_MONOTONIC", "time-stamp counter", "cntvct_el0" };
    return json_pack("{s:s, s:I, s:I}", "kind", clocks[h->clock], "ticks_per_second", (json_int_t) h->ticks_per_second,
                     "stamp_ticks", (json_int_t) 1 << h->stamp_shift);
}

static const char * utc(uint64_t ns, char * buffer, size_t size) {
    const time_t seconds = (time_t) (ns / 1000000000u);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(buffer, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return buffer;
}

static json_t * metadata(const struct tat_trace * trace, struct tat_gguf ** models, uint32_t n_models,
                         const struct tat_run_info * info, const struct tat_run_totals * t,
                         const struct tat_verification * v, const struct tat_gguf_io * before) {
    const struct tat_file_header * h = tat_trace_header(trace);
    const bool is_private = h->features & TAT_FEATURE_PRIVATE;
    const char * slash = strrchr(h->program, '/');
    char start[32], run_id[RUN_ID_TEXT];
    json_t * m = json_pack("{s:i, s:s, s:s, s:s, s:b, s:o, s:s, s:i}", "format_version", (int) h->version, "run_id",
                           run_id_text(run_id, h), "producer", h->producer, "start",
                           utc(h->start_realtime_ns, start, sizeof start), "private", is_private, "command",
                           command_json(info, h), "program", is_private && slash ? slash + 1 : h->program, "pid",
                           (int) h->pid);
    if (!m) { return NULL; }
    if (info && info->exit_status >= 0) { json_object_set_new(m, "exit_status", json_integer(info->exit_status)); }
    const char * ggml = strrchr(h->ggml_path, '/');
    json_object_set_new(m, "options", command_options(m));
    json_object_set_new(
        m, "ggml",
        json_pack("{s:s, s:s}", "version", h->ggml_version, "library", is_private && ggml ? ggml + 1 : h->ggml_path));
    json_object_set_new(m, "host", host_facts_json(trace, is_private));
    json_object_set_new(m, "model_files", model_files_json(trace, is_private));
    json_object_set_new(m, "models", models_json(models, n_models));
    json_object_set_new(m, "threads", json_integer(threads_of(trace)));
    json_object_set_new(m, "clock", clock_json(h));
    json_object_set_new(m, "totals", totals_json(trace, t));
    json_t * usage = machine_json(trace);
    if (usage) { json_object_set_new(m, "usage", usage); }
    json_t * pressure = pressure_json(info, is_private);
    if (pressure) { json_object_set_new(m, "pressure", pressure); }
    if (info && info->managed) { json_object_set_new(m, "managed", json_true()); }
    json_object_set_new(m, "losses", losses_json(trace));
    json_object_set_new(m, "checks", checks_json(v));
    json_object_set_new(m, "own_io", own_io_json(trace, t, before));
    json_object_set_new(m, "overhead_estimate", json_real(t->overhead));
    return m;
}

static int write_metadata(const char * folder, json_t * m, struct tat_error * error) {
    struct file_replace r;
    if (!m) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", folder); }
    if (file_replace_begin(&r, folder, RUN_METADATA_FILE, error) != 0) { return -1; }
    const int written = json_dumpf(m, r.file, JSON_INDENT(2));
    fputc('\n', r.file);
    return file_replace_end(&r, written == 0, error);
}

/* For which trace_metadata.json is read, too. */
static int add_caveats(const struct tat_trace * trace, struct tat_run_totals * totals, struct tat_error * error) {
    static_assert(sizeof totals->caveats >= 2 * CAVEAT_SIZE, "there is room for them");
    struct subject subject;
    const bool good = subject_begin(&subject, trace, NULL);
    if (good) { caveats(&subject, totals->caveats); }
    subject_free(&subject);
    return good ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", tat_trace_path(trace));
}

int tat_run_seal(const char * run_folder, const struct tat_run_info * info, struct tat_run_totals * totals,
                 struct tat_error * error) {
    struct tat_gguf_io before;
    tat_gguf_io(&before);
    struct tat_trace * trace = tat_trace_open(run_folder, error);
    if (!trace) { return -1; }
    uint32_t n_files, n_models = 0;
    struct tat_run_totals own;
    struct tat_verification v;
    int result = -1;
    tat_trace_model_files(trace, &n_files);
    struct tat_gguf ** models = calloc(n_files + 1, sizeof *models);
    if (!totals) { totals = &own; }
    if (!models) {
        tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", run_folder);
    } else if (tat_verify(trace, &v, error) == 0 && total(trace, &v, totals, error) == 0) {
        n_models = open_models(trace, models);
        json_t * m = metadata(trace, models, n_models, info, totals, &v, &before);
        result = write_metadata(run_folder, m, error) == 0 && write_names(run_folder, trace, error) == 0 &&
                         write_structure(run_folder, models, n_models, error) == 0
                     ? 0
                     : -1;
        json_decref(m);
        if (result == 0) { result = add_caveats(trace, totals, error); }
    }
    for (uint32_t i = 0; i < n_models; i++) { tat_gguf_close(models[i]); }
    free(models);
    tat_trace_close(trace);
    return result;
}
