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
    for (int type = 0; type < TAT_BLOCK_ROOM; type++) { blocks += s->n_blocks[type]; }
    if (blocks == 0) {
        verify_add(v, "file", what, TAT_VERDICT_SKIP, "no blocks, %" PRIu64 " bytes", s->used_bytes);
        return;
    }
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
                   "no END block: the process was killed, left by _exit (as a chat of llama.cpp at Ctrl-C), or still "
                   "runs; what came last may be missing");
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
    } else if (s->evaluations_emitted == 0) {
        verify_add(v, "losses", what, TAT_VERDICT_SKIP, "no graph was computed that could be lost");
    } else {
        verify_add(v, "losses", what, TAT_VERDICT_PASS,
                   "%" PRIu64 " evaluations, %" PRIu64 " filtered, %" PRIu64 " events, 0 lost", s->evaluations_emitted,
                   s->evaluations_filtered, s->events_emitted);
    }
}

/* An agent that recorded anything says so in events. */
static void check_notes(struct verifier * v) {
    for (uint32_t i = 0; i < v->n_events; i++) {
        if (v->events[i].type == TAT_EVENT_NOTE) {
            verify_add(v, "agent", "the agent could do its work", TAT_VERDICT_FAIL, "%s", v->events[i].text);
            return;
        }
    }
    verify_add(v, "agent", "the agent could do its work", v->n_events ? TAT_VERDICT_PASS : TAT_VERDICT_SKIP,
               v->n_events ? "no trouble noted" : "it noted nothing at all");
}

/* ---- evaluations ---- */

/* The identity that everything rests on: executable nodes = callbacks + fused. */
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
                   " fused): this ggml fuses or skips nodes by a rule that is not known, as forks do",
                   wrong, first, e->n_callbacks, x.n_callbacks, x.n_executable, x.n_fused);
    } else if (nodes == 0) {
        verify_add(v, "identity", what, TAT_VERDICT_SKIP, "no node of any graph was executed");
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
    const char * what = "rows, experts and masks were read at the right nodes";
    uint32_t relearned = 0, cut = 0, read = 0;
    for (uint32_t i = 0; i < v->n_evaluations; i++) {
        const uint32_t flags = v->evaluations[i].flags;
        relearned += (flags & TAT_EVALUATION_RELEARNED) != 0;
        cut += (flags & TAT_EVALUATION_CUT) != 0;
        read += !(flags & (TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_OUTSIDE)) &&
                v->templates[v->evaluations[i].template_id].n_captures;
    }
    if (relearned || cut) {
        verify_add(v, "captures", what, TAT_VERDICT_FAIL,
                   "%" PRIu32 " evaluations before the order of callbacks was known, %" PRIu32 " without room",
                   relearned, cut);
    } else if (read == 0) {
        verify_add(v, "captures", what, TAT_VERDICT_SKIP, "nothing was read while graphs ran");
    } else {
        verify_add(v, "captures", what, TAT_VERDICT_PASS, "%" PRIu32 " misplaced, %" PRIu32 " cut", relearned, cut);
    }
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
    } else if (v->n_evaluations == 0) {
        verify_add(v, "times", "a thread computes one graph at a time", TAT_VERDICT_SKIP, "no evaluation");
    } else {
        verify_add(v, "times", "a thread computes one graph at a time", TAT_VERDICT_PASS,
                   "0 overlaps, 0 graphs failed");
    }
}

/* ---- the whole ---- */

/* An empty trace proves nothing, however little is wrong with it. */
static void check_recorded(struct verifier * v) {
    const struct tat_trace_summary * s = v->summary;
    const char * what = "something was recorded";
    uint32_t unmatched = 0, outside = 0;
    if (v->result->n_accesses) { return; }
    for (uint32_t i = 0; i < v->n_evaluations; i++) {
        unmatched += (v->evaluations[i].flags & TAT_EVALUATION_UNMATCHED) != 0;
        outside += (v->evaluations[i].flags & TAT_EVALUATION_OUTSIDE) != 0;
    }
    if (s->evaluations_emitted == 0) {
        verify_add(v, "recorded", what, TAT_VERDICT_FAIL,
                   "no graph of this program was computed by a CPU backend that can be seen");
    } else if (s->evaluations_filtered == s->evaluations_emitted) {
        verify_add(v, "recorded", what, TAT_VERDICT_FAIL,
                   "the program turned recording off for all of its %" PRIu64 " graphs", s->evaluations_emitted);
    } else if (v->n_evaluations == 0) {
        verify_add(v, "recorded", what, TAT_VERDICT_FAIL, "none of %" PRIu64 " graphs: see agent and losses",
                   s->evaluations_emitted);
    } else if (unmatched) {
        verify_add(v, "recorded", what, TAT_VERDICT_FAIL,
                   "no access: which nodes of the graphs were executed when is not known, see identity");
    } else if (outside) {
        verify_add(v, "recorded", what, TAT_VERDICT_FAIL, "no access: none of the tokens asked for was computed");
    } else {
        verify_add(v, "recorded", what, TAT_VERDICT_FAIL, "no access in %" PRIu32 " graphs", v->n_evaluations);
    }
}

/* A model file counts only if its header is still the one that the trace saw. */
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
    check_identity(v);
    check_captures(v);
    check_times(v);
    if (verify_records(v, error) != 0) { return -1; }
    verify_offsets(v);
    if (verify_ubatches(v, error) != 0) { return -1; }
    verify_weights(v);
    if (verify_experts(v, error) != 0 || verify_positions(v, error) != 0) { return -1; }
    check_recorded(v);
    return 0;
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
