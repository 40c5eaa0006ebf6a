/* SPDX-License-Identifier: MIT
 *
 * A format is letters after percent signs, with widths, among other characters. Spaces stand for any number of them,
 * because widths pad.
 */
#include "blocktrace/line_format.h"

#include <string.h>
#include <sys/sysmacros.h>

#include "blocktrace/text.h"
#include "io/requests.h"

enum { NS = 1000000000 };

/* What a line says. */
struct said {
    uint64_t seconds, ns, sector, sectors, bytes, pid, major, minor, disk, error;
    bool has_disk, has_sectors, has_bytes;
    char action;
    struct word letters;
};

/* The next letter of the format and what comes after it; 0: the format ends, or goes on with another character. */
static char next_letter(const char ** format) {
    const char * at = *format;
    if (*at != '%') { return 0; }
    at++;
    while (*at == '-' || (*at >= '0' && *at <= '9')) { at++; }
    if (!*at) { return 0; }
    *format = at + 1;
    return *at;
}

int line_format_check(const char * format, struct tat_error * error) {
    char has[256] = { 0 };
    for (const char * at = format; *at;) {
        const char letter = next_letter(&at);
        if (letter) {
            has[(unsigned char) letter] = 1;
        } else {
            at++;
        }
    }
    const char * missing = !has['a']                ? "%a (the action)"
                           : !has['S']              ? "%S (the sector)"
                           : !has['n'] && !has['N'] ? "%n (sectors) or %N (bytes)"
                           : !has['d']              ? "%d (whether it reads or writes)"
                           : !has['T'] || !has['t'] ? "%T.%t (the time)"
                                                    : NULL;
    if (!missing) { return 0; }
    return tat_fail(error, TAT_ERROR_USAGE,
                    "--blktrace-format '%s': needs %s, as in '%%D %%T.%%t %%p %%a %%d %%S + %%n'", format, missing);
}

/* A word up to a space, or up to the character that comes next in the format. */
static struct word field(const char ** at, const char * end, char stop) {
    struct word word;
    while (*at < end && **at == ' ') { ++*at; }
    word.at = *at;
    while (*at < end && **at != ' ' && **at != '\t' && (**at != stop || stop == '%')) { ++*at; }
    word.end = *at;
    return word;
}

static bool take_field(struct said * s, char letter, struct word word) {
    switch (letter) {
        case 'a': s->action = word.end - word.at == 1 ? *word.at : '-'; return word.at < word.end;
        case 'd': s->letters = word; return word.at < word.end;
        case 'D': s->has_disk = text_disk(word, &s->disk); return s->has_disk;
        case 'M': return text_number(word, &s->major);
        case 'm': s->has_disk = text_number(word, &s->minor); return s->has_disk;
        case 'S': return text_number(word, &s->sector);
        case 'n': s->has_sectors = text_number(word, &s->sectors); return s->has_sectors;
        case 'N': s->has_bytes = text_number(word, &s->bytes); return s->has_bytes;
        case 'T': return text_number(word, &s->seconds);
        case 't': return text_number(word, &s->ns);
        case 'p': return text_number(word, &s->pid);
        case 'e': return text_number(word, &s->error) || (word.at < word.end && *word.at == '-' && (s->error = 1));
        default: return true;
    }
}

static bool scan(const char * format, const char * at, const char * end, struct said * s) {
    while (*format && *format != '\n') {
        if (*format == '\\' && format[1] == 'n') { break; } /* as it is written in a shell */
        const char letter = next_letter(&format);
        if (letter == 'C' || letter == 'P') { return true; } /* may have spaces; nothing that counts is behind it */
        if (letter) {
            if (!take_field(s, letter, field(&at, end, *format))) { return false; }
        } else if (*format == ' ') {
            while (at < end && (*at == ' ' || *at == '\t')) { at++; }
            format++;
        } else {
            if (at == end || *at != *format) { return false; }
            at++;
            format++;
        }
    }
    return true;
}

void line_format_read(struct block_reader * r, const char * line, size_t length) {
    struct said s = { 0 };
    const char * end = line + length;
    uint32_t flags = 0;
    while (length && (end[-1] == '\r' || end[-1] == ' ')) { end--, length--; }
    if (!scan(r->options->line_format, line, end, &s)) {
        if (length && *line >= '0' && *line <= '9') {
            block_damaged(r, r->line);
        } else {
            r->trace->other_lines++;
        }
        return;
    }
    r->trace->seen[BLOCK_BLKPARSE] = true;
    struct block_event e = { .pid = s.pid <= UINT32_MAX ? (uint32_t) s.pid : 0 };
    switch (s.action) {
        case 'Q': e.kind = BLOCK_QUEUE; break;
        case 'D': e.kind = BLOCK_ISSUE; break;
        case 'R': e.kind = BLOCK_REQUEUE; break;
        case 'C': e.kind = BLOCK_COMPLETE; break;
        default: r->trace->other_lines++; return;
    }
    e.bytes = s.has_bytes ? s.bytes : s.sectors * BLOCK_SECTOR;
    const bool sane = s.sectors <= UINT32_MAX && block_is_sane(s.sector, e.bytes) && s.seconds < INT64_MAX / NS / 2 &&
                      s.ns < NS && s.major < 1 << 12 && s.minor < 1 << 20;
    if (!sane) {
        block_damaged(r, r->line);
        return;
    }
    if (!request_flags(s.letters.at, (size_t) (s.letters.end - s.letters.at), &flags)) {
        r->trace->other_lines++;
        return;
    }
    e.flags = (uint8_t) (flags | (s.error && e.kind == BLOCK_COMPLETE ? TAT_IO_FAILED : 0u));
    e.ns = s.seconds * NS + s.ns;
    e.offset = s.sector * BLOCK_SECTOR;
    if (!s.disk && s.has_disk) { s.disk = makedev((unsigned) s.major, (unsigned) s.minor); }
    e.disk = s.has_disk ? block_disk_numbered(r, s.disk) : block_disk_named(r, "", 0);
    block_add(r, &e);
}
