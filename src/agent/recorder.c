/* SPDX-License-Identifier: MIT */
#include "agent/recorder.h"

#include "agent/agent.h"
#include "agent/evaluation.h"
#include "agent/events.h"
#include "agent/files.h"
#include "agent/registry.h"
#include "agent/run.h"
#include "agent/template_cache.h"
#include "agent/token_filter.h"

static bool graph_begins(const struct graph_call * call, struct watch * watch) {
    return run_is_recorded(call->host) && evaluation_begin(call, watch);
}

static void graph_ends(void * state, const struct graph_call * call) {
    evaluation_end(state, call);
}

/* The parent goes on recording into its file. If the child computes a graph, it gets a trace of its own. */
static void after_fork(void) {
    if (agent_state() == AGENT_OFF) { return; }
    run_after_fork();
    registry_after_fork();
    templates_after_fork();
    evaluations_after_fork();
    events_after_fork();
    files_after_fork();
    tokens_after_fork();
    agent_after_fork();
}

const struct observer recorder = {
    .graph_begins = graph_begins,
    .graph_ends = graph_ends,
    .program_ends = run_close,
    .after_fork = after_fork,
};
