/* SPDX-License-Identifier: MIT */
#include "cli/reorder_files.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "cli/units.h"
#include "export/file_replace.h"

/* ---- names ---- */

/* NAME-00001-of-00003.gguf, as the new file must be called if the model has parts. */
enum { SUFFIX_SIZE = sizeof "-00001-of-00001.gguf" + 16 };

static const char * suffix(char text[static SUFFIX_SIZE], uint32_t number, uint32_t count) {
    snprintf(text, SUFFIX_SIZE, "-%05u-of-%05u.gguf", number, count);
    return text;
}

static int name_parts(struct reorder_files * f, const char * out, struct tat_error * error) {
    char first[SUFFIX_SIZE], one[SUFFIX_SIZE];
    const size_t length = strlen(out), end = strlen(suffix(first, 1, f->count));
    if (f->count > 1 && (length <= end || strcmp(out + length - end, first) != 0)) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s: the model has %u parts, so name the first of the new ones: NAME%s",
                        out, f->count, first);
    }
    for (uint32_t i = 0; i < f->count; i++) {
        char ** path = &f->parts[i].path;
        const int made = f->count == 1
                             ? asprintf(path, "%s", out)
                             : asprintf(path, "%.*s%s", (int) (length - end), out, suffix(one, i + 1, f->count));
        if (made < 0) {
            *path = NULL;
            return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        }
    }
    return 0;
}

/* ---- planning ---- */

/* The part's tensors, numbered as it numbers them, in the model's order. NULL: no memory. */
static uint32_t * order_of_part(const struct tat_gguf_file * file, const uint32_t * order, uint32_t n) {
    uint32_t * own = malloc((file->n_tensors + (size_t) 1) * sizeof *own);
    uint32_t used = 0;
    for (uint32_t i = 0; own && i < n; i++) {
        if (order[i] - file->first_tensor < file->n_tensors) { own[used++] = order[i] - file->first_tensor; }
    }
    return own;
}

static int open_part(struct reorder_files * f, const struct tat_gguf * model, uint32_t number, const uint32_t * order,
                     uint32_t alignment, struct tat_error * error) {
    struct reorder_part * part = &f->parts[number];
    uint32_t n_tensors, n_files;
    const struct tat_gguf_file * file = &tat_gguf_files(model, &n_files)[number];
    tat_gguf_tensors(model, &n_tensors);
    uint32_t * own = order_of_part(file, order, n_tensors);
    if (!own) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    part->gguf = tat_gguf_open(file->path, TAT_GGUF_SINGLE, error);
    int status = part->gguf ? 0 : -1;
    if (status == 0 && tat_gguf_files(part->gguf, &n_files)->header_hash != file->header_hash) {
        status = tat_fail(error, TAT_ERROR_INPUT, "%s: the header was changed meanwhile; try again", file->path);
    }
    if (status == 0) { status = rewrite_open(&part->rewrite, part->gguf, own, alignment, error); }
    for (uint32_t i = 0; status == 0 && i < file->n_tensors; i++) {
        f->place[file->first_tensor + i] = part->rewrite.place[i];
    }
    f->bytes += part->rewrite.size;
    free(own);
    return status;
}

int reorder_files_open(struct reorder_files * f, const struct tat_gguf * model, const uint32_t * order,
                       uint32_t alignment, const char * out, struct tat_error * error) {
    uint32_t n_tensors;
    *f = (struct reorder_files){ 0 };
    tat_gguf_files(model, &f->count);
    tat_gguf_tensors(model, &n_tensors);
    f->parts = calloc(f->count, sizeof *f->parts);
    f->place = calloc(n_tensors + (size_t) 1, sizeof *f->place);
    if (!f->parts || !f->place) {
        f->count = 0;
        return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    }
    for (uint32_t i = 0; i < f->count; i++) { f->parts[i].rewrite.from = -1; }
    int status = out ? name_parts(f, out, error) : 0;
    for (uint32_t i = 0; status == 0 && i < f->count; i++) { status = open_part(f, model, i, order, alignment, error); }
    return status;
}

void reorder_files_close(struct reorder_files * f) {
    for (uint32_t i = 0; f->parts && i < f->count; i++) {
        rewrite_close(&f->parts[i].rewrite);
        tat_gguf_close(f->parts[i].gguf);
        free(f->parts[i].path);
    }
    free(f->parts);
    free(f->place);
    *f = (struct reorder_files){ 0 };
}

bool reorder_files_are_needless(const struct reorder_files * f) {
    bool needless = true;
    for (uint32_t i = 0; i < f->count; i++) { needless &= rewrite_is_needless(&f->parts[i].rewrite); }
    return needless;
}

/* ---- before anything is written ---- */

static bool is_of_model(const struct reorder_files * f, const struct stat * s) {
    for (uint32_t i = 0; i < f->count; i++) {
        const struct tat_gguf_file * file = f->parts[i].rewrite.file;
        if (file->device == s->st_dev && file->inode == s->st_ino) { return true; }
    }
    return false;
}

