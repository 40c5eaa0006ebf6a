/* SPDX-License-Identifier: MIT
 *
 * I/O events by what they were for and by what ran, as JSON and for people.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "cli/correlate.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"

const char * event_kind_name(enum event_kind kind) {
    static const char * const names[EVENT_KINDS] = { "faults", "requests", "pages" };
    return kind < EVENT_KINDS ? names[kind] : NULL;
}

const struct tat_placed * events_of(const struct correlated * c, enum event_kind kind, size_t * count) {
    const struct tat_storage * s = &c->storage;
    *count = kind == EVENT_FAULTS ? s->n_faults : kind == EVENT_REQUESTS ? s->n_requests : s->n_pages;
    return kind == EVENT_FAULTS ? s->faults : kind == EVENT_REQUESTS ? s->requests : s->pages;
}

bool place_is_matched(enum tat_place place) {
    switch (place) {
        case TAT_PLACE_OPERATION:
        case TAT_PLACE_AHEAD:
        case TAT_PLACE_OUTSIDE:
        case TAT_PLACE_LOADED:
        case TAT_PLACE_HEADER:
        case TAT_PLACE_IN_VAIN: return true;
        default: return false;
    }
}

uint64_t wait_of(const struct correlated * c, enum event_kind kind, const struct tat_placed * p) {
    if (kind != EVENT_FAULTS || p->event >= c->io->n_faults) { return 0; }
    const struct tat_io_fault * f = &c->io->faults[p->event];
    return f->duration_ns - f->preempted_ns;
}

/* ---- sums ---- */

struct sum {
    uint64_t count; /* events; of a place and a time, a request counts where most of its bytes are */
    uint64_t parts; /* of events: as many as there are rows of them */
    uint64_t bytes, wait_ns, major;
    uint32_t last; /* event + 1 */
};

struct sums {
    struct sum at[TAT_PLACES][TAT_WHENS];
    struct sum all, matched, model, model_matched; /* model: in the bytes of a model's file */
};

static void add_part(struct sum * s, const struct correlated * c, enum event_kind kind, const struct tat_placed * p) {
    s->parts++;
    s->bytes += p->bytes;
    s->wait_ns += wait_of(c, kind, p);
    if (kind == EVENT_FAULTS) { s->major += (c->io->faults[p->event].flags & TAT_IO_MAJOR) != 0; }
}

static void add(struct sum * s, const struct correlated * c, enum event_kind kind, const struct tat_placed * p) {
    const bool again = s->last == p->event + 1; /* parts of one event are neighbours */
    s->last = p->event + 1;
    if (kind == EVENT_PAGES || !again) { s->count++; }
    add_part(s, c, kind, p);
}

/* Of the request that has the part `first`, the largest that was chosen: there the request counts. */
static size_t largest_part(const struct correlated * c, const struct tat_placed * events, size_t n, size_t first) {
    size_t most = first;
    for (size_t i = first; i < n && events[i].event == events[first].event; i++) {
        if (is_chosen(c, EVENT_REQUESTS, i) && events[i].bytes > events[most].bytes) { most = i; }
    }
    return most;
}

static struct sums sum_up(const struct correlated * c, enum event_kind kind) {
    struct sums s = { 0 };
    size_t n;
    const struct tat_placed * events = events_of(c, kind, &n);
    for (size_t i = 0, most = 0; i < n; i++) {
        const struct tat_placed * p = &events[i];
        if (!is_chosen(c, kind, i) || p->place >= TAT_PLACES || p->when >= TAT_WHENS) { continue; }
        const bool matched = place_is_matched(p->place);
        struct sum * at = &s.at[p->place][p->when];
        if (kind == EVENT_REQUESTS && s.all.last != p->event + 1) { most = largest_part(c, events, n, i); }
        at->count += kind != EVENT_REQUESTS || i == most;
        add_part(at, c, kind, p);
        add(&s.all, c, kind, p);
        if (matched) { add(&s.matched, c, kind, p); }
        if (p->file) { add(&s.model, c, kind, p); }
        if (p->file && matched) { add(&s.model_matched, c, kind, p); }
    }
    return s;
}

/* ---- the time of requests ---- */

struct span {
    int64_t begin, end;
};

