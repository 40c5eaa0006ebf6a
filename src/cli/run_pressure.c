/* SPDX-License-Identifier: MIT */
#include "cli/run_pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/child.h"
#include "cli/descendants.h"
#include "cli/model_arguments.h"
#include "cli/units.h"
#include "io/privilege.h"
#include "pressure/cold.h"
#include "pressure/memory_group.h"
#include "pressure/needs.h"

void run_pressure_add_cold(struct run_pressure * p, const char * file) {
    p->is_cold = true;
    const char ** named = file ? realloc(p->named, (p->n_named + 1) * sizeof *named) : NULL;
    if (!named) { return; }
    p->named = named;
    p->named[p->n_named++] = file;
}

/* ---- cold ---- */

static void say_stayed(const char * command, const struct tat_run_cold_file * f, const struct stat * status,
                       bool is_memory) {
    char stayed[UNITS_SIZE], name[DESCENDANT_NAME];
    const char * file = last_part(f->path);
    if (is_memory) {
        fprintf(stderr, "tat %s: warning: %s is in tmpfs, that is in memory already: copy it to a disk\n", command,
                file);
        return;
    }
    if (f->stayed == TAT_STAYED_UNKNOWN) {
        fprintf(stderr,
                "tat %s: warning: tat cannot tell whether %s has left memory: it is neither yours nor writable; run "
                "tat as its owner or as root, or use a copy of your own\n",
                command, file);
        return;
    }
    const pid_t pid = cold_mapped_by(status, f->path);
    fprintf(stderr, "tat %s: warning: %s of %s stayed in memory", command, format_bytes(stayed, f->stayed), file);
    if (pid) {
        descendant_name(pid, name);
        fprintf(stderr, ": %s (process %d) has it mapped; end that first\n", name, (int) pid);
    } else {
        fprintf(stderr, ": it is locked, or a program that tat cannot see has it mapped\n");
    }
}

static int make_cold(struct run_pressure * p, const char * path, struct tat_error * error) {
    struct tat_run_cold_file * f = &p->cold[p->n_cold];
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        if (fd >= 0) { close(fd); }
        return tat_fail(error, TAT_ERROR_USAGE, "--cold: %s: %s", path,
                        fd < 0 ? strerror(errno) : "not a regular file");
    }
    *f = (struct tat_run_cold_file){ strdup(path), (uint64_t) status.st_size, 0 };
    privilege_raise(); /* to ask for pages of a file that is not the user's */
    f->stayed = cold_evict(fd);
    privilege_lower();
    if (f->stayed) { say_stayed(p->command, f, &status, cold_is_memory(fd)); }
    close(fd);
    p->n_cold += f->path != NULL;
    return 0;
}

static int make_all_cold(struct run_pressure * p, struct model_arguments * models, struct tat_error * error) {
    for (size_t i = 0; i < p->n_named; i++) { model_arguments_add(models, p->named[i]); }
    if (models->count == 0) {
        fprintf(stderr,
                "tat %s: warning: the command names no GGUF file, so nothing was evicted from the page cache%s. Name "
                "the model with --cold=FILE\n",
                p->command, p->limit ? ", and what is there already does not count towards the limit" : "");
        return 0;
    }
    p->cold = calloc(models->count, sizeof *p->cold);
    if (!p->cold) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    for (size_t i = 0; i < models->count; i++) {
        if (make_cold(p, models->files[i], error) != 0) { return -1; }
    }
    return 0;
}

/* ---- what must fit ---- */

static uint64_t option(const json_t * options, const char * name, const char * variable) {
    const char * text = getenv(variable);
    const json_int_t value = json_integer_value(json_object_get(options, name));
    return value > 0 ? (uint64_t) value : text && *text != '-' ? strtoull(text, NULL, 10) : 0;
}

