/* SPDX-License-Identifier: MIT
 *
 * What an analysis finds, as one JSON object that text, browser and Python all show:
 *
 *     title      what was asked
 *     headline   the answer in a sentence
 *     values     its figures by name, for programs
 *     lines      [{label, text}]: further facts, for people
 *     answers    [{question, answer}]: what it tells, in words and with figures
 *     tables     {name: {title, show, columns, rows}}: title is missing where the section's says it all; show is
 *                "always", "asked" (where the section was asked for by name) or "never" (for programs);
 *                columns [{key, label, unit}], the units those of enum unit; rows [{key: value}], null or missing
 *                where there is none
 *     notes      [text]: how to read it
 *     absent     true: the trace has nothing of the kind, so a report may leave it out
 *
 * Only what is there appears. Calls need no check: a lack of memory is kept and makes result_end return NULL.
 */
#ifndef TAT_ANALYSIS_RESULT_H
#define TAT_ANALYSIS_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum unit {
    UNIT_TEXT,
    UNIT_NUMBER, /* names something, such as a layer */
    UNIT_COUNT,
    UNIT_BYTES,
    UNIT_NS,
    UNIT_SHARE,      /* of 1 */
    UNIT_PER_SECOND, /* a rate */
    UNIT_FACTOR,
    UNIT_INDEX,       /* from 0 to 1, but not a share of anything: two digits */
    UNIT_SHARES,      /* an array of shares */
    UNIT_CHANGE,      /* of 1, more or less */
    UNIT_CORRELATION, /* from -1 to 1 */
    UNIT_KINDS
};
const char * unit_name(enum unit unit);

struct result_column {
    const char * key;
    const char * label;
    enum unit unit;
};

enum show { SHOW_ALWAYS, SHOW_ASKED, SHOW_NEVER };

struct result {
    json_t * json;
    json_t * rows; /* of the newest table */
    bool failed;
};

/* JSON is UTF-8; names and paths need not be: then, question marks stand for what is not ASCII. NULL: no memory. */
json_t * result_text(const char * bytes);

void result_begin(struct result * r, const char * title);
json_t * result_end(struct result * r); /* the caller owns it; NULL: no memory */

void result_title(struct result * r, const char * format, ...) __attribute__((format(printf, 2, 3))); /* another */

/* Text may hold any bytes; invalid UTF-8 shows as question marks. */
void result_headline(struct result * r, const char * format, ...) __attribute__((format(printf, 2, 3)));
void result_line(struct result * r, const char * label, const char * format, ...) __attribute__((format(printf, 3, 4)));
void result_note(struct result * r, const char * format, ...) __attribute__((format(printf, 2, 3)));

/* A question as people ask it, and a sentence with figures that answers it: `tat report --questions`. */
void result_answer(struct result * r, const char * question, const char * format, ...)
    __attribute__((format(printf, 3, 4)));

void result_absent(struct result * r);
json_t * result_values(struct result * r); /* the `values` object, for result_put_* */

/* Begins a table; `title` may be NULL. Rows go to the table begun last. */
void result_table(struct result * r, const char * name, const char * title, enum show show,
                  const struct result_column * columns, size_t count);
json_t * result_row(struct result * r); /* begins a row; it and result_values may be NULL, which result_put_* take */

void result_put(struct result * r, json_t * object, const char * key, json_t * value); /* takes over `value` */
void result_put_text(struct result * r, json_t * object, const char * key, const char * text);
void result_put_count(struct result * r, json_t * object, const char * key, uint64_t count);
void result_put_real(struct result * r, json_t * object, const char * key, double value);
void result_put_layer(struct result * r, json_t * object, const char * key, uint32_t layer); /* null for TAT_NO_LAYER */

/* a / b, or 0 if b is 0. */
double ratio(uint64_t a, uint64_t b);

#endif
