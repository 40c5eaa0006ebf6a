/* SPDX-License-Identifier: MIT
 *
 * The life of the agent in one process: asleep until the first graph is computed, then recording until exit. This file
 * stands above the agent's others: only the loader, fork and the program call it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "agent/agent.h"
#include "agent/clock.h"
#include "agent/hook.h"
#include "agent/host.h"
#include "agent/observer.h"
#include "agent/recorder.h"
#include "agent/symbols.h"

enum { TEMPLATES_MAX = 2048 };

static bool is_set(const char * name) {
    const char * value = getenv(name);
    return value && *value && strcmp(value, "0") != 0;
}

static void after_fork(void) {
    const int error = errno;
    observers_after_fork();
    host_after_fork();
    errno = error;
}

/* "A:B", where either may be missing. Anything else means all. */
static void read_tokens(const char * range, struct agent_options * options) {
    const char * colon = range ? strchr(range, ':') : NULL;
    options->token_first = 0;
    options->token_last = UINT64_MAX;
    if (!colon) { return; }
    if (colon > range) { options->token_first = strtoull(range, NULL, 10); }
    if (colon[1]) { options->token_last = strtoull(colon + 1, NULL, 10); }
}

/* Whoever starts a program with more rights than their own must not make it write files. The dynamic linker would not
 * load the agent there, but a program can have it linked in. */
__attribute__((constructor)) static void start(void) {
    if (getauxval(AT_SECURE)) { return; }
    const char * record = getenv("TAT_RECORD"); /* 0: `tat run` without --record */
    if (is_set("TAT_OFF") || !symbols_at_fork(after_fork) || (record && strcmp(record, "0") == 0)) { return; }
    struct agent_options options = { .clock = clock_choose(), .is_private = is_set("TAT_PRIVATE") };
    const char * size = getenv("TAT_MAX_SIZE");
    options.max_size = size && *size ? strtoull(size, NULL, 10) : UINT64_MAX;
    read_tokens(getenv("TAT_TOKENS"), &options);
    const char * most = getenv("TAT_TEMPLATES"); /* for tests, which have few different graphs */
    options.templates_max = most && *most ? (uint32_t) strtoul(most, NULL, 10) : TEMPLATES_MAX;
    agent_configure(&options);
    observers_add(&recorder);
}

__attribute__((destructor)) static void stop(void) {
    observers_program_ends();
}

TAT_EXPORT enum tat_agent_mode tat_agent_set_mode(enum tat_agent_mode wanted) {
    return agent_set_mode(wanted);
}
