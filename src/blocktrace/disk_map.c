/* SPDX-License-Identifier: MIT */
#include "blocktrace/disk_map.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "format/list.h"
#include "io/extents.h"

enum { VERSION = 1, FILES_MOST = 4096, EXTENTS_MOST = 1 << 24 };

/* ---- files of a map ---- */

static struct mapped_file * add_file(struct disk_map * map, const char * path) {
    struct mapped_file * files =
        map->n_files < FILES_MOST ? reallocarray(map->files, map->n_files + 1, sizeof *files) : NULL;
    char * name = files ? strdup(path) : NULL;
    if (files) { map->files = files; }
    if (!name) { return NULL; }
    files[map->n_files] = (struct mapped_file){ .path = name };
    return &files[map->n_files++];
}

/* The list is the file's from then on. */
static void set_extents(struct mapped_file * file, const struct list * extents) {
    file->extents = extents->data;
    file->n_extents = extents->count;
}

static bool is_sane(const struct list * extents, const struct tat_io_extent * e) {
    const struct tat_io_extent * last =
        extents->count ? &LIST(struct tat_io_extent, *extents)[extents->count - 1] : NULL;
    return e->bytes && e->bytes <= INT64_MAX && e->file_offset <= INT64_MAX && e->disk_offset <= INT64_MAX &&
           (!last || last->file_offset + last->bytes <= e->file_offset);
}

static int by_place(const void * a, const void * b) {
    const struct tat_io_extent *x = a, *y = b;
    return x->disk_offset < y->disk_offset ? -1 : x->disk_offset > y->disk_offset;
}

/* A request at a place that two parts of a file share, as after deduplication, could be for either. 0, or -1 with
 * *error: they do, or memory is short. */
static int check_places(const char * path, const struct tat_io_extent * extents, size_t n, struct tat_error * error) {
    struct tat_io_extent * sorted = malloc((n + 1) * sizeof *sorted);
    if (!sorted) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", path); }
    if (n) { memcpy(sorted, extents, n * sizeof *sorted); }
    qsort(sorted, n, sizeof *sorted, by_place);
    size_t i = 1;
    while (i < n && sorted[i].disk_offset - sorted[i - 1].disk_offset >= sorted[i - 1].bytes) { i++; }
    const uint64_t at = i < n ? sorted[i].disk_offset : 0;
    free(sorted);
    if (i >= n) { return 0; }
    return tat_fail(error, TAT_ERROR_INPUT,
                    "%s: two extents of the file are at the same place of the disk, at byte %" PRIu64
                    ": what is read there could be either",
                    path, at);
}

/* 0, or -1: they overlap, are not in order or out of range; or memory. */
static int add_extent(struct list * extents, const struct tat_io_extent * e) {
    if (!is_sane(extents, e) || extents->count >= EXTENTS_MOST) { return -1; }
    struct tat_io_extent * place = list_add(extents, sizeof *place);
    if (!place) { return -1; }
    *place = *e;
    return 0;
}

/* ---- filefrag -v ---- */

struct fragments {
    struct disk_map * map;
    struct mapped_file * file;
    struct list extents;
    uint64_t block, partition;
};

static int take_header(struct fragments * f, const char * line) {
    static const char is[] = " is ";
    const char *name = line + strlen("File size of "), *at = NULL;
    unsigned long long bytes, blocks, block;
    if (f->file) { set_extents(f->file, &f->extents); }
    f->extents = (struct list){ 0 };
    f->file = NULL;
    for (const char * next = name; (next = strstr(next, is)); next += sizeof is - 1) { at = next; } /* the last one */
    if (!at || sscanf(at, " is %llu (%llu block%*[s] of %llu bytes)", &bytes, &blocks, &block) != 3) {
        if (!at || sscanf(at, " is %llu (%llu block of %llu bytes)", &bytes, &blocks, &block) != 3) { return -1; }
    }
    if (!block || block > 1 << 20 || bytes > INT64_MAX) { return -1; }
    char * path = strndup(name, (size_t) (at - name));
    f->file = path ? add_file(f->map, path) : NULL;
    free(path);
    if (!f->file) { return -1; }
    f->file->bytes = bytes;
    f->block = block;
    return 0;
}

