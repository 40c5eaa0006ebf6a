/* SPDX-License-Identifier: MIT
 *
 * Manners on a terminal: colour and progress only where somebody sees them.
 */
#ifndef TAT_CLI_TERMINAL_H
#define TAT_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Somebody reads `out`: it is a terminal, or standard output goes to a pager. */
bool terminal_is(FILE * out);

/* `out` is a terminal that shows colours, and NO_COLOR does not forbid them. */
bool terminal_has_colour(FILE * out);

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_BAD, STYLE_WARNING };

/* The escape sequence that starts a style on `out`; "" where there are no colours. STYLE_PLAIN ends the others. */
const char * style(FILE * out, enum style wanted);

/* Columns of the terminal, 80 where there is none. */
unsigned terminal_width(FILE * out);

/* Text from a file must not reach the terminal's ear: control characters, C1 ones in UTF-8 too, become question marks.
 */
void print_safe(const char * text, FILE * out);

/* A bar on stderr for what takes more than a second; nothing where stderr is no terminal. All calls from one thread. */
struct progress {
    const char * what;
    uint64_t total; /* 0: unknown */
    double started, drawn;
    bool wanted, shown;
};

void progress_begin(struct progress * progress, const char * what, uint64_t total);
void progress_update(struct progress * progress, uint64_t done);
void progress_end(struct progress * progress); /* wipes the bar */

#endif
