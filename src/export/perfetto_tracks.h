/* SPDX-License-Identifier: MIT
 *
 * The tracks of a Perfetto trace: one group for each context, in it the tokens, the counters and the layers. A track is
 * described before the first event that stands on it.
 */
#ifndef TAT_EXPORT_PERFETTO_TRACKS_H
#define TAT_EXPORT_PERFETTO_TRACKS_H

#include "export/access_cells.h"
#include "export/perfetto_packet.h"
#include "format/list.h"

/* A graph of a context begins when the one before has ended, so a context has one lane of tracks. It gets another where
 * graphs overlap all the same, because slices of one track must not. */
struct lane {
    uint32_t context;
    uint64_t end_ns;     /* of its last graph */
    struct list layers;  /* uint16_t: those that have a track */
    uint16_t last_layer; /* found last */
    bool in_phase;
    enum tat_phase phase; /* whose slice is open */
    struct list chosen;   /* uint32_t: layer << 16 | expert of its last graph, sorted */
    bool has_chosen;
};

/* A lane's tracks. That of a layer has the layer's number; that of no layer, TAT_NO_LAYER. */
enum track { TRACK_GROUP = 1 << 16, TRACK_TOKENS, TRACK_READ, TRACK_CACHE, TRACK_NEW, TRACK_NOW };

static inline uint64_t track_uuid(uint32_t lane, uint32_t track) {
    enum { TRACKS_OF_LANE = 1 << 17 };
    return (uint64_t) TRACKS_OF_LANE * (lane + 1) + track;
}

enum { TRACK_PROCESS_UUID = 1 };

struct track_descriptor {
    uint64_t uuid, parent;
    const char *name, *description;
    int rank;
    unsigned unit; /* of a counter; 0: slices */
};

/* Begins zeroed but for the context. */
struct tracks {
    const struct access_context * context;
    struct packet packet;
    struct list lanes; /* struct lane */
    int error;         /* errno, or 0 */
};

void tracks_free(struct tracks * t);

void tracks_describe(struct tracks * t, struct text_out * out, const struct track_descriptor * d);

/* Describes the process. */
void tracks_process(struct tracks * t, struct text_out * out);

/* The number of the lane for a graph that begins now, described if it is new. On an error, any. */
uint32_t tracks_lane(struct tracks * t, struct text_out * out, const struct tat_evaluation * e);

/* Describes a layer's track, unless it was before. */
void tracks_layer(struct tracks * t, struct text_out * out, uint32_t lane, uint16_t layer);

#endif
