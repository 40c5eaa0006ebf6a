/* SPDX-License-Identifier: MIT */
#include "analysis/verify/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void verify_add(struct verifier * v, const char * name, const char * what, enum tat_verdict verdict,
                const char * format, ...) {
    struct tat_verification * r = v->result;
    if (r->n_checks == TAT_CHECKS_MAX) { return; }
    struct tat_check * check = &r->check[r->n_checks++];
    *check = (struct tat_check){ .name = name, .what = what, .verdict = verdict };
    va_list args;
    va_start(args, format);
    vsnprintf(check->detail, sizeof check->detail, format, args);
    va_end(args);
    r->n_failed += verdict == TAT_VERDICT_FAIL;
}

/* ---- the file itself ---- */

static void check_file(struct verifier * v) {
    const struct tat_trace_summary * s = v->summary;
    const char * what = "every block is whole and makes sense";
    if (s->damaged_bytes || s->undecodable_blocks || s->orphan_evaluations) {
        verify_add(v, "file", what, TAT_VERDICT_FAIL,
                   "%" PRIu64 " bytes damaged, %" PRIu32 " blocks that make no sense, %" PRIu32
                   " evaluations whose graph was lost",
                   s->damaged_bytes, s->undecodable_blocks, s->orphan_evaluations);
        return;
    }
    uint32_t blocks = 0;
    for (int type = 0; type <= TAT_BLOCK_END; type++) { blocks += s->n_blocks[type]; }
    char unknown[64] = "";
    if (s->unknown_blocks) {
        snprintf(unknown, sizeof unknown, ", %" PRIu32 " of kinds that only a later tat knows", s->unknown_blocks);
    }
    verify_add(v, "file", what, TAT_VERDICT_PASS, "%" PRIu32 " blocks, %" PRIu64 " bytes%s", blocks, s->used_bytes,
               unknown);
}

static void check_end(struct verifier * v) {
    if (v->summary->ended) {
        verify_add(v, "end", "the process came to its end", TAT_VERDICT_PASS, "END block present");
    } else {
        verify_add(v, "end", "the process came to its end", TAT_VERDICT_FAIL,
                   "no END block: the process was killed, left by _exit, or still runs; what came last may be missing");
    }
}

static void check_losses(struct verifier * v) {
    const struct tat_trace_summary * s = v->summary;
    const char * what = "emitted = stored + filtered + lost, and nothing was lost";
    uint64_t lost = 0;
    char why[256] = "";
    for (int reason = 1; reason < TAT_LOSS_COUNT; reason++) {
        if (!s->lost[reason]) { continue; }
        lost += s->lost[reason];
        const size_t used = strlen(why);
        snprintf(why + used, sizeof why - used, " (%s: %" PRIu64 ")", tat_loss_name((enum tat_loss_reason) reason),
                 s->lost[reason]);
    }
    const uint64_t stored = v->n_evaluations + s->orphan_evaluations;
    if (s->evaluations_emitted != s->evaluations_stored + s->evaluations_filtered + lost ||
        stored != s->evaluations_stored) {
        verify_add(v, "losses", what, TAT_VERDICT_FAIL,
                   "%" PRIu64 " evaluations emitted, %" PRIu64 " stored by the agent, %" PRIu64
                   " counted lost, %" PRIu64 " in the file: an evaluation is missing without a count",
                   s->evaluations_emitted, s->evaluations_stored, lost, stored);
    } else if (lost || s->events_lost) {
        verify_add(v, "losses", what, TAT_VERDICT_FAIL,
                   "%" PRIu64 " of %" PRIu64 " evaluations lost%s, %" PRIu64 " events lost", lost,
                   s->evaluations_emitted, why, s->events_lost);
    } else {
        verify_add(v, "losses", what, TAT_VERDICT_PASS,
                   "%" PRIu64 " evaluations, %" PRIu64 " filtered, %" PRIu64 " events, 0 lost", s->evaluations_emitted,
                   s->evaluations_filtered, s->events_emitted);
    }
}

