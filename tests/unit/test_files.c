/* SPDX-License-Identifier: MIT
 *
 * From an address to a model file and an offset: what the agent makes of files that are moved, deleted, replaced, cut,
 * or covered by other memory. Where a file cannot be opened any more, an offset is still right.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/events.h"
#include "agent/files.h"
#include "tat/format.h"
#include "test_gguf_builder.h"

enum { PAGES = 16, PAGE = 4096, BYTES = PAGES * PAGE };

/* What the trace is told. */
static struct {
    unsigned files, mappings, reads;
    uint64_t bytes, fetched;
    uint32_t file; /* the last mapping's */
    char path[4096];
    uint64_t hash;
} told;

void event_model_file(uint32_t file, uint32_t model, uint32_t part, const struct tat_gguf_file * gguf, uint64_t hash,
                      enum tat_part holds, const char * architecture) {
    assert_int_equal(holds, hash ? TAT_PART_MODEL : TAT_PART_UNKNOWN);
    assert_string_equal(architecture, hash ? "llama" : "");
    (void) model;
    (void) part;
    assert_int_equal(file, told.files + 1);
    told.files = file;
    told.hash = hash;
    snprintf(told.path, sizeof told.path, "%s", gguf->path);
}

void event_mapping(uint32_t file, uint64_t address, uint64_t bytes, uint64_t file_offset) {
    (void) address;
    (void) bytes;
    (void) file_offset;
    told.mappings++;
    told.file = file;
}

void event_values(int type, uint64_t subject, int64_t value) {
    assert_int_equal(type, TAT_EVENT_OWN_READ);
    told.reads++;
    told.bytes += subject;
    told.fetched += (uint64_t) value;
}

/* ---- a folder with a model in it ---- */

struct place {
    char folder[64], path[128];
    char * map;
};

/* Writes a whole model and then other bytes, where each page is different. `layers` tells models apart. */
static void write_model(const char * path, uint32_t layers) {
    struct sample s;
    sample_build(&s, 3, false);
    store(&s.builder, s.mark[M_LAYERS], layers, 4);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, s.builder.bytes, s.builder.size), s.builder.size);
    for (int i = (int) s.builder.size / PAGE + 1; i < PAGES; i++) { assert_int_equal(pwrite(fd, &i, 1, i * PAGE), 1); }
    assert_int_equal(ftruncate(fd, BYTES), 0);
    close(fd);
    builder_free(&s.builder);
}

static char * map_file(const char * path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    char * map = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    close(fd);
    return map;
}

/* Takes away a piece of a file's mapping. Other memory of ours takes its place, so that nothing else is mapped
 * there. */
