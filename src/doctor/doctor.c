/* SPDX-License-Identifier: MIT */
#include "doctor/doctor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "doctor/backends.h"
#include "doctor/hook.h"
#include "doctor/libraries.h"
#include "doctor/process.h"
#include "doctor/script.h"

enum { SCRIPTS_MAX = 4, LIST = 512 };

/* Appends to a list of names with commas between them, each once. */
static void list_name(char list[static LIST], const char * name) {
    const size_t used = strlen(list), length = strlen(name);
    for (const char * at = list; (at = strstr(at, name)); at++) {
        if ((at == list || at[-1] == ' ') && (at[length] == ',' || !at[length])) { return; }
    }
    snprintf(list + used, LIST - used, "%s%s", used ? ", " : "", name);
}

/* ---- the program ---- */

static bool gains_privileges(const char * path) {
    struct stat status;
    char value[64];
    if (stat(path, &status) != 0) { return false; }
    if ((status.st_mode & S_ISUID) && status.st_uid != geteuid()) { return true; }
    if ((status.st_mode & S_ISGID) && status.st_gid != getegid()) { return true; }
    return geteuid() != 0 && getxattr(path, "security.capability", value, sizeof value) > 0;
}

static void check_kind(const struct library * program, struct findings * findings) {
    const struct elf_facts * f = &program->facts;
    if (f->is_foreign) {
        finding_add(findings, "program", VERDICT_BAD, "build the tracer for that processor, or llama.cpp for this one",
                    "%s is built for another kind of processor than the tracer", program->path);
    } else if (strstr(f->interpreter, "musl")) {
        finding_add(findings, "program", VERDICT_BAD, "build llama.cpp with glibc",
                    "%s is linked with musl, but the tracer needs glibc", program->path);
    } else if (!f->is_static) {
        finding_add(findings, "program", VERDICT_GOOD, NULL, "%s, dynamically linked", program->path);
    } else if (f->has_agent) {
        finding_add(findings, "program", VERDICT_GOOD, NULL, "%s, statically linked, with the tracer in it",
                    program->path);
    } else {
        finding_add(findings, "program", VERDICT_BAD,
                    "build llama.cpp with -DBUILD_SHARED_LIBS=ON, or link the tracer into it with -DTENSOR_TRACE=ON",
                    "%s is statically linked, so the tracer cannot be loaded into it", program->path);
    }
}

static void check_privileges(const char * path, struct findings * findings) {
    if (!gains_privileges(path)) { return; }
    finding_add(findings, "privileges", VERDICT_BAD, "run a copy without these privileges",
                "it gains privileges when it starts (set-user-ID, set-group-ID or capabilities), so the system does "
                "not load the tracer");
}

/* ---- its libraries ---- */

static void add_cpu_backend(const char * path, void * state) {
    struct tat_error unread;
    char real[PATH_MAX];
    if (backend_is_cpu(path) && realpath(path, real)) { libraries_add(state, real, true, &unread); }
}

/* ggml that is linked with no backend loads them at run time; they lie beside its libraries or the program. */
static void add_cpu_backends(struct libraries * libraries) {
    const size_t count = libraries->count;
    for (size_t i = 0; i < count; i++) {
        if (libraries->at[i].facts.exports_compute) { return; }
    }
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strstr(libraries->at[i].path, "/libggml")) {
            backends_beside(libraries->at[i].path, add_cpu_backend, libraries);
        }
    }
}

static void list_elsewhere(const char * path, void * list) {
    char name[64];
    if (backend_elsewhere(path, name, sizeof name)) { list_name(list, name); }
}

static void report_backends(const char * list, const char * where, struct findings * findings) {
    if (!*list) { return; }
    finding_add(findings, "backends", VERDICT_WARNING,
                "keep the work on the CPU (--device none, or -ngl 0); `tat verify` says which weights went elsewhere",
                "%s %s: only what the CPU backend computes is recorded", list, where);
}

static void check_backends(const struct libraries * libraries, struct findings * findings) {
    char list[LIST] = "";
    for (size_t i = 0; i < libraries->count; i++) {
        list_elsewhere(libraries->at[i].path, list);
        if (i == 0 || strstr(libraries->at[i].path, "/libggml")) {
            backends_beside(libraries->at[i].path, list_elsewhere, list);
        }
    }
    report_backends(list, "beside it", findings);
}

static void check_missing(const struct libraries * libraries, struct findings * findings) {
    if (!*libraries->missing) { return; }
    finding_add(findings, "libraries", VERDICT_WARNING, "add its folder to LD_LIBRARY_PATH, as for running the program",
                "%s is not found", libraries->missing);
}

static void check_libraries(struct libraries * libraries, struct findings * findings) {
    const bool all = libraries->at[0].facts.is_static;
    check_kind(&libraries->at[0], findings);
    check_missing(libraries, findings);
    if (finding_bad(findings)) { return; } /* nothing can come of the rest */
    if (!all) { add_cpu_backends(libraries); }
    hook_check(libraries, all, findings);
    check_backends(libraries, findings);
}

