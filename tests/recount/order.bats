#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The order of reading, as tat report has it, against order.py: a naive count from the second reader's records.

load ../traced

# recount [REPORT]: of $trace; without an argument, as tat reports it now.
recount() {
    report=${1:-$BATS_TEST_TMPDIR/report.json}
    [ $# -gt 0 ] || "$TAT" report --json --section order "$trace" > "$report"
    python3 "$BATS_TEST_DIRNAME/order.py" "$trace" "$report"
}

# value NAME: a figure of the report.
value() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["order"]["values"].get(sys.argv[2]))' \
        "$report" "$1"
}

@test "order: a toy model with experts" {
    for tokens in 1 2 3 60; do
        traced "$HOST_DIR/fake_host1" -g $tokens "$toy"
        recount
    done
    [ "$(value reorder_exact)" = True ]
}

@test "order: several contexts at once, graphs that end early" {
    traced "$HOST_DIR/fake_host1" -c 3 -t 2 -g 60 "$toy"
    recount
    traced "$HOST_DIR/fake_host1" -c 2 -t 2 -g 60 --abort-every 5 "$toy"
    recount
}

@test "order: a trace of some of the tokens, and without ids of tokens" {
    TAT_TOKENS=8:30 traced "$HOST_DIR/fake_host1" -g 40 "$toy"
    recount
    TAT_PRIVATE=1 traced "$HOST_DIR/fake_host1" -g 40 "$toy"
    recount
}

# The order of a dense model's graph is that of every token.
@test "order: a dense model" {
    of_model $dense -n 24
    recount
    [ "$(value identical_by_slice)" = "$(value compared_tokens)" ]
    [ "$(value compared_tokens)" -ge 20 ]
    [ "$(value graph_first_wrong_slice)" = None ]
}

# Experts differ, but no tensor does.
@test "order: a mixture of experts" {
    of_model $moe -n 14
    recount
    [ "$(value identical_by_tensor)" = "$(value compared_tokens)" ]
    [ "$(value identical_by_slice)" -lt "$(value compared_tokens)" ]
    [ "$(value graph_first_wrong_tensor)" = None ]
}

# Three sequences in one evaluation choose up to six experts, now more, now fewer.
@test "order: several sequences at once" {
    of_sequences $moe -s 3 -n 8 -u 512 -a 0 "Once upon a time there was a king who had three daughters"
    recount
    [ "$(value identical_by_tensor)" = "$(value compared_tokens)" ]
    [ "$(value compared_tokens)" -ge 5 ]
}

@test "order: other architectures: sinks and biases, shared experts, latent attention, recurrent state" {
    for name in gpt-oss qwen2moe deepseek2 mamba jamba; do
        of_model "random-$name.gguf" -n 10
        recount
        [ "$(value graph_first_wrong_tensor)" = None ]
    done
}

@test "order: a model in three files" {
    of_model random-llama-split-00001-of-00003.gguf -n 10
    recount
}

@test "order: a figure that differs is noticed" {
    traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    recount
    for figure in reorder_best_bytes forward slice_hits identical_by_slice; do
        sed "0,/\"$figure\": /s//&1/" "$report" > "$report.wrong"
        run ! cmp -s "$report" "$report.wrong"
        run recount "$report.wrong"
        [ "$status" -eq 1 ]
        [[ $output == *" reported"* ]]
    done
}
