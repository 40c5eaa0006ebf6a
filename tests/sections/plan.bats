#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The plan of tat plan is counted again: pieces and their order, what becomes of each, what a token reads under every strategy,
# hits of experts, and the bounds.

load ../traced

# recounted MEMORY...: in bytes; +BYTES: so much is left for the model.
recounted() {
    python3 "$BATS_TEST_DIRNAME/plan.py" "$TAT" "$trace" 1G/s "$@"
}

@test "the fake host: from too little memory to more than enough" {
    traced "$HOST_DIR/fake_host1" -g 12 "$toy"
    recounted +4096 +20000 +50000 +100000 +200000 +400000 +4000000
}

@test "a dense model" {
    of_model $dense -n 3 -c 512
    recounted 120000000 90000000 72000000
}

@test "a run that waited for its disk, which nothing tells apart from computing: no verdict" {
    of_model $dense -n 3 -c 512
    echo '{"managed": true}' > "$trace/trace_metadata.json"
    run -3 --separate-stderr "$TAT" plan --memory 90MB --disk 1G/s "$trace"
    [[ ${lines[1]} == "Cannot be told from this trace: "* ]]
    run -1 --separate-stderr "$TAT" plan --memory 4G --disk 1G/s "$trace"
    [[ ${lines[1]} == "Nothing to do: "*" fit in "* ]]
}

@test "a mixture of experts" {
    of_model $moe -n 4 -c 512
    recounted 220000000 130000000
}

@test "a model in three files, experts with biases" {
    of_model random-llama-split-00001-of-00003.gguf -n 3 -c 512
    recounted 95000000
    of_model random-gpt-oss.gguf -n 4 -c 512
    recounted 80000000
}

@test "a trace cut off, killed or with a hole: what is there is planned" {
    traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    for how in cut killed EVALUATION TEMPLATE uncaptured moved; do
        damaged $how
        trace=$trace.damaged recounted +150000
    done
}

@test "several contexts and threads, graphs that end early" {
    traced "$HOST_DIR/fake_host1" -c 4 -t 2 -g 40 --abort-every 5 "$toy"
    recounted +150000
}
