/* SPDX-License-Identifier: MIT */
#include "cli/plan_machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analysis/command_options.h"
#include "analysis/disk_kept.h"
#include "analysis/run_metadata.h"
#include "cli/machine_memory.h"
#include "cli/run_open.h"
#include "pressure/needs.h"
#include "system/file_system.h"
#include "system/page_cache.h"

/* The first file of the model that the plan is about. */
static const char * model_path(const struct tat_trace * trace, uint32_t model) {
    uint32_t n;
    const struct tat_model * models = tat_trace_models(trace, &n);
    const uint32_t wanted = model ? model : tat_trace_main_model(trace);
    for (uint32_t i = 0; i < n; i++) {
        if (wanted ? models[i].number == wanted : models[i].n_evaluations > 0) { return models[i].path; }
    }
    return NULL;
}

/* By the device or, as it may be none, by the kind of the file system, as `tat doctor --disk` keeps it. */
static void find_disk(struct plan_machine * m, const char * path) {
    char name[DISK_NAME_SIZE];
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &status) == 0) {
        const struct file_system fs = file_system_of(fd);
        disk_name(status.st_dev, name);
        if (!*name && fs.name) { snprintf(name, sizeof name, "%s", fs.name); }
        m->disk = disk_kept(name);
        snprintf(m->disk_name, sizeof m->disk_name, "%s", name);
    }
    if (fd >= 0) { close(fd); }
}

static uint64_t number(const json_t * options, const char * name) {
    const json_int_t value = json_integer_value(json_object_get(options, name));
    return value > 0 ? (uint64_t) value : 0;
}

/* A cgroup of its own does not count pages that others have read, such as those of libraries that ran before. */
static bool is_in_memory(const char * path) {
    struct stat status;
    uint64_t pages = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const bool known = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
                       page_cache_may_ask(fd, &status) && page_cache_count(fd, (uint64_t) status.st_size, &pages);
    if (fd >= 0) { close(fd); }
    return known && 2 * pages * (uint64_t) sysconf(_SC_PAGESIZE) > (uint64_t) status.st_size;
}

static void find_needs(const struct tat_trace * trace, const struct tat_gguf * gguf, struct planning_request * q) {
    json_t * metadata = run_metadata(trace);
    json_t * options = metadata ? command_options(metadata) : NULL;
    const struct needs n = needs_of(gguf, &(struct needs_options){
                                              .context = number(options, "n_ctx"),
                                              .batch = number(options, "n_ubatch"),
                                              .type_k = json_string_value(json_object_get(options, "type_k")),
                                              .type_v = json_string_value(json_object_get(options, "type_v")),
                                          });
    q->kv_bytes = n.kv;
    q->compute_bytes = n.compute_most;
    q->program_bytes = n.program;
    const bool are_shared = q->memory_bytes < machine_memory() && is_in_memory(tat_trace_header(trace)->ggml_path);
    q->library_bytes = are_shared ? 0 : n.libraries;
    q->context = n.context;
    json_decref(options);
    json_decref(metadata);
}

int plan_machine_find(struct plan_machine * m, const struct tat_trace * trace, const char * model,
                      struct planning_request * q, struct tat_error * error) {
    struct tat_error ignored;
    *m = (struct plan_machine){ 0 };
    const char * path = model ? model : model_path(trace, q->model);
    struct tat_gguf * gguf = path ? tat_gguf_open(path, 0, model ? error : &ignored) : NULL;
    if (model && !gguf) { return -1; }
    if (gguf) { find_needs(trace, gguf, q); }
    tat_gguf_close(gguf);
    if (path && !(q->disk_rate > 0)) { find_disk(m, path); }
    q->disk = m->disk;
    q->disk_name = m->disk_name;
    return 0;
}

void plan_machine_free(struct plan_machine * m) {
    json_decref(m->disk);
}

json_t * plan_machine_plan(const char * folder, struct planning_request request, struct tat_error * error) {
    char path[PATH_MAX];
    struct plan_machine machine = { 0 };
    struct tat_trace * trace = run_open(folder, path, error);
    json_t * plan = NULL;
    if (trace && plan_machine_find(&machine, trace, NULL, &request, error) == 0) {
        plan = planning_make(trace, &request, error);
    }
    plan_machine_free(&machine);
    tat_trace_close(trace);
    return plan;
}
