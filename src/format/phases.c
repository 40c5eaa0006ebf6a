/* SPDX-License-Identifier: MIT */
#include "format/phases.h"

#include "format/graph_result.h"
#include "format/rows_from.h"
#include "format/trace.h"

/* What the graph and the captures of an evaluation show. */
struct ubatch {
    const struct tat_template * t;
    const int64_t * positions; /* NULL: not recorded for all rows */
    uint32_t rows, outputs;
    bool has_result;             /* the graph has a result, and `outputs` counts it; else it is a piece of a ubatch */
    bool is_text;                /* the results are embeddings, of an encoder or of a text as a whole */
    uint32_t stretches, longest; /* number and length of rows that follow each other in one sequence */
};

static uint32_t capture_of(const struct tat_template * t, enum tat_capture_kind kind, uint32_t from) {
    while (from < t->n_captures && t->captures[from].kind != kind) { from++; }
    return from;
}

/* The positions of so many rows. NULL: not recorded for all. */
static const int64_t * read_positions(const struct tat_trace * trace, uint32_t evaluation,
                                      const struct tat_template * t, uint32_t rows, int64_t * memory) {
    const uint32_t c = capture_of(t, TAT_CAPTURE_POSITIONS, 0);
    if (rows > PHASE_ROWS || c == t->n_captures) { return NULL; }
    return tat_trace_capture(trace, evaluation, c, memory, rows) < rows ? NULL : memory;
}

/* ---- ids ---- */

static uint64_t add_id(uint64_t hash, int64_t id) {
    return (hash ^ (uint64_t) id) * UINT64_C(0x100000001b3);
}

/* A hash of the ids of the first `count` rows, which are few. False: the ids were not recorded. */
static bool hash_ids(const struct tat_trace * trace, uint32_t evaluation, const struct ubatch * u, uint32_t count,
                     uint64_t * hash) {
    const struct tat_tensor * tensors = LIST(struct tat_tensor, trace->tensors);
    int64_t ids[PHASE_DRAFT];
    for (uint32_t c = 0; (c = capture_of(u->t, TAT_CAPTURE_ROWS, c)) < u->t->n_captures; c++) {
        if (!picks_tokens(u->t, tensors, &u->t->entries[u->t->n_leaves + u->t->captures[c].node])) { continue; }
        if (u->rows > PHASE_DRAFT || tat_trace_capture(trace, evaluation, c, ids, u->rows) != u->rows) { return false; }
        for (uint32_t i = 0; i < count; i++) { *hash = add_id(*hash, ids[i]); }
        return true;
    }
    return false;
}

/* ---- sequences ---- */

/* The cells that each row sees. */
struct mask {
    const int64_t * row[PHASE_DRAFT]; /* skipped, seen, skipped, seen, ... the last of these 0 */
    uint32_t rows, rows_of_stream;
};

static bool read_mask(const struct tat_trace * trace, uint32_t evaluation, const struct ubatch * u, int64_t * memory,
                      struct mask * mask) {
    const uint32_t c = capture_of(u->t, TAT_CAPTURE_MASK, 0);
    if (c == u->t->n_captures || u->rows > PHASE_DRAFT) { return false; }
    const size_t count = tat_trace_capture(trace, evaluation, c, memory, PHASE_MASK);
    if (count > PHASE_MASK) { return false; }
    mask->rows = 0;
    for (size_t from = 0, i = 1; i < count; i += 2) {
        if (memory[i]) { continue; }
        if (mask->rows == PHASE_DRAFT) { return false; }
        mask->row[mask->rows++] = &memory[from];
        from = i + 1;
    }
    const uint64_t streams = u->t->entries[u->t->captures[c].entry].ne[3];
    mask->rows_of_stream = streams > 0 && streams <= mask->rows ? (uint32_t) (mask->rows / streams) : 1;
    return mask->rows == u->rows;
}