static void check_notes(struct verifier * v) {
    for (uint32_t i = 0; i < v->n_events; i++) {
        if (v->events[i].type == TAT_EVENT_NOTE) {
            verify_add(v, "agent", "the agent could do its work", TAT_VERDICT_FAIL, "%s", v->events[i].text);
            return;
        }
    }
    verify_add(v, "agent", "the agent could do its work", TAT_VERDICT_PASS, "no trouble noted");
}

/* ---- evaluations ---- */

/* The identity on which everything rests: executable nodes = callbacks + fused. */
static void check_identity(struct verifier * v) {
    const char * what = "each evaluation: executable nodes = callbacks + fused";
    uint64_t callbacks = 0, fused = 0, nodes = 0;
    uint32_t wrong = 0, first = 0, aborted = 0, outside = 0;
    for (uint32_t i = 0; i < v->n_evaluations; i++) {
        const struct tat_evaluation * e = &v->evaluations[i];
        const struct tat_expectation x = tat_template_expect(&v->templates[e->template_id], e->rule);
        const bool early = e->flags & TAT_EVALUATION_ABORTED;
        const bool is_outside = e->flags & TAT_EVALUATION_OUTSIDE;
        const bool good = !(e->flags & TAT_EVALUATION_UNMATCHED) && e->n_stamps == (is_outside ? 0 : e->n_callbacks) &&
                          (early ? e->n_callbacks <= x.n_callbacks : e->n_callbacks == x.n_callbacks);
        if (!good && wrong++ == 0) { first = i; }
        aborted += early;
        outside += is_outside;
        callbacks += e->n_callbacks;
        fused += early ? 0 : x.n_fused;
        nodes += early ? e->n_callbacks : x.n_executable;
    }
    if (wrong) {
        const struct tat_evaluation * e = &v->evaluations[first];
        const struct tat_expectation x = tat_template_expect(&v->templates[e->template_id], e->rule);
        verify_add(v, "identity", what, TAT_VERDICT_FAIL,
                   "%" PRIu32 " unmatched, first evaluation %" PRIu32 ": %" PRIu32 " callbacks, expected %" PRIu32
                   " (%" PRIu32 " nodes, %" PRIu32
                   " fused): this ggml fuses or skips nodes by a rule that is not known",
                   wrong, first, e->n_callbacks, x.n_callbacks, x.n_executable, x.n_fused);
    } else {
        char left_out[96] = "";
        if (outside) {
            snprintf(left_out, sizeof left_out, "; %" PRIu32 " evaluations of tokens not asked for have no records",
                     outside);
        }
        verify_add(v, "identity", what, TAT_VERDICT_PASS,
                   "%" PRIu64 " nodes = %" PRIu64 " callbacks + %" PRIu64 " fused, 0 unmatched%s%s", nodes, callbacks,
                   fused, aborted ? "; some were aborted by the host" : "", left_out);
    }
}

static void check_captures(struct verifier * v) {
    uint32_t relearned = 0, cut = 0;
    for (uint32_t i = 0; i < v->n_evaluations; i++) {
        relearned += (v->evaluations[i].flags & TAT_EVALUATION_RELEARNED) != 0;
        cut += (v->evaluations[i].flags & TAT_EVALUATION_CUT) != 0;
    }
    const bool failed = relearned || cut;
    verify_add(v, "captures", "rows, experts and masks were read at the right nodes",
               failed ? TAT_VERDICT_FAIL : TAT_VERDICT_PASS,
               failed ? "%" PRIu32 " evaluations before the order of callbacks was known, %" PRIu32 " without room"
                      : "%" PRIu32 " misplaced, %" PRIu32 " cut",
               relearned, cut);
}

