/* SPDX-License-Identifier: MIT */
#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/pager.h"
#include "system/clock.h"

bool terminal_is(FILE * out) {
    return isatty(fileno(out)) || (out == stdout && pager_is_open());
}

bool terminal_has_colour(FILE * out) {
    const char * forbidden = getenv("NO_COLOR");
    const char * terminal = getenv("TERM");
    if ((forbidden && *forbidden) || !terminal || strcmp(terminal, "dumb") == 0) { return false; }
    return terminal_is(out);
}

const char * style(FILE * out, enum style wanted) {
    static const char * const escapes[] = {
        [STYLE_PLAIN] = "\033[0m", [STYLE_BOLD] = "\033[1m", [STYLE_DIM] = "\033[2m",
        [STYLE_GOOD] = "\033[32m", [STYLE_BAD] = "\033[31m", [STYLE_WARNING] = "\033[33m",
    };
    return terminal_has_colour(out) ? escapes[wanted] : "";
}

unsigned terminal_width(FILE * out) {
    struct winsize size;
    if (out == stdout && pager_is_open()) { return pager_width(); }
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

void progress_begin(struct progress * progress, const char * what, uint64_t total) {
    const char * terminal = getenv("TERM");
    *progress = (struct progress){
        .what = what,
        .total = total,
        .started = 1e-9 * (double) clock_ns(),
        .wanted = isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0,
    };
}

static void draw(const struct progress * progress, uint64_t done) {
    enum { BAR = 24 };
    static const char full[] = "########################", empty[] = "........................";
    if (!progress->total) {
        fprintf(stderr, "\r\033[K%s ...", progress->what);
        return;
    }
    double part = (double) done / (double) progress->total;
    if (part > 1) { part = 1; }
    const int filled = (int) (part * BAR);
    fprintf(stderr, "\r\033[K%s [%.*s%.*s] %3.0f %%", progress->what, filled, full, BAR - filled, empty, part * 100);
}

void progress_update(struct progress * progress, uint64_t done) {
    if (!progress->wanted) { return; }
    const double time = 1e-9 * (double) clock_ns();
    if (time - progress->started < 1 || time - progress->drawn < 0.1) { return; }
    progress->drawn = time;
    progress->shown = true;
    draw(progress, done);
}

void progress_end(struct progress * progress) {
    if (progress->shown) { fputs("\r\033[K", stderr); }
    progress->shown = progress->wanted = false;
}

void print_safe(const char * text, FILE * out) {
    for (const unsigned char * c = (const unsigned char *) text; *c; c++) {
        const bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        putc(*c < 0x20 || *c == 0x7f || c1 ? '?' : *c, out);
        if (c1) { c++; }
    }
}