static void note_options(struct run_pressure * p, const json_t * options) {
    enum { SMALL = 512 };
    const char * mode = json_string_value(json_object_get(options, "load_mode"));
    const uint64_t context = option(options, "n_ctx", "LLAMA_ARG_CTX_SIZE");
    p->has_small_context = context > 0 && context <= SMALL;
    p->has_locked = json_is_true(json_object_get(options, "use_mlock")) || (mode && strstr(mode, "mlock"));
    p->has_copies = json_is_false(json_object_get(options, "use_mmap")) ||
                    (mode && (strcmp(mode, "none") == 0 || strcmp(mode, "dio") == 0));
}

static void say_too_small(uint64_t sure, const struct needs * n, const struct needs * small) {
    char least[UNITS_SIZE], kv[UNITS_SIZE];
    fprintf(stderr, ". That does not fit, and the kernel will kill it: allow more than %s", format_bytes(least, sure));
    if (small->kv < n->kv) {
        fprintf(stderr, ", or choose a smaller context (-c 512: %s)", format_bytes(kv, small->kv));
    }
    fputc('\n', stderr);
}

static void say_repacking(const char * command, uint64_t left, const struct needs * n) {
    char bytes[UNITS_SIZE];
    fprintf(stderr, "tat %s: %sllama.cpp may repack up to %s of the weights into memory of its own%s\n", command,
            n->repack_most >= left ? "warning: " : "", format_bytes(bytes, n->repack_most),
            n->repack_most >= left ? ", which would not fit: --no-repack prevents it" : "");
}

/* "of 200 MiB, the KV cache takes 11.2 MiB (context 512) and the program about 22.5 MiB" */
static void say_taken(const struct run_pressure * p, const struct needs * n, bool is_model_context, bool is_too_much) {
    char kv[UNITS_SIZE], program[UNITS_SIZE], all[UNITS_SIZE];
    fprintf(stderr, "tat %s: %sof %s, the KV cache takes %s (context %" PRIu64 "%s) and the program about %s",
            p->command, is_too_much ? "warning: " : "", format_bytes(all, p->limit), format_bytes(kv, n->kv),
            n->context, is_model_context ? ", the model's own" : "", format_bytes(program, n->program));
}

static void say_needs(const struct run_pressure * p, const struct tat_gguf * model, const json_t * options) {
    const struct needs_options given = {
        .context = option(options, "n_ctx", "LLAMA_ARG_CTX_SIZE"),
        .batch = option(options, "n_ubatch", "LLAMA_ARG_UBATCH"),
        .type_k = json_string_value(json_object_get(options, "type_k")),
        .type_v = json_string_value(json_object_get(options, "type_v")),
    };
    struct needs_options smaller = given;
    smaller.context = 512;
    const struct needs n = needs_of(model, &given), small = needs_of(model, &smaller);
    const uint64_t sure = n.kv + n.program, left = p->limit > sure ? p->limit - sure : 0;
    const bool is_too_much = p->limit <= sure;
    char rest[UNITS_SIZE], weights[UNITS_SIZE], most[UNITS_SIZE];
    if (p->is_managed && !is_too_much) { return; } /* what is managed says how much that is */
    say_taken(p, &n, given.context == 0, is_too_much);
    if (is_too_much) {
        say_too_small(sure, &n, &small);
        return;
    }
    fprintf(stderr,
            ". That leaves about %s for %s of weights and for compute buffers, which grow with the batch, to %s\n",
            format_bytes(rest, left), format_bytes(weights, tat_gguf_tensor_bytes(model)),
            format_bytes(most, n.compute_most));
    if (n.repack_most && !json_is_false(json_object_get(options, "repack"))) { say_repacking(p->command, left, &n); }
}

static int make_group(struct run_pressure * p, struct tat_error * error) {
    privilege_raise();
    p->group = memory_group_make(p->limit, error);
    if (p->group) { memory_group_read(p->group, &p->memory); }
    privilege_lower();
    if (!p->group) { return -1; }
    if (p->memory.limit < p->limit) {
        char limit[UNITS_SIZE];
        p->limit = p->memory.limit;
        fprintf(stderr, "tat %s: warning: the cgroup that tat runs in allows only %s\n", p->command,
                format_bytes(limit, p->limit));
    }
    if (!p->memory.no_swap) {
        fprintf(
            stderr,
            "tat %s: warning: this kernel does not limit swap: the program may use swap beyond its memory; `swapoff "
            "-a` prevents that\n",
            p->command);
    }
    return 0;
}

