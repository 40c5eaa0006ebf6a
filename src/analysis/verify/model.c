/* SPDX-License-Identifier: MIT
 *
 * The trace against the model files: where weights lie, and that all are accounted for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/verify/verify.h"

/* ---- offsets ---- */

/* The offset that follows from a mapping and the address alone, not from the name. */
static bool mapped_offset(const struct verifier * v, const struct tat_tensor * t, uint64_t * offset) {
    for (uint32_t i = v->n_mappings; i-- > 0;) {
        const struct tat_event * e = v->mappings[i];
        if (e->value[0] == t->file && t->address >= e->value[1] && t->address - e->value[1] < e->value[2]) {
            *offset = e->value[3] + (t->address - e->value[1]);
            return true;
        }
    }
    return false;
}

static bool offset_is_right(const struct verifier * v, const struct tat_tensor * t, char * why, size_t size) {
    uint64_t mapped;
    if (t->memory == TAT_MEMORY_FILE && (!mapped_offset(v, t, &mapped) || mapped != t->file_offset)) {
        snprintf(why, size, "%s: its address is not where the mapping puts file offset %" PRIu64, t->name,
                 t->file_offset);
        return false;
    }
    const struct tat_gguf_tensor * g = v->models[t->file - 1] ? tat_gguf_find(v->models[t->file - 1], t->name) : NULL;
    if (!v->models[t->file - 1]) { return true; }
    if (!g) {
        snprintf(why, size, "%s is not a tensor of %s", t->name, v->files[t->file - 1].path);
    } else if (g->file_offset != t->file_offset || g->bytes != t->bytes) {
        snprintf(why, size,
                 "%s: %" PRIu64 " bytes at %" PRIu64 " in the trace, %" PRIu64 " bytes at %" PRIu64
                 " in the model file",
                 t->name, t->bytes, t->file_offset, g->bytes, g->file_offset);
    } else {
        return true;
    }
    return false;
}

/* A file in a format other than GGUF, or NULL. Then it is not known where weights come from. */
static const char * foreign_file(const struct verifier * v) {
    for (uint32_t i = 0; i < v->n_files; i++) {
        if (v->files[i].holds == TAT_PART_FOREIGN) { return v->files[i].path; }
    }
    return NULL;
}

/* Several control vectors are added up, and their sum is in no file. */
static bool is_sum(const struct verifier * v, const struct tat_tensor * t) {
    uint32_t vectors = 0;
    for (uint32_t i = 0; i < v->n_files; i++) { vectors += v->files[i].holds == TAT_PART_CONTROL_VECTOR; }
    return vectors > 1 && t->component == TAT_COMPONENT_CONTROL_VECTOR;
}

void verify_offsets(struct verifier * v) {
    const char * what = "weights lie where the model file has them";
    char why[256] = "";
    uint32_t right = 0, wrong = 0, homeless = 0, gone = 0;
    for (uint32_t i = 0; i < v->n_tensors; i++) {
        const struct tat_tensor * t = &v->tensors[i];
        if (t->kind != TAT_TENSOR_WEIGHT) { continue; }
        if (t->file == 0 && is_sum(v, t)) { continue; }
        if (t->file == 0 || t->file > v->n_files) {
            if (homeless++ == 0 && !wrong) { snprintf(why, sizeof why, "%s is in no model file", t->name); }
            continue;
        }
        gone += v->models[t->file - 1] == NULL;
        char here[256];
        if (offset_is_right(v, t, here, sizeof here)) {
            right += t->weight == i;
        } else if (wrong++ == 0) {
            snprintf(why, sizeof why, "%s", here);
        }
    }
    if (homeless && !wrong && foreign_file(v)) {
        verify_add(v, "offsets", what, TAT_VERDICT_SKIP,
                   "%" PRIu32 " weights are in no GGUF file; the format of %s is unknown", homeless, foreign_file(v));
    } else if (wrong || homeless) {
        verify_add(v, "offsets", what, TAT_VERDICT_FAIL, "%" PRIu32 " wrong, %" PRIu32 " unknown; %s", wrong, homeless,
                   why);
    } else if (right == 0 && v->result->n_accesses == 0) {
        verify_add(v, "offsets", what, TAT_VERDICT_SKIP, "no weight is in any graph");
    } else if (right == 0) {
        verify_add(v, "offsets", what, TAT_VERDICT_FAIL,
                   "no weight was touched: the products were computed elsewhere (BLAS, GPU?)");
    } else if (gone) {
        verify_add(v, "offsets", what, TAT_VERDICT_SKIP, "the model file is gone or has changed");
    } else {
        verify_add(v, "offsets", what, TAT_VERDICT_PASS, "%" PRIu32 " weights, addresses and names agree", right);
    }
}

/* ---- weights ---- */