/* "   0:        0..   24014:    3639296..   3663310:  24015:             last,eof" */
static int take_row(struct fragments * f, const char * line) {
    static const char * const nowhere[] = { "unwritten", "unknown",     "inline",     "delalloc",
                                            "encoded",   "tail_packed", "not_aligned" };
    unsigned long long number, first, last, physical, physical_last, length;
    if (sscanf(line, " %llu: %llu.. %llu: %llu.. %llu: %llu:", &number, &first, &last, &physical, &physical_last,
               &length) != 6) {
        return 0;
    }
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        if (strstr(line, nowhere[i])) { return 0; }
    }
    const uint64_t most = INT64_MAX / f->block;
    if (!f->file || first > most || physical > most || length > most || last < first || last - first + 1 != length) {
        return -1;
    }
    return add_extent(&f->extents, &(struct tat_io_extent){ first * f->block, f->partition + physical * f->block,
                                                            length * f->block });
}

static int read_fragments(struct disk_map * map, FILE * in, const char * path, uint64_t partition,
                          struct tat_error * error) {
    struct fragments f = { .map = map, .block = 1, .partition = partition };
    char * line = NULL;
    size_t room = 0, files = map->n_files;
    unsigned number = 0;
    int failed = 0;
    while (!failed && getline(&line, &room, in) >= 0) {
        number++;
        failed = strncmp(line, "File size of ", 13) == 0 ? take_header(&f, line) : take_row(&f, line);
    }
    if (f.file) {
        set_extents(f.file, &f.extents);
    } else {
        free(f.extents.data);
    }
    free(line);
    if (failed) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s, line %u: not as filefrag -v prints it, or out of order", path,
                        number);
    }
    if (map->n_files > files) { return 0; }
    return tat_fail(error, TAT_ERROR_INPUT,
                    "%s: no map: it is neither what filefrag -v prints nor what tat correlate --write-map writes",
                    path);
}

/* ---- JSON ---- */

static bool get_count(const json_t * value, uint64_t * count) {
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0) { return false; }
    *count = (uint64_t) number;
    return true;
}

static bool get_disk(const json_t * object, struct mapped_file * file) {
    unsigned major_number, minor_number;
    int end = 0;
    const char * number = json_string_value(json_object_get(object, "disk"));
    const char * name = json_string_value(json_object_get(object, "disk_name"));
    if (name) { snprintf(file->disk_name, sizeof file->disk_name, "%s", name); }
    if (!number) { return true; }
    if (sscanf(number, "%u:%u%n", &major_number, &minor_number, &end) != 2 || number[end]) { return false; }
    file->disk = makedev(major_number, minor_number);
    return true;
}

/* False: it is not as we write it. */
static bool read_object(struct disk_map * map, const json_t * object) {
    const char * path = json_string_value(json_object_get(object, "path"));
    const json_t *extents = json_object_get(object, "extents"), *extent;
    struct mapped_file * file = path ? add_file(map, path) : NULL;
    struct list list = { 0 };
    size_t i;
    if (file) { file->modified_ns = json_integer_value(json_object_get(object, "modified_ns")); }
    bool good = file && json_is_array(extents) && get_disk(object, file) &&
                get_count(json_object_get(object, "bytes"), &file->bytes);
    json_array_foreach(extents, i, extent) {
        struct tat_io_extent e = { 0 };
        good = good && json_array_size(extent) == 3 && get_count(json_array_get(extent, 0), &e.file_offset) &&
               get_count(json_array_get(extent, 1), &e.disk_offset) && get_count(json_array_get(extent, 2), &e.bytes) &&
               add_extent(&list, &e) == 0;
        if (!good) { break; }
    }
    if (file) {
        set_extents(file, &list);
    } else {
        free(list.data);
    }
    return good;
}

static int read_json(struct disk_map * map, FILE * in, const char * path, struct tat_error * error) {
    json_error_t why;
    json_t *root = json_loadf(in, 0, &why), *object;
    if (!root) { return tat_fail(error, TAT_ERROR_INPUT, "%s, line %d: %s", path, why.line, why.text); }
    const json_t * files = json_object_get(root, "files");
    const json_int_t version = json_integer_value(json_object_get(root, "tat_disk_map"));
    size_t i;
    bool good = version == VERSION && json_array_size(files) > 0;
    json_array_foreach(files, i, object) {
        good = good && read_object(map, object);
    }
    json_decref(root);
    if (good) { return 0; }
    if (version > VERSION) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: a map of a later version (%lld) of tat", path,
                        (long long) version);
    }
    return tat_fail(error, TAT_ERROR_INPUT, "%s: not a map as tat correlate --write-map writes it", path);
}

