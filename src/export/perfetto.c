/* SPDX-License-Identifier: MIT */
#include "export/perfetto.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "export/perfetto_io.h"
#include "export/perfetto_names.h"
#include "export/perfetto_routes.h"
#include "export/perfetto_tracks.h"

/* ---- what is interned ---- */

static const char * const categories[CATEGORIES] = { NULL, "phase", "graph", "operation", "page fault", "request" };

static const char * const annotations[] = { NULL,       "graph",    "node",       "token",         "tokens",
                                            "threads",  "accesses", "operand",    "tensor",        "offset",
                                            "bytes",    "access",   "expert",     "head",          "heads",
                                            "rows",     "stride",   "bytes_read", "bytes_written", "place",
                                            "stall_ns", "disk",     "disk_offset" };
_Static_assert(sizeof annotations / sizeof annotations[0] == ANNOTATIONS, "each has a name");
_Static_assert(STRING_OPERANDS + TAT_MAX_SRC < STRING_PLACES && STRING_PLACES + TAT_PLACES <= STRING_TENSORS, "");
_Static_assert(1 + TAT_PHASE_COUNT <= NAME_MAJOR && NAME_WRITE < NAME_OPS, "");

struct sums {
    uint64_t read, written, cache, records;
};

struct perfetto {
    const struct access_context * context;
    struct tracks tracks;
    struct protobuf event, interned; /* of the open slice */
    size_t accesses;                 /* where they begin in it */
    bool * knows_tensor;
    bool * knows_op;
    struct routes routes;
    bool begun;
    uint32_t first, last; /* evaluations that were written */
    char no_io[1024];     /* why I/O events are missing; "": they are not */

    bool in_graph;
    uint32_t evaluation, lane;
    struct sums sums;

    bool in_slice;
    uint32_t node;
    uint16_t layer;       /* that all its records have, or TAT_NO_LAYER */
    uint16_t owner_layer; /* that of the first weight or state with one, which decides; or TAT_NO_LAYER */
    uint64_t begin_ns, end_ns, bytes;
    struct list flows; /* uint64_t */
};

struct perfetto * perfetto_new(const struct access_context * context) {
    uint32_t n_tensors;
    struct perfetto * p = calloc(1, sizeof *p);
    if (!p) { return NULL; }
    tat_trace_tensors(context->trace, &n_tensors);
    p->context = context;
    p->tracks.context = context;
    p->routes.trace = context->trace;
    p->knows_tensor = calloc((size_t) n_tensors + 1, sizeof *p->knows_tensor);
    p->knows_op = calloc((size_t) tat_trace_n_ops(context->trace) + 1, sizeof *p->knows_op);
    if (p->knows_tensor && p->knows_op) { return p; }
    perfetto_free(p);
    return NULL;
}

void perfetto_free(struct perfetto * p) {
    if (!p) { return; }
    tracks_free(&p->tracks);
    free(p->flows.data);
    free(p->event.bytes);
    free(p->interned.bytes);
    free(p->knows_tensor);
    free(p->knows_op);
    routes_free(&p->routes);
    free(p);
}

/* ---- events ---- */