static void end_group(struct run_pressure * p) {
    privilege_raise();
    memory_group_end(p->group);
    privilege_lower();
    p->group = NULL;
}

int run_pressure_begin(struct run_pressure * p, char ** command, struct tat_error * error) {
    struct model_arguments models;
    if (!p->limit && !p->is_cold) { return 0; }
    if (p->limit && make_group(p, error) != 0) {
        if (!p->is_managed) { return -1; }
        fprintf(
            stderr,
            "tat run: warning: no cgroup limits the program: %s. What tat manages stays below the limit; the rest of "
            "the program may exceed it\n",
            error->message);
    }
    model_arguments_find(command, &models);
    json_t * options = p->limit && models.first ? model_arguments_options(command) : NULL;
    if (options) {
        note_options(p, options);
        say_needs(p, models.first, options);
    }
    json_decref(options);
    const int result = p->is_managed && !p->is_cold ? 0 : make_all_cold(p, &models, error);
    model_arguments_free(&models);
    if (result != 0) { end_group(p); }
    return result;
}

/* ---- the run ---- */

int run_pressure_enter(const struct run_pressure * p, pid_t pid, struct tat_error * error) {
    if (!p->group) { return 0; }
    privilege_raise();
    const int result = memory_group_enter(p->group, pid, error);
    privilege_lower();
    return result;
}

/* A program that copies its weights has them in memory of its own, which cannot be evicted. */
static void say_killed(const struct run_pressure * p, const char * limit) {
    const char * who = p->memory.oom_kills == 1 ? "the program" : "processes of the program";
    if (p->has_copies || p->has_locked) {
        fprintf(stderr,
                "tat %s: the kernel killed %s because what it needs, %s, does not fit in %s: have it map the model "
                "instead (-lm mmap, no --no-mmap, no --mlock), or allow more memory (--memory)\n",
                p->command, who,
                p->has_copies ? "its copy of the weights included" : "the weights that it locks in memory included",
                limit);
        return;
    }
    fprintf(
        stderr,
        "tat %s: the kernel killed %s because what it needs besides the model's file does not fit in %s: allow more "
        "memory (--memory)%s. Weights that it copies or repacks count too: --no-repack prevents the latter\n",
        p->command, who, limit,
        p->has_small_context ? "" : ", or have the program need less, such as with a smaller context (-c 512)");
}

static void say(const struct run_pressure * p) {
    const struct tat_run_memory * m = &p->memory;
    char limit[UNITS_SIZE], peak[UNITS_SIZE], faults[UNITS_SIZE], again[UNITS_SIZE];
    format_bytes(limit, m->limit);
    format_bytes(peak, m->peak);
    if (m->oom_kills) { say_killed(p, limit); }
    fprintf(stderr, "tat %s: at most %s of %s of memory in use; %s major page fault%s, %s read again after eviction\n",
            p->command, m->peak ? peak : "an unknown part", limit, format_count(faults, m->major_faults),
            m->major_faults == 1 ? "" : "s",
            format_bytes(again, m->refaulted_pages * (uint64_t) sysconf(_SC_PAGESIZE)));
}

void run_pressure_end(struct run_pressure * p) {
    if (!p->group) { return; }
    memory_group_read(p->group, &p->memory);
    end_group(p);
    say(p);
}

struct tat_run_info run_pressure_info(const struct run_pressure * p, char ** command, int wait_status) {
    struct tat_run_info info = {
        .exit_status = child_status(wait_status), .memory = &p->memory, .cold = p->cold, .n_cold = p->n_cold
    };
    while (command[info.argc]) { info.argc++; }
    info.argv = command;
    return info;
}

void run_pressure_free(struct run_pressure * p) {
    for (size_t i = 0; i < p->n_cold; i++) { free((char *) p->cold[i].path); }
    free(p->cold);
    free(p->named);
}
