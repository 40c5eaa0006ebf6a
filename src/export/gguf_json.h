/* SPDX-License-Identifier: MIT
 *
 * A model's structure as one JSON object: files, hash, hyper-parameters, metadata, tensors, findings.
 */
#ifndef TAT_EXPORT_GGUF_JSON_H
#define TAT_EXPORT_GGUF_JSON_H

#include <jansson.h>

#include "tat/gguf.h"

/* The caller's to decref. NULL when memory is out. */
json_t * export_gguf_json(const struct tat_gguf * gguf);

/* Parts of it, for others to put into theirs. Hyper-parameters that the model does not state are left out. */
json_t * export_gguf_params(const struct tat_gguf * gguf);
json_t * export_gguf_files(const struct tat_gguf * gguf);

#endif
