/* SPDX-License-Identifier: MIT */
#include "export/access_stream.h"

struct stream {
    const struct access_request * request;
    const struct tat_trace * trace;
    struct access_writer * writer;
    uint64_t left;
};

static bool put_all(const struct tat_access * records, size_t count, void * user) {
    struct stream * s = user;
    if (s->request->progress) { s->request->progress(s->request->user, records[0].evaluation); }
    for (size_t i = 0; i < count; i++) {
        struct tat_layout layout = { 0 };
        if (records[i].layout) { layout = tat_trace_layout(s->trace, records[i].layout); }
        if (!s->left || !access_writer_put(s->writer, &records[i], layout) || !--s->left) { return false; }
    }
    return true;
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
    struct stream s = { request, trace, writer, request->limit ? request->limit : UINT64_MAX };
    const int status = tat_filter_expand(request->filter, 0, UINT32_MAX, put_all, &s, error);
    if (status < 0) { return -1; }
    if (access_writer_end(writer, error) != 0) { return -1; }
    return writer->count ? 0 : nothing(trace, error);
}
