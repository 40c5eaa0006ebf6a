/* SPDX-License-Identifier: MIT */
#include "export/access_stream.h"

#include "format/access_heads.h"

struct stream {
    const struct access_request * request;
    const struct tat_trace * trace;
    struct access_writer * writer;
    struct access_heads * heads;
    uint64_t left;
};

static bool put(const struct tat_access * a, struct tat_layout layout, void * user) {
    struct stream * s = user;
    return s->left && access_writer_put(s->writer, a, layout) && --s->left;
}

static bool put_all(const struct tat_access * records, size_t count, void * user) {
    struct stream * s = user;
    bool going = true;
    if (s->request->progress) { s->request->progress(s->request->user, records[0].evaluation); }
    if (s->heads) { return tat_access_heads_split(s->heads, records, count, put, s); }
    for (size_t i = 0; i < count && going; i++) {
        struct tat_layout layout = { 0 };
        if (records[i].layout) { layout = tat_trace_layout(s->trace, records[i].layout); }
        going = put(&records[i], layout, s);
    }
    return going;
}

static int nothing(const struct tat_trace * trace, struct tat_error * error) {
    uint32_t count;
    tat_trace_evaluations(trace, &count);
    return tat_fail(error, TAT_ERROR_NO,
                    count ? "no access record matches the filter"
                          : "no graph was computed, so the trace has no access records");
}

int access_stream(const struct access_request * request, const struct tat_trace * trace, struct access_writer * writer,
                  struct tat_error * error) {
    struct stream s = { .request = request, .trace = trace, .writer = writer };
    s.left = request->limit ? request->limit : UINT64_MAX;
    if (request->heads && !(s.heads = tat_access_heads_new(trace, error))) { return -1; }
    int status = access_filter_each(&request->filter, trace, put_all, &s, error);
    tat_access_heads_free(s.heads);
    if (status < 0) { return -1; }
    if (access_writer_end(writer, error) != 0) { return -1; }
    return writer->count ? 0 : nothing(trace, error);
}
