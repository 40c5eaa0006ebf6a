#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# A real llama.cpp computes with models that tat reorder wrote, and their traces show what it foretold.

load common

# check_reordered ARGUMENT...: of tat reorder.
check_reordered() {
    local old=$model new=$BATS_TEST_TMPDIR/new.gguf
    recorded old -n 4 -c 512 -t 2
    "$TAT" reorder --json --trace "$trace" "$@" "$old" -o "$new" > "$BATS_TEST_TMPDIR/foretold"
    model=$new
    untraced_text=$trace.untraced recorded new -n 4 -c 512 -t 2
    # The new file's own trace: it stands in that order, and reads are as far apart as was foretold.
    run --separate-stderr "$TAT" reorder --json --trace "$trace" "$new"
    [ "$status" -eq 1 ]
    printf '%s' "$output" > "$BATS_TEST_TMPDIR/found"
    python3 - "$BATS_TEST_TMPDIR/foretold" "$BATS_TEST_TMPDIR/found" << 'END'
import json
import sys

foretold, found = (json.load(open(name)) for name in sys.argv[1:])
assert foretold["order"] == found["order"] == "trace", (foretold["order"], found["order"])
assert foretold["gains"] and found["tensors_moved"] == 0
assert foretold["after"] == found["before"] == found["after"]
assert foretold["after"]["far"]["reads_per_token"] < foretold["before"]["far"]["reads_per_token"]
END
}

@test "reorder: the same text from a hybrid model, and the seeks that were foretold" {
    model random-lfm2.gguf
    check_reordered
}

@test "reorder --align: the same text from a model with experts" {
    model random-qwen2moe.gguf
    check_reordered --align 4096
}

@test "reorder: the same text from each part of a split model" {
    model random-llama-split-00001-of-00003.gguf
    recorded old -n 4 -c 512 -t 2
    "$TAT" reorder --trace "$trace" "$model" -o "$BATS_TEST_TMPDIR/new-00001-of-00003.gguf"
    model=$BATS_TEST_TMPDIR/new-00001-of-00003.gguf
    untraced_text=$trace.untraced recorded new -n 4 -c 512 -t 2
}