static void take_away(char * at, size_t bytes) {
    assert_true(mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
}

static int setup(void ** state) {
    struct place * p = calloc(1, sizeof *p);
    snprintf(p->folder, sizeof p->folder, "/tmp/test_files.XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->path, sizeof p->path, "%s/a model.gguf", p->folder);
    write_model(p->path, 2);
    p->map = map_file(p->path);
    files_after_fork();
    memset(&told, 0, sizeof told);
    *state = p;
    return 0;
}

static int teardown(void ** state) {
    struct place * p = *state;
    char command[128];
    if (p->map) { munmap(p->map, BYTES); }
    snprintf(command, sizeof command, "rm -rf '%s'", p->folder);
    assert_int_equal(system(command), 0);
    free(p);
    return 0;
}

static void expect_at(const char * address, uint32_t file, uint64_t offset) {
    const struct file_place place = files_at(address);
    assert_int_equal(place.file, file);
    assert_int_equal(place.offset, offset);
    assert_int_equal(place.mapped, file != 0);
}

/* ---- mappings ---- */

static void test_mapping(void ** state) {
    struct place * p = *state;
    char heap;
    files_refresh();
    assert_int_equal(told.files, 0); /* nobody has asked yet, so the file was not looked at */
    assert_int_equal(told.reads, 0);
    expect_at(p->map, 1, 0);
    expect_at(p->map + BYTES - 1, 1, BYTES - 1);
    expect_at(&heap, 0, 0);
    assert_int_equal(told.mappings, 1);
    assert_string_equal(told.path, p->path);
    for (int i = 0; i < 10; i++) { /* for graphs not seen before */
        files_refresh();
        expect_at(p->map, 1, 0);
    }
    assert_int_equal(told.files, 1);
    assert_int_equal(told.mappings, 1);
    assert_int_equal(told.reads, 1);
}

static void test_pieces(void ** state) {
    struct place * p = *state;
    take_away(p->map, 2 * PAGE); /* as llama.cpp does with the header */
    take_away(p->map + 5 * PAGE, PAGE);
    files_refresh();
    expect_at(p->map + 2 * PAGE + 7, 1, 2 * PAGE + 7);
    expect_at(p->map + 5 * PAGE, 0, 0);
    expect_at(p->map + 6 * PAGE, 1, 6 * PAGE);
    expect_at(p->map + PAGE, 0, 0);
    assert_int_equal(told.mappings, 2);
}

/* A file that is not a model is looked at once, whatever its name. */
static void test_no_model(void ** state) {
    struct place * p = *state;
    const int fd = open(p->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "SQLite", 6), 6);
    close(fd);
    for (int i = 0; i < 5; i++) {
        files_refresh();
        expect_at(p->map, 0, 0);
    }
    assert_int_equal(told.files, 0);
    assert_int_equal(told.reads, 1);
    write_model(p->path, 2); /* now it is one */
    files_refresh();
    expect_at(p->map, 1, 0);
}

/* Touching the mapping would end the host. */
static void test_file_cut(void ** state) {
    struct place * p = *state;
    assert_int_equal(truncate(p->path, 0), 0);
    files_refresh();
    expect_at(p->map, 0, 0);
    write_model(p->path, 2);
    files_refresh();
    expect_at(p->map + PAGE, 1, PAGE);
    assert_int_equal(truncate(p->path, 0), 0);
    files_refresh();
    expect_at(p->map + PAGE, 0, 0);
}

static void test_copied(void ** state) {
    struct place * p = *state;
    char heap;
    uint64_t offset;
    struct tat_gguf * gguf = tat_gguf_open(p->path, TAT_GGUF_TOLERANT, NULL);
    uint32_t count;
    const struct tat_gguf_tensor * t = tat_gguf_tensors(gguf, &count);
    files_refresh();
    struct file_place place = files_find(&heap, NULL, "missing.weight", 0, 1);
    assert_int_equal(place.file, 0);
    place = files_find(&heap, NULL, t[0].name, (int32_t) t[0].type, t[0].bytes);
    offset = t[0].file_offset;
    assert_int_equal(place.file, 1);
    assert_int_equal(place.offset, offset);
    assert_false(place.mapped);
    tat_gguf_close(gguf);
}

/* ---- the path is another's ---- */

static void test_moved(void ** state) {
    struct place * p = *state;
    char other[160];
    snprintf(other, sizeof other, "%s/b\nc \\012 (deleted)", p->folder);
    assert_int_equal(rename(p->path, other), 0);
    files_refresh();
    expect_at(p->map + 3 * PAGE, 1, 3 * PAGE);
    char * again = map_file(other);
    write_model(p->path, 3); /* another model where it was */
    char * third = map_file(p->path);
    files_refresh();
    expect_at(p->map, 1, 0);
    expect_at(again, 1, 0);
    expect_at(third, 2, 0);
    munmap(again, BYTES);
    munmap(third, BYTES);
}

static void test_links(void ** state) {
    struct place * p = *state;
    char other[160];
    snprintf(other, sizeof other, "%s/link", p->folder);
    assert_int_equal(link(p->path, other), 0);
    char * again = map_file(other);
    files_refresh();
    expect_at(p->map, 1, 0);
    expect_at(again + PAGE, 1, PAGE);
    munmap(again, BYTES);
}

static void replace(const struct place * p) {
    char other[160];
    snprintf(other, sizeof other, "%s/new", p->folder);
    write_model(other, 3);
    assert_int_equal(rename(other, p->path), 0);
}

static void test_replaced_after(void ** state) {
    struct place * p = *state;
    files_refresh();
    expect_at(p->map, 1, 0);
    replace(p);
    char * fresh = map_file(p->path);
    files_refresh();
    expect_at(p->map + PAGE, 1, PAGE);
    expect_at(fresh + PAGE, 2, PAGE);
    assert_int_equal(told.files, 2);
    munmap(fresh, BYTES);
}

/* Nobody has looked yet: only a process that may look behind the mapping, or that noted the load, knows the file. */
static void test_replaced_before(void ** state) {
    struct place * p = *state;
    assert_true(files_note(p->path, false));
    assert_false(files_note(p->path, false));
    replace(p);
    char * fresh = map_file(p->path);
    files_refresh();
    expect_at(p->map + PAGE, 1, PAGE);
    assert_string_equal(told.path, p->path);
    expect_at(fresh + PAGE, 2, PAGE);
    munmap(fresh, BYTES);
}

/* The child too knows what was loaded before the fork, though nothing is mapped. */
static void test_fork(void ** state) {
    struct place * p = *state;
    char heap;
    assert_int_equal(munmap(p->map, BYTES), 0);
    p->map = NULL; /* from now on somebody else's memory may be there */
    assert_true(files_note(p->path, false));
    files_refresh();
    files_after_fork();
    memset(&told, 0, sizeof told);
    files_refresh();
    assert_int_equal(told.files, 1);
    assert_int_equal(files_find(&heap, NULL, "token_embd.weight", 0, 768).file, 1);
    assert_false(files_note(p->path, false));
}

static void test_rewritten(void ** state) {
    struct place * p = *state;
    files_refresh();
    expect_at(p->map, 1, 0);
    const uint64_t hash = told.hash;
    usleep(20000); /* so that the times differ */
    write_model(p->path, 3);
    files_refresh();
    expect_at(p->map, 2, 0);
    assert_true(told.hash != hash);
}

static void test_touched(void ** state) {
    struct place * p = *state;
    files_refresh();
    expect_at(p->map, 1, 0);
    assert_int_equal(utimensat(AT_FDCWD, p->path, (struct timespec[2]){ { 1000, 0 }, { 1000, 0 } }, 0), 0);
    for (int i = 0; i < 3; i++) {
        files_refresh();
        expect_at(p->map, 1, 0);
    }
    assert_int_equal(told.files, 1);
    assert_int_equal(told.reads, 2);
}

/* ---- other memory with the same bytes ---- */

static void cover(char * at, size_t bytes) {
    const int fd = memfd_create("pool", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, (off_t) bytes), 0);
    assert_int_equal(pwrite(fd, at, bytes, 0), bytes);
    assert_true(mmap(at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == at);
    close(fd);
}

static void test_stand_for(void ** state) {
    struct place * p = *state;
    files_refresh();
    expect_at(p->map, 1, 0);
    cover(p->map + 4 * PAGE, 2 * PAGE);
    files_refresh();
    expect_at(p->map + 4 * PAGE, 0, 0); /* nobody has said what it is */
    assert_true(files_stand_for(p->map, BYTES, 1, 0));
    for (int i = 0; i < PAGES; i += 3) {
        cover(p->map + i * PAGE, PAGE);
        files_refresh();
        for (int k = 0; k < PAGES; k++) { expect_at(p->map + k * PAGE + i, 1, (uint64_t) k * PAGE + (uint64_t) i); }
    }
    assert_int_equal(told.files, 1);
    assert_true(told.mappings <= 4); /* fewer than one for every piece that comes and goes */
    assert_true(files_stand_no_more(p->map + 6 * PAGE, PAGE));
    files_refresh();
    expect_at(p->map + 5 * PAGE, 1, 5 * PAGE);
    expect_at(p->map + 6 * PAGE, 0, 0); /* somebody else's memory */
    expect_at(p->map + 7 * PAGE, 1, 7 * PAGE);
    assert_true(files_stand_no_more(p->map, BYTES));
    expect_at(p->map + 9 * PAGE, 0, 0);
    expect_at(p->map + 10 * PAGE, 1, 10 * PAGE); /* the file's again */
}

static void test_stand_for_unmapped(void ** state) {
    struct place * p = *state;
    static char heap[BYTES];
    files_refresh();
    expect_at(p->map, 1, 0);
    assert_true(files_stand_for(heap, 100, 1, 5000));
    assert_true(files_stand_for(heap + 50, 100, 1, 9000)); /* the later call counts */
    expect_at(heap + 49, 1, 5049);
    expect_at(heap + 50, 1, 9000);
    expect_at(heap + 149, 1, 9099);
    expect_at(heap + 150, 0, 0);
    files_after_fork();
    expect_at(heap, 0, 0);
}

/* ---- what is the host's ---- */

static bool is_locked(const char * path) {
    const pid_t child = fork();
    if (child == 0) {
        struct flock lock = { .l_type = F_WRLCK };
        const int fd = open(path, O_RDWR | O_CLOEXEC);
        _exit(fd < 0 || fcntl(fd, F_GETLK, &lock) != 0 ? 2 : lock.l_type != F_UNLCK);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status);
}

static void test_locks_and_descriptors(void ** state) {
    struct place * p = *state;
    struct flock lock = { .l_type = F_WRLCK };
    const int fd = open(p->path, O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
    files_note(p->path, false);
    files_refresh();
    expect_at(p->map, 1, 0);
    assert_true(is_locked(p->path));
    const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(next, fd + 1); /* no number was taken */
    close(next);
    close(fd);
    assert_false(is_locked(p->path));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mapping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replaced_after, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replaced_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fork, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rewritten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_touched, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stand_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stand_for_unmapped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_locks_and_descriptors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