/* True if a row sees all that the row before it sees, as later rows of a sequence do. */
static bool sees_all(const int64_t * before, const int64_t * row) {
    uint64_t from = (uint64_t) before[0], have = (uint64_t) row[0];
    for (; before[1]; from += (uint64_t) before[1], before += 2, from += (uint64_t) before[0]) {
        while (row[1] && have + (uint64_t) row[1] <= from) {
            have += (uint64_t) row[1];
            row += 2;
            have += (uint64_t) row[0];
        }
        if (!row[1] || from < have || from + (uint64_t) before[1] > have + (uint64_t) row[1]) { return false; }
    }
    return true;
}

static void count_stretches(const struct tat_trace * trace, uint32_t evaluation, struct ubatch * u, int64_t * memory) {
    struct mask mask;
    u->stretches = 1;
    u->longest = u->rows;
    if (!u->positions || u->rows < 2) { return; }
    const bool all = u->has_result && u->outputs == u->rows;
    const bool is_masked = all && read_mask(trace, evaluation, u, memory, &mask);
    uint32_t length = 1;
    u->longest = 1;
    for (uint32_t i = 1; i < u->rows; i++) {
        bool follows = u->positions[i - 1] < INT64_MAX && u->positions[i] == u->positions[i - 1] + 1;
        if (follows && is_masked) { follows = i % mask.rows_of_stream && sees_all(mask.row[i - 1], mask.row[i]); }
        length = follows ? length + 1 : 1;
        u->stretches += !follows;
        if (length > u->longest) { u->longest = length; }
    }
}

/* The position after another; -1: unknown. */
static int64_t behind(int64_t position) {
    return position >= 0 && position < INT64_MAX ? position + 1 : -1;
}

/* ---- one row ---- */

static enum tat_phase phase_of_row(const struct ubatch * u, struct progress * p) {
    const int64_t at = u->positions ? u->positions[0] : -1;
    if ((u->has_result && u->outputs == 0) || at == 0) { return TAT_PHASE_PROMPT; }
    if (p->phase == TAT_PHASE_COUNT) { return at > 0 ? TAT_PHASE_UNKNOWN : TAT_PHASE_PROMPT; }
    const bool jumps = at >= 0 && p->next >= 0 && at != p->next;
    if (p->outputs == 0) { /* the rest of a prompt, but for another sequence */
        p->several |= jumps;
        return jumps ? TAT_PHASE_GENERATE : TAT_PHASE_PROMPT;
    }
    p->several |= jumps && at > p->next;
    const bool again = at >= 0 && at < p->lowest && at != p->resume && !p->several; /* a prompt's row, read again */
    return again ? TAT_PHASE_PROMPT : TAT_PHASE_GENERATE;
}

/* ---- several rows of one sequence ---- */

/* Once its proposal has been checked, a draft model goes over it again: the same tokens at the same positions. */
static bool retraces(const struct progress * p, const struct ubatch * u) {
    return u->outputs == 1 && u->positions && p->phase == TAT_PHASE_GENERATE && p->run_rows > 0 &&
           u->positions[0] == p->run_first && (u->rows == p->run_rows || u->rows == p->run_rows + 1);
}

static enum tat_phase phase_of_retraced(const struct tat_trace * trace, uint32_t evaluation, const struct progress * p,
                                        const struct ubatch * u) {
    uint64_t hash = 0;
    if (!p->run_has_ids || !hash_ids(trace, evaluation, u, p->run_rows, &hash)) { return TAT_PHASE_UNKNOWN; }
    return hash == p->run_ids ? TAT_PHASE_VERIFY : TAT_PHASE_PROMPT;
}

/* Each row has an output, right after a prompt: a draft is checked, or the prompt goes on and all its logits are
 * wanted. */
