/* SPDX-License-Identifier: MIT */
#include "cli/run_words.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"
#include "cli/units.h"

enum { LIMIT_SIZE = 2 * UNITS_SIZE + 32 };

/* The number behind " KEY="; 0: there is none. */
static uint64_t figure(const char * line, const char * key) {
    const size_t length = strlen(key);
    for (const char * at = line; (at = strchr(at, ' ')); at++) {
        if (strncmp(at + 1, key, length) == 0 && at[1 + length] == '=') {
            return strtoull(at + 1 + length + 1, NULL, 10);
        }
    }
    return 0;
}

/* Sums of figures that a program may have made up. */
static uint64_t plus(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* "44.9 MiB pinned, 108 MiB for 378 MiB of experts, 12.0 MiB left to the kernel" */
static void print_placement(const char * line, uint64_t weights, FILE * out) {
    const uint64_t pinned = figure(line, "pinned"), streamed = figure(line, "streamed"), ring = figure(line, "ring"),
                   cached = figure(line, "cached"), cache = figure(line, "cache"), left = figure(line, "left");
    char bytes[UNITS_SIZE], room[UNITS_SIZE];
    const char * comma = ": ";
    if (pinned) {
        fprintf(out, "%s%s pinned", comma, format_bytes(bytes, pinned));
        comma = ", ";
    }
    if (streamed) {
        fprintf(out, "%s%s streamed through %s", comma, format_bytes(bytes, streamed), format_bytes(room, ring));
        comma = ", ";
    }
    if (cached) {
        fprintf(out, "%s%s for %s of experts", comma, format_bytes(room, cache), format_bytes(bytes, cached));
        comma = ", ";
    }
    if (left) { fprintf(out, "%s%s left to the kernel", comma, format_bytes(bytes, left)); }
    if (left >= weights / 10 && left && !strstr(line, " ahead=")) {
        fputs(", which reads them page by page: slower than without tat run", out);
    }
}

/* "38.1 MiB (40 MB)": a limit that was asked for in units of 1000 is to be recognised. A cgroup rounds it down to
 * pages. */
static const char * format_limit(char text[static LIMIT_SIZE], uint64_t bytes) {
    enum { PAGE = 4096, MB = 1000000 };
    char binary[UNITS_SIZE];
    const uint64_t mb = bytes < UINT64_MAX - PAGE ? (bytes + PAGE - 1) / MB : 0;
    const bool is_decimal = mb && mb * MB >= bytes && bytes % (1 << 20) != 0;
    format_bytes(binary, bytes);
    if (!is_decimal) {
        snprintf(text, LIMIT_SIZE, "%s", binary);
    } else {
        snprintf(text, LIMIT_SIZE, "%s (%llu %s)", binary, (unsigned long long) (mb % 1000 ? mb : mb / 1000),
                 mb % 1000 ? "MB" : "GB");
    }
    return text;
}

/* Pieces in the page cache. */
static void print_kernel(const char * line, FILE * out) {
    const uint64_t pinned = figure(line, "pinned"), lockable = figure(line, "lockable");
    char bytes[UNITS_SIZE];
    fprintf(out, "; kept in the page cache, read by threads with %s",
            strstr(line, " ahead=populate")   ? "MADV_POPULATE_READ"
            : strstr(line, " ahead=willneed") ? "MADV_WILLNEED"
                                              : "pread");
    if (!strstr(line, " locks=1")) { return; }
    if (lockable >= pinned) {
        fputs("; what is pinned is locked", out);
    } else {
        fprintf(out, "; of what is pinned, no more than %s may be locked (RLIMIT_MEMLOCK, ulimit -l)",
                format_bytes(bytes, lockable));
    }
}

static void print_reader(const char * line, FILE * out) {
    const bool is_uring = strstr(line, " reader=uring"), is_threads = strstr(line, " reader=threads");
    if (!is_uring && !is_threads) { return; }
    if (strstr(line, " ahead=")) {
        print_kernel(line, out);
        return;
    }
    fprintf(out, "; read by %s", is_uring ? "io_uring" : "threads");
    if (strstr(line, " direct=1")) { fputs(" past the page cache", out); }
    if (strstr(line, " direct=0")) { fputs(" through the page cache, as the file system has no O_DIRECT", out); }
}

/* Tokens a second come as thousandths. */
static const char * format_speed(char text[static UNITS_SIZE], uint64_t thousandths) {
    return format_rate(text, (double) thousandths / 1000);
}

static void print_begin(const char * line, const char * whose, FILE * out) {
    const uint64_t weights = plus(plus(figure(line, "pinned"), figure(line, "streamed")),
                                  plus(figure(line, "cached"), figure(line, "left"))),
                   limit = figure(line, "limit"), pool = figure(line, "pool"), predicted = figure(line, "predicted");
    char bytes[UNITS_SIZE], all[LIMIT_SIZE];
    fprintf(out, "%smanaging %s of weights", whose, format_bytes(bytes, weights));
    if (limit && pool) {
        fprintf(out, " in %s of %s", format_bytes(bytes, pool), format_limit(all, limit));
    } else if (limit) {
        fprintf(out, " in %s of memory", format_limit(all, limit));
    }
    print_placement(line, weights, out);
    print_reader(line, out);
    if (predicted) { fprintf(out, "; %s tokens/s predicted", format_speed(bytes, predicted)); }
    fputc('\n', out);
}

/* Clauses of a sentence: the first one begins it. Returns what stands before the next. */
static const char * print_speed(const char * line, const char * before, FILE * out) {
    const uint64_t tokens = figure(line, "tokens"), ns = figure(line, "ns"), predicted = figure(line, "predicted");
    char speed[UNITS_SIZE], wanted[UNITS_SIZE];
    if (!tokens || !ns) { return before; }
    format_rate(speed, (double) tokens * 1e9 / (double) ns);
    if (predicted) {
        fprintf(out, "%spredicted %s tokens/s, delivered %s", before, format_speed(wanted, predicted), speed);
    } else {
        fprintf(out, "%sdelivered %s tokens/s", before, speed);
    }
    return "; ";
}

static const char * print_bytes(const char * line, const char * before, FILE * out) {
    const uint64_t read = figure(line, "read"), tokens = figure(line, "tokens"), wanted = figure(line, "token_wanted");
    char bytes[UNITS_SIZE];
    const char * comma = before;
    if (read && tokens && strstr(line, " token_read=")) {
        fprintf(out, "%sread %s a generated token", comma,
                format_mean_bytes(bytes, (double) figure(line, "token_read") / (double) tokens));
        fprintf(out, " (%s in all)", format_bytes(bytes, read));
        comma = ", ";
    } else if (read) {
        fprintf(out, "%sread %s", comma, format_bytes(bytes, read));
        comma = ", ";
    }
    if (wanted) {
        fprintf(out, "%s%s of expert bytes were in memory", comma,
                format_share(bytes, (double) figure(line, "token_held") / (double) wanted));
    }
    return read || wanted ? "; " : before;
}

/* Of threads, for what tat reads; and page faults of all the process, whatever they were for. */
static const char * print_waiting(const char * line, const char * before, FILE * out) {
    enum { FEW = 100 };
    const uint64_t ns = figure(line, "ns"), faults = figure(line, "majflt");
    char text[UNITS_SIZE];
    if (ns && strstr(line, " wait_ns=")) {
        fprintf(out, "%swaited %s of the time for what tat reads", before,
                format_share(text, (double) figure(line, "wait_ns") / (double) ns));
        before = "; ";
    }
    if (faults >= FEW) {
        fprintf(out, "%s%s page faults waited for the disk", before, format_count(text, faults));
        before = "; ";
    }
    return before;
}

/* "77.1 % of the experts that were foreseen came, of 40.0 MiB read ahead 9.10 MiB in vain, 1.50 MiB not read again" */
static const char * print_foresight(const char * line, const char * before, FILE * out) {
    const uint64_t foreseen = figure(line, "foreseen"), ahead = figure(line, "ahead_read"),
                   spared = figure(line, "spared");
    char text[UNITS_SIZE];
    if (!foreseen) { return before; }
    fprintf(out, "%s%s of the experts that were foreseen came", before,
            format_share(text, (double) figure(line, "foreseen_right") / (double) foreseen));
    if (ahead) {
        fprintf(out, ", of %s read ahead", format_bytes(text, ahead));
        fprintf(out, " %s in vain", format_bytes(text, figure(line, "ahead_wasted")));
    }
    if (spared) { fprintf(out, ", %s not read again", format_bytes(text, spared)); }
    return "; ";
}

/* What went wrong, or was proved not to have. */
static void print_checks(const char * line, const char * whose, FILE * out) {
    const uint64_t checked = figure(line, "checked"), wrong = figure(line, "wrong"), errors = figure(line, "errors");
    char count[UNITS_SIZE], other[UNITS_SIZE];
    if (wrong) {
        fprintf(out, "%sWRONG: %s of %s pieces differed from the file\n", whose, format_count(other, wrong),
                format_count(count, checked));
    } else if (checked) {
        fprintf(out, "%s%s piece%s compared with the file: no difference\n", whose, format_count(count, checked),
                checked == 1 ? "" : "s");
    }
    if (errors) {
        fprintf(out, "%s%s piece%s could not be read or mapped and %s left to the kernel\n", whose,
                format_count(count, errors), errors == 1 ? "" : "s", errors == 1 ? "was" : "were");
    }
}

static void print_end(const char * line, const char * whose, FILE * out) {
    char bytes[UNITS_SIZE];
    const char * before = print_waiting(line, print_bytes(line, print_speed(line, whose, out), out), out);
    if (figure(line, "locked")) {
        fprintf(out, "%s%s locked", before, format_bytes(bytes, figure(line, "locked")));
        before = "; ";
    }
    before = print_foresight(line, before, out);
    if (figure(line, "handed_back")) {
        fprintf(out, "%sthe kernel took over before the end", before);
        before = "; ";
    }
    if (before != whose) { fputc('\n', out); }
    print_checks(line, whose, out);
}

/* ---- memory ---- */

static void print_fits(const char * line, const char * whose, FILE * out) {
    char bytes[UNITS_SIZE];
    fprintf(out, "%snothing to do: the model's %s of weights fit in memory\n", whose,
            format_bytes(bytes, figure(line, "bytes")));
}

static void print_short(const char * line, const char * whose, FILE * out) {
    char left[UNITS_SIZE], limit[LIMIT_SIZE];
    fprintf(out, "%snot managed: of %s, only %s are left for the model; the program needs the rest\n", whose,
            format_limit(limit, figure(line, "limit")), format_bytes(left, figure(line, "left")));
}

/* The limit was lowered, or the program has grown. */
static void print_less(const char * line, const char * whose, FILE * out) {
    const uint64_t now = figure(line, "now"), before = figure(line, "before"), limit = figure(line, "limit");
    char bytes[UNITS_SIZE], all[LIMIT_SIZE];
    if (limit < figure(line, "limit_before")) {
        fprintf(out, "%sthe limit is now %s: ", whose, format_limit(all, limit));
    } else {
        fprintf(out, "%sthe program needs %s more: ", whose, format_bytes(bytes, before > now ? before - now : 0));
    }
    fprintf(out, "%s for the model", format_bytes(bytes, now));
    fprintf(out, ", where there were %s\n", format_bytes(bytes, before));
}

static void print_handed_back(const char * line, const char * whose, FILE * out) {
    char bytes[UNITS_SIZE], managed[UNITS_SIZE], plain[UNITS_SIZE];
    if (figure(line, "plain")) {
        fprintf(out,
                "%shanded back to the file: over %s tokens it was slower (%s tokens/s) than plain mmap would be (%s)\n",
                whose, format_count(bytes, figure(line, "tokens")), format_speed(managed, figure(line, "managed")),
                format_speed(plain, figure(line, "plain")));
        return;
    }
    fprintf(out, "%shanded back to the file: only %s of memory are left for the model\n", whose,
            format_bytes(bytes, figure(line, "left")));
}

static void print_refused(const char * line, const char * whose, FILE * out) {
    static const struct {
        int error;
        const char * words;
    } known[] = {
        { ENOTSUP, "the model is locked in memory (mlock, mlockall), or its mapping is not one that tat can cover" },
        { ESTALE, "the path of the model's file now leads to another file" },
        { ENOENT, "the model's file cannot be opened again" },
        { EACCES, "the model's file cannot be opened again" },
        { ENOMEM, "the kernel refused memory for the pool (mmap, memfd_create)" },
        { EAGAIN, "the kernel refused another thread (clone)" },
        { EMFILE, "the kernel refused another descriptor (open, io_uring_setup)" },
        { ENFILE, "the kernel refused another descriptor (open, io_uring_setup)" },
    };
    const int error = (int) (figure(line, "errno") % 4096);
    const char * words = "the kernel refused a call that tat needs (unshare, open, mmap, mremap or io_uring_setup)";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].error == error) { words = known[i].words; }
    }
    fprintf(out, "%snot managed: %s (%s)\n", whose, words, strerror(error));
}

static void print_note(const char * line, const char * whose, FILE * out) {
    fputs(whose, out);
    print_safe(line + 5, out);
    fputc('\n', out);
}

uint64_t run_words_figure(const char * line, const char * key) {
    return figure(line, key);
}

bool run_words_print(const char * line, const char * whose, FILE * out) {
    static const struct {
        const char * begins;
        void (*print)(const char * line, const char * whose, FILE * out);
    } kinds[] = {
        { "begin ", print_begin },
        { "end ", print_end },
        { "note ", print_note },
        { "fits ", print_fits },
        { "short ", print_short },
        { "less ", print_less },
        { "handed_back ", print_handed_back },
        { "refused ", print_refused },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strncmp(line, kinds[i].begins, strlen(kinds[i].begins)) != 0) { continue; }
        kinds[i].print(line, whose, out);
        return true;
    }
    return false;
}
