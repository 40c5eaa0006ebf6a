/* SPDX-License-Identifier: MIT
 *
 * The life of the agent in one process: asleep until the first graph is computed, then recording until exit. Above all
 * other files of the agent: nothing calls it but the loader, fork and the program.
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

/* "A:B", either may be missing; what is neither means all. */
static void read_tokens(const char * range, struct agent_options * options) {
    const char * colon = range ? strchr(range, ':') : NULL;
    options->token_first = 0;
    options->token_last = UINT64_MAX;
    if (!colon) { return; }
    if (colon > range) { options->token_first = strtoull(range, NULL, 10); }
    if (colon[1]) { options->token_last = strtoull(colon + 1, NULL, 10); }
}

/* Who starts a program that has more rights than themselves must not have it write files where they wish: the dynamic
 * linker would not load the agent, but it can be linked. */
__attribute__((constructor)) static void start(void) {
    if (getauxval(AT_SECURE)) { return; }
    if (is_set("TAT_OFF") || !symbols_at_fork(after_fork)) { return; }
    struct agent_options options = { .clock = clock_choose(), .is_private = is_set("TAT_PRIVATE") };
    const char * size = getenv("TAT_MAX_SIZE");
    options.max_size = size && *size ? strtoull(size, NULL, 10) : UINT64_MAX;
    read_tokens(getenv("TAT_TOKENS"), &options);
    const char * most = getenv("TAT_TEMPLATES"); /* for tests: few graphs differ there */
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
