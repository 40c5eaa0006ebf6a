#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The order of reading, as tat report has it, against order.py: a naive count from the second reader's records.
# TAT, AGENT, HOST_DIR (the fake hosts), TOOLS (recount), MODELS and LLAMA are given.

bats_require_minimum_version 1.5.0

setup_file() {
    export PYTHONDONTWRITEBYTECODE=1
    "$HOST_DIR/fake_host1" --write "$BATS_FILE_TMPDIR/toy.gguf"
}

# traced COMMAND...: its trace is $trace.
traced() {
    local traces=$BATS_TEST_TMPDIR/traces
    rm -rf "$traces"
    TAT_DIR=$traces LD_PRELOAD=$AGENT "$@" < /dev/null > "$BATS_TEST_TMPDIR/output" 2>&1 || {
        cat "$BATS_TEST_TMPDIR/output"
        return 1
    }
    trace=$(echo "$traces"/*/tensor_access.bin)
    report=$BATS_TEST_TMPDIR/report.json
    "$TAT" report --json --section order "$trace" > "$report"
}

# of_model FILE ARGUMENT...: a greedy run of llama-completion.
of_model() {
    [ -x "$LLAMA/llama-completion" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    [ -e "$MODELS/$1" ] || skip "no $1: scripts/get-fixtures.sh makes it"
    traced "$LLAMA/llama-completion" -m "$MODELS/$1" -p "The quick brown fox jumps" --temp 0 -no-cnv --ignore-eos -t 2 \
        "${@:2}"
}

recount() {
    python3 "$BATS_TEST_DIRNAME/order.py" "$trace" "$report"
}

# value NAME: a figure of the report.
value() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["order"]["values"].get(sys.argv[2]))' \
        "$report" "$1"
}

@test "order: a toy model with experts" {
    for tokens in 1 2 3 60; do
        traced "$HOST_DIR/fake_host1" -g $tokens "$BATS_FILE_TMPDIR/toy.gguf"
        recount
    done
    [ "$(value reorder_exact)" = True ]
}

@test "order: several contexts at once, graphs that end early" {
    traced "$HOST_DIR/fake_host1" -c 3 -t 2 -g 60 "$BATS_FILE_TMPDIR/toy.gguf"
    recount
    traced "$HOST_DIR/fake_host1" -c 2 -t 2 -g 60 --abort-every 5 "$BATS_FILE_TMPDIR/toy.gguf"
    recount
}

@test "order: a trace of some of the tokens, and without ids of tokens" {
    TAT_TOKENS=8:30 traced "$HOST_DIR/fake_host1" -g 40 "$BATS_FILE_TMPDIR/toy.gguf"
    recount
    TAT_PRIVATE=1 traced "$HOST_DIR/fake_host1" -g 40 "$BATS_FILE_TMPDIR/toy.gguf"
    recount
}

# The order of a dense model's graph is that of every token.
@test "order: a dense model" {
    of_model SmolLM2-135M-Instruct.Q4_1.gguf -n 24
    recount
    [ "$(value identical_by_slice)" = "$(value compared_tokens)" ]
    [ "$(value compared_tokens)" -ge 20 ]
    [ "$(value graph_first_wrong_slice)" = None ]
}

# Experts differ, but no tensor does.
@test "order: a mixture of experts" {
    of_model SmolLM2-8x2.gguf -n 24
    recount
    [ "$(value identical_by_tensor)" = "$(value compared_tokens)" ]
    [ "$(value identical_by_slice)" -lt "$(value compared_tokens)" ]
    [ "$(value graph_first_wrong_tensor)" = None ]
}

# Three sequences in one evaluation choose up to six experts, now more, now fewer.
@test "order: several sequences at once" {
    [ -x "$TOOLS/recount" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    [ -e "$MODELS/SmolLM2-8x2.gguf" ] || skip "no SmolLM2-8x2.gguf: scripts/get-fixtures.sh makes it"
    LD_LIBRARY_PATH=$LLAMA traced "$TOOLS/recount" -m "$MODELS/SmolLM2-8x2.gguf" -s 3 -n 8 -u 512 -t 2 -a 0 \
        "Once upon a time there was a king who had three daughters"
    recount
    [ "$(value identical_by_tensor)" = "$(value compared_tokens)" ]
    [ "$(value compared_tokens)" -ge 5 ]
}

@test "order: other architectures: sinks and biases, shared experts, latent attention, recurrent state" {
    for name in gpt-oss qwen2moe deepseek2 mamba; do
        of_model "random-$name.gguf" -n 16
        recount
        [ "$(value graph_first_wrong_tensor)" = None ]
    done
}

@test "order: a model in three files" {
    of_model random-llama-split-00001-of-00003.gguf -n 10
    recount
}

@test "order: a figure that differs is noticed" {
    traced "$HOST_DIR/fake_host1" -g 20 "$BATS_FILE_TMPDIR/toy.gguf"
    recount
    cp "$report" "$report.good"
    for figure in reorder_best_bytes forward slice_hits identical_by_slice; do
        sed "0,/\"$figure\": /s//&1/" "$report.good" > "$report"
        run ! cmp -s "$report.good" "$report"
        run recount
        [ "$status" -eq 1 ]
        [[ $output == *" reported"* ]]
    done
}