static bool was_touched(const struct verifier * v, uint32_t file, const char * name) {
    for (uint32_t i = 0; i < v->n_tensors; i++) {
        const struct tat_tensor * t = &v->tensors[i];
        if (t->kind == TAT_TENSOR_WEIGHT && t->file == file + 1 && v->touched[i] && strcmp(t->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* True if any graph names it. Then it was computed with 0 rows, or its records were lost. */
static bool was_named(const struct verifier * v, uint32_t file, const char * name) {
    for (uint32_t i = 0; i < v->n_tensors; i++) {
        const struct tat_tensor * t = &v->tensors[i];
        if (t->kind == TAT_TENSOR_WEIGHT && t->file == file + 1 && strcmp(t->name, name) == 0) { return true; }
    }
    return false;
}

/* True for a direction of a control vector that was added to others. */
static bool was_added(const struct verifier * v, const char * name) {
    for (uint32_t i = 0; i < v->n_tensors; i++) {
        const struct tat_tensor * t = &v->tensors[i];
        if (t->kind == TAT_TENSOR_WEIGHT && t->file == 0 && v->touched[i] && is_sum(v, t) &&
            strcmp(t->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Why llama.cpp leaves a tensor of the file out of its graphs. NULL: there is no good reason. */
static const char * excuse(const struct tat_gguf_params * p, const struct tat_gguf_tensor * t) {
    if (t->component == TAT_COMPONENT_NEXTN ||
        (t->layer != TAT_NO_LAYER && p->n_layer_nextn && t->layer >= p->n_layer - p->n_layer_nextn)) {
        return "multi-token prediction";
    }
    if (t->component == TAT_COMPONENT_ROPE) { return "rope factors of another context length"; }
    return NULL;
}

/* Counts over all model files. */
struct account {
    uint32_t touched, excused, named, unused; /* unused: in no graph, for no good reason */
    uint32_t missing;                         /* of those, in files from which no graph names anything */
    char excuse[128], first[128];
};

static void count_model(const struct verifier * v, uint32_t file, struct account * a) {
    uint32_t count;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(v->models[file], &count);
    const struct tat_gguf_params * params = tat_gguf_params(v->models[file]);
    const uint32_t used = a->touched + a->named, unused = a->unused;
    for (uint32_t i = 0; i < count; i++) {
        const char * reason;
        if (was_touched(v, file, tensors[i].name) || was_added(v, tensors[i].name)) {
            a->touched++;
        } else if (was_named(v, file, tensors[i].name)) {
            a->named++;
        } else if ((reason = excuse(params, &tensors[i]))) {
            if (a->excused++ == 0) { snprintf(a->excuse, sizeof a->excuse, "%s: %s", tensors[i].name, reason); }
        } else if (a->unused++ == 0) {
            snprintf(a->first, sizeof a->first, "%s", tensors[i].name);
        }
    }
    if (a->touched + a->named == used) { a->missing += a->unused - unused; }
}

/* A weight that no graph names is not lost if the CPU computed alone: the architecture does without it. */
static void add_account(struct verifier * v, const char * what, const struct account * a) {
    const uint32_t missing = v->elsewhere ? a->unused : a->missing;
    const uint32_t all = a->touched + a->named + a->excused + a->unused;
    if (missing) {
        verify_add(v, "weights", what, TAT_VERDICT_FAIL,
                   "%" PRIu32 " of %" PRIu32 " weights are in no graph that the CPU computed, first %s: %s", missing,
                   all, a->first,
                   v->elsewhere ? "another backend (BLAS, GPU) took them"
                                : "another backend (BLAS, GPU) took them, or the run never used them");
        return;
    }
    char unused[192] = "", excused[160] = "";
    if (a->excused) { snprintf(excused, sizeof excused, " (%s)", a->excuse); }
    if (a->unused) {
        snprintf(unused, sizeof unused, "; the model does without %" PRIu32 ", first %s", a->unused, a->first);
    }
    verify_add(v, "weights", what, TAT_VERDICT_PASS,
               "%" PRIu32 " touched, %" PRIu32 " in graphs but never read, %" PRIu32 " in no graph%s%s", a->touched,
               a->named, a->excused + a->unused, excused, unused);
}

void verify_weights(struct verifier * v) {
    const char * what = "every weight of the model is accounted for";
    struct account a = { 0 };
    uint32_t open = 0;
    for (uint32_t i = 0; i < v->n_files; i++) {
        if (!v->models[i]) { continue; }
        open++;
        count_model(v, i, &a);
    }
    if (v->result->n_accesses == 0) {
        verify_add(v, "weights", what, TAT_VERDICT_SKIP, "no access record says what was touched");
    } else if (open == 0 && foreign_file(v)) {
        verify_add(v, "weights", what, TAT_VERDICT_SKIP, "which weights there are is unknown: the format of %s is",
                   foreign_file(v));
    } else if (open == 0) {
        verify_add(v, "weights", what, v->n_files ? TAT_VERDICT_SKIP : TAT_VERDICT_FAIL,
                   v->n_files ? "the model file is gone or has changed" : "no model file was seen");
    } else {
        add_account(v, what, &a);
    }
}
