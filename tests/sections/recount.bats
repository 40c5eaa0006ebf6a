#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Every figure of the sections phases, tokens, components, hot, layers and time is counted again, naively, and must be
# the same.
# AGENT_EXACT is given.

load ../traced

prompt="The quick brown fox jumps over the lazy dog, and the dog is not amused: it was asleep." # 23 tokens

# recounted TRACE [-- OPTION...]
recounted() {
    python3 "$BATS_TEST_DIRNAME/recount.py" "$TAT" "$@"
}

@test "an error in any figure would be noticed" {
    traced "$HOST_DIR/fake_host1" -g 8 "$toy"
    python3 "$BATS_TEST_DIRNAME/test_recount.py" "$TAT" "$trace"
    AGENT=$AGENT_EXACT traced "$HOST_DIR/fake_host1" -t 2 -g 8 "$toy"
    python3 "$BATS_TEST_DIRNAME/test_recount.py" "$TAT" "$trace"
}

@test "the fake host: three layouts, every rule" {
    for layout in 1 2 3; do
        for rule in every empty unasked fused; do
            FAKEGGML_RULE=$rule traced "$HOST_DIR/fake_host$layout" -g 12 "$toy"
            recounted "$trace"
        done
    done
}

@test "the fake host: several contexts and threads, graphs that end early" {
    traced "$HOST_DIR/fake_host1" -c 4 -t 2 -g 40 --abort-every 5 "$toy"
    recounted "$trace"
}

@test "the fake host: some of the tokens, nothing captured of what is private" {
    TAT_TOKENS=8:11 traced "$HOST_DIR/fake_host1" -c 2 -g 20 "$toy"
    recounted "$trace"
    TAT_PRIVATE=1 traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    recounted "$trace"
}

@test "the fake host: times taken behind the barrier" {
    for threads in 1 2; do
        AGENT=$AGENT_EXACT traced "$HOST_DIR/fake_host1" -t $threads -g 20 "$toy"
        recounted "$trace"
    done
    AGENT=$AGENT_EXACT traced "$HOST_DIR/fake_host1" -c 4 -t 2 -g 40 --abort-every 5 "$toy"
    recounted "$trace"
}

@test "the fake host: what is hot and what is cold can be set" {
    traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    recounted "$trace" -- --hot 1 --cold 99
    recounted "$trace" -- --hot 7 --cold 29
    recounted "$trace" -- --hot 30 --cold 30
    recounted "$trace" -- --hot 100 --cold 100
}

@test "a dense model" {
    of_model "$dense" -n 6
    recounted "$trace"
}

@test "a dense model without flash attention" {
    of_model "$dense" -n 4 -fa off
    recounted "$trace"
}

@test "a mixture of experts" {
    of_model "$moe" -n 6
    recounted "$trace"
}

# Graphs of a prompt that have no output read the embedding by rows only, others the whole of it too.
@test "a prompt in several graphs" {
    of_model "$dense" -n 2 -ub 8
    recounted "$trace"
    of_model "$moe" -n 2 -ub 8
    recounted "$trace"
}

@test "sinks and biases of experts, latent attention and shared experts, recurrent state" {
    for name in gpt-oss deepseek2 qwen2moe mamba; do
        of_model "random-$name.gguf" -n 4
        recounted "$trace"
    done
}

@test "several sequences: graphs with prompt and generation in one" {
    of_sequences "$moe" -s 2 -n 2 -u 16 "Once upon a time there was a king who had three daughters"
    recounted "$trace"
    "$TAT" report --section phases "$trace" | grep -q "^mixed "
}

@test "one token: nothing is generated" {
    of_model "$dense" -n 1
    recounted "$trace"
    run "$TAT" report --section tokens "$trace"
    [ "$status" -eq 0 ]
    [ "${lines[1]}" = "No generated token was evaluated." ]
}

@test "an empty trace: every section says so" {
    traced "$HOST_DIR/fake_host1" -g 2 "$toy"
    mkdir "$trace.empty"
    head -c 4096 "$trace/tensor_access.bin" > "$trace.empty/tensor_access.bin"
    for section in hot time components layers phases tokens; do
        run --separate-stderr "$TAT" report --section $section "$trace.empty"
        echo "$output"
        [ "$status" -eq 1 ]
        [[ ${lines[1]} =~ ^(Neither a prompt nor a|No)" generated token " ]]
        [ "${#lines[@]}" -eq 2 ]
    done
}

@test "what is shown fits 80 columns" {
    traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    for section in hot time components layers phases tokens; do
        "$TAT" report --section $section "$trace" > "$trace.text"
        [ "$(wc -l < "$trace.text")" -gt 5 ]
        run awk 'length($0) > 80' "$trace.text"
        [ -z "$output" ] || { echo "$section: $output"; return 1; }
    done
}

@test "a trace cut off, killed or with a hole: what is there is counted" {
    traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    run --separate-stderr "$TAT" report --section hot "$trace"
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    for how in cut killed EVALUATION TEMPLATE; do
        damaged $how
        recounted "$trace.damaged"
        run --separate-stderr "$TAT" report --section hot "$trace.damaged"
        [ "$status" -eq 0 ]
        [ "${lines[0]}" = "Hot and cold" ]
        [[ $stderr == "tat report: the trace is incomplete (killed, cut off, damaged or still being written). "* ]]
    done
    of_model random-mamba.gguf -n 4
    for how in uncaptured cut; do
        damaged $how
        recounted "$trace.damaged"
    done
}
