/* SPDX-License-Identifier: MIT */
#include "cli/screen.h"
#include "system/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l" /* the other screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"

static struct {
    struct termios before;
    sigset_t mask;
    int signals; /* a descriptor that they arrive at */
    int ended_by;
    bool open, has_keys;
} screen = { .signals = -1 };

static int put(const char * text, size_t bytes) {
    while (bytes) {
        const ssize_t n = write(STDOUT_FILENO, text, bytes);
        if (n < 0 && errno != EINTR) { return -1; }
        if (n > 0) {
            text += n;
            bytes -= (size_t) n;
        }
    }
    return 0;
}

static void enter(void) {
    if (screen.has_keys) {
        struct termios raw = screen.before;
        raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO); /* Ctrl-C stays a signal */
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    put(ENTER, sizeof ENTER - 1);
    screen.open = true;
}

static void leave(void) {
    if (!screen.open) { return; }
    screen.open = false;
    put(LEAVE, sizeof LEAVE - 1);
    if (screen.has_keys) { tcsetattr(STDIN_FILENO, TCSADRAIN, &screen.before); }
}

int screen_open(struct tat_error * error) {
    sigset_t signals;
    const int all[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP };
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) { sigaddset(&signals, all[i]); }
    if (sigprocmask(SIG_BLOCK, &signals, &screen.mask) != 0) { return tat_fail_errno(error, "signals"); }
    screen.signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (screen.signals < 0) { return tat_fail_errno(error, "signals"); }
    screen.has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen.before) == 0;
    screen.ended_by = 0;
    atexit(leave);
    enter();
    return 0;
}

void screen_close(void) {
    leave();
    if (screen.signals >= 0) { close(screen.signals); }
    screen.signals = -1;
    sigprocmask(SIG_SETMASK, &screen.mask, NULL);
    if (screen.ended_by) {
        signal(screen.ended_by, SIG_DFL);
        raise(screen.ended_by);
    }
}

/* ---- input ---- */

/* Ctrl-Z: the shell finds its terminal as it was. */
static void suspend(void) {
    leave();
    raise(SIGSTOP);
    enter();
}

static enum screen_event take_signal(void) {
    struct signalfd_siginfo info;
    if (read(screen.signals, &info, sizeof info) != sizeof info) { return SCREEN_TIME; }
    if (info.ssi_signo == SIGWINCH) { return SCREEN_RESIZED; }
    if (info.ssi_signo == SIGTSTP) {
        suspend();
        return SCREEN_RESIZED;
    }
    screen.ended_by = info.ssi_signo == SIGINT ? 0 : (int) info.ssi_signo;
    return SCREEN_QUIT;
}

/* q, or the end of input. */
static bool take_keys(void) {
    char keys[64];
    const ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    return n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN) ||
           (n > 0 && (memchr(keys, 'q', (size_t) n) || memchr(keys, 'Q', (size_t) n)));
}

static int64_t now_ms(void) {
    return (int64_t) (clock_ns() / 1000000);
}

enum screen_event screen_wait(int milliseconds) {
    const int64_t end = now_ms() + milliseconds;
    for (int64_t left = milliseconds; left >= 0; left = end - now_ms()) {
        struct pollfd waits[] = { { .fd = screen.signals, .events = POLLIN },
                                  { .fd = screen.has_keys ? STDIN_FILENO : -1, .events = POLLIN } };
        const int n = poll(waits, 2, (int) left);
        if (n == 0) { return SCREEN_TIME; }
        if (n < 0 && errno != EINTR) { return SCREEN_QUIT; }
        if (n < 0) { continue; }
        if (waits[0].revents) {
            const enum screen_event event = take_signal();
            if (event != SCREEN_TIME) { return event; }
        }
        if (waits[1].revents && take_keys()) { return SCREEN_QUIT; }
    }
    return SCREEN_TIME;
}

/* ---- output ---- */

static struct winsize size_of(void) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_col || !size.ws_row) {
        size = (struct winsize){ .ws_col = 80, .ws_row = 24 };
    }
    return size;
}

unsigned screen_columns(void) {
    return size_of().ws_col;
}

unsigned screen_rows(void) {
    return size_of().ws_row;
}

/* Bytes of a line that fit; a character of several bytes takes one column. */
static size_t fitting(const char * line, size_t bytes, unsigned columns) {
    size_t at = 0;
    for (unsigned used = 0; at < bytes; at++) {
        const bool begins = ((unsigned char) line[at] & 0xc0) != 0x80;
        if (begins && used++ == columns) { break; }
    }
    return at;
}

int screen_draw(const char * text, const char * foot) {
    const struct winsize size = size_of();
    char * out = NULL;
    size_t bytes;
    FILE * frame = open_memstream(&out, &bytes);
    if (!frame) { return -1; }
    fputs("\033[H", frame);
    for (unsigned row = 0; row + 1 < size.ws_row && *text; row++) {
        const size_t line = strcspn(text, "\n");
        fprintf(frame, "%s%.*s%s\033[K\n", row == 0 ? "\033[1m" : "", (int) fitting(text, line, size.ws_col), text,
                row == 0 ? "\033[0m" : "");
        text += line + (text[line] == '\n');
    }
    fprintf(frame, "\033[J\033[%u;1H\033[2m%.*s\033[0m", (unsigned) size.ws_row,
            (int) fitting(foot, strlen(foot), size.ws_col), foot);
    const bool good = fclose(frame) == 0;
    const int result = good ? put(out, bytes) : -1;
    free(out);
    return result;
}