/* The names that never change. */
static void put_names(struct perfetto * p, struct text_out * out) {
    struct protobuf * b = &p->tracks.packet.bytes;
    packet_begin(&p->tracks.packet, NULL, SEQUENCE_CLEARED | SEQUENCE_NEEDS_STATE);
    const size_t interned = protobuf_begin(b, PACKET_INTERNED_DATA);
    for (unsigned i = 1; i < CATEGORIES; i++) { intern(b, INTERNED_CATEGORIES, i, categories[i]); }
    for (unsigned i = 1; i < ANNOTATIONS; i++) { intern(b, INTERNED_ANNOTATION_NAMES, i, annotations[i]); }
    for (unsigned i = 0; i < TAT_PHASE_COUNT; i++) {
        intern(b, INTERNED_EVENT_NAMES, 1 + i, tat_phase_name((enum tat_phase) i));
    }
    intern(b, INTERNED_EVENT_NAMES, NAME_MAJOR, "major fault");
    intern(b, INTERNED_EVENT_NAMES, NAME_MINOR, "minor fault");
    intern(b, INTERNED_EVENT_NAMES, NAME_READ, "read");
    intern(b, INTERNED_EVENT_NAMES, NAME_WRITE, "write");
    for (unsigned i = 0; i < TAT_PLACES; i++) {
        intern(b, INTERNED_ANNOTATION_STRINGS, STRING_PLACES + i, tat_place_name((enum tat_place) i));
    }
    intern(b, INTERNED_ANNOTATION_STRINGS, STRING_READ, "read");
    intern(b, INTERNED_ANNOTATION_STRINGS, STRING_WRITE, "write");
    for (unsigned i = 0; i <= TAT_MAX_SRC; i++) {
        intern(b, INTERNED_ANNOTATION_STRINGS, STRING_OPERANDS + i, access_operand_name(i));
    }
    protobuf_end(b, interned);
    packet_end(&p->tracks.packet, out);
}

static void put_end(struct perfetto * p, struct text_out * out, uint64_t at, uint64_t track) {
    put_slice_end(&p->tracks.packet, out, at, track);
}

static void put_value(struct perfetto * p, struct text_out * out, uint64_t at, enum track track, uint64_t value) {
    put_counter(&p->tracks.packet, out, at, track_uuid(p->lane, track), value);
}

/* ---- operations ---- */

static void put_slice(struct perfetto * p, struct text_out * out) {
    struct protobuf * event = &p->event;
    const uint16_t layer = p->owner_layer != TAT_NO_LAYER ? p->owner_layer : p->layer;
    const uint64_t track = track_uuid(p->lane, layer);
    if (!p->in_slice) { return; }
    p->in_slice = false;
    protobuf_end(event, p->accesses);
    protobuf_uint(event, EVENT_TRACK, track);
    protobuf_uint(event, EVENT_EXTRA_COUNTER_TRACKS, track_uuid(p->lane, TRACK_NOW));
    protobuf_uint(event, EVENT_EXTRA_COUNTER_VALUES, p->bytes);
    for (uint32_t i = 0; i < p->flows.count; i++) { protobuf_fixed64(event, EVENT_FLOW, LIST(uint64_t, p->flows)[i]); }
    tracks_layer(&p->tracks, out, p->lane, layer);
    packet_begin(&p->tracks.packet, &p->begin_ns, SEQUENCE_NEEDS_STATE);
    protobuf_bytes(&p->tracks.packet.bytes, PACKET_TRACK_EVENT, event->bytes, event->used);
    if (p->interned.used) {
        protobuf_bytes(&p->tracks.packet.bytes, PACKET_INTERNED_DATA, p->interned.bytes, p->interned.used);
    }
    packet_end(&p->tracks.packet, out);
    put_end(p, out, p->end_ns, track);
}

static void add_flow(struct perfetto * p, uint64_t flow) {
    uint64_t * added = list_add(&p->flows, sizeof *added);
    if (added) {
        *added = flow;
    } else {
        p->tracks.error = ENOMEM;
    }
}

/* Flows begin at the node that chose, and end at those that read what it chose. */
static void begin_flows(struct perfetto * p, uint32_t node) {
    size_t count;
    struct choice * chosen = routes_of(&p->routes, node, &count);
    for (size_t i = 0; i < count; i++) {
        chosen[i].begun = true;
        add_flow(p, chosen[i].flow);
    }
}

static void end_flow(struct perfetto * p, uint32_t node, uint16_t expert) {
    const struct choice * chosen = routes_find(&p->routes, node, expert);
    const uint32_t n = p->flows.count;
    if (!chosen || !chosen->begun || (n && LIST(uint64_t, p->flows)[n - 1] == chosen->flow)) { return; }
    add_flow(p, chosen->flow);
}

