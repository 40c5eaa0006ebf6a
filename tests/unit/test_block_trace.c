/* SPDX-License-Identifier: MIT
 *
 * The same two reads and a write, as each tool prints them. Lines are like those that the tools printed here; binary
 * records are made from the kernel's struct, and blkparse, where it is installed, has to say the same of them.
 */
#include <fcntl.h>
#include <linux/blktrace_api.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "blocktrace/block_trace.h"

static char folder[] = "/tmp/tat_test_block_XXXXXX";
static char path[sizeof folder + 32];

static int make_folder(void ** state) {
    (void) state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void ** state) {
    (void) state;
    return rmdir(folder);
}

static void write_file(const char * name, const void * bytes, size_t count) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE * file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static int read_it(struct block_trace * trace, struct tat_error * error, struct block_options options) {
    const char * const paths[] = { path };
    const int status = block_trace_read(trace, paths, 1, &options, error);
    unlink(path);
    return status;
}

/* The caller frees. */
static struct block_trace read_text(const char * text) {
    struct block_trace trace;
    struct tat_error error = { 0 };
    write_file("trace.txt", text, strlen(text));
    if (read_it(&trace, &error, (struct block_options){ 0 }) != 0) { fail_msg("%s", error.message); }
    return trace;
}

/* Ends in microseconds since the first begins. */
static void assert_request(const struct block_trace * t, size_t i, uint64_t end_us, uint64_t us, uint64_t sector,
                           uint64_t sectors, uint32_t flags) {
    assert_true(i < t->n_requests);
    const struct tat_io_request * q = &t->requests[i];
    const struct tat_io_request * first = &t->requests[0];
    assert_int_equal(q->end_ns / 1000, (first->end_ns - first->duration_ns) / 1000 + end_us);
    assert_int_equal(q->duration_ns / 1000, us);
    assert_int_equal(q->disk_offset, sector * 512);
    assert_int_equal(q->bytes, sectors * 512);
    assert_int_equal(q->flags, flags);
}

/* Reads of 128 sectors and of 8 that were read ahead, and a write. */
static void assert_usual(const struct block_trace * t) {
    assert_int_equal(t->n_requests, 3);
    assert_request(t, 0, 63, 63, 20482, 128, 0);
    assert_request(t, 1, 100, 30, 20610, 8, TAT_IO_READ_AHEAD);
    assert_request(t, 2, 300, 270, 558, 16, TAT_IO_WRITE);
    assert_int_equal(t->n_disks, 1);
    assert_int_equal(t->disks[0].requests, 3);
    assert_int_equal(t->disks[0].read_bytes, 136 * 512);
    assert_int_equal(t->damaged, 0);
    assert_int_equal(t->lost, 0);
    assert_int_equal(t->unbegun + t->unfinished + t->reissued, 0);
}

static const char blk[] = /* of the kernel's blk tracer */
    "# tracer: blk\n#\n"
    "            sync-8245    [001] d..1. 36225.641124:   7,0    Q FWS [sync]\n"
    "    kworker/1:1H-44      [001] d..1. 36225.642894:   7,0    D  FN [kworker/1:1H]\n"
    "     ksoftirqd/0-14      [000] d.s1. 36225.645079:   7,0    C  FN 0 [0]\n"
    "              dd-8247    [001] d..1. 36225.662270:   7,0    Q  RS 20482 + 128 [dd]\n"
    "              dd-8247    [001] d..1. 36225.662274:   7,0    G  RS 20482 + 128 [dd]\n"
    "              dd-8247    [001] d..1. 36225.662275:   7,0    P   N [dd]\n"
    "              dd-8247    [001] d..1. 36225.662275:   7,0    U   N [dd] 1\n"
    "              dd-8247    [001] d..1. 36225.662276:   7,0    D  R 20482 + 128 [dd]\n"
    "    ext4 lazy in-8229    [001] d..1. 36225.662306:   7,0   1,0  D  WS 558 + 16 [ext4 lazy in]\n"
    "     ksoftirqd/0-14      [000] d.s1. 36225.662339:   7,0    C  R 20482 + 128 [0]\n"
    "              dd-8247    [001] d..1. 36225.662346:   7,0    D  RA 20610 + 8 [dd]\n"
    "     ksoftirqd/0-14      [000] d.s1. 36225.662376:   7,0    C  RA 20610 + 8 [0]\n"
    "     ksoftirqd/0-14      [000] d.s1. 36225.662576:   7,0   1,0  C  WS 558 + 16 [0]\n";

