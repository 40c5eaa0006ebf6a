/* SPDX-License-Identifier: MIT */
#include "cli/run_words.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "analysis/managed_run.h"
#include "cli/run_line.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "plan/predict.h"

enum { LIMIT_SIZE = 2 * UNITS_SIZE + 32 };

static bool is_number(const json_t * line, const char * key, json_int_t number) {
    const json_t * value = json_object_get(line, key);
    return json_is_integer(value) && json_integer_value(value) == number;
}

/* Sums of figures that a program may have made up. */
static uint64_t plus(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* "44.9 MiB pinned, 108 MiB for 378 MiB of experts, 12.0 MiB left to the kernel" */
static void print_placement(const json_t * line, uint64_t weights, FILE * out) {
    const uint64_t pinned = managed_figure(line, "pinned"), streamed = managed_figure(line, "streamed"),
                   ring = managed_figure(line, "ring"), cached = managed_figure(line, "cached"),
                   cache = managed_figure(line, "cache"), left = managed_figure(line, "left");
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
    if (left >= weights / 10 && left && !json_object_get(line, "ahead")) {
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
static void print_kernel(const json_t * line, FILE * out) {
    const uint64_t pinned = managed_figure(line, "pinned"), lockable = managed_figure(line, "lockable");
    char bytes[UNITS_SIZE];
    fprintf(out, "; kept in the page cache, read by threads with %s",
            run_line_has(line, "ahead", "populate")   ? "MADV_POPULATE_READ"
            : run_line_has(line, "ahead", "willneed") ? "MADV_WILLNEED"
                                                      : "pread");
    if (!is_number(line, "locks", 1)) { return; }
    if (lockable >= pinned) {
        fputs("; what is pinned is locked", out);
    } else {
        fprintf(out, "; of what is pinned, no more than %s may be locked (RLIMIT_MEMLOCK, ulimit -l)",
                format_bytes(bytes, lockable));
    }
}

static void print_reader(const json_t * line, FILE * out) {
    const bool is_uring = run_line_has(line, "reader", "uring"), is_threads = run_line_has(line, "reader", "threads");
    if (!is_uring && !is_threads) { return; }
    if (json_object_get(line, "ahead")) {
        print_kernel(line, out);
        return;
    }
    fprintf(out, "; read by %s", is_uring ? "io_uring" : "threads");
    if (is_number(line, "direct", 1)) { fputs(" past the page cache", out); }
    if (is_number(line, "direct", 0)) { fputs(" through the page cache, as the file system has no O_DIRECT", out); }
}

/* Tokens a second come as thousandths. */
static const char * format_speed(char text[static UNITS_SIZE], uint64_t thousandths) {
    return format_rate(text, (double) thousandths / 1000);
}

static void print_begin(const json_t * line, const char * whose, FILE * out) {
    const uint64_t weights = plus(plus(managed_figure(line, "pinned"), managed_figure(line, "streamed")),
                                  plus(managed_figure(line, "cached"), managed_figure(line, "left"))),
                   limit = managed_figure(line, "limit"), pool = managed_figure(line, "pool"),
                   predicted = managed_figure(line, "predicted");
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
static const char * print_speed(const json_t * line, const char * before, FILE * out) {
    const uint64_t tokens = managed_figure(line, "tokens"), ns = managed_figure(line, "ns"),
                   predicted = managed_figure(line, "predicted");
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

/* Of a run that stopped managing, the first speed is of the tokens before that. */
static const char * print_stop(const json_t * line, const char * before, FILE * out) {
    const uint64_t tokens = managed_figure(line, "tokens"), after = managed_figure(line, "after_tokens"),
                   ns = managed_figure(line, "after_ns");
    char count[UNITS_SIZE], speed[UNITS_SIZE];
    if (!managed_figure(line, "handed_back")) { return before; }
    if (tokens && managed_figure(line, "ns")) {
        fprintf(out, " for %s tokens, then stopped managing", format_count(count, tokens));
    } else {
        fprintf(out, "%sstopped managing before the end", before);
    }
    if (after && ns) {
        fprintf(out, ": %s tokens/s", format_rate(speed, (double) after * 1e9 / (double) ns));
        fprintf(out, " for %s %s", format_count(count, after), tokens ? "more" : "tokens");
    }
    return "; ";
}

static const char * print_bytes(const json_t * line, const char * before, FILE * out) {
    const uint64_t read = managed_figure(line, "read"), tokens = managed_figure(line, "tokens"),
                   wanted = managed_figure(line, "token_wanted");
    char bytes[UNITS_SIZE];
    const char * comma = before;
    if (read && tokens && json_object_get(line, "token_read")) {
        fprintf(out, "%sread %s a generated token", comma,
                format_mean_bytes(bytes, (double) managed_figure(line, "token_read") / (double) tokens));
        fprintf(out, " (%s in all)", format_bytes(bytes, read));
        comma = ", ";
    } else if (read) {
        fprintf(out, "%sread %s", comma, format_bytes(bytes, read));
        comma = ", ";
    }
    if (wanted) {
        fprintf(out, "%s%s of expert bytes were in memory", comma,
                format_share(bytes, (double) managed_figure(line, "token_held") / (double) wanted));
    }
    return read || wanted ? "; " : before;
}

/* Of threads, for what tat reads; and page faults of all the process, whatever they were for. */
static const char * print_waiting(const json_t * line, const char * before, FILE * out) {
    enum { FEW = 100 };
    const uint64_t ns = managed_figure(line, "ns"), faults = managed_figure(line, "majflt");
    char text[UNITS_SIZE];
    if (ns && json_object_get(line, "wait_ns")) {
        fprintf(out, "%swaited %s of the time for what tat reads", before,
                format_share(text, (double) managed_figure(line, "wait_ns") / (double) ns));
        before = "; ";
    }
    if (faults >= FEW) {
        fprintf(out, "%s%s page faults waited for the disk", before, format_count(text, faults));
        before = "; ";
    }
    return before;
}

static const char * print_others(const json_t * line, const char * before, FILE * out) {
    const struct managed_others o = managed_others(line);
    char share[UNITS_SIZE];
    if (!(o.processors > 0) && !(o.disk > 0)) { return before; }
    fprintf(out, "%sother programs took ", before);
    if (o.processors > 0) { fprintf(out, "%.2f of %u processors", o.processors, (unsigned) o.count); }
    if (o.disk > 0) {
        fprintf(out, "%s%s of what the disk moved", o.processors > 0 ? " and " : "", format_share(share, o.disk));
    }
    fputs(" meanwhile", out);
    return "; ";
}

/* "77.1 % of the experts that were foreseen came, of 40.0 MiB read ahead 9.10 MiB in vain, 1.50 MiB not read again,
 * 12.0 % of the guesses not read ahead as too few came" */
static const char * print_foresight(const json_t * line, const char * before, FILE * out) {
    const uint64_t foreseen = managed_figure(line, "foreseen"), ahead = managed_figure(line, "ahead_read"),
                   spared = managed_figure(line, "spared"), unread = managed_figure(line, "foreseen_not_to_read");
    char text[UNITS_SIZE];
    if (!foreseen) { return before; }
    fprintf(out, "%s%s of the experts that were foreseen came", before,
            format_share(text, (double) managed_figure(line, "foreseen_right") / (double) foreseen));
    if (ahead) {
        fprintf(out, ", of %s read ahead", format_bytes(text, ahead));
        fprintf(out, " %s in vain", format_bytes(text, managed_figure(line, "ahead_wasted")));
    }
    if (spared) { fprintf(out, ", %s not read again", format_bytes(text, spared)); }
    if (unread) {
        fprintf(out, ", %s of the guesses not read ahead as too few came",
                format_share(text, (double) unread / (double) foreseen));
    }
    return "; ";
}

/* What went wrong, or was proved not to have. */
static void print_checks(const json_t * line, const char * whose, FILE * out) {
    const uint64_t checked = managed_figure(line, "checked"), wrong = managed_figure(line, "wrong"),
                   errors = managed_figure(line, "errors");
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

static void print_end(const json_t * line, const char * whose, FILE * out) {
    char bytes[UNITS_SIZE];
    const char * before = print_stop(line, print_speed(line, whose, out), out);
    before = print_others(line, print_waiting(line, print_bytes(line, before, out), out), out);
    if (managed_figure(line, "locked")) {
        fprintf(out, "%s%s locked", before, format_bytes(bytes, managed_figure(line, "locked")));
        before = "; ";
    }
    before = print_foresight(line, before, out);
    if (before != whose) { fputc('\n', out); }
    print_checks(line, whose, out);
}

/* ---- memory ---- */

static void print_fits(const json_t * line, const char * whose, FILE * out) {
    char bytes[UNITS_SIZE];
    fprintf(out, "%snot managed: the model's %s of weights fit in memory, so there is nothing to gain\n", whose,
            format_bytes(bytes, managed_figure(line, "bytes")));
}

static void print_short(const json_t * line, const char * whose, FILE * out) {
    char left[UNITS_SIZE], least[UNITS_SIZE], limit[LIMIT_SIZE];
    fprintf(out,
            "%snot managed: the program itself needs all but %s of %s, and a model takes at least %s: give it more "
            "memory, or a shorter context (llama.cpp's -c)\n",
            whose, format_bytes(left, managed_figure(line, "left")), format_limit(limit, managed_figure(line, "limit")),
            format_bytes(least, PREDICT_BUDGET_LEAST));
}

/* The limit was lowered, or the program has grown. */
static void print_less(const json_t * line, const char * whose, FILE * out) {
    const uint64_t now = managed_figure(line, "now"), before = managed_figure(line, "before"),
                   limit = managed_figure(line, "limit");
    char bytes[UNITS_SIZE], all[LIMIT_SIZE];
    if (limit < managed_figure(line, "limit_before")) {
        fprintf(out, "%sthe limit is now %s: ", whose, format_limit(all, limit));
    } else {
        fprintf(out, "%sthe program needs %s more: ", whose, format_bytes(bytes, before > now ? before - now : 0));
    }
    fprintf(out, "%s for the model", format_bytes(bytes, now));
    fprintf(out, ", where there were %s\n", format_bytes(bytes, before));
}

/* Since plain mmap would be faster, or there is too little memory for the model. */
static void print_stopped(const json_t * line, const char * whose, FILE * out) {
    char bytes[UNITS_SIZE], managed[UNITS_SIZE], plain[UNITS_SIZE];
    fprintf(out, "%sstopped managing; the kernel's page cache takes over: ", whose);
    if (managed_figure(line, "plain")) {
        fprintf(out, "the last %s tokens were slower (%s tokens/s) than plain mmap would be (%s)\n",
                format_count(bytes, managed_figure(line, "tokens")),
                format_speed(managed, managed_figure(line, "managed")),
                format_speed(plain, managed_figure(line, "plain")));
        return;
    }
    fprintf(out, "only %s of memory is left for the model\n", format_bytes(bytes, managed_figure(line, "left")));
}

static void print_refused(const json_t * line, const char * whose, FILE * out) {
    static const char no_file[] = "the model's file cannot be opened again: keep it readable at its path";
    static const char no_descriptor[] =
        "the kernel refused another descriptor (open, io_uring_setup): raise the limit, ulimit -n";
    static const struct {
        int error;
        const char * words;
    } known[] = {
        { ENOTSUP, "the model is locked in memory (mlock, mlockall), or its mapping is not one that tat can cover: "
                   "leave out --mlock" },
        { ESTALE, "the path of the model's file now leads to another file: start the program again" },
        { ENOENT, no_file },
        { EACCES, no_file },
        { ENOMEM, "the kernel refused memory for the pool (mmap, memfd_create): look at ulimit -v" },
        { EAGAIN, "the kernel refused another thread (clone): raise the limit, ulimit -u" },
        { EMFILE, no_descriptor },
        { ENFILE, no_descriptor },
    };
    const int error = (int) (managed_figure(line, "errno") % 4096);
    const char * words = "the kernel refused a call that tat needs (unshare, open, mmap, mremap or io_uring_setup): "
                         "`tat doctor` tells more";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].error == error) { words = known[i].words; }
    }
    fprintf(out, "%snot managed: %s (%s)\n", whose, words, strerror(error));
}

static void print_note(const json_t * line, const char * whose, FILE * out) {
    const char * text = json_string_value(json_object_get(line, "text"));
    fputs(whose, out);
    print_safe(text ? text : "", out);
    fputc('\n', out);
}

bool run_words_print(const json_t * line, const char * whose, FILE * out) {
    static const struct {
        const char * kind;
        void (*print)(const json_t * line, const char * whose, FILE * out);
    } kinds[] = {
        { "begin", print_begin }, { "so_far", print_end },          { "end", print_end },
        { "note", print_note },   { "fits", print_fits },           { "short", print_short },
        { "less", print_less },   { "handed_back", print_stopped }, { "refused", print_refused },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!run_line_has(line, "kind", kinds[i].kind)) { continue; }
        kinds[i].print(line, whose, out);
        return true;
    }
    return false;
}
