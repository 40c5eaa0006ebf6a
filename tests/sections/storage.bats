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

@test "storage: a recorded run, and its totals agree" {
    [ "$(id -u)" = 0 ] || skip "the page cache and requests to the disk can be seen by root alone"
    fixture random-qwen2moe.gguf
    [ -x "$LLAMA/llama-completion" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    cp "$model" "$BATS_TEST_TMPDIR/model.gguf" # nobody else reads it
    sync "$BATS_TEST_TMPDIR/model.gguf"
    "$TAT" record --io --cold -o "$trace" -- "$LLAMA/llama-completion" -m "$BATS_TEST_TMPDIR/model.gguf" -p "$prompt" \
        --temp 0 -no-cnv --ignore-eos -t 2 -n 4 -c 512 < /dev/null > /dev/null 2> "$BATS_TEST_TMPDIR/stderr"
    "$TAT" report --section storage --json "$trace" > "$BATS_TEST_TMPDIR/report"
    if ! grep -q '"unique_bytes"' "$BATS_TEST_TMPDIR/report"; then
        skip "this kernel or file system does not tell what came into the page cache"
    fi
    recounted "$trace"
    python3 - "$BATS_TEST_TMPDIR/report" << 'END'
import json, sys
section = json.load(open(sys.argv[1]))["storage"]
values = section["values"]
assert values["placed_share"] >= 0.99, values
assert abs(values.get("pages_difference", 0)) <= 0.02, values
END
}