static const char perf[] = /* of perf script */
    "              dd  8247 [001] 36225.662276:    block:block_rq_issue: 7,0 R 65536 () 20482 + 128 0x2,0,4 [dd]\n"
    " kworker/u8:20-l 28648 [001] 36225.662306:    block:block_rq_issue: 7,0 WS 8192 () 558 + 16 0x2,0,4 "
    "[kworker/u8:20]\n"
    "          swapper     0 [000] 36225.662339: block:block_rq_complete: 7,0 R () 20482 + 128 0x2,0,4 [0]\n"
    "              dd  8247 [001] 36225.662346:    block:block_rq_issue: 7,0 RA 4096 () 20610 + 8 0x2,0,4 [dd]\n"
    "          swapper     0 [000] 36225.662376: block:block_rq_complete: 7,0 RA () 20610 + 8 0x2,0,4 [0]\n"
    "          swapper     0 [000] 36225.662576: block:block_rq_complete: 7,0 WS () 558 + 16 0x2,0,4 [0]\n";

static const char perf_fields[] = /* with -F comm,tid,pid,cpu,time,event,trace,period,ip,sym, and with --ns */
    "       dd  8247/8247  [001] 36225.662276001:     1    block:block_rq_issue: 7,0 R 65536 () 20482 + 128 0x2,0,4 "
    "[dd] "
    "ffffffff81b04edf blk_mq_start_request\n"
    " kworker 28648/28648 [001] 36225.662306001:     1    block:block_rq_issue: 7,0 WS 8192 () 558 + 16 0x2,0,4 [k w]\n"
    "36225.662339001: block:block_rq_complete: 7,0 R () 20482 + 128 [0]\n"
    "36225.662346001:    block:block_rq_issue: 7,0 RA 4096 () 20610 + 8 [dd]\n"
    "36225.662376001: block:block_rq_complete: 7,0 RA () 20610 + 8 [0]\n"
    "36225.662576001: block:block_rq_complete: 7,0 WS () 558 + 16 [0]\n";

static const char events[] = /* of tracefs */
    "# tracer: nop\n#\n# entries-in-buffer/entries-written: 6/6   #P:2\n#\n"
    "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
    "              dd-8247    [001] ..... 36225.662276: block_rq_issue: 7,0 R 65536 () 20482 + 128 be,0,4 [dd]\n"
    "   kworker/u8:14-28643   [000] ..... 36225.662306: block_rq_issue: 7,0 WS 8192 () 558 + 16 be,0,4 "
    "[kworker/u8:14]\n"
    "          <idle>-0       [001] ..s.. 36225.662339: block_rq_complete: 7,0 R () 20482 + 128 be,0,4 [0]\n"
    "              dd-8247    (   8247) [001] ..... 36225.662346: block_rq_issue: 7,0 RA 4096 () 20610 + 8 [dd]\n"
    "          <idle>-0       [001] ..s.. 36225.662376: block_rq_complete: 7,0 RA () 20610 + 8 be,0,4 [0]\n"
    "          <idle>-0       [001] ..s.. 36225.662576: block_rq_complete: 7,0 WS () 558 + 16 be,0,4 [0]\n";