static void begin_slice(struct perfetto * p, const struct tat_access * a) {
    struct protobuf * event = &p->event;
    p->in_slice = true;
    p->node = a->node;
    p->layer = a->layer;
    p->owner_layer = TAT_NO_LAYER;
    p->begin_ns = a->start_ns;
    p->end_ns = a->start_ns + a->duration_ns;
    p->bytes = 0;
    p->flows.count = 0;
    event->used = p->interned.used = 0;
    if (!p->knows_op[a->op]) {
        intern(&p->interned, INTERNED_EVENT_NAMES, NAME_OPS + a->op, tat_trace_op_name(p->context->trace, a->op));
        p->knows_op[a->op] = true;
    }
    protobuf_uint(event, EVENT_TYPE, TYPE_BEGIN);
    protobuf_uint(event, EVENT_CATEGORY, CATEGORY_OPERATION);
    protobuf_uint(event, EVENT_NAME_IID, NAME_OPS + a->op);
    annotate(event, EVENT_ANNOTATION, A_GRAPH, a->evaluation);
    annotate(event, EVENT_ANNOTATION, A_NODE, a->node);
    begin_flows(p, a->node);
    p->accesses = protobuf_begin(event, EVENT_ANNOTATION);
    protobuf_uint(event, ANNOTATION_NAME_IID, A_ACCESSES);
}

static void add_access(struct perfetto * p, const struct tat_access * a, struct tat_layout layout) {
    struct protobuf * event = &p->event;
    if (!p->knows_tensor[a->tensor]) {
        const char * name = p->context->tensors[a->tensor].name;
        intern(&p->interned, INTERNED_ANNOTATION_STRINGS, STRING_TENSORS + (uint64_t) a->tensor, name);
        p->knows_tensor[a->tensor] = true;
    }
    const bool writes = a->flags & TAT_ACCESS_WRITE;
    const enum tat_tensor_kind kind = p->context->tensors[a->tensor].kind;
    const bool owns = kind == TAT_TENSOR_WEIGHT || kind == TAT_TENSOR_STATE;
    if (a->layer != p->layer) { p->layer = TAT_NO_LAYER; }
    if (owns && p->owner_layer == TAT_NO_LAYER) { p->owner_layer = a->layer; }
    const size_t element = protobuf_begin(event, ANNOTATION_ELEMENT);
    annotate_string(event, ANNOTATION_ENTRY, A_OPERAND, STRING_OPERANDS + (uint64_t) a->operand);
    annotate_string(event, ANNOTATION_ENTRY, A_TENSOR, STRING_TENSORS + (uint64_t) a->tensor);
    annotate_string(event, ANNOTATION_ENTRY, A_ACCESS, writes ? STRING_WRITE : STRING_READ);
    annotate(event, ANNOTATION_ENTRY, A_OFFSET, a->offset);
    annotate(event, ANNOTATION_ENTRY, A_BYTES, a->bytes);
    if (a->expert != TAT_NO_EXPERT) { annotate(event, ANNOTATION_ENTRY, A_EXPERT, a->expert); }
    if (a->head_first != TAT_NO_HEAD) {
        annotate(event, ANNOTATION_ENTRY, A_HEAD, a->head_first);
        annotate(event, ANNOTATION_ENTRY, A_HEADS, a->head_count);
    }
    if (a->flags & TAT_ACCESS_STRIDED) {
        annotate(event, ANNOTATION_ENTRY, A_ROWS, a->rows);
        annotate(event, ANNOTATION_ENTRY, A_STRIDE, layout.stride);
    }
    protobuf_end(event, element);
    if (a->expert != TAT_NO_EXPERT) { end_flow(p, a->node, a->expert); }
    p->bytes += writes ? 0 : a->bytes;
    p->sums.read += writes ? 0 : a->bytes;
    p->sums.written += writes ? a->bytes : 0;
    p->sums.cache += kind == TAT_TENSOR_STATE && !writes ? a->bytes : 0;
    p->sums.records++;
}