static int check_place(const struct reorder_files * f, const char * path, bool force, struct tat_error * error) {
    struct stat s;
    if (lstat(path, &s) != 0) { return errno == ENOENT ? 0 : tat_fail_errno(error, "%s", path); }
    if (stat(path, &s) == 0 && is_of_model(f, &s)) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s: is the model itself, which is never written to", path);
    }
    if (!force) { return tat_fail(error, TAT_ERROR_USAGE, "%s: exists; --force replaces it", path); }
    if (stat(path, &s) == 0 && !S_ISREG(s.st_mode)) {
        return tat_fail(error, TAT_ERROR_USAGE, "%s: not a regular file", path);
    }
    return 0;
}

static int check_space(const struct reorder_files * f, struct tat_error * error) {
    char copy[PATH_MAX], needed[UNITS_SIZE], free_text[UNITS_SIZE];
    struct statvfs s;
    snprintf(copy, sizeof copy, "%s", f->parts[0].path);
    const char * folder = dirname(copy);
    if (statvfs(folder, &s) != 0) { return tat_fail_errno(error, "%s", folder); }
    const uint64_t free_bytes = (uint64_t) s.f_bavail * s.f_frsize;
    if (free_bytes >= f->bytes) { return 0; }
    return tat_fail(error, TAT_ERROR_SYSTEM, "%s: %s are needed, and %s are free", folder,
                    format_bytes(needed, f->bytes), format_bytes(free_text, free_bytes));
}

int reorder_files_check(const struct reorder_files * f, bool force, struct tat_error * error) {
    for (uint32_t i = 0; i < f->count; i++) {
        if (check_place(f, f->parts[i].path, force, error)) { return -1; }
    }
    return check_space(f, error);
}

/* ---- signals ---- */

static volatile sig_atomic_t stopped_by;

static void stop(int signal) {
    stopped_by = signal;
}

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
enum { ENDING = sizeof ending / sizeof ending[0] };

/* Those that the caller ignores, as under nohup, stay ignored. A file that exceeds its limit is an error and no signal.
 */
static void catch_signals(struct sigaction before[static ENDING + 1]) {
    const struct sigaction own = { .sa_handler = stop }, ignore = { .sa_handler = SIG_IGN };
    stopped_by = 0;
    for (int i = 0; i < ENDING; i++) {
        sigaction(ending[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN) { sigaction(ending[i], &own, NULL); }
    }
    sigaction(SIGXFSZ, &ignore, &before[ENDING]);
}

static void release_signals(const struct sigaction before[static ENDING + 1]) {
    for (int i = 0; i < ENDING; i++) { sigaction(ending[i], &before[i], NULL); }
    sigaction(SIGXFSZ, &before[ENDING], NULL);
    if (stopped_by) { raise(stopped_by); }
}

/* ---- writing ---- */

struct watch {
    struct progress * progress;
    uint64_t before; /* bytes of the parts that are done */
};

static bool go_on(uint64_t done, void * user) {
    const struct watch * w = user;
    progress_update(w->progress, w->before + done);
    return !stopped_by;
}

typedef int (*step)(const struct rewrite * r, int fd, const char * name, rewrite_watcher watcher, void * user,
                    struct tat_error * error);

static int each_part(const struct reorder_files * f, struct file_replace * files, step step_of, const char * what,
                     struct tat_error * error) {
    struct progress progress;
    struct watch w = { &progress, 0 };
    int status = 0;
    progress_begin(&progress, what, f->bytes);
    for (uint32_t i = 0; status == 0 && i < f->count; i++) {
        const struct reorder_part * part = &f->parts[i];
        status = step_of(&part->rewrite, fileno(files[i].file), part->path, go_on, &w, error);
        w.before += part->rewrite.size;
    }
    progress_end(&progress);
    if (status == 0 && stopped_by) { status = tat_fail(error, TAT_ERROR_SYSTEM, "stopped"); }
    return status;
}

/* Ends with all in their places, or none; but one that replaced another file stays. */
static int put_in_places(const struct reorder_files * f, struct file_replace * files, int status, bool force,
                         struct tat_error * error) {
    for (uint32_t i = 0; i < f->count && files[i].file; i++) {
        if (file_replace_end(&files[i], status == 0, error) == 0) { continue; }
        for (uint32_t j = 0; status == 0 && !force && j < i; j++) { unlink(f->parts[j].path); }
        status = -1;
    }
    return status;
}

static int write_caught(const struct reorder_files * f, bool force, struct tat_error * error) {
    struct file_replace * files = calloc(f->count, sizeof *files);
    if (!files) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < f->count; i++) {
        status = file_replace_open(&files[i], f->parts[i].path, error);
        if (status) { files[i].file = NULL; }
        files[i].only_new = !force;
        files[i].durable = true;
    }
    if (status == 0) { status = each_part(f, files, rewrite_write, "copying", error); }
    if (status == 0) { status = each_part(f, files, rewrite_verify, "verifying", error); }
    status = put_in_places(f, files, status, force, error);
    free(files);
    return status;
}

int reorder_files_write(const struct reorder_files * f, bool force, struct tat_error * error) {
    struct sigaction before[ENDING + 1];
    catch_signals(before);
    const int status = write_caught(f, force, error);
    release_signals(before);
    return status;
}
