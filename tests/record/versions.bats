#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# One binary of ours traces llama.cpp from November 2024 to today: structs, rules for callbacks and graphs differ. The builds
# are those that others have published (scripts/get-wheels.sh). CACHE is given.

load common
load ../wheels

dense=SmolLM2-135M-Instruct.Q4_1.gguf
experts=SmolLM2-8x2.gguf
short="Once upon a time there was a king who had three daughters" # 12 tokens

# complete NAME MODEL PROMPT N OPTION...: the same text as untraced, and a trace that is proved.
complete() {
    of_wheel "$@"
    same_as_untraced "$2" "${command[@]}"
    [ "$(wc -c < "$trace.traced")" -gt "$4" ]
    "$TAT" verify "$trace"
}

evaluations() { "$EVALUATIONS" "$trace" | awk '{ print $1, $2, $3 }' | uniq -c | sed 's/^ *//'; }

# both NAME: every version: a prompt and three tokens more, of a dense model, then of one with experts.
both() {
    complete "$1" $dense,$experts "$short" 4 --threads 1
    of_one=$'1 prompt 12 tokens,\n3 generate 1 tokens,'
    [ "$(evaluations)" = "$of_one"$'\n'"$of_one" ]
}

@test "versions: November 2024 (llama-cpp-cffi 0.1.20)" { both llama-cpp-cffi-0.1.20; }
@test "versions: March 2025 (xllamacpp 0.1.0)" { both xllamacpp-0.1.0; }
@test "versions: xllamacpp 0.1.5" { both xllamacpp-0.1.5; }
@test "versions: xllamacpp 0.1.10" { both xllamacpp-0.1.10; }
@test "versions: xllamacpp 0.1.15" { both xllamacpp-0.1.15; }
@test "versions: June 2025 (xllamacpp 0.1.20)" { both xllamacpp-0.1.20; }
@test "versions: xllamacpp 0.1.26" { both xllamacpp-0.1.26; }
@test "versions: August 2025 (xllamacpp 0.2.0)" { both xllamacpp-0.2.0; }
@test "versions: xllamacpp 0.2.5" { both xllamacpp-0.2.5; }
@test "versions: xllamacpp 0.2.10" { both xllamacpp-0.2.10; }
@test "versions: xllamacpp 0.2.14" { both xllamacpp-0.2.14; }
@test "versions: April 2026 (xllamacpp 2026.4.8929)" { both xllamacpp-2026.4.8929; }
@test "versions: xllamacpp 2026.5.9294" { both xllamacpp-2026.5.9294; }
@test "versions: xllamacpp 2026.6.9538" { both xllamacpp-2026.6.9538; }
@test "versions: xllamacpp 2026.7.10068" { both xllamacpp-2026.7.10068; }
@test "versions: xllamacpp 2026.8.10229" { both xllamacpp-2026.8.10229; }
@test "versions: xllamacpp 2026.9.11063" { both xllamacpp-2026.9.11063; }
@test "versions: October 2026 (xllamacpp 2026.10.11549)" { both xllamacpp-2026.10.11549; }

# attention NAME: flash attention, which is another operation, and a prompt in three graphs. A second thread is for a model of
# few nodes: these builds spin at each barrier, and for seconds where the other thread has no processor.
attention() {
    for run in "1 $dense" "1 $experts" "2 random-llama.gguf"; do
        complete "$1" "${run#* }" "$prompt" 3 --flash-attention --ubatch 16 --threads "${run% *}"
        [ "$(evaluations)" = $'2 prompt 16 tokens,\n1 prompt 12 tokens,\n2 generate 1 tokens,' ]
        "$TAT" dump "$trace" --ops FLASH_ATTN_EXT | grep -q FLASH_ATTN_EXT
    done
}

@test "versions: November 2024, 20 tokens, 1 thread" { complete llama-cpp-cffi-0.1.20 $experts "$short" 20 --threads 1; }
@test "versions: November 2024, flash attention, ubatches of 16" { attention llama-cpp-cffi-0.1.20; }
@test "versions: August 2025, 20 tokens, 1 thread" { complete xllamacpp-0.2.0 $experts "$short" 20 --threads 1; }
@test "versions: August 2025, flash attention, ubatches of 16" { attention xllamacpp-0.2.0; }

# Weights are then in memory of the program's own.
@test "versions: August 2025, no mmap" {
    complete xllamacpp-0.2.0 $dense,$experts "$prompt" 3 --no-mmap --threads 1
    [ "$("$TAT" dump --json --tensors '*.weight' "$trace" | grep -o '"memory":"[a-z]*"' | sort -u)" = '"memory":"copy"' ]
}
