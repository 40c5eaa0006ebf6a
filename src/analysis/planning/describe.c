/* SPDX-License-Identifier: MIT
 *
 * The plan for programs: what becomes of each piece, in which order, by which policy, and what that goes by.
 */
#include "analysis/planning/planning.h"
#include "plan/reserve.h"

static const char * const classes[] = {
    [PLACE_LEAVE] = "leave", [PLACE_PIN] = "pin", [PLACE_STREAM] = "stream", [PLACE_CACHE] = "cache"
};

static json_t * piece_json(const struct planning * p, const struct plan_found * f, struct result * r, uint32_t i) {
    const struct plan_piece * piece = &p->piece[i];
    const struct tat_tensor * t = &p->subject->tensors[piece->tensor];
    json_t * o = json_object();
    result_put_text(r, o, "tensor", t->name);
    if (piece->expert != TAT_NO_EXPERT) { result_put_count(r, o, "expert", piece->expert); }
    result_put_count(r, o, "file", piece->file);
    result_put_count(r, o, "offset", piece->offset);
    result_put_count(r, o, "bytes", piece->bytes);
    result_put_layer(r, o, "layer", piece->layer);
    result_put_text(r, o, "component", tat_component_name(t->component));
    result_put_text(r, o, "class", classes[f->classes[i]]);
    result_put_real(r, o, "uses_per_graph", ratio(piece->uses, p->n_graphs));
    return o;
}

static void add_pieces(const struct planning * p, const struct plan_found * f, struct result * r) {
    json_t *pieces = json_array(), *pins = json_array();
    for (uint32_t i = 0; i < p->n_pieces; i++) {
        json_t * piece = piece_json(p, f, r, i);
        r->failed |= json_array_append_new(pieces, piece) != 0;
        if (f->classes[i] == PLACE_PIN) { r->failed |= json_array_append(pins, piece) != 0; }
    }
    result_put(r, r->json, "pieces", pieces);
    result_put(r, r->json, "pin_list", pins);
}

static json_t * files_json(const struct planning * p, struct result * r) {
    json_t * files = json_array();
    for (uint32_t i = 0; i < p->subject->n_files; i++) {
        const struct tat_model_file * file = &p->subject->files[i];
        json_t * o = json_object();
        result_put_text(r, o, "path", file->path);
        result_put_count(r, o, "bytes", file->size);
        result_put(r, o, "mtime_ns", json_integer(file->mtime_ns));
        r->failed |= json_array_append_new(files, o) != 0;
    }
    return files;
}

static json_t * placement_json(const struct plan_found * f, struct result * r) {
    const struct placement * x = &f->chosen->outcome.placement;
    json_t * o = json_object();
    result_put_count(r, o, "pinned_bytes", x->pinned);
    result_put_count(r, o, "streamed_bytes", x->streamed);
    result_put_count(r, o, "ring_bytes", x->ring);
    result_put_count(r, o, "cached_bytes", x->cached);
    result_put_count(r, o, "cache_bytes", x->cache);
    result_put_count(r, o, "left_bytes", x->left);
    return o;
}

static json_t * assumptions_json(const struct planning * p, struct result * r) {
    static const char * const sources[] = { [COMPUTE_MEASURED] = "trace",
                                            [COMPUTE_WITHOUT_FAULTS] = "trace, without page faults",
                                            [COMPUTE_WITHOUT_READS] = "trace, without waits for reads",
                                            [COMPUTE_WITH_WAITS] = "trace, with waits for the disk" };
    const struct planning_request * q = p->request;
    json_t * o = json_object();
    result_put_count(r, o, "kv_bytes", p->kv_bytes);
    result_put_count(r, o, "compute_buffer_bytes", plan_growth(q->compute_bytes));
    result_put_count(r, o, "program_bytes", q->program_bytes);
    result_put_count(r, o, "library_bytes", q->library_bytes);
    result_put_count(r, o, "copied_bytes", p->copied_bytes);
    result_put_count(r, o, "kernel_bytes", plan_reserve(q->memory_bytes));
    result_put_count(r, o, "besides_bytes", q->memory_bytes - p->budget);
    result_put_real(r, o, "stream_bytes_per_second", p->costs.stream_rate);
    result_put_real(r, o, "expert_bytes_per_second", p->costs.miss_rate);
    result_put_real(r, o, "fault_bytes_per_second", p->costs.fault_rate);
    result_put_real(r, o, "given_up_bytes_per_second", p->costs.given_up_rate);
    result_put_real(r, o, "mapped_bytes_per_second", p->plain_rate);
    result_put_count(r, o, "read_ahead_bytes", p->read_ahead);
    result_put_text(r, o, "disk_source", q->disk_rate > 0 ? "given" : q->disk ? "tat doctor --disk" : "not known");
    if (q->disk_name && *q->disk_name) { result_put_text(r, o, "disk", q->disk_name); }
    result_put_real(r, o, "compute_ns_per_token", p->token_compute_ns);
    result_put_text(r, o, "compute_source", sources[p->compute_source]);
    result_put_real(r, o, "map_ns_per_byte", p->costs.map_ns_per_byte);
    return o;
}

/* Of what is as large as an expert's slice, by how many are read together. */
static json_t * bursts_json(const struct planning * p, struct result * r, const struct disk_bursts * bursts) {
    json_t * together = json_array();
    for (unsigned n = 1; n <= BURST_READS; n++) {
        const double ns = disk_burst_ns(bursts, n, (double) planning_mean_expert(p));
        r->failed |= json_array_append_new(together, json_real(ns)) != 0;
    }
    return together;
}

/* What the timeline goes by. */
static json_t * managing_json(const struct planning * p, struct result * r) {
    const struct timeline_machine * m = &p->machine;
    json_t * o = json_object();
    result_put(r, o, "burst_ns", bursts_json(p, r, &m->disk));
    result_put(r, o, "burst_ns_while_computing", bursts_json(p, r, &m->while_computing));
    result_put(r, o, "told_together", json_boolean(m->together));
    result_put_real(r, o, "start_ns", m->start_ns);
    result_put_real(r, o, "wake_ns", m->wake_ns);
    result_put_real(r, o, "taken_share", m->taken);
    result_put_real(r, o, "guesses_right_share", PREDICT_GUESSES_RIGHT);
    result_put_count(r, o, "guesses_at_once", m->guesses_at_once);
    return o;
}

static void add_order(const struct plan_found * f, struct result * r) {
    json_t * o = json_object();
    result_put_text(r, o, "reads", "graph");
    result_put_text(r, o, "experts", "router");
    if (f->lead_layers != LEAD_EARLIEST) { result_put_count(r, o, "layers_ahead", f->lead_layers); }
    result_put_count(r, o, "ahead_bytes", f->chosen->outcome.ahead_bytes);
    result_put(r, r->json, "prefetch", o);
}

void planning_describe(const struct planning * p, const struct plan_found * f, struct result * r) {
    result_put(r, r->json, "model_files", files_json(p, r));
    result_put(r, r->json, "assumptions", assumptions_json(p, r));
    if (p->machine.disk.n_blocks) { result_put(r, r->json, "managing", managing_json(p, r)); }
    result_put(r, r->json, "pieces", json_array());
    if (!f->chosen) { return; }
    result_put(r, r->json, "placement", placement_json(f, r));
    result_put_text(r, r->json, "policy", f->chosen->strategy->policy ? f->chosen->strategy->policy->name : "none");
    add_order(f, r);
    add_pieces(p, f, r);
}
