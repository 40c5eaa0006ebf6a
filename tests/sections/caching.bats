#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Every figure of the section on caching is counted again, naively, and must be the same; no cache beats the bound.

load ../traced

prompt="The quick brown fox jumps over the lazy dog, and the dog is not amused: it was asleep." # 23 tokens

# recounted TRACE [OPTION VALUE...]: sizes in bytes. After -- are others, for the same trace.
recounted() {
    python3 "$BATS_TEST_DIRNAME/caching.py" "$TAT" "$1" -- "${@:2}"
}

@test "an error in any figure would be noticed" {
    traced "$HOST_DIR/fake_host1" -g 8 "$toy"
    python3 "$BATS_TEST_DIRNAME/test_caching.py" "$TAT" "$trace"
}

@test "the fake host: three layouts, every rule" {
    for layout in 1 2 3; do
        for rule in every fused; do
            FAKEGGML_RULE=$rule traced "$HOST_DIR/fake_host$layout" -g 6 "$toy"
            recounted "$trace"
        done
    done
}

@test "the fake host: memory and disk given, from too little to more than enough" {
    traced "$HOST_DIR/fake_host1" -g 12 "$toy"
    given=(--disk 1)
    for memory in 1 1000 65536 100000 200000 300000 1000000000000; do
        given+=(-- --memory $memory -- --memory $memory --disk 2000000000)
    done
    for unit in expert 512 4096 65536; do given+=(-- --unit $unit --memory 100000); done
    given+=(-- --unit 4096 --read-ahead 8 --memory 100000)
    recounted "$trace" "${given[@]}"
}

@test "the fake host: several contexts and threads, graphs that end early" {
    traced "$HOST_DIR/fake_host1" -c 4 -t 2 -g 40 --abort-every 5 "$toy"
    recounted "$trace"
}

@test "the fake host: nothing captured of what is private: no expert is known" {
    TAT_PRIVATE=1 traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    recounted "$trace" --disk 2000000000
}

@test "the fake host: some of the tokens" {
    TAT_TOKENS=8:11 traced "$HOST_DIR/fake_host1" -c 2 -g 20 "$toy"
    recounted "$trace"
}

@test "a machine's memory counts where none is given" {
    traced "$HOST_DIR/fake_host1" -g 8 "$toy"
    for bytes in 100000 200000; do
        echo "{\"host\": {\"memory_bytes\": $bytes}}" > "$trace/trace_metadata.json"
        recounted "$trace"
    done
}

@test "a dense model" {
    of_model $dense -n 5
    recounted "$trace" --memory 50000000 --disk 2000000000 -- --unit 1048576
}

@test "a prompt in several graphs" {
    of_model random-llama.gguf -n 3 -ub 8
    recounted "$trace"
}

@test "a mixture of experts" {
    of_model $moe -n 3
    recounted "$trace" --memory 150000000 --disk 2000000000 -- --unit expert
}

@test "a model in three files" {
    of_model random-llama-split-00001-of-00003.gguf -n 10
    recounted "$trace" --memory 10000000
}

@test "biases of experts, latent attention and shared experts, recurrent state" {
    for name in gpt-oss deepseek2 qwen2moe mamba; do
        of_model "random-$name.gguf" -n 4
        recounted "$trace" --disk 20000000
    done
}

@test "one token: nothing is read twice, so no cache helps" {
    of_model random-mamba.gguf -n 1
    recounted "$trace" --memory 1000000
    run "$TAT" report --section caching "$trace"
    [ "$status" -eq 0 ]
    [ "${lines[1]}" = "No weight is read twice: a cache has nothing to save." ]
}

@test "an empty trace, and one whose tokens were not asked for" {
    traced "$HOST_DIR/fake_host1" -g 2 "$toy"
    mkdir "$trace.empty"
    head -c 4096 "$trace/tensor_access.bin" > "$trace.empty/tensor_access.bin"
    TAT_TOKENS=100:101 traced "$HOST_DIR/fake_host1" -g 2 "$toy"
    for none in "$trace.empty 1" "$trace 0"; do
        run --separate-stderr "$TAT" report --section caching "${none% *}"
        echo "$output"
        [ "$status" -eq "${none#* }" ]
        [ "${lines[1]}" = "Neither a prompt nor a generated token read a weight." ]
        [ "${#lines[@]}" -eq 2 ]
    done
}

@test "a trace cut off, killed or with a hole: what is there is counted" {
    traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    for how in cut killed EVALUATION TEMPLATE uncaptured moved; do
        damaged $how
        recounted "$trace.damaged"
    done
    of_model random-mamba.gguf -n 4
    for how in uncaptured cut; do
        damaged $how
        recounted "$trace.damaged"
    done
}

@test "for people: 80 columns" {
    traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    for options in "" "--memory 100K" "--memory 900T" "--disk 2G/s" "--memory 100K --disk 900G/s"; do
        for how in "--section caching" "--questions --section caching"; do
            "$TAT" report $how $options "$trace" > "$BATS_TEST_TMPDIR/report"
            awk 'length > 80 { print; wide = 1 } END { exit wide }' "$BATS_TEST_TMPDIR/report"
        done
    done
}
