/* SPDX-License-Identifier: MIT
 *
 * Runs compared: sections as in analysis.h, but over several profiles.
 */
#ifndef TAT_ANALYSIS_DIFF_DIFF_H
#define TAT_ANALYSIS_DIFF_DIFF_H

#include "analysis/diff/profile.h"
#include "analysis/result.h"
#include "tat/diff.h"

/* What is compared with what. Runs that repeat each other are one side; if all do, each run is a side. The first side
 * is compared with each of the others. A recording that is named twice counts once. */
struct side {
    struct profile * run[TAT_DIFF_MOST];
    size_t n;
    char label[24]; /* "A+B" */
};

struct diff {
    struct profile run[TAT_DIFF_MOST];
    struct side side[TAT_DIFF_MOST];
    size_t n_runs, n_sides;
    uint32_t n_groups;
    enum scope scope; /* generation, if all runs have it: then tokens are compared */
};

struct diff_section {
    const char * name;
    const char * title;
    void (*answer)(const struct diff * diff, struct result * result);
};

extern const struct diff_section diff_runs, diff_tensors, diff_experts, diff_order, diff_time, diff_layers,
    diff_patterns;

/* "generated token" or "token". */
const char * diff_scope_name(const struct diff * d);

/* In what the set-ups of two runs differ. If in nothing, the runs repeat each other. */
enum facet {
    FACET_MODEL = 1u << 0,
    FACET_PROMPT = 1u << 1,  /* its ubatches, and its token ids if both have them */
    FACET_COMMAND = 1u << 2, /* apart from the seed; if both have it */
    FACET_PROGRAM = 1u << 3,
    FACET_GGML = 1u << 4,
    FACET_THREADS = 1u << 5,
    FACET_MACHINE = 1u << 6, /* the processor and how many there are, if both have them */
    FACETS = 7
};
unsigned diff_facets(const struct profile * a, const struct profile * b);

/* Of two command lines, and an argument that one of them may lack. */
bool diff_argument_differs(const json_t * a, const json_t * b, size_t i);

/* The first run before this one that is the same recording and has the same setup, or NULL. */
const struct profile * diff_recorded_before(const struct diff * d, size_t run);

/* Whether a side has several recordings: only then are there tests over runs. */
bool diff_has_repeats(const struct diff * d);

/* The mean total variation over layers that two runs have in common. NAN: there are none. */
double choices_variation(const struct profile * a, const struct profile * b);

/* The tokens whose order of reading both runs have; how many of them, from the first on, read alike; and whether all
 * do. */
struct order_match {
    uint32_t tokens, weights, slices; /* weights, slices: alike in a row, from the first */
};
struct order_match order_match(const struct profile * a, const struct profile * b);

#endif