int disk_map_read(struct disk_map * map, const char * path, uint64_t partition, struct tat_error * error) {
    FILE * in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    const size_t before = map->n_files;
    int c;
    if (!in) { return tat_fail_errno(error, "%s", path); }
    while ((c = getc(in)) == ' ' || c == '\n') {}
    ungetc(c, in);
    int failed;
    if (c != '{') {
        failed = read_fragments(map, in, path, partition, error);
    } else if (partition) {
        failed = tat_fail(error, TAT_ERROR_USAGE,
                          "%s: this map tells where the partition begins: leave out "
                          "--partition-start",
                          path);
    } else {
        failed = read_json(map, in, path, error);
    }
    if (!failed && ferror(in)) { failed = tat_fail_errno(error, "%s", path); }
    if (in != stdin) { fclose(in); }
    for (size_t i = before; i < map->n_files && !failed; i++) {
        failed = check_places(map->files[i].path, map->files[i].extents, map->files[i].n_extents, error);
    }
    return failed;
}

void disk_map_free(struct disk_map * map) {
    for (size_t i = 0; i < map->n_files; i++) {
        free(map->files[i].path);
        free(map->files[i].extents);
    }
    free(map->files);
    *map = (struct disk_map){ 0 };
}

/* ---- writing ---- */

static json_t * extents_json(const struct extents * e) {
    json_t * array = json_array();
    for (size_t i = 0; array && i < e->count; i++) {
        json_array_append_new(array, json_pack("[I, I, I]", (json_int_t) e->at[i].file_offset,
                                               (json_int_t) e->at[i].disk_offset, (json_int_t) e->at[i].bytes));
    }
    return array;
}

static json_t * file_json(const char * path, const struct extents * e) {
    char disk[32], full[PATH_MAX];
    snprintf(disk, sizeof disk, "%u:%u", major(e->disk), minor(e->disk));
    return json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:I, s:o}", "path", realpath(path, full) ? full : path, "bytes",
                     (json_int_t) e->bytes, "modified_ns", (json_int_t) e->modified_ns, "file_system", e->file_system,
                     "disk", disk, "disk_name", e->disk_name, "partition_offset", (json_int_t) e->partition, "extents",
                     extents_json(e));
}

static int add_path(json_t * files, const char * path, FILE * warnings, struct tat_error * error) {
    struct extents e;
    int failed = extents_of_path(path, &e, error);
    if (!failed && !e.count) { failed = tat_fail(error, TAT_ERROR_NO, "%s: no map: %s", path, e.missing); }
    if (!failed) { failed = check_places(path, e.at, e.count, error); }
    if (!failed && e.unplaced) {
        fprintf(warnings, "%s: %" PRIu64 " bytes are in no certain place, and not in the map\n", path, e.unplaced);
    }
    if (!failed && *e.doubt) { fprintf(warnings, "%s: %s\n", path, e.doubt); }
    if (!failed && json_array_append_new(files, file_json(path, &e)) != 0) {
        failed = tat_fail(error, TAT_ERROR_INPUT, "%s: its path is not UTF-8, or memory is short", path);
    }
    extents_free(&e);
    return failed;
}

int disk_map_write(const char * const * paths, size_t n_paths, FILE * out, FILE * warnings, struct tat_error * error) {
    json_t * files = json_array();
    int failed = files ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    for (size_t i = 0; i < n_paths && !failed; i++) { failed = add_path(files, paths[i], warnings, error); }
    json_t * root = failed ? NULL : json_pack("{s:i, s:O}", "tat_disk_map", VERSION, "files", files);
    errno = ENOMEM;
    if (!failed && (!root || json_dumpf(root, out, JSON_INDENT(1)) != 0 || fputc('\n', out) == EOF || fflush(out))) {
        failed = tat_fail_errno(error, "cannot write the map");
    }
    json_decref(root);
    json_decref(files);
    return failed;
}
