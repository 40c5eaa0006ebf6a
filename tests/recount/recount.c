/* SPDX-License-Identifier: MIT
 *
 * The count that traces are compared with: llama.cpp's public API, its eval callback on every node, and the most naive
 * way there is to say which bytes an operation touches: row by row, element by element, a list of ranges, sorted. It
 * shares no code with tat.
 *
 *     recount -m MODEL [-n TOKENS] [-u UBATCH] [-t THREADS] [-s SEQUENCES] [-a 0|1] [-r] [-q] [-c OUT] PROMPT
 *
 * evaluates the prompt and greedily generated tokens, and prints the tokens' ids. -a: flash attention, -r: no
 * repacking, -q: KV cache in Q8_0, -c: count, into a table with one line an operand: evaluation, node, operation, name,
 * operand (0 is dst, 1 is src0, ...), tensor that owns the bytes, bytes, hash of the ranges of bytes, experts. Without
 * -c the same run is left alone, to be traced.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ggml-backend.h"
#include "ggml.h"
#include "llama.h"
#include "ranges.h"

enum { CONTEXT = 512, SEQUENCES_MAX = 4 };

struct count {
    FILE * out;
    char first[GGML_MAX_NAME]; /* name of the first node: when it comes again, so does the graph */
    int evaluation, node;
    struct ranges ranges;
};

/* ---- which bytes are touched ---- */

static const struct ggml_tensor * owner(const struct ggml_tensor * t) {
    return t->view_src ? t->view_src : t;
}

static void add_row(struct ranges * ranges, const struct ggml_tensor * t, int64_t i1, int64_t i2, int64_t i3) {
    const char * row =
        (const char *) t->data + i1 * (int64_t) t->nb[1] + i2 * (int64_t) t->nb[2] + i3 * (int64_t) t->nb[3];
    const uint64_t from = (uint64_t) (row - (const char *) owner(t)->data);
    if (t->nb[0] == ggml_type_size(t->type)) {
        ranges_add(ranges, from, ggml_row_size(t->type, t->ne[0]));
        return;
    }
    for (int64_t i0 = 0; i0 < t->ne[0]; i0++) {
        ranges_add(ranges, from + (uint64_t) i0 * t->nb[0], ggml_type_size(t->type));
    }
}

/* The first n1 rows of each plane. */
static void add_planes(struct ranges * ranges, const struct ggml_tensor * t, int64_t n1) {
    for (int64_t i3 = 0; i3 < t->ne[3]; i3++) {
        for (int64_t i2 = 0; i2 < t->ne[2]; i2++) {
            for (int64_t i1 = 0; i1 < t->ne[1] && i1 < n1; i1++) { add_row(ranges, t, i1, i2, i3); }
        }
    }
}

static int64_t id_at(const struct ggml_tensor * ids, int64_t i0, int64_t i1, int64_t i2) {
    const char * at =
        (const char *) ids->data + i0 * (int64_t) ids->nb[0] + i1 * (int64_t) ids->nb[1] + i2 * (int64_t) ids->nb[2];
    return ids->type == GGML_TYPE_I64 ? *(const int64_t *) at : *(const int32_t *) at;
}

/* dst[i0, i1, i2, i3] = src0[i0, ids[i1, i2, i3], i2, i3] */
static void add_get_rows(struct ranges * ranges, const struct ggml_tensor * from, const struct ggml_tensor * ids) {
    for (int64_t i3 = 0; i3 < ids->ne[2]; i3++) {
        for (int64_t i2 = 0; i2 < ids->ne[1]; i2++) {
            for (int64_t i1 = 0; i1 < ids->ne[0]; i1++) { add_row(ranges, from, id_at(ids, i1, i2, i3), i2, i3); }
        }
    }
}

/* dst[i0, ids[i1, i2 % n, i3 % n], i2, i3] = src0[i0, i1, i2, i3] */
static void add_set_rows(struct ranges * ranges, const struct ggml_tensor * to, const struct ggml_tensor * from,
                         const struct ggml_tensor * ids) {
    for (int64_t i3 = 0; i3 < from->ne[3]; i3++) {
        for (int64_t i2 = 0; i2 < from->ne[2]; i2++) {
            for (int64_t i1 = 0; i1 < from->ne[1]; i1++) {
                add_row(ranges, to, id_at(ids, i1, i2 % ids->ne[1], i3 % ids->ne[2]), i2, i3);
            }
        }
    }
}

/* Slices of a stack of matrices (MUL_MAT_ID), rows of a stack of biases (ADD_ID). */
static void add_experts(struct ranges * ranges, const struct ggml_tensor * stack, const struct ggml_tensor * ids,
                        bool biases) {
    for (int64_t row = 0; row < ids->ne[1]; row++) {
        for (int64_t slot = 0; slot < ids->ne[0]; slot++) {
            const int64_t expert = id_at(ids, slot, row, 0);
            if (biases) { add_row(ranges, stack, expert, 0, 0); }
            for (int64_t i1 = 0; !biases && i1 < stack->ne[1]; i1++) { add_row(ranges, stack, i1, expert, 0); }
        }
    }
}

