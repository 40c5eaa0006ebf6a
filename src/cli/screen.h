/* SPDX-License-Identifier: MIT
 *
 * The whole terminal for a text that is drawn anew again and again. It is given back whatever ends the program, short
 * of SIGKILL. One at a time, all calls from one thread.
 */
#ifndef TAT_CLI_SCREEN_H
#define TAT_CLI_SCREEN_H

#include "tat/error.h"

enum screen_event { SCREEN_TIME, SCREEN_RESIZED, SCREEN_QUIT };

/* 0, or -1 with *error. From here on signals that end a program wait for screen_wait. */
int screen_open(struct tat_error * error);

/* Gives the terminal back. If a signal asked for the end (not Ctrl-C), the program ends here, by that signal. */
void screen_close(void);

/* Lines that are too many or too long are cut; `foot` is the last line. 0, or -1: the terminal is gone. */
int screen_draw(const char * text, const char * foot);

/* Waits for q, Ctrl-C, a signal, another size of the window, or so many milliseconds to pass. */
enum screen_event screen_wait(int milliseconds);

unsigned screen_columns(void);
unsigned screen_rows(void);

#endif
