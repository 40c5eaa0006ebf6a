#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# One program, run twice: counted node by node through llama.cpp's own eval callback, and traced. Every operand of every
# node of every evaluation must be the same tensor, the same bytes, the same experts.
# TAT, AGENT, TOOLS (recount, recount_check), MODELS and LLAMA are given.

prompt="Once upon a time there was a king who had three daughters, and the youngest of them was so fair that the sun \
itself, who had seen so many things, wondered each time it shone upon her face at all."

# same_count MODEL [ARGUMENT]...
same_count() {
    [ -e "$MODELS/$1" ] || skip "no $1: scripts/get-fixtures.sh makes it"
    local arguments=(-m "$MODELS/$1" "${@:2}" "$prompt") folder=$BATS_TEST_TMPDIR/${*//\//_}
    export LD_LIBRARY_PATH=$LLAMA
    mkdir -p "$folder/trace"
    counted=$("$TOOLS/recount" -c "$folder/table" "${arguments[@]}")
    traced=$(TAT_RUN_DIR="$folder/trace" LD_PRELOAD=$AGENT "$TOOLS/recount" "${arguments[@]}")
    [ "$counted" = "$traced" ]
    [ "${counted%%:*}" -ge 40 ]
    run "$TOOLS/recount_check" "$folder/trace" "$folder/table"
    echo "$*: $output"
    [ "$status" -eq 0 ]
    rm "$folder/table"
    "$TAT" verify "$folder/trace"
}

dense=SmolLM2-135M-Instruct.Q4_1.gguf
experts=SmolLM2-8x2.gguf

@test "recount: dense model" {
    same_count $dense -n 3 -u 16 -t 1 -a 1
    same_count $dense -n 3 -u 16 -t 2 -a 0
    same_count $dense -n 3 -u 512 -t 1 -a 0
    same_count $dense -n 3 -u 512 -t 2 -a 1
}

@test "recount: a quantised KV cache" {
    same_count $dense -n 3 -u 16 -t 2 -q
}

@test "recount: mixture of experts" {
    same_count $experts -n 3 -u 16 -t 1 -a 0
    same_count $experts -n 3 -u 16 -t 2 -a 1
    same_count $experts -n 3 -u 512 -t 1 -a 1
    same_count $experts -n 3 -u 512 -t 2 -a 0
}

@test "recount: several sequences, each with a stream of the KV cache" {
    same_count $dense -s 3 -n 2 -u 16 -t 1 -a 0
    same_count $dense -s 3 -n 2 -u 512 -t 2 -a 1
    same_count $experts -s 2 -n 2 -u 512 -t 2 -a 0
}

@test "recount: attention sinks, sliding window, biases of experts" {
    same_count random-gpt-oss.gguf -n 3 -u 16 -t 1 -a 1
    same_count random-gpt-oss.gguf -n 3 -u 512 -t 2 -a 0 -r
    same_count random-gpt-oss.gguf -n 3 -u 512 -t 2 -a 1 -s 3
}

@test "recount: shared experts" {
    same_count random-qwen2moe.gguf -n 3 -u 16 -t 2 -a 1
    same_count random-qwen2moe.gguf -n 3 -u 512 -t 1 -a 0
}

@test "recount: latent attention, grouped experts" {
    same_count random-deepseek2.gguf -n 3 -u 16 -t 1 -a 0
    same_count random-deepseek2.gguf -n 3 -u 512 -t 2 -a 1 -s 3
}

@test "recount: recurrent model" {
    same_count random-mamba.gguf -n 3 -u 16 -t 1
    same_count random-mamba.gguf -n 3 -u 512 -t 2 -s 3
}

@test "recount: F16 in three files" {
    same_count random-llama-split-00001-of-00003.gguf -n 3 -u 16 -t 2 -a 1
}

@test "recount: a count that differs is noticed" {
    [ -e "$MODELS/$dense" ] || skip "no $dense: scripts/get-model.sh fetches it"
    folder=$BATS_TEST_TMPDIR
    mkdir "$folder/trace"
    export LD_LIBRARY_PATH=$LLAMA
    "$TOOLS/recount" -m "$MODELS/$dense" -c "$folder/table" "Hello there" > /dev/null
    TAT_RUN_DIR="$folder/trace" LD_PRELOAD=$AGENT "$TOOLS/recount" -m "$MODELS/$dense" "Hello there" > /dev/null
    "$TOOLS/recount_check" "$folder/trace" "$folder/table"
    awk -F '\t' -v OFS='\t' 'NR == 100 { $7++ } { print }' "$folder/table" > "$folder/bytes"
    awk -F '\t' -v OFS='\t' 'NR == 100 { $8 = "0000000000000000" } { print }' "$folder/table" > "$folder/ranges"
    sed '$d' "$folder/table" > "$folder/order"
    for wrong in bytes ranges order; do
        run "$TOOLS/recount_check" "$folder/trace" "$folder/$wrong"
        [ "$status" -eq 1 ]
        [[ $output == *"different 1"* ]]
    done
}