/* ---- graphs ---- */

static int by_number(const void * a, const void * b) {
    const uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return (x > y) - (x < y);
}

/* Of the experts that the graph chose, those that the one before did not. Nothing is said of the first. */
static void put_new_experts(struct perfetto * p, struct text_out * out, uint64_t at) {
    struct lane * lane = &LIST(struct lane, p->tracks.lanes)[p->lane];
    const uint32_t n = p->routes.choices.count;
    struct list now = { 0 };
    uint32_t * keys = n ? list_extend(&now, sizeof *keys, n) : NULL;
    if (n == 0) { return; }
    if (!keys) {
        p->tracks.error = ENOMEM;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct choice * c = &LIST(struct choice, p->routes.choices)[i];
        keys[i] = (uint32_t) c->layer << 16 | c->expert;
    }
    qsort(keys, n, sizeof *keys, by_number);
    const uint32_t * before = LIST(uint32_t, lane->chosen);
    uint32_t fresh = 0;
    for (uint32_t i = 0, j = 0; i < n; i++) {
        while (j < lane->chosen.count && before[j] < keys[i]) { j++; }
        const bool seen = j < lane->chosen.count && before[j] == keys[i];
        fresh += !seen && (i == 0 || keys[i] != keys[i - 1]);
    }
    if (lane->has_chosen) { put_value(p, out, at, TRACK_NEW, fresh); }
    lane->has_chosen = true;
    free(lane->chosen.data);
    lane->chosen = now;
}

static void end_phase(struct perfetto * p, struct text_out * out, uint32_t number) {
    struct lane * lane = &LIST(struct lane, p->tracks.lanes)[number];
    if (lane->in_phase) { put_end(p, out, lane->end_ns, track_uuid(number, TRACK_TOKENS)); }
    lane->in_phase = false;
}

static void end_graph(struct perfetto * p, struct text_out * out) {
    if (!p->in_graph) { return; }
    put_slice(p, out);
    p->in_graph = false;
    const struct tat_evaluation * e = &p->context->evaluations[p->evaluation];
    const size_t event = event_begin(&p->tracks.packet, e->end_ns, TYPE_END, track_uuid(p->lane, TRACK_TOKENS));
    annotate(&p->tracks.packet.bytes, EVENT_ANNOTATION, A_BYTES_READ, p->sums.read);
    annotate(&p->tracks.packet.bytes, EVENT_ANNOTATION, A_BYTES_WRITTEN, p->sums.written);
    annotate(&p->tracks.packet.bytes, EVENT_ANNOTATION, A_ACCESSES, p->sums.records);
    protobuf_uint(&p->tracks.packet.bytes, EVENT_EXTRA_COUNTER_TRACKS, track_uuid(p->lane, TRACK_NOW));
    protobuf_uint(&p->tracks.packet.bytes, EVENT_EXTRA_COUNTER_VALUES, 0);
    event_end(&p->tracks.packet, out, event);
    put_value(p, out, e->begin_ns, TRACK_READ, p->sums.read);
    put_value(p, out, e->begin_ns, TRACK_CACHE, p->sums.cache);
    put_new_experts(p, out, e->begin_ns);
    LIST(struct lane, p->tracks.lanes)[p->lane].end_ns = e->end_ns;
}

