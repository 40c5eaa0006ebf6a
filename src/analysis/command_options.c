/* SPDX-License-Identifier: MIT */
#include "analysis/command_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/command_line.h"
#include "analysis/units.h"

/* Those that llama.cpp had from November 2024 to October 2026. */
static const struct command_option OPTIONS[] = {
    { "prompt", OPTION_TEXT, true, { "-p", "--prompt" } },
    { "prompt_file", OPTION_TEXT, true, { "-f", "--file" } },
    { "system_prompt", OPTION_TEXT, true, { "-sys", "--system-prompt" } },
    { "n_predict", OPTION_NUMBER, false, { "-n", "--predict", "--n-predict" } },
    { "n_keep", OPTION_NUMBER, false, { "--keep" } },
    { "temperature", OPTION_NUMBER, false, { "--temp", "--temperature" } },
    { "top_k", OPTION_NUMBER, false, { "--top-k" } },
    { "top_p", OPTION_NUMBER, false, { "--top-p" } },
    { "min_p", OPTION_NUMBER, false, { "--min-p" } },
    { "repeat_penalty", OPTION_NUMBER, false, { "--repeat-penalty" } },
    { "seed", OPTION_NUMBER, false, { "-s", "--seed" } },
    { "samplers", OPTION_WORD, false, { "--samplers" } },
    { "ignore_eos", OPTION_ON, false, { "--ignore-eos" } },
    { "n_threads", OPTION_NUMBER, false, { "-t", "--threads" } },
    { "n_threads_batch", OPTION_NUMBER, false, { "-tb", "--threads-batch" } },
    { "n_ctx", OPTION_NUMBER, false, { "-c", "--ctx-size" } },
    { "n_batch", OPTION_NUMBER, false, { "-b", "--batch-size" } },
    { "n_ubatch", OPTION_NUMBER, false, { "-ub", "--ubatch-size" } },
    { "n_parallel", OPTION_NUMBER, false, { "-np", "--parallel" } },
    { "n_gpu_layers", OPTION_NUMBER, false, { "-ngl", "--gpu-layers", "--n-gpu-layers" } },
    { "type_k", OPTION_WORD, false, { "-ctk", "--cache-type-k" } },
    { "type_v", OPTION_WORD, false, { "-ctv", "--cache-type-v" } },
    { "flash_attn", OPTION_WORD, false, { "-fa", "--flash-attn" } }, /* before 2025-08 without a value */
    { "load_mode", OPTION_WORD, false, { "-lm", "--load-mode" } },
    { "use_mmap", OPTION_ON, false, { "--mmap" } },
    { "use_mmap", OPTION_OFF, false, { "--no-mmap" } },
    { "use_mlock", OPTION_ON, false, { "--mlock" } },
    { "repack", OPTION_ON, false, { "--repack" } },
    { "repack", OPTION_OFF, false, { "-nr", "--no-repack" } },
    { "warmup", OPTION_ON, false, { "--warmup" } },
    { "warmup", OPTION_OFF, false, { "--no-warmup" } },
    { "conversation", OPTION_ON, false, { "-cnv", "--conversation" } },
    { "conversation", OPTION_OFF, false, { "-no-cnv", "--no-conversation" } },

    { NULL, OPTION_TEXT, true, { "-bf", "--binary-file", "--in-file", "--context-file" } },
    { NULL, OPTION_TEXT, true, { "-sysf", "--system-prompt-file" } },
    { NULL, OPTION_TEXT, true, { "-r", "--reverse-prompt", "--in-prefix", "--in-suffix" } },
    { NULL, OPTION_TEXT, true, { "--grammar", "--grammar-file" } },
    { NULL, OPTION_TEXT, true, { "-j", "--json-schema", "-jf", "--json-schema-file" } },
    { NULL, OPTION_TEXT, true, { "--chat-template", "--chat-template-file", "--chat-template-kwargs" } },
    { NULL, OPTION_TEXT, true, { "--cfg-negative-prompt", "--positive-file", "--negative-file" } },
    { NULL, OPTION_TEXT, true, { "--dry-sequence-breaker", "--chunk-separator", "--reasoning-budget-message" } },
    { NULL, OPTION_TEXT, true, { "--api-key", "--api-key-file", "-hft", "--hf-token" } },
    { NULL, OPTION_TEXT, true, { "-m", "--model", "-md", "--model-draft" } },
};