static const char blkparse[] =
    "  7,0    1        1     0.000000000  8247  Q   R 20482 + 128 [dd]\n"
    "  7,0    1        2     0.000006001  8247  D   R 20482 + 128 [dd]\n"
    "  7,0    1        3     0.000036001    44  D  WS 558 + 16 [kworker/1:1H]\n"
    "  7,0    0        4     0.000069001    14  C   R 20482 + 128 [0]\n"
    "  7,0    1        5     0.000076001  8247  D  RA 20610 + 8 [dd]\n"
    "  7,0    0        6     0.000106001    14  C  RA 20610 + 8 [0]\n"
    "  7,0    0        7     0.000306001    14  C  WS 558 + 16 [0]\n"
    "  7,0    0        0     0.000309001     0  m   N cfq1 put_queue\n"
    "  7,0    1        8     0.000310001  8247  P   N [dd]\n"
    "CPU0 (7,0):\n Reads Queued:           1,       64KiB\t Writes Queued:           0,        0KiB\n"
    "Events (7,0): 9 entries\nSkips: 0 forward (0 -   0.0%)\n";

static const char biosnoop[] = /* of bcc; times are of completions, since the first */
    "TIME(s)     COMM           PID    DISK    T SECTOR     BYTES   QUE(ms) LAT(ms)\n"
    "0.000063    dd             8247   loop0   R 20482      65536      0.00   0.063\n"
    "0.000100    a b c          8247   loop0   RA 20610      4096      0.00   0.030\n"
    "0.000300    kworker/1:1H   44     loop0   W 558        8192       0.00   0.270\n";

static void every_format_says_the_same(void ** state) {
    (void) state;
    static const struct {
        const char * text;
        enum block_format format;
        uint32_t pid; /* of the first */
    } all[] = {
        { blk, BLOCK_BLK, 8247 },       { perf, BLOCK_EVENTS, 8247 },       { perf_fields, BLOCK_EVENTS, 8247 },
        { events, BLOCK_EVENTS, 8247 }, { blkparse, BLOCK_BLKPARSE, 8247 }, { biosnoop, BLOCK_BIOSNOOP, 8247 }
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct block_trace t = read_text(all[i].text);
        assert_usual(&t);
        assert_true(t.seen[all[i].format]);
        assert_int_equal(t.requests[0].pid, all[i].pid);
        assert_false(t.monotonic);
        if (all[i].format == BLOCK_BIOSNOOP) {
            assert_string_equal(t.disks[0].name, "loop0");
        } else {
            assert_int_equal(t.disks[0].number, makedev(7, 0));
        }
        block_trace_free(&t);
    }
}

/* ---- blkparse -f ---- */

static void lines_of_any_format_of_blkparse(void ** state) {
    (void) state;
    static const char text[] = "7,0|D|R|20482+128|0.000006001 dd\n"
                               "7,0|D|WS|558+16|0.000036001 kworker\n"
                               "7,0|C|R|20482+128|0.000069001\n"
                               "7,0|D|RA|20610+8|0.000076001 dd\n"
                               "7,0|C|RA|20610+8|0.000106001\n"
                               "7,0|C|WS|558+16|0.000306001\n"
                               "7,0|UT|N|0+0|0.000406001\n";
    struct block_trace t;
    struct tat_error error = { 0 };
    struct block_options o = { .format = BLOCK_BLKPARSE, .line_format = "%D|%a|%d|%S+%n|%T.%9t %C\\n" };
    write_file("trace.txt", text, strlen(text));
    assert_int_equal(read_it(&t, &error, o), 0);
    assert_usual(&t);
    block_trace_free(&t);
    o.line_format = "%D %T.%t %a %d %n";
    write_file("trace.txt", text, strlen(text));
    assert_int_equal(read_it(&t, &error, o), -1);
    assert_int_equal(error.kind, TAT_ERROR_USAGE);
    assert_non_null(strstr(error.message, "%S (the sector)"));
    block_trace_free(&t);
}

/* ---- binary ---- */

struct record {
    uint64_t us, sector;
    uint32_t bytes, action, pid;
};

#define R BLK_TC_ACT(BLK_TC_READ)
#define W BLK_TC_ACT(BLK_TC_WRITE | BLK_TC_SYNC)
#define A BLK_TC_ACT(BLK_TC_READ | BLK_TC_AHEAD)

