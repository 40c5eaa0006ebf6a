#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The plan of tat plan is counted again: pieces and their order, what becomes of each, what a token reads under every strategy,
# hits of experts, and the bounds.

load ../traced

# recounted MEMORY: in bytes.
recounted() {
    python3 "$BATS_TEST_DIRNAME/plan.py" "$TAT" "$trace" "$1" 1G/s
}

@test "the fake host: from too little memory to more than enough" {
    traced "$HOST_DIR/fake_host1" -g 12 "$toy"
    "$TAT" plan --memory 1G -o "$BATS_TEST_TMPDIR/plan.json" "$trace" > /dev/null || [ $? -eq 1 ]
    for bytes in 4096 20000 50000 100000 200000 400000 4000000; do
        recounted "$(python3 -c 'import json, sys
a = json.load(open(sys.argv[1]))["assumptions"]
print((a["besides_bytes"] - a["kernel_bytes"] + (6 << 20) + int(sys.argv[2])) * 64 // 63)' "$BATS_TEST_TMPDIR/plan.json" $bytes)"
    done
}

@test "a dense model" {
    of_model $dense -n 4 -c 512
    for memory in 120000000 90000000; do recounted $memory; done
}

@test "a mixture of experts" {
    of_model $moe -n 6 -c 512
    for memory in 220000000 130000000; do recounted $memory; done
}

@test "a model in three files, experts with biases" {
    of_model random-llama-split-00001-of-00003.gguf -n 3 -c 512
    recounted 95000000
    of_model random-gpt-oss.gguf -n 4 -c 512
    recounted 80000000
}