static int by_begin(const void * a, const void * b) {
    const struct span *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* How long there was at least one request, and what their times come to when they are added. */
struct busy {
    uint64_t union_ns, sum_ns;
};

static struct busy busy_with(const struct correlated * c) {
    struct busy busy = { 0 };
    size_t n, spans_count = 0;
    const struct tat_placed * events = events_of(c, EVENT_REQUESTS, &n);
    struct span * spans = malloc((n + 1) * sizeof *spans);
    uint32_t last = 0; /* event + 1 */
    for (size_t i = 0; i < n && spans; i++) {
        if (!is_chosen(c, EVENT_REQUESTS, i) || last == events[i].event + 1) { continue; }
        last = events[i].event + 1;
        if (events[i].end_ns > events[i].begin_ns) {
            spans[spans_count++] = (struct span){ events[i].begin_ns, events[i].end_ns };
        }
    }
    if (spans_count) { qsort(spans, spans_count, sizeof *spans, by_begin); }
    for (size_t i = 0; i < spans_count; i++) {
        const int64_t until = i ? spans[i - 1].end : INT64_MIN; /* of all before */
        const int64_t from = spans[i].begin > until ? spans[i].begin : until;
        busy.sum_ns += (uint64_t) (spans[i].end - spans[i].begin);
        if (spans[i].end > from) { busy.union_ns += (uint64_t) (spans[i].end - from); }
        if (spans[i].end < until) { spans[i].end = until; }
    }
    free(spans);
    return busy;
}

/* Faults are counted, and what was read is weighed. */
static uint64_t weight_of(enum event_kind kind, const struct sum * s) {
    return kind == EVENT_FAULTS ? s->count : s->bytes;
}

static double share(uint64_t part, uint64_t whole) {
    return whole ? (double) part / (double) whole : 0;
}

/* ---- JSON ---- */

static json_t * sum_json(enum event_kind kind, const struct sum * s) {
    if (kind == EVENT_FAULTS) {
        return json_pack("{s:I, s:I, s:I}", "count", (json_int_t) s->count, "major", (json_int_t) s->major, "wait_ns",
                         (json_int_t) s->wait_ns);
    }
    return json_pack("{s:I, s:I}", "count", (json_int_t) s->count, "bytes", (json_int_t) s->bytes);
}

static void put_share(json_t * object, const char * name, uint64_t part, uint64_t whole) {
    json_object_set_new(object, name, whole ? json_real(share(part, whole)) : json_null());
}

static json_t * kind_json(const struct correlated * c, enum event_kind kind) {
    const struct sums s = sum_up(c, kind);
    json_t *object = sum_json(kind, &s.all), *rows = json_array();
    for (int place = 0; place < TAT_PLACES; place++) {
        for (int when = 0; when < TAT_WHENS; when++) {
            if (!s.at[place][when].parts) { continue; }
            json_t * row = sum_json(kind, &s.at[place][when]);
            if (kind == EVENT_REQUESTS) {
                json_object_set_new(row, "parts", json_integer((json_int_t) s.at[place][when].parts));
            }
            json_object_set_new(row, "place", json_string(tat_place_name(place)));
            json_object_set_new(row, "while", json_string(tat_when_name(when)));
            json_object_set_new(row, "matched", json_boolean(place_is_matched(place)));
            json_array_append_new(rows, row);
        }
    }
    json_object_set_new(object, "matched", sum_json(kind, &s.matched));
    json_object_set_new(object, "in_model", sum_json(kind, &s.model));
    json_object_set_new(object, "matched_in_model", sum_json(kind, &s.model_matched));
    put_share(object, "matched_share", weight_of(kind, &s.matched), weight_of(kind, &s.all));
    put_share(object, "placed_share", weight_of(kind, &s.model_matched), weight_of(kind, &s.model));
    if (kind == EVENT_REQUESTS) {
        const struct busy busy = busy_with(c);
        json_object_set_new(object, "busy_ns", json_integer((json_int_t) busy.union_ns));
        json_object_set_new(object, "sum_ns", json_integer((json_int_t) busy.sum_ns));
    }
    json_object_set_new(object, "rows", rows);
    return object;
}

static json_t * disks_json(const struct block_import * b) {
    json_t * array = json_array();
    for (size_t i = 0; i < b->blocks.n_disks; i++) {
        const struct block_disk * d = &b->blocks.disks[i];
        char number[32];
        snprintf(number, sizeof number, "%u:%u", major(d->number), minor(d->number));
        json_array_append_new(array, json_pack("{s:s?, s:s?, s:I, s:I, s:b}", "number", d->number ? number : NULL,
                                               "name", *d->name ? d->name : NULL, "requests", (json_int_t) d->requests,
                                               "read_bytes", (json_int_t) d->read_bytes, "model", i == b->disk));
    }
    return array;
}

static json_t * formats_json(const struct block_trace * t) {
    json_t * array = json_array();
    for (int f = 0; f < BLOCK_FORMATS; f++) {
        if (t->seen[f]) { json_array_append_new(array, json_string(block_format_name(f))); }
    }
    return array;
}

static json_t * import_json(const struct block_import * b) {
    const struct block_trace * t = &b->blocks;
    json_t * object = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "formats", formats_json(t),
                                "events", (json_int_t) t->events, "requests", (json_int_t) t->n_requests,
                                "without_beginning", (json_int_t) t->unbegun, "without_end", (json_int_t) t->unfinished,
                                "requeued", (json_int_t) t->requeued, "issued_again", (json_int_t) t->reissued,
                                "completed_in_parts", (json_int_t) t->parts, "lost_events", (json_int_t) t->lost,
                                "damaged", (json_int_t) t->damaged, "disks", disks_json(b));
    json_t * clock = json_pack("{s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "anchor", anchor_name(b->anchor),
                               "offset_ns", (json_int_t) b->offset_ns, "model_faults", (json_int_t) b->faults,
                               "model_faults_read", (json_int_t) b->faults_covered, "model_faults_overlapping",
                               (json_int_t) b->faults_overlapping, "reads", (json_int_t) b->reads, "reads_in_run",
                               (json_int_t) b->reads_in_run, "before_clock", (json_int_t) b->before);
    json_object_set_new(clock, "own_requests", json_integer((json_int_t) b->own));
    json_object_set_new(clock, "own_requests_overlapping", json_integer((json_int_t) b->own_overlapping));
    put_share(clock, "overlapping_share", b->faults_overlapping, b->faults);
    json_object_set_new(object, "clock", clock);
    return object;
}