/* With a name of the process and the clock on the wall before, as blktrace has them, and a message. */
static const struct record records[] = {
    { 1000, 20482, 128 * 512, BLK_TA_QUEUE | R, 8247 },
    { 1006, 20482, 128 * 512, BLK_TA_ISSUE | R, 8247 },
    { 1036, 558, 16 * 512, BLK_TA_ISSUE | W, 44 },
    { 1069, 20482, 128 * 512, BLK_TA_COMPLETE | R, 14 },
    { 1076, 20610, 8 * 512, BLK_TA_ISSUE | A, 8247 },
    { 1106, 20610, 8 * 512, BLK_TA_COMPLETE | A, 14 },
    { 1306, 558, 16 * 512, BLK_TA_COMPLETE | W, 14 },
    { 1400, 100, 4096, BLK_TA_ISSUE | BLK_TC_ACT(BLK_TC_DISCARD), 44 },
};
enum { RECORDS = sizeof records / sizeof records[0], BYTES_MOST = 4096 };

static size_t put(uint8_t * bytes, size_t at, const struct record * r, uint32_t sequence, const void * data,
                  uint16_t data_bytes, bool swap) {
    struct blk_io_trace t = { .magic = BLK_IO_TRACE_MAGIC | BLK_IO_TRACE_VERSION,
                              .sequence = sequence,
                              .time = r->us * 1000 + 1,
                              .sector = r->sector,
                              .bytes = r->bytes,
                              .action = r->action,
                              .pid = r->pid,
                              .device = 7u << 20,
                              .pdu_len = data_bytes };
    if (swap) {
        t.magic = __builtin_bswap32(t.magic);
        t.sequence = __builtin_bswap32(t.sequence);
        t.time = __builtin_bswap64(t.time);
        t.sector = __builtin_bswap64(t.sector);
        t.bytes = __builtin_bswap32(t.bytes);
        t.action = __builtin_bswap32(t.action);
        t.pid = __builtin_bswap32(t.pid);
        t.device = __builtin_bswap32(t.device);
        t.pdu_len = __builtin_bswap16(t.pdu_len);
    }
    memcpy(bytes + at, &t, sizeof t);
    memcpy(bytes + at + sizeof t, data, data_bytes);
    return at + sizeof t + data_bytes;
}

