/* SPDX-License-Identifier: MIT */
#include "export/perfetto_tracks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { LANES_MAX = 4096 };

void tracks_free(struct tracks * t) {
    for (uint32_t i = 0; i < t->lanes.count; i++) {
        free(LIST(struct lane, t->lanes)[i].layers.data);
        free(LIST(struct lane, t->lanes)[i].chosen.data);
    }
    free(t->lanes.data);
    free(t->packet.bytes.bytes);
}

void tracks_describe(struct tracks * t, struct text_out * out, const struct track_descriptor * d) {
    struct protobuf * b = &t->packet.bytes;
    packet_begin(&t->packet, NULL, SEQUENCE_NEEDS_STATE);
    const size_t descriptor = protobuf_begin(b, PACKET_TRACK_DESCRIPTOR);
    protobuf_uint(b, TRACK_UUID, d->uuid);
    protobuf_string(b, TRACK_NAME, d->name);
    protobuf_uint(b, TRACK_PARENT, d->parent);
    protobuf_uint(b, TRACK_CHILD_ORDERING, ORDERING_BY_RANK);
    protobuf_uint(b, TRACK_RANK, (uint64_t) d->rank);
    protobuf_uint(b, TRACK_MERGING, MERGING_NEVER);
    if (d->description) { protobuf_string(b, TRACK_DESCRIPTION, d->description); }
    if (d->unit) {
        const size_t counter = protobuf_begin(b, TRACK_COUNTER);
        protobuf_uint(b, COUNTER_UNIT, d->unit);
        protobuf_end(b, counter);
    }
    protobuf_end(b, descriptor);
    packet_end(&t->packet, out);
}

void tracks_process(struct tracks * t, struct text_out * out) {
    const struct tat_file_header * header = tat_trace_header(t->context->trace);
    const char * slash = strrchr(header->program, '/');
    struct protobuf * b = &t->packet.bytes;
    packet_begin(&t->packet, NULL, SEQUENCE_NEEDS_STATE);
    const size_t descriptor = protobuf_begin(b, PACKET_TRACK_DESCRIPTOR);
    protobuf_uint(b, TRACK_UUID, TRACK_PROCESS_UUID);
    const size_t process = protobuf_begin(b, TRACK_PROCESS);
    protobuf_uint(b, PROCESS_PID, header->pid);
    protobuf_string(b, PROCESS_NAME, slash ? slash + 1 : header->program);
    protobuf_end(b, process);
    protobuf_end(b, descriptor);
    packet_end(&t->packet, out);
}

static const char * model_name(const struct tat_trace * trace, uint32_t number) {
    uint32_t count;
    const struct tat_model * models = tat_trace_models(trace, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (models[i].number == number) { return models[i].name; }
    }
    return "";
}

static void put_lane(struct tracks * t, struct text_out * out, uint32_t lane, const struct tat_evaluation * e) {
    static const struct {
        enum track track;
        const char *name, *description;
        unsigned unit;
    } tracks[] = {
        { TRACK_TOKENS, "tokens", "Phases, and in them the graphs with the tokens that each one computed.", 0 },
        { TRACK_READ, "bytes read", "Bytes that the graph reads: weights, cache, activations.", UNIT_BYTES },
        { TRACK_CACHE, "cache read", "Bytes of KV cache and recurrent state that the graph reads.", UNIT_BYTES },
        { TRACK_NEW, "new experts", "Experts that the graph before, of this context, did not choose.", UNIT_COUNT },
        { TRACK_NOW, "bytes read now", "Bytes that the operation reads.", UNIT_BYTES },
    };
    uint32_t count;
    const struct tat_template * of = &tat_trace_templates(t->context->trace, &count)[e->template_id];
    char name[320];
    snprintf(name, sizeof name, "context %" PRIu32 " %.255s", e->context, model_name(t->context->trace, of->model));
    const uint64_t group = track_uuid(lane, TRACK_GROUP);
    tracks_describe(t, out, &(struct track_descriptor){ group, TRACK_PROCESS_UUID, name, NULL, (int) lane, 0 });
    for (size_t i = 0; i < sizeof tracks / sizeof tracks[0]; i++) {
        tracks_describe(t, out,
                        &(struct track_descriptor){ track_uuid(lane, tracks[i].track), group, tracks[i].name,
                                                    tracks[i].description, (int) i, tracks[i].unit });
    }
}

void tracks_layer(struct tracks * t, struct text_out * out, uint32_t number, uint16_t layer) {
    struct lane * lane = &LIST(struct lane, t->lanes)[number];
    char name[32];
    enum { RANK_LAYERS = 16 };
    if (lane->layers.count && lane->last_layer == layer) { return; }
    lane->last_layer = layer;
    for (uint32_t i = 0; i < lane->layers.count; i++) {
        if (LIST(uint16_t, lane->layers)[i] == layer) { return; }
    }
    uint16_t * added = list_add(&lane->layers, sizeof *added);
    if (!added) {
        t->error = ENOMEM;
        return;
    }
    *added = layer;
    snprintf(name, sizeof name, layer == TAT_NO_LAYER ? "no layer" : "layer %u", layer);
    const int rank = layer == TAT_NO_LAYER ? RANK_LAYERS : RANK_LAYERS + 1 + layer;
    tracks_describe(
        t, out,
        &(struct track_descriptor){ track_uuid(number, layer), track_uuid(number, TRACK_GROUP), name, NULL, rank, 0 });
}

uint32_t tracks_lane(struct tracks * t, struct text_out * out, const struct tat_evaluation * e) {
    for (uint32_t i = 0; i < t->lanes.count; i++) {
        const struct lane * lane = &LIST(struct lane, t->lanes)[i];
        if (lane->context == e->context && lane->end_ns <= e->begin_ns) { return i; }
    }
    struct lane * added = t->lanes.count < LANES_MAX ? list_add(&t->lanes, sizeof *added) : NULL;
    if (!added) {
        t->error = t->lanes.count < LANES_MAX ? ENOMEM : EOVERFLOW;
        return 0;
    }
    added->context = e->context;
    put_lane(t, out, t->lanes.count - 1, e);
    return t->lanes.count - 1;
}