/* The states of the sequences that are evaluated, of all that there are (SSM_SCAN). */
static void add_states(struct ranges * ranges, const struct ggml_tensor * states, const struct ggml_tensor * ids) {
    for (int64_t i = 0; i < ids->ne[0]; i++) {
        for (int64_t i2 = 0; i2 < states->ne[2]; i2++) {
            for (int64_t i1 = 0; i1 < states->ne[1]; i1++) { add_row(ranges, states, i1, i2, id_at(ids, i, 0, 0)); }
        }
    }
}

enum { DST = -1 };

static const struct ggml_tensor * expert_ids(const struct ggml_tensor * node, int operand) {
    if (node->op == GGML_OP_MUL_MAT_ID && operand == 0) { return node->src[2]; }
    if (node->op == GGML_OP_ADD_ID && operand == 1) { return node->src[2]; }
    return NULL;
}

static void add_operand(struct ranges * ranges, const struct ggml_tensor * node, int operand) {
    const struct ggml_tensor * t = operand == DST ? node : node->src[operand];
    if (ggml_is_empty(node)) { return; } /* ggml runs nothing */
    if (expert_ids(node, operand)) {
        add_experts(ranges, t, node->src[2], node->op == GGML_OP_ADD_ID);
    } else if (node->op == GGML_OP_GET_ROWS && operand == 0) {
        add_get_rows(ranges, t, node->src[1]);
    } else if (node->op == GGML_OP_SET_ROWS && operand == DST) {
        add_set_rows(ranges, t, node->src[0], node->src[1]);
    } else if (node->op == GGML_OP_SSM_SCAN && operand == 0) {
        add_states(ranges, t, node->src[6]);
    } else if (node->op == GGML_OP_FILL && operand == 0) {
        /* gives the shape only */
    } else if ((node->op == GGML_OP_SET_ROWS && operand == 2) || (node->op == GGML_OP_CPY && operand == 1)) {
        /* the destination once more: not read */
    } else if ((node->op == GGML_OP_SOFT_MAX && operand == 1) || (node->op == GGML_OP_FLASH_ATTN_EXT && operand == 3)) {
        add_planes(ranges, t, node->src[0]->ne[1]); /* masks may have more rows than there are queries */
    } else {
        add_planes(ranges, t, t->ne[1]);
    }
}

/* ---- the callback ---- */

static void write_experts(FILE * out, const struct ggml_tensor * ids, int64_t n_experts) {
    bool * used = calloc((size_t) n_experts, sizeof *used);
    for (int64_t row = 0; row < ids->ne[1]; row++) {
        for (int64_t slot = 0; slot < ids->ne[0]; slot++) { used[id_at(ids, slot, row, 0)] = true; }
    }
    for (int64_t i = 0; i < n_experts; i++) {
        if (used[i]) { fprintf(out, "%" PRId64 ",", i); }
    }
    free(used);
}

static void write_operand(struct count * c, const struct ggml_tensor * node, int operand) {
    const struct ggml_tensor * t = operand == DST ? node : node->src[operand];
    c->ranges.count = 0;
    add_operand(&c->ranges, node, operand);
    ranges_merge(&c->ranges);
    fprintf(c->out, "%d\t%d\t%s\t%s\t%d\t%s\t%" PRIu64 "\t%016" PRIx64 "\t", c->evaluation, c->node, ggml_op_desc(node),
            node->name, operand + 1, owner(t)->name, ranges_bytes(&c->ranges), ranges_hash(&c->ranges));
    const struct ggml_tensor * ids = expert_ids(node, operand);
    if (ids && !ggml_is_empty(node)) { write_experts(c->out, ids, node->op == GGML_OP_ADD_ID ? t->ne[1] : t->ne[2]); }
    fputc('\n', c->out);
}

static bool is_empty_op(enum ggml_op op) {
    return op == GGML_OP_NONE || op == GGML_OP_RESHAPE || op == GGML_OP_VIEW || op == GGML_OP_PERMUTE ||
           op == GGML_OP_TRANSPOSE;
}

/* Asked before each node; its sources are complete then, and nothing has overwritten them yet. */
static bool on_node(struct ggml_tensor * node, bool ask, void * user) {
    struct count * c = user;
    if (!ask) { return true; }
    if (c->first[0] == '\0') { memcpy(c->first, node->name, sizeof c->first); }
    const bool again = strcmp(node->name, c->first) == 0;
    c->evaluation += again;
    c->node = again ? 0 : c->node + 1;
    if (is_empty_op(node->op)) { return true; }
    for (int s = 0; s < GGML_MAX_SRC; s++) {
        if (node->src[s]) { write_operand(c, node, s); }
    }
    write_operand(c, node, DST);
    return true;
}

/* ---- the run ---- */