json_t * correlate_json(const struct correlated * c) {
    json_t * object = json_pack("{s:s, s:b, s:b}", "trace", c->path, "recorded", c->recorded, "cut", c->storage.cut);
    if (!object) { object = json_pack("{s:n, s:b, s:b}", "trace", "recorded", c->recorded, "cut", c->storage.cut); }
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        json_object_set_new(object, event_kind_name(kind), kind_json(c, kind));
    }
    json_object_set_new(object, "lost_events", json_integer((json_int_t) c->io->lost));
    json_object_set_new(object, "mismatch", c->mismatch ? json_string(c->mismatch) : json_null());
    json_object_set_new(object, "blktrace", c->import ? import_json(c->import) : json_null());
    return object;
}

/* ---- for people ---- */

static void say_heading(const struct correlated * c, enum event_kind kind, const struct sums * s, FILE * out) {
    char text[4][UNITS_SIZE];
    const char *bold = style(out, STYLE_BOLD), *plain = style(out, STYLE_PLAIN);
    const char * where = kind == EVENT_REQUESTS && c->import ? " in the block trace" : "";
    format_share(text[2], share(weight_of(kind, &s->matched), weight_of(kind, &s->all)));
    format_share(text[3], share(weight_of(kind, &s->model_matched), weight_of(kind, &s->model)));
    if (kind == EVENT_FAULTS) {
        fprintf(out, "%sPage faults: %s, of which %s waited for the disk%s\n", bold,
                format_count(text[0], s->all.count), format_count(text[1], s->all.major), plain);
    } else {
        fprintf(out, "%s%s%s: %s, of %s%s\n", bold,
                kind != EVENT_PAGES  ? "Requests to disks"
                : pages_were_seen(c) ? "Runs of pages that came into the page cache"
                                     : "Runs of pages that the requests read",
                where, format_count(text[0], s->all.count), format_bytes(text[1], s->all.bytes), plain);
    }
    fprintf(out, "matched: %s of %s%s", text[2], kind == EVENT_FAULTS ? "them" : "the bytes",
            weight_of(kind, &s->model) ? "" : "\n");
    if (weight_of(kind, &s->model)) { fprintf(out, "; of those in the model's file, %s\n", text[3]); }
    if (kind == EVENT_REQUESTS) {
        const struct busy busy = busy_with(c);
        fprintf(out, "for %s there was at least one of them; their times add up to %s\n",
                format_duration(text[0], busy.union_ns), format_duration(text[1], busy.sum_ns));
        fprintf(
            out,
            "A request counts once, where most of its bytes are; it has a part for each weight that it reads of.\n");
    }
}

/* Two columns and the figures of each kind. */
static struct table * table_of(enum event_kind kind, const char * first, struct column second) {
    static const char * const figures[EVENT_KINDS][5] = {
        [EVENT_FAULTS] = { "FAULTS", "OF FAULTS", "WAITED" },
        [EVENT_REQUESTS] = { "REQUESTS", "PARTS", "BYTES", "OF BYTES" },
        [EVENT_PAGES] = { "RUNS", "BYTES", "OF BYTES" },
    };
    struct column columns[2 + 5] = { { .name = first }, second };
    size_t n = 2;
    for (size_t i = 0; figures[kind][i]; i++) {
        columns[n++] = (struct column){ .name = figures[kind][i], .right = true };
    }
    return table_new(columns, n);
}