static void check_times(struct verifier * v) {
    uint32_t overlaps = 0, first = 0, failed = 0, partial = 0;
    for (uint32_t i = 0; i < v->n_evaluations; i++) {
        failed += v->evaluations[i].status != 0 && !(v->evaluations[i].flags & TAT_EVALUATION_ABORTED);
        partial += v->evaluations[i].n_waits && v->evaluations[i].n_waits != v->evaluations[i].n_stamps;
        for (uint32_t j = i + 1; j < v->n_evaluations && v->evaluations[j].begin_ns < v->evaluations[i].end_ns; j++) {
            if (v->evaluations[j].thread == v->evaluations[i].thread && overlaps++ == 0) { first = i; }
        }
    }
    if (overlaps || failed) {
        verify_add(v, "times", "a thread computes one graph at a time", TAT_VERDICT_FAIL,
                   "%" PRIu32 " overlaps (first: evaluation %" PRIu32 "), %" PRIu32 " graphs failed in the host",
                   overlaps, first, failed);
    } else if (partial) {
        verify_add(v, "times", "a thread computes one graph at a time", TAT_VERDICT_FAIL,
                   "%" PRIu32 " evaluations tell of some nodes what thread 0 waited behind them, and of others not",
                   partial);
    } else {
        verify_add(v, "times", "a thread computes one graph at a time", TAT_VERDICT_PASS,
                   "0 overlaps, 0 graphs failed");
    }
}

/* ---- the whole ---- */

/* A model file counts only if its header is still the one the trace saw. */
static void open_models(struct verifier * v) {
    for (uint32_t i = 0; i < v->n_files; i++) {
        struct tat_gguf * gguf = tat_gguf_open(v->files[i].path, TAT_GGUF_SINGLE | TAT_GGUF_TOLERANT, NULL);
        uint32_t count;
        if (gguf && tat_gguf_files(gguf, &count)[0].header_hash == v->files[i].header_hash) {
            v->models[i] = gguf;
        } else {
            tat_gguf_close(gguf);
        }
    }
}

static void find_mappings(struct verifier * v) {
    for (uint32_t i = 0; i < v->n_events; i++) {
        if (v->events[i].type == TAT_EVENT_MAPPING) { v->mappings[v->n_mappings++] = &v->events[i]; }
    }
}

static int run_checks(struct verifier * v, struct tat_error * error) {
    check_file(v);
    check_end(v);
    check_losses(v);
    check_notes(v);
    if (v->n_evaluations == 0) {
        verify_add(
            v, "identity", "each evaluation: executable nodes = callbacks + fused", TAT_VERDICT_FAIL,
            "no evaluation was recorded: no graph of this program was computed by a CPU backend that can be seen");
        return 0;
    }
    check_identity(v);
    check_captures(v);
    check_times(v);
    if (verify_records(v, error) != 0) { return -1; }
    verify_offsets(v);
    verify_weights(v);
    if (verify_ubatches(v, error) != 0) { return -1; }
    return verify_experts(v, error) != 0 || verify_positions(v, error) != 0 ? -1 : 0;
}

int tat_verify(const struct tat_trace * trace, struct tat_verification * result, struct tat_error * error) {
    memset(result, 0, sizeof *result);
    struct verifier v = { .trace = trace, .result = result, .summary = tat_trace_summary(trace) };
    v.tensors = tat_trace_tensors(trace, &v.n_tensors);
    v.templates = tat_trace_templates(trace, &v.n_templates);
    v.evaluations = tat_trace_evaluations(trace, &v.n_evaluations);
    v.events = tat_trace_events(trace, &v.n_events);
    v.files = tat_trace_model_files(trace, &v.n_files);
    v.models = calloc(v.n_files + 1, sizeof v.models[0]);
    v.touched = calloc(v.n_tensors + 1, sizeof v.touched[0]);
    int status = -1;
    v.mappings = calloc(v.n_events + 1, sizeof v.mappings[0]);
    if (!v.models || !v.touched || !v.mappings) {
        tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", tat_trace_path(trace));
    } else {
        open_models(&v);
        find_mappings(&v);
        status = run_checks(&v, error);
    }
    for (uint32_t i = 0; v.models && i < v.n_files; i++) { tat_gguf_close(v.models[i]); }
    free(v.mappings);
    free(v.touched);
    free(v.models);
    return status;
}
