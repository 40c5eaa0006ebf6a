/* SPDX-License-Identifier: MIT */
#include "plan/predict.h"

/* Nanoseconds to read so much; nothing takes no time at any rate. */
static double ns_of(double bytes, double rate, bool * known) {
    if (!(bytes > 0)) { return 0; }
    *known &= rate > 0;
    return rate > 0 ? 1e9 * bytes / rate : 0;
}

struct token_cost predict(const struct predict_reads * reads, const struct predict_costs * costs) {
    struct token_cost p = { .known = costs->compute_ns > 0 };
    const double managed = reads->streamed + reads->missed;
    const double ahead =
        ns_of(reads->streamed, costs->stream_rate, &p.known) + ns_of(reads->missed, costs->miss_rate, &p.known);
    const double faults =
        ns_of(reads->faulted, costs->fault_rate, &p.known) + ns_of(reads->given_up, costs->given_up_rate, &p.known);
    p.read_bytes = managed + reads->faulted + reads->given_up;
    p.disk_ns = ahead + faults;
    p.compute_ns = costs->compute_ns > 0 ? costs->compute_ns + managed * costs->map_ns_per_byte : 0;
    p.overlapped_ns = faults + (ahead > p.compute_ns ? ahead : p.compute_ns);
    p.serial_ns = p.disk_ns + p.compute_ns;
    return p;
}

enum predict_gate predict_gate(uint64_t needed, uint64_t budget, double plain_ns, double managed_ns) {
    if (needed == 0) { return GATE_UNSUPPORTED; }
    if (needed <= budget) { return GATE_FITS; }
    if (budget < PREDICT_BUDGET_LEAST) { return GATE_NO_ROOM; }
    const bool known = plain_ns > 0 && managed_ns > 0;
    return known && plain_ns < managed_ns * (1 + PREDICT_GAIN_LEAST) ? GATE_NO_GAIN : GATE_OPEN;
}

const char * predict_gate_text(enum predict_gate gate) {
    switch (gate) {
        case GATE_UNSUPPORTED: return "no weight that tokens read whole lies in a mapping of a model file";
        case GATE_FITS: return "what tokens need of the model fits in memory";
        case GATE_NO_ROOM: return "less than 8 MiB of that memory are left for the model";
        case GATE_NO_GAIN: return "it would be less than 5 % faster than plain mmap";
        case GATE_UNCLEAR: return "computing and waiting for the disk are not told apart";
        case GATE_OPEN: return "";
    }
    return "";
}
