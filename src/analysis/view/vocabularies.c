/* SPDX-License-Identifier: MIT */
#include "analysis/view/vocabularies.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/units.h"

enum { MODELS_MOST = 16 }; /* of one run; a draft makes two */

struct known {
    uint32_t model;
    struct token_pieces * pieces;
    char why[TOKEN_TEXT_WHY]; /* there are none */
};

struct vocabularies {
    pthread_mutex_t lock;
    struct known known[MODELS_MOST]; /* those that were looked for stay as they are */
    uint32_t count;
};

struct vocabularies * vocabularies_new(void) {
    struct vocabularies * v = calloc(1, sizeof *v);
    if (v) { pthread_mutex_init(&v->lock, NULL); }
    return v;
}

void vocabularies_free(struct vocabularies * v) {
    if (!v) { return; }
    for (uint32_t i = 0; i < v->count; i++) { token_pieces_free(v->known[i].pieces); }
    pthread_mutex_destroy(&v->lock);
    free(v);
}

static struct token_pieces * read_file(const struct tat_model_file * file, char why[TOKEN_TEXT_WHY]) {
    struct tat_error error = { 0 };
    struct token_pieces * pieces = NULL;
    uint32_t count;
    struct tat_gguf * gguf = tat_gguf_open(file->path, TAT_GGUF_SINGLE | TAT_GGUF_TOLERANT, &error);
    const bool is_same = gguf && tat_gguf_files(gguf, &count)->header_hash == file->header_hash;
    if (is_same) { pieces = token_pieces_read(gguf, &error); }
    if (gguf && !is_same) {
        snprintf(why, TOKEN_TEXT_WHY, "The model file %.120s has changed since the run.", last_part(file->path));
    } else if (!pieces) {
        snprintf(why, TOKEN_TEXT_WHY, "The model's vocabulary cannot be read: %.200s.", error.message);
    }
    tat_gguf_close(gguf);
    return pieces;
}

/* From the first of its files that has one. */
static struct token_pieces * read_model(const struct subject * s, uint32_t model, char why[TOKEN_TEXT_WHY]) {
    for (uint32_t i = 0; i < s->n_files; i++) {
        if (s->files[i].model == model) { return read_file(&s->files[i], why); }
    }
    return NULL;
}

static const struct known * find(struct vocabularies * v, const struct subject * s, uint32_t model) {
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->known[i].model == model) { return &v->known[i]; }
    }
    if (v->count == MODELS_MOST) { return NULL; }
    struct known * k = &v->known[v->count];
    *k = (struct known){ .model = model };
    k->pieces = read_model(s, model, k->why);
    if (!k->pieces && !k->why[0]) { return NULL; } /* a run that has only begun may name its file later */
    v->count++;
    return k;
}

const struct token_pieces * vocabulary_of(struct vocabularies * v, const struct subject * s, uint32_t evaluation,
                                          char why[TOKEN_TEXT_WHY]) {
    const struct tat_model * only = subject_model(s);
    const uint32_t said = s->templates[s->evaluations[evaluation].template_id].model;
    pthread_mutex_lock(&v->lock);
    const struct known * k = find(v, s, said || !only ? said : only->number);
    pthread_mutex_unlock(&v->lock);
    if (!k || !k->pieces) {
        snprintf(why, TOKEN_TEXT_WHY, "%s", k ? k->why : "The trace does not say which model file the run read.");
    }
    return k ? k->pieces : NULL;
}
