/* SPDX-License-Identifier: MIT */
#include "doctor/hook.h"

#include <string.h>

/* "0.25.3" of "/lib/libggml-base.so.0.25.3", or NULL: the library says its version only to those who call it. */
static const char * ggml_version(const struct libraries * libraries) {
    for (size_t i = 0; i < libraries->count; i++) {
        const char * name = strstr(libraries->at[i].path, "/libggml");
        const char * after = name ? strstr(name, ".so.") : NULL;
        if (after && strchr(after + 4, '.')) { return after + 4; }
    }
    return NULL;
}

/* A call in the library itself counts only if it does not ask itself first. */
static bool call_is_open(const struct libraries * libraries) {
    for (size_t i = 0; i < libraries->count; i++) {
        const struct elf_facts * f = &libraries->at[i].facts;
        if (f->asks_compute && !(f->is_symbolic && f->exports_compute)) { return true; }
    }
    return false;
}

/* ggml since September 2024 has thread pools, and its plans a field for one. */
static bool has_pools(const struct libraries * libraries) {
    for (size_t i = 0; i < libraries->count; i++) {
        if (libraries->at[i].facts.exports_pools) { return true; }
    }
    return false;
}

static void check_dynamic(const struct libraries * libraries, const char * path, struct findings * findings) {
    const char * version = ggml_version(libraries);
    finding_add(findings, "ggml", VERDICT_GOOD, NULL, "%s, version %s", path,
                version ? version : "unknown (a trace records it)");
    if (call_is_open(libraries)) {
        finding_add(findings, "hook", VERDICT_GOOD, NULL,
                    "calls of ggml_graph_compute go through the dynamic linker, where the tracer comes first");
        if (!has_pools(libraries)) {
            finding_add(findings, "fork", VERDICT_WARNING,
                        "record a few tokens and run `tat verify`: if the tracer cannot prove the layout of this "
                        "ggml's structs, it leaves the run alone and the trace says so",
                        "this ggml has no thread pools, like forks (ik_llama.cpp) and llama.cpp before September 2024: "
                        "its ggml_cplan has another layout");
        }
    } else {
        finding_add(
            findings, "hook", VERDICT_BAD,
            "build llama.cpp without -Bsymbolic, -Bsymbolic-functions and -fno-semantic-interposition",
            "ggml_graph_compute is bound inside the library (-Bsymbolic or similar), so the tracer cannot see calls");
    }
}

static void check_bound(const struct library * library, struct findings * findings) {
    if (library->facts.has_agent) {
        finding_add(findings, "ggml", VERDICT_GOOD, NULL, "linked into %s", library->path);
        finding_add(findings, "hook", VERDICT_GOOD, NULL, "the tracer is linked into it too: every run is recorded");
        return;
    }
    finding_add(findings, "ggml", VERDICT_BAD,
                "build llama.cpp with -DBUILD_SHARED_LIBS=ON, or link the tracer into it with -DTENSOR_TRACE=ON",
                "%slinked into %s or hidden there, so the tracer cannot see calls",
                library->facts.has_names ? "" : "probably ", library->path);
}

static void check_none(const struct libraries * libraries, bool all, struct findings * findings) {
    if (all) {
        finding_add(findings, "ggml", VERDICT_BAD, "check the process that computes instead",
                    "not in its %zu libraries, so it computes no graphs", libraries->count);
        return;
    }
    finding_add(findings, "ggml", VERDICT_WARNING,
                "if the program loads ggml later or starts a program that has it, record it, or check the running "
                "process: tat doctor PID",
                "not in the %zu libraries that the program starts with", libraries->count);
}

void hook_check(const struct libraries * libraries, bool all, struct findings * findings) {
    for (size_t i = 0; i < libraries->count; i++) {
        if (libraries->at[i].facts.exports_compute) {
            check_dynamic(libraries, libraries->at[i].path, findings);
            return;
        }
    }
    for (size_t i = 0; i < libraries->count; i++) {
        if (libraries->at[i].facts.holds_compute) {
            check_bound(&libraries->at[i], findings);
            return;
        }
    }
    check_none(libraries, all, findings);
}