struct options {
    const char *model, *prompt, *out;
    int tokens, ubatch, threads, sequences;
    bool flash_attention, no_repack, quantized;
};

static bool parse(int argc, char ** argv, struct options * o) {
    *o = (struct options){ .tokens = 1, .ubatch = 512, .threads = 1, .sequences = 1, .flash_attention = true };
    for (int c; (c = getopt(argc, argv, "m:n:u:t:s:a:rqc:")) != -1;) {
        switch (c) {
            case 'm': o->model = optarg; break;
            case 'n': o->tokens = atoi(optarg); break;
            case 'u': o->ubatch = atoi(optarg); break;
            case 't': o->threads = atoi(optarg); break;
            case 's': o->sequences = atoi(optarg); break;
            case 'a': o->flash_attention = atoi(optarg) != 0; break;
            case 'r': o->no_repack = true; break;
            case 'q': o->quantized = true; break;
            case 'c': o->out = optarg; break;
            default: return false;
        }
    }
    o->prompt = optind + 1 == argc ? argv[optind] : NULL;
    return o->model && o->prompt && o->sequences > 0 && o->sequences <= SEQUENCES_MAX;
}

static struct llama_context * make_context(struct llama_model * model, const struct options * o, struct count * count) {
    struct llama_context_params p = llama_context_default_params();
    p.n_ctx = CONTEXT;
    p.n_batch = CONTEXT;
    p.n_seq_max = (uint32_t) o->sequences;
    p.n_ubatch = (uint32_t) o->ubatch;
    p.n_threads = p.n_threads_batch = o->threads;
    p.flash_attn_type = o->flash_attention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    if (o->quantized) { p.type_k = p.type_v = GGML_TYPE_Q8_0; }
    if (o->out) {
        p.cb_eval = on_node;
        p.cb_eval_user_data = count;
    }
    return llama_init_from_model(model, p);
}

/* The most likely next token; of equal ones the first. */
static llama_token greedy(struct llama_context * context, int row, int n_vocab) {
    const float * logits = llama_get_logits_ith(context, row);
    llama_token best = 0;
    for (int i = 1; i < n_vocab; i++) {
        if (logits[i] > logits[best]) { best = i; }
    }
    return best;
}

static void add_token(struct llama_batch * batch, llama_token token, int position, int sequence, bool wants_output) {
    const int i = batch->n_tokens++;
    batch->token[i] = token;
    batch->pos[i] = position;
    batch->n_seq_id[i] = 1;
    batch->seq_id[i][0] = sequence;
    batch->logits[i] = wants_output;
}

/* The prompt in each sequence, then a generated token of each at a time. Sequence s starts s tokens late, so that their
 * lengths and texts differ. */
static bool evaluate(struct llama_context * context, const struct llama_vocab * vocab, const struct options * o) {
    const int n_vocab = llama_vocab_n_tokens(vocab);
    llama_token prompt[CONTEXT];
    const int n = llama_tokenize(vocab, o->prompt, (int32_t) strlen(o->prompt), prompt, CONTEXT, true, true);
    if (n <= o->sequences || (n + o->tokens) * o->sequences > CONTEXT) { return false; }
    struct llama_batch batch = llama_batch_init(CONTEXT, 0, 1);
    int last[SEQUENCES_MAX];
    for (int s = 0; s < o->sequences; s++) {
        for (int i = s; i < n; i++) { add_token(&batch, prompt[i], i - s, s, i == n - 1); }
        last[s] = batch.n_tokens - 1;
    }
    printf("%d:", n);
    bool good = true;
    for (int t = 0; good && t < o->tokens; t++) {
        good = llama_decode(context, batch) == 0;
        batch.n_tokens = 0;
        for (int s = 0; good && s < o->sequences; s++) {
            const llama_token token = greedy(context, last[s], n_vocab);
            printf(" %d", token);
            add_token(&batch, token, n - s + t, s, true);
            last[s] = s;
        }
    }
    printf("\n");
    llama_batch_free(batch);
    return good;
}

static void quiet(enum ggml_log_level level, const char * text, void * user) {
    (void) user;
    if (level == GGML_LOG_LEVEL_ERROR) { fputs(text, stderr); }
}

int main(int argc, char ** argv) {
    struct options o;
    if (!parse(argc, argv, &o)) { return 2; }
    llama_log_set(quiet, NULL);
    struct count count = { .out = o.out ? fopen(o.out, "we") : NULL, .evaluation = -1 };
    struct llama_model_params p = llama_model_default_params();
    p.use_extra_bufts = !o.no_repack;
    struct llama_model * model = llama_model_load_from_file(o.model, p);
    struct llama_context * context = model && (count.out || !o.out) ? make_context(model, &o, &count) : NULL;
    const bool good = context && evaluate(context, llama_model_get_vocab(model), &o);
    if (context) { llama_free(context); }
    if (model) { llama_model_free(model); }
    if (count.out) { fclose(count.out); }
    free(count.ranges.range);
    return good ? 0 : 1;
}