/* llama-bench gives other meanings to some; it measures each value of a list. */
static const struct command_option BENCH[] = {
    { "n_prompt", OPTION_NUMBER, false, { "-p", "--n-prompt" } },
    { "n_gen", OPTION_NUMBER, false, { "-n", "--n-gen" } },
    { "n_depth", OPTION_NUMBER, false, { "-d", "--n-depth" } },
    { "repetitions", OPTION_NUMBER, false, { "-r", "--repetitions" } },
};

/* Up to the end or =. llama.cpp takes _ for - in options that begin with --. */
static bool is_spelt(const char * argument, const char * spelling) {
    const bool is_long = strncmp(argument, "--", 2) == 0;
    for (; *spelling; argument++, spelling++) {
        if ((is_long && *argument == '_' ? '-' : *argument) != *spelling) { return false; }
    }
    return !*argument || *argument == '=';
}

static const struct command_option * find(const char * argument, const struct command_option * options, size_t count) {
    enum { SPELLINGS = sizeof options->spellings / sizeof *options->spellings };
    for (size_t i = 0; i < count; i++) {
        for (int s = 0; s < SPELLINGS && options[i].spellings[s]; s++) {
            if (is_spelt(argument, options[i].spellings[s])) { return &options[i]; }
        }
    }
    return NULL;
}

const struct command_option * command_option(const char * argument) {
    return find(argument, OPTIONS, sizeof OPTIONS / sizeof *OPTIONS);
}

/* A number as such, all else as text. */
static json_t * as_json(const char * text) {
    char * end;
    errno = 0;
    const long long whole = strtoll(text, &end, 10);
    if (end != text && !*end && !errno) { return json_integer(whole); }
    const double number = strtod(text, &end);
    json_t * value = end != text && !*end ? json_real(number) : NULL; /* NULL also for NaN and infinity */
    return value ? value : json_string(text);
}

/* Of the option at i; NULL: it lacks its value. */
static json_t * value_of(const json_t * command, size_t i, const struct command_option * option) {
    if (option->takes == OPTION_ON || option->takes == OPTION_OFF) { return json_boolean(option->takes == OPTION_ON); }
    const char * own = strchr(command_argument(command, i), '=');
    const bool is_text = option->takes == OPTION_TEXT;
    if (own) { return is_text ? json_string(own + 1) : as_json(own + 1); }
    if (command_takes_value(command, i)) {
        const char * next = command_argument(command, i + 1);
        return is_text ? json_string(next) : as_json(next);
    }
    return strcmp(option->name, "flash_attn") == 0 ? json_true() : NULL;
}

json_t * command_options(const json_t * metadata) {
    const json_t * command = json_object_get(metadata, "command");
    const int program = command_program(metadata);
    const char * name = program < 0 ? "llama-run" : last_part(command_argument(command, (size_t) program));
    json_t * options = json_object();
    if (strncmp(name, "llama-run", 9) == 0) { return options; } /* whose -n and -c are others, without a list of them */
    const bool bench = strncmp(name, "llama-bench", 11) == 0;
    for (size_t i = (size_t) program + 1; i < json_array_size(command); i++) {
        const char * argument = command_argument(command, i);
        const struct command_option * option = bench ? find(argument, BENCH, sizeof BENCH / sizeof *BENCH) : NULL;
        if (!option) { option = command_option(argument); }
        json_t * value = option && option->name ? value_of(command, i, option) : NULL;
        if (value) { json_object_set_new(options, option->name, value); }
        i += command_takes_value(command, i);
    }
    return options;
}