static size_t make_binary(uint8_t * bytes, bool swap) {
    const uint32_t wall[2] = { swap ? __builtin_bswap32(1700000000) : 1700000000, swap ? __builtin_bswap32(5) : 5 };
    const struct record clock = { 900, 0, 0, BLK_TN_TIMESTAMP, 0 };
    const struct record process = { 901, 0, 0, BLK_TN_PROCESS, 8247 };
    size_t n = put(bytes, 0, &clock, 1, wall, sizeof wall, swap);
    n = put(bytes, n, &process, 2, "dd\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, swap);
    for (uint32_t i = 0; i < RECORDS; i++) { n = put(bytes, n, &records[i], i + 3, "", 0, swap); }
    return n;
}

static void binary_of_either_byte_order(void ** state) {
    (void) state;
    for (int swap = 0; swap < 2; swap++) {
        uint8_t bytes[BYTES_MOST];
        struct block_trace t;
        struct tat_error error = { 0 };
        write_file("sda.blktrace.0", bytes, make_binary(bytes, swap));
        assert_int_equal(read_it(&t, &error, (struct block_options){ 0 }), 0);
        assert_usual(&t);
        assert_int_equal(t.requests[0].end_ns, 1069001);
        assert_int_equal(t.wall_ns + 900001, INT64_C(1700000000000000005));
        assert_true(t.monotonic);
        assert_int_equal(t.disks[0].number, makedev(7, 0));
        block_trace_free(&t);
    }
}

/* A record of another processor's file may be between two of the first. */
static void files_of_processors_are_one_trace(void ** state) {
    (void) state;
    char paths[2][sizeof path];
    struct block_trace t;
    struct tat_error error = { 0 };
    for (uint32_t cpu = 0; cpu < 2; cpu++) {
        uint8_t bytes[BYTES_MOST];
        char name[32];
        size_t n = 0;
        for (uint32_t i = 0; i < RECORDS; i++) {
            if ((records[i].pid == 14) == cpu) { n = put(bytes, n, &records[i], i, "", 0, false); }
        }
        snprintf(name, sizeof name, "sda.blktrace.%u", cpu);
        write_file(name, bytes, n);
        memcpy(paths[cpu], path, sizeof path);
    }
    const char * const both[] = { paths[1], paths[0] };
    assert_int_equal(block_trace_read(&t, both, 2, &(struct block_options){ 0 }, &error), 0);
    assert_usual(&t);
    block_trace_free(&t);
    unlink(paths[0]);
    unlink(paths[1]);
}

/* blkparse reads the records that we made and prints what we read in its text. */
static void blkparse_agrees(void ** state) {
    (void) state;
    uint8_t bytes[BYTES_MOST];
    char command[256], text[8192];
    if (system("command -v blkparse > /dev/null 2>&1") != 0) {
        print_message("blkparse is not installed: it was not asked about the binary records\n");
        skip();
    }
    write_file("sda.blktrace.0", bytes, make_binary(bytes, false));
    snprintf(command, sizeof command, "blkparse -q -D %s -i sda 2>&1", folder);
    FILE * pipe = popen(command, "re");
    assert_non_null(pipe);
    const size_t n = fread(text, 1, sizeof text - 1, pipe);
    text[n] = '\0';
    assert_int_equal(pclose(pipe), 0);
    unlink(path);
    struct block_trace t = read_text(text);
    assert_usual(&t);
    assert_true(t.seen[BLOCK_BLKPARSE]);
    assert_int_equal(t.requests[0].pid, 8247);
    block_trace_free(&t);
}

/* ---- damage ---- */

static void damaged_lines_are_counted(void ** state) {
    (void) state;
    struct block_trace t = read_text("  7,0    1        1     0.000000000  8247  D   R 20482 + 128 [dd]\n"
                                     "  7,0    1        2     0.0000\n"
                                     "  7,0    1        x     0.000006001  8247  D   R 20610 + 8 [dd]\n"
                                     "  7,0    1        4     0.000069001    14  C   R 20482 + 128 [0]\n"
                                     "  7,0    1        5     0.000079001    14  C   R 99999999999999999999 + 8 [0]\n"
                                     "  7,0    1        6     0.000089001    14  C   R 8 + 8 [-5]\n"
                                     /* a request of 2 TiB, and one beyond the largest disk */
                                     "  7,0    1        7     0.000090001    14  C   R 8 + 4294967295 [0]\n"
                                     "  7,0    1        8     0.000091001    14  C   R 18014398509481983 + 8 [0]\n");
    assert_int_equal(t.n_requests, 2);
    assert_int_equal(t.damaged, 5);
    assert_int_equal(t.damaged_line, 2);
    assert_int_equal(t.unbegun, 1);
    assert_int_equal(t.requests[1].flags, TAT_IO_FAILED);
    assert_int_equal(t.requests[1].duration_ns, 0);
    block_trace_free(&t);
}

static void a_damaged_record_costs_itself(void ** state) {
    (void) state;
    uint8_t bytes[BYTES_MOST];
    struct block_trace t;
    struct tat_error error = { 0 };
    size_t n = make_binary(bytes, false);
    const size_t first = 2 * sizeof(struct blk_io_trace) + 8 + 16;
    bytes[first] ^= 0xff;                        /* the first one's magic: that of the queueing */
    write_file("sda.blktrace.0", bytes, n - 10); /* and the last one, a discard, is cut */
    assert_int_equal(read_it(&t, &error, (struct block_options){ 0 }), 0);
    assert_int_equal(t.n_requests, 3);
    assert_int_equal(t.damaged, 2);
    assert_int_equal(t.damaged_line, first + 1);
    block_trace_free(&t);
}

static void what_was_lost_is_said(void ** state) {
    (void) state;
    struct block_trace t = read_text("# entries-in-buffer/entries-written: 100/130   #P:2\n"
                                     "  dd-8247  [001] d..1. 1.662276:   7,0    D  R 20482 + 128 [dd]\n"
                                     "CPU:1 [LOST 12 EVENTS]\n"
                                     "  dd-8247  [001] d..1. 1.662376:   7,0    C  R 20482 + 128 [0]\n");
    assert_int_equal(t.lost, 42);
    assert_int_equal(t.unfinished, 1); /* the end may be another request's */
    assert_int_equal(t.unbegun, 1);
    block_trace_free(&t);
}

static void assert_refused(const char * text, size_t length, const char * words) {
    struct block_trace t;
    struct tat_error error = { 0 };
    write_file("trace", text, length);
    assert_int_equal(read_it(&t, &error, (struct block_options){ 0 }), -1);
    assert_int_equal(error.kind, TAT_ERROR_INPUT);
    if (!strstr(error.message, words)) { fail_msg("'%s' lacks '%s'", error.message, words); }
    block_trace_free(&t);
}

static void what_is_no_block_trace_is_refused(void ** state) {
    (void) state;
    static const char bpftrace[] = "TIME(ms)     DISK    COMM             PID    LAT(ms)\n"
                                   "611          nvme0n1 bash             4179        10\n";
    assert_refused("", 0, "no event of a request");
    assert_refused("hello\nworld\n", 12, "no event of a request");
    assert_refused("\x1f\x8b\x08", 3, "gzip -dc");
    assert_refused("PERFILE2", 8, "perf script");
    assert_refused("  8,0 x\n", 8, "line 1: damaged");
    assert_refused("  dd 8247 block:block_rq_issue: 7,0 R 65536 () 20482 + 128 [dd]\n", 62, "-F time,event,trace");
    assert_refused(bpftrace, strlen(bpftrace), "no SECTOR");
}

/* Bytes are one line, whatever they are; and a line of any length takes bounded memory. */
static void a_line_may_be_anything(void ** state) {
    (void) state;
    enum { LONG = 1 << 20 };
    static char text[LONG + 256];
    memset(text, '7', LONG);
    const int n =
        snprintf(text + LONG, 256, "\n  7,0 1 1 0.000000000 1 D R 8 + 8 [dd]\n  7,0 1 1 0.000001000 1 C R 8 + 8 [0]");
    struct block_trace t;
    struct tat_error error = { 0 };
    write_file("trace.txt", text, LONG + (size_t) n);
    assert_int_equal(read_it(&t, &error, (struct block_options){ 0 }), 0);
    assert_int_equal(t.n_requests, 1);
    block_trace_free(&t);
}

/* A disk that passes on what it is given, as those of LVM, has no issues. */
static void queued_and_completed_where_nothing_is_issued(void ** state) {
    (void) state;
    struct block_trace t = read_text("253,0    1        1     0.000001000  8247  Q   R 20482 + 128 [dd]\n"
                                     "253,0    1        2     0.000005000  8247  C   R 20482 + 128 [0]\n"
                                     "  8,0    1        3     0.000002000  8247  Q   R 30482 + 128 [dd]\n"
                                     "  8,0    1        4     0.000003000  8247  D   R 30482 + 128 [dd]\n"
                                     "  8,0    1        5     0.000004000  8247  C   R 30482 + 128 [0]\n");
    assert_int_equal(t.n_requests, 2);
    assert_int_equal(t.requests[0].duration_ns, 1000);
    assert_int_equal(t.requests[1].duration_ns, 4000);
    block_trace_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_says_the_same),
        cmocka_unit_test(lines_of_any_format_of_blkparse),
        cmocka_unit_test(binary_of_either_byte_order),
        cmocka_unit_test(files_of_processors_are_one_trace),
        cmocka_unit_test(blkparse_agrees),
        cmocka_unit_test(damaged_lines_are_counted),
        cmocka_unit_test(a_damaged_record_costs_itself),
        cmocka_unit_test(what_was_lost_is_said),
        cmocka_unit_test(what_is_no_block_trace_is_refused),
        cmocka_unit_test(a_line_may_be_anything),
        cmocka_unit_test(queued_and_completed_where_nothing_is_issued),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