static void put_row(struct table * table, enum event_kind kind, const char * first, const char * second,
                    const struct sum * s, const struct sum * all) {
    char count[UNITS_SIZE], parts[UNITS_SIZE], bytes[UNITS_SIZE], wait[UNITS_SIZE], of[UNITS_SIZE];
    format_count(count, s->count);
    format_count(parts, s->parts);
    format_bytes(bytes, s->bytes);
    format_duration(wait, s->wait_ns);
    format_share(of, share(weight_of(kind, s), weight_of(kind, all)));
    if (kind == EVENT_FAULTS) {
        table_row(table, (const char *[]){ first, second, count, of, wait });
    } else if (kind == EVENT_REQUESTS) {
        table_row(table, (const char *[]){ first, second, count, parts, bytes, of });
    } else {
        table_row(table, (const char *[]){ first, second, count, bytes, of });
    }
}

static void add_up(struct sum * to, const struct sum * one) {
    to->count += one->count;
    to->parts += one->parts;
    to->bytes += one->bytes;
    to->wait_ns += one->wait_ns;
}

static int print_places(enum event_kind kind, const struct sums * s, FILE * out) {
    struct table * table = table_of(kind, "FOR, OR WHY THAT IS UNKNOWN", (struct column){ .name = "MATCHED" });
    for (int place = 0; place < TAT_PLACES; place++) {
        struct sum all = { 0 };
        for (int when = 0; when < TAT_WHENS; when++) { add_up(&all, &s->at[place][when]); }
        if (!all.parts) { continue; }
        put_row(table, kind, tat_place_name(place), place_is_matched(place) ? "yes" : "no", &all, &s->all);
    }
    return table_print(table, out);
}

static int print_whens(enum event_kind kind, const struct sums * s, FILE * out) {
    struct table * table = table_of(kind, "WHILE", (struct column){ .name = "MATCHED", .right = true });
    for (int when = 0; when < TAT_WHENS; when++) {
        struct sum all = { 0 };
        uint64_t matched = 0;
        char text[UNITS_SIZE];
        for (int place = 0; place < TAT_PLACES; place++) {
            add_up(&all, &s->at[place][when]);
            matched += place_is_matched(place) ? weight_of(kind, &s->at[place][when]) : 0;
        }
        if (!all.parts) { continue; }
        put_row(table, kind, tat_when_name(when), format_share(text, share(matched, weight_of(kind, &all))), &all,
                &s->all);
    }
    return table_print(table, out);
}

static void say_clock(const struct block_import * b, FILE * out) {
    static const char * const how[ANCHORS] = {
        [ANCHOR_NONE] = "its times were taken as they are",
        [ANCHOR_WALL] = "by the time of day",
        [ANCHOR_REQUESTS] = "by the requests that the run recorded itself",
        [ANCHOR_FAULTS] = "by the faults that waited for its reads",
        [ANCHOR_FIRST_READ] = "by the first read of the model",
        [ANCHOR_TIMES] = "as given",
    };
    char text[4][UNITS_SIZE];
    fprintf(out, "Clock of the block trace: %s", how[b->anchor] ? how[b->anchor] : "unknown");
    if (b->offset_ns) { fprintf(out, ", %+.6f s added", (double) b->offset_ns / 1e9); }
    if (b->anchor == ANCHOR_FAULTS || b->anchor == ANCHOR_REQUESTS) {
        fprintf(out, " (%s agree to a millisecond; the best other answer has %s)", format_count(text[0], b->votes),
                format_count(text[1], b->rivals));
    }
    fputs(".\n", out);
    if (b->faults) {
        fprintf(out,
                "Of %s faults that waited in the model, %s overlap a read of their page; for %s there is a read at "
                "some time.\n",
                format_count(text[0], b->faults), format_share(text[1], share(b->faults_overlapping, b->faults)),
                format_share(text[2], share(b->faults_covered, b->faults)));
    }
    if (b->own) {
        fprintf(out, "Of %s requests for the model that the run recorded itself, %s overlap a read of their bytes.\n",
                format_count(text[0], b->own), format_share(text[1], share(b->own_overlapping, b->own)));
    }
    if (b->reads) {
        fprintf(out, "%s of %s reads of the model were while the run loaded or computed.\n",
                format_share(text[0], share(b->reads_in_run, b->reads)), format_count(text[1], b->reads));
    }
    fputc('\n', out);
}

int correlate_text(const struct correlated * c, FILE * out) {
    bool any = false;
    if (c->import) { say_clock(c->import, out); }
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        const struct sums s = sum_up(c, kind);
        if (!s.all.count) { continue; }
        if (any) { fputc('\n', out); }
        any = true;
        say_heading(c, kind, &s, out);
        fputc('\n', out);
        if (print_places(kind, &s, out) != 0) { return -1; }
        fputc('\n', out);
        if (print_whens(kind, &s, out) != 0) { return -1; }
    }
    return 0;
}
