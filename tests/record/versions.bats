#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# One binary of ours traces llama.cpp as it was in November 2024 (0.3.2) and in the middle of 2025 (0.3.16): other structs,
# other rules for callbacks, and llama-cli in place of llama-completion. CACHE is given.

load common

# old VERSION ARGUMENT...: both models, which the newest version completes in the same way.
old() {
    program=$CACHE/llama.cpp-$1/build/bin/llama-cli
    [ "$1" != 0.3.2 ] || plain=() # knows no conversations
    for name in SmolLM2-135M-Instruct.Q4_1.gguf SmolLM2-8x2.gguf; do
        model $name
        traced_like_untraced "$name" "${@:2}"
    done
}

@test "versions: 0.3.2, 1 thread" { old 0.3.2 -n 20 -t 1; }
@test "versions: 0.3.2, 2 threads, flash attention, ubatches of 16" { old 0.3.2 -n 3 -t 2 -fa -ub 16; }
@test "versions: 0.3.16, 1 thread" { old 0.3.16 -n 20 -t 1; }
@test "versions: 0.3.16, 2 threads, flash attention, ubatches of 16" { old 0.3.16 -n 3 -t 2 -fa -ub 16; }
@test "versions: 0.3.16, no mmap" { old 0.3.16 -n 3 -t 2 --no-mmap; }