static enum tat_phase phase_behind_prompt(const struct progress * p, const struct ubatch * u, uint32_t calls) {
    const bool had_all = p->outputs == p->rows && p->rows > 1;
    if (u->positions[0] != p->next) { return p->several ? TAT_PHASE_VERIFY : TAT_PHASE_PROMPT; }
    if (p->outputs && !had_all) { return TAT_PHASE_VERIFY; }
    if (had_all ? u->rows > p->rows : u->rows != p->rows) { return TAT_PHASE_VERIFY; }
    if (calls && calls == p->calls) { return TAT_PHASE_PROMPT; }
    return calls && !had_all ? TAT_PHASE_VERIFY : TAT_PHASE_UNKNOWN;
}

/* Each row has an output: a draft is checked, or somebody wants to know how likely a text is. */
static enum tat_phase phase_of_logits(const struct progress * p, const struct ubatch * u, uint32_t calls) {
    if (p->phase == TAT_PHASE_COUNT) { return TAT_PHASE_PROMPT; }
    if (!u->positions) { return u->rows > PHASE_DRAFT ? TAT_PHASE_PROMPT : TAT_PHASE_UNKNOWN; }
    const int64_t at = u->positions[0];
    const bool follows = at == p->next;
    if (at == 0) { return TAT_PHASE_PROMPT; }
    if (u->rows > PHASE_DRAFT) {
        return follows && p->phase != TAT_PHASE_PROMPT ? TAT_PHASE_UNKNOWN : TAT_PHASE_PROMPT;
    }
    if (p->phase == TAT_PHASE_PROMPT) { return phase_behind_prompt(p, u, calls); }
    const bool was_draft = p->phase == TAT_PHASE_VERIFY || p->phase == TAT_PHASE_UNKNOWN;
    const bool within = was_draft && p->first >= 0 && at >= p->first && at < p->next;
    return follows || within || p->several ? TAT_PHASE_VERIFY : TAT_PHASE_PROMPT;
}

static enum tat_phase phase_of_stretch(const struct tat_trace * trace, uint32_t evaluation, const struct progress * p,
                                       const struct ubatch * u, uint32_t calls) {
    if (!u->has_result) {
        const bool drafts = p->phase == TAT_PHASE_GENERATE || p->phase == TAT_PHASE_VERIFY;
        const bool follows = u->positions && u->positions[0] == p->next && u->rows <= PHASE_DRAFT;
        return drafts && follows ? TAT_PHASE_UNKNOWN : TAT_PHASE_PROMPT;
    }
    if (u->outputs == u->rows) { return phase_of_logits(p, u, calls); }
    if (retraces(p, u)) { return phase_of_retraced(trace, evaluation, p, u); }
    return u->outputs > 1 && !u->positions ? TAT_PHASE_MIXED : TAT_PHASE_PROMPT;
}

/* ---- all ---- */

static enum tat_phase phase_of(const struct tat_trace * trace, uint32_t evaluation, struct progress * p,
                               const struct ubatch * u, uint32_t calls) {
    if (u->is_text) { return TAT_PHASE_PROMPT; }
    if (u->rows == 1) { return phase_of_row(u, p); }
    if (u->has_result && u->outputs == 0) { return TAT_PHASE_PROMPT; }
    if (u->stretches == 1) { return phase_of_stretch(trace, evaluation, p, u, calls); }
    p->several = true;
    if (!u->has_result) { return TAT_PHASE_UNKNOWN; }
    if (u->outputs < u->rows) { return TAT_PHASE_MIXED; }
    return u->longest == 1 ? TAT_PHASE_GENERATE : TAT_PHASE_VERIFY;
}

/* Follows generated tokens that come one by one, as long as positions do not jump. */
static void extend_run(const struct tat_trace * trace, uint32_t evaluation, struct progress * p,
                       const struct ubatch * u) {
    const int64_t at = u->positions ? u->positions[0] : -1;
    if (p->run_rows == 0 || at != p->next) {
        p->run_first = at;
        p->run_ids = p->run_rows = 0;
        p->run_has_ids = true;
    }
    if (p->run_rows < PHASE_DRAFT) {
        p->run_has_ids = p->run_has_ids && hash_ids(trace, evaluation, u, 1, &p->run_ids);
        p->run_rows++;
    }
    p->resume = behind(at);
}