int doctor_program(const char * path, struct findings * findings, struct tat_error * error) {
    char script[PATH_MAX], interpreter[PATH_MAX], real[PATH_MAX];
    struct libraries libraries = { 0 };
    check_privileges(path, findings);
    if (!realpath(path, real)) { return tat_fail_errno(error, "%s", path); }
    int kind = libraries_add(&libraries, real, true, error);
    for (int i = 0; i < SCRIPTS_MAX && kind == 1 && script_interpreter(real, interpreter); i++) {
        snprintf(script, sizeof script, "%s", real);
        finding_add(findings, "script", VERDICT_GOOD, NULL, "%s is run by %s", script, interpreter);
        if (!realpath(interpreter, real)) {
            kind = tat_fail_errno(error, "%s, the interpreter of %s", interpreter, script);
            break;
        }
        kind = libraries_add(&libraries, real, true, error);
    }
    if (kind == 0) { check_libraries(&libraries, findings); }
    libraries_free(&libraries);
    return kind == 1 ? tat_fail(error, TAT_ERROR_INPUT, "%s: not a program or a script", real) : kind;
}

const char * doctor_reason(const char * path, char * text, size_t size) {
    struct findings findings = { 0 };
    struct tat_error unread;
    doctor_program(path, &findings, &unread);
    const struct finding * likely = finding_bad(&findings);
    if (!likely) { likely = finding_of(&findings, "backends"); }
    if (!likely) { return NULL; }
    snprintf(text, size, "%s: %s", likely->found, likely->advice);
    return text;
}

/* ---- a process ---- */

static bool is_library(const char * file) {
    const char * end = strstr(file, ".so");
    return end && (end[3] == '\0' || end[3] == '.');
}

/* libtat_agent.so and libtat_agent_exact.so, which export what they stand in for. */
static bool is_agent(const char * file) {
    static const char agent[] = "libtat_agent";
    return strncmp(file, agent, sizeof agent - 1) == 0;
}

static bool is_model(const char * path) {
    char magic[4];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) { return false; }
    const bool is = pread(fd, magic, sizeof magic, 0) == sizeof magic && memcmp(magic, "GGUF", sizeof magic) == 0;
    close(fd);
    return is;
}

struct mapped {
    struct libraries libraries;
    char models[LIST], backends[LIST];
    bool has_agent;
};

static void sort_file(pid_t pid, const char * file, struct mapped * mapped) {
    char path[PATH_MAX];
    struct tat_error unread;
    const char * name = strrchr(file, '/') + 1;
    if (!process_path(pid, file, path, sizeof path)) { return; }
    if (is_library(name)) {
        mapped->has_agent |= is_agent(name);
        list_elsewhere(path, mapped->backends);
        if (!is_agent(name)) { libraries_add(&mapped->libraries, path, false, &unread); }
    } else if (is_model(path)) {
        list_name(mapped->models, file);
    }
}

static void report_process(const struct mapped * mapped, struct findings * findings) {
    check_kind(&mapped->libraries.at[0], findings);
    hook_check(&mapped->libraries, true, findings);
    report_backends(mapped->backends, "mapped in it", findings);
    if (mapped->has_agent || mapped->libraries.at[0].facts.has_agent) {
        finding_add(findings, "tracer", VERDICT_GOOD, NULL, "loaded in this process");
    } else {
        finding_add(findings, "tracer", VERDICT_WARNING, "restart the program under `tat record`",
                    "not loaded, and it cannot be loaded into a running process");
    }
    if (*mapped->models) {
        finding_add(findings, "models", VERDICT_GOOD, NULL, "mapped: %s", mapped->models);
    } else {
        finding_add(findings, "models", VERDICT_WARNING,
                    "if the program was started with --no-mmap, its weights are copies, not parts of the mapped file",
                    "no model file is mapped");
    }
}

const char * doctor_mapped(const char * program, const struct process * process, char * text, size_t size) {
    struct findings findings = { 0 };
    struct tat_error unread;
    struct libraries libraries = { 0 };
    libraries_add(&libraries, program, false, &unread);
    for (size_t i = 0; i < process->n_files; i++) {
        const char *file = process->files[i], *name = strrchr(file, '/') + 1;
        if (is_library(name) && !is_agent(name)) { libraries_add(&libraries, file, false, &unread); }
    }
    if (libraries.count) { hook_check(&libraries, true, &findings); }
    const struct finding * bad = finding_bad(&findings);
    if (bad) { snprintf(text, size, "%s: %s", bad->found, bad->advice); }
    libraries_free(&libraries);
    return bad ? text : NULL;
}

int doctor_process(pid_t pid, struct findings * findings, struct tat_error * error) {
    char link[64], exe[PATH_MAX], path[PATH_MAX];
    struct process process;
    struct mapped mapped = { 0 };
    snprintf(link, sizeof link, "/proc/%d/exe", (int) pid);
    int result = process_read(pid, &process, error);
    const ssize_t length = result == 0 ? readlink(link, exe, sizeof exe - 1) : 0;
    if (length < 0) { result = tat_fail_errno(error, "%s", link); }
    exe[length > 0 ? length : 0] = '\0';
    if (result == 0) {
        const char * program = process_path(pid, exe, path, sizeof path) && access(path, R_OK) == 0 ? path : link;
        result = libraries_add(&mapped.libraries, program, false, error);
    }
    for (size_t i = 0; result == 0 && i < process.n_files; i++) { sort_file(pid, process.files[i], &mapped); }
    if (result == 0) { report_process(&mapped, findings); }
    libraries_free(&mapped.libraries);
    process_free(&process);
    return result == 1 ? tat_fail(error, TAT_ERROR_INPUT, "%s: not a program for this system", exe) : result;
}
