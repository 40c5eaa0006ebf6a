#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Attention by head, as `tat export --heads` splits it: of a real model, whose heads are known.

load common
load ../wheels

# split_right "COMPONENT=HEADS...": $trace.
split_right() {
    local expected=()
    read -r -a expected <<< "$1"
    python3 "$BATS_TEST_DIRNAME/check_heads.py" "$TAT" "$trace" "${expected[@]}"
}

# heads NAME MODEL "COMPONENT=HEADS..." ARGUMENT...
heads() {
    model "$2"
    recorded "$1" "${@:4}"
    split_right "$3"
}

dense=SmolLM2-135M-Instruct.Q4_1.gguf
smollm2="attn_q=9 attn_k=3 attn_v=3 attn_output=9 kv_k=3 kv_v=3"

@test "heads: flash attention" { heads flash $dense "$smollm2" -n 4 -t 2 -fa on; }
@test "heads: no flash attention, V is stored transposed" { heads turned $dense "$smollm2" -n 4 -t 2 -fa off; }
@test "heads: a quantised cache" { heads quantised $dense "$smollm2" -n 4 -t 2 -fa on -ctk q8_0 -ctv q4_0; }
@test "heads: small ubatches" { heads small $dense "$smollm2" -n 2 -t 2 -fa off -ub 16; }

# old WHEEL OPTION...: the cache is written by copies to views of it.
old() {
    of_wheel "$1" $dense "$prompt" 3 --threads 1 "${@:2}"
    same_as_untraced "$1" "${command[@]}"
    split_right "$smollm2"
}

@test "heads: November 2024" { old llama-cpp-cffi-0.1.20; }
@test "heads: November 2024, flash attention" { old llama-cpp-cffi-0.1.20 --flash-attention; }
@test "heads: June 2025" { old xllamacpp-0.1.20 --ubatch 16; }

@test "heads: other architectures, split or not" {
    heads gpt-oss random-gpt-oss.gguf "" -n 3 -t 2
    heads qwen2moe random-qwen2moe.gguf "" -n 3 -t 2
    heads deepseek2 random-deepseek2.gguf "" -n 3 -t 2
    heads mamba random-mamba.gguf "" -n 3 -t 2
}