static void advance(const struct tat_trace * trace, uint32_t evaluation, struct progress * p, const struct ubatch * u,
                    enum tat_phase phase, uint32_t calls) {
    const int64_t first = u->positions ? u->positions[0] : -1;
    const int64_t next = behind(u->positions ? u->positions[u->rows - 1] : -1);
    if (phase == TAT_PHASE_GENERATE && u->rows == 1) {
        extend_run(trace, evaluation, p, u);
    } else {
        p->run_rows = 0;
    }
    if (phase == TAT_PHASE_PROMPT) { p->lowest = next; }
    if (phase == TAT_PHASE_VERIFY || phase == TAT_PHASE_UNKNOWN) { p->lowest = behind(first); }
    p->phase = (uint8_t) phase;
    p->first = first;
    p->next = next;
    p->rows = u->rows;
    p->outputs = u->has_result ? u->outputs : u->rows;
    p->calls = calls;
    p->evaluation = evaluation;
}

static struct ubatch look_at(const struct tat_trace * trace, const struct tat_evaluation * e, uint32_t evaluation,
                             int64_t * memory) {
    const struct tat_template * t = &LIST(struct tat_template, trace->templates)[e->template_id];
    const enum graph_result result = graph_result_of(t, LIST(struct tat_tensor, trace->tensors));
    struct ubatch u = { .t = t, .rows = e->n_tokens, .outputs = e->n_outputs };
    u.has_result = result != RESULT_NONE;
    u.is_text = result == RESULT_TEXT;
    u.positions = read_positions(trace, evaluation, t, e->n_tokens, memory);
    count_stretches(trace, evaluation, &u, memory + (u.positions ? e->n_tokens : 0));
    return u;
}

/* A graph without tokens may have shifted the cache and with it all positions. Or it is a piece of a ubatch whose first
 * piece did not tell positions. */
static void see_others(const struct tat_trace * trace, const struct tat_evaluation * e, uint32_t evaluation,
                       struct progress * p, struct progress * pieces, int64_t * memory) {
    const struct tat_template * t = &LIST(struct tat_template, trace->templates)[e->template_id];
    p->lowest = p->resume = -1;
    if (pieces->phase == TAT_PHASE_COUNT || pieces->first >= 0) { return; }
    const int64_t * positions = read_positions(trace, evaluation, t, pieces->rows, memory);
    if (!positions) { return; }
    pieces->first = positions[0];
    pieces->next = behind(positions[pieces->rows - 1]);
    if (pieces->phase == TAT_PHASE_PROMPT) { pieces->lowest = pieces->next; }
}

/* A graph continues where pieces of a ubatch ended whose contexts are not known. */
static void go_on(struct progress * p, const struct progress * pieces, const struct ubatch * u) {
    const bool is_later = p->phase == TAT_PHASE_COUNT || pieces->evaluation > p->evaluation;
    if (pieces->phase == TAT_PHASE_COUNT || !is_later || !u->positions || u->positions[0] != pieces->next) { return; }
    const struct progress own = *p;
    *p = *pieces;
    p->tokens = own.tokens;
    p->several = own.several;
    p->run_rows = 0;
}

void phase_set(const struct tat_trace * trace, struct tat_evaluation * e, uint32_t evaluation, struct progress * p,
               struct progress * pieces, uint32_t calls, int64_t * memory) {
    e->token_first = p->tokens;
    e->phase = TAT_PHASE_OTHER;
    if (e->n_tokens == 0) {
        see_others(trace, e, evaluation, p, pieces, memory);
        return;
    }
    const struct ubatch u = look_at(trace, e, evaluation, memory);
    struct progress * of = u.has_result ? p : pieces;
    if (u.has_result) { go_on(p, pieces, &u); }
    e->phase = phase_of(trace, evaluation, of, &u, calls);
    p->tokens += e->n_tokens;
    advance(trace, evaluation, of, &u, e->phase, calls);
}