static void begin_graph(struct perfetto * p, struct text_out * out, uint32_t evaluation) {
    const struct tat_evaluation * e = &p->context->evaluations[evaluation];
    struct protobuf * b = &p->tracks.packet.bytes;
    char name[64];
    p->lane = tracks_lane(&p->tracks, out, e);
    if (p->tracks.error) { return; }
    struct lane * lane = &LIST(struct lane, p->tracks.lanes)[p->lane];
    const uint64_t track = track_uuid(p->lane, TRACK_TOKENS);
    p->in_graph = true;
    p->evaluation = p->last = evaluation;
    p->sums = (struct sums){ 0 };
    if (lane->phase != e->phase) { end_phase(p, out, p->lane); }
    if (!lane->in_phase) {
        const size_t phase = event_begin(&p->tracks.packet, e->begin_ns, TYPE_BEGIN, track);
        protobuf_uint(b, EVENT_CATEGORY, CATEGORY_PHASE);
        protobuf_uint(b, EVENT_NAME_IID, 1 + (uint64_t) e->phase);
        event_end(&p->tracks.packet, out, phase);
        lane->in_phase = true;
        lane->phase = e->phase;
    }
    const uint64_t last = (uint64_t) e->token_first + e->n_tokens - 1;
    if (e->n_tokens == 0 || e->phase == TAT_PHASE_WARMUP) {
        snprintf(name, sizeof name, "graph %" PRIu32, evaluation);
    } else if (e->n_tokens == 1) {
        snprintf(name, sizeof name, "token %" PRIu32, e->token_first);
    } else {
        snprintf(name, sizeof name, "tokens %" PRIu32 " to %" PRIu64, e->token_first, last);
    }
    const size_t event = event_begin(&p->tracks.packet, e->begin_ns, TYPE_BEGIN, track);
    protobuf_uint(b, EVENT_CATEGORY, CATEGORY_GRAPH);
    protobuf_string(b, EVENT_NAME, name);
    annotate(b, EVENT_ANNOTATION, A_GRAPH, evaluation);
    annotate(b, EVENT_ANNOTATION, A_TOKEN, e->token_first);
    annotate(b, EVENT_ANNOTATION, A_TOKENS, e->n_tokens);
    annotate(b, EVENT_ANNOTATION, A_THREADS, e->n_threads);
    event_end(&p->tracks.packet, out, event);
    routes_begin(&p->routes, evaluation);
}

static int trouble(const struct perfetto * p) {
    const bool no_memory = p->tracks.packet.bytes.failed || p->event.failed || p->interned.failed || p->routes.failed;
    return p->tracks.error ? p->tracks.error : no_memory ? ENOMEM : 0;
}

int perfetto_record(struct perfetto * p, struct text_out * out, const struct tat_access * a, struct tat_layout layout) {
    if (!p->begun) {
        p->first = a->evaluation;
        put_names(p, out);
        tracks_process(&p->tracks, out);
        p->begun = true;
    }
    if (!p->in_graph || p->evaluation != a->evaluation) {
        end_graph(p, out);
        begin_graph(p, out, a->evaluation);
    }
    if (p->tracks.error) { return p->tracks.error; }
    if (!p->in_slice || p->node != a->node) {
        put_slice(p, out);
        begin_slice(p, a);
    }
    add_access(p, a, layout);
    return trouble(p);
}

/* Where the first graph of the trace was written, or the last, what was before or after it is wanted too. */
static struct io_span wanted_io(const struct perfetto * p) {
    uint32_t n;
    tat_trace_evaluations(p->context->trace, &n);
    return (struct io_span){ p->first == 0 ? 0 : p->context->evaluations[p->first].begin_ns,
                             p->last + 1 == n ? UINT64_MAX : p->context->evaluations[p->last].end_ns };
}

int perfetto_finish(struct perfetto * p, struct text_out * out) {
    struct tat_error error;
    end_graph(p, out);
    for (uint32_t i = 0; i < p->tracks.lanes.count; i++) { end_phase(p, out, i); }
    if (p->begun && perfetto_io_put(&p->tracks, out, wanted_io(p), p->knows_tensor, &error) != 0) {
        snprintf(p->no_io, sizeof p->no_io, "%s", error.message);
    }
    return trouble(p);
}

const char * perfetto_no_io(const struct perfetto * p) {
    return *p->no_io ? p->no_io : NULL;
}
