#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# What came into the page cache, and what became of it, is counted again page by page, beside I/O events made up at random
# and beside recorded ones.

load ../traced

# recounted TRACE [SEED...]
recounted() {
    python3 "$BATS_TEST_DIRNAME/storage.py" "$TAT" "$@"
}

@test "storage: pages that come, leave and are waited for at random" {
    of_model random-qwen2moe.gguf -n 4 -c 512
    recounted "$trace" 1 2 3
}

@test "storage: weights that are copied out of the file" {
    of_model random-lfm2.gguf -n 4 -c 512 --load-mode none
    recounted "$trace" 1
}
