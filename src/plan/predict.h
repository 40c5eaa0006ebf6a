/* SPDX-License-Identifier: MIT
 *
 * How long a token takes: arithmetic, of what is read for it, how fast that is read, and how long computing takes. It
 * knows neither models nor traces. `tat plan` asks it before a run, and the manager before it begins.
 */
#ifndef TAT_PLAN_PREDICT_H
#define TAT_PLAN_PREDICT_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that a token reads, on average. */
struct predict_reads {
    double streamed; /* in the known order */
    double missed;   /* experts that were chosen and not in memory */
    double faulted;  /* what is left to the file: by page faults */
    double given_up; /* of what streams, what one operation needs beyond the ring: by faults of a page each */
};

/* What the machine does. A rate of 0: not known. */
struct predict_costs {
    double stream_rate, miss_rate, fault_rate; /* bytes a second */
    double compute_ns;                         /* of a token, without any wait */
    double map_ns_per_byte; /* to bring what was read to its address, and to take it away again; processor time */
    double given_up_rate;   /* bytes a second */
};

/* Nanoseconds of a token. */
struct token_cost {
    bool known; /* false: a rate that matters is not */
    double read_bytes;
    double disk_ns;       /* the disk works, for page faults too */
    double compute_ns;    /* with mapping */
    double overlapped_ns; /* if all reads but page faults overlap computing: the best that there can be */
    double serial_ns;     /* if nothing overlaps */
};

struct token_cost predict(const struct predict_reads * reads, const struct predict_costs * costs);

/* What it costs to map a page over the model and the file over it again: 25 us each for 135 pages, measured in
 * llama.cpp with as many threads as processors, from which it takes that time: 42 us together for dense models, of
 * which several pieces go at once, 60 for experts. */
#define PREDICT_MAP_NS_PER_BYTE (2 * 25000 / (135 * 4096.0))

/* What else it costs to manage: estimates, of runs on two processors that the program's threads keep busy. */
#define PREDICT_START_NS 8000.0  /* to start a read, in the thread that does it */
#define PREDICT_WAKE_NS  40000.0 /* until a thread runs that slept */

/* What the next layer's router will choose is guessed: so much of it comes true. */
#define PREDICT_GUESSES_RIGHT 0.73

/* A rate as seen by people; 0 where nothing is known. */
static inline double predict_per_second(double ns) {
    return ns > 0 ? 1e9 / ns : 0;
}

/* Whether anything is worth doing. */
enum predict_gate {
    GATE_OPEN,
    GATE_UNSUPPORTED, /* no weight is in a mapping of a file */
    GATE_FITS,        /* all that tokens need stays in memory anyway */
    GATE_NO_ROOM,     /* less than PREDICT_BUDGET_LEAST is left for the model */
    GATE_UNCLEAR,     /* how long computing takes is not known */
    GATE_NO_GAIN,     /* less than PREDICT_GAIN_LEAST faster than plain mmap */
};

#define PREDICT_GAIN_LEAST 0.05
enum { PREDICT_BUDGET_LEAST = 8 << 20 };

/* `needed`: bytes of the model that tokens need, in a file's mapping; `budget`: of memory for them. Times are those of
 * a token; 0: not known, which closes no gate. */
enum predict_gate predict_gate(uint64_t needed, uint64_t budget, double plain_ns, double managed_ns);

/* "the model fits" and the like, behind "nothing to do: "; of GATE_OPEN "". */
const char * predict_gate_text(enum predict_gate gate);

#endif
