/* SPDX-License-Identifier: MIT
 *
 * The model files that a command line names.
 */
#ifndef TAT_CLI_MODEL_ARGUMENTS_H
#define TAT_CLI_MODEL_ARGUMENTS_H

#include <jansson.h>
#include <stddef.h>

struct model_arguments {
    char ** files; /* each once, all parts of split models */
    size_t count;
    struct tat_gguf * first; /* the first that is a language model; NULL: there is none */
};

/* GGUF files among the arguments, also in --option=FILE and inside the text of sh -c "...", and in LLAMA_ARG_MODEL.
 * Reads their headers without bringing them into memory. */
void model_arguments_find(char ** command, struct model_arguments * models);

/* Adds a file of any kind. */
void model_arguments_add(struct model_arguments * models, const char * path);

/* The command's options by name, as in trace_metadata.json; the caller owns them. NULL: it is not a program of
 * llama.cpp's that makes one context. */
json_t * model_arguments_options(char ** command);

void model_arguments_free(struct model_arguments * models);

#endif
