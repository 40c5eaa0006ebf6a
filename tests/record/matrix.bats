#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Eight runs in which any two of seven settings meet in all four ways: an orthogonal array, in place of 128 runs.

load common

models=(SmolLM2-135M-Instruct.Q4_1.gguf SmolLM2-8x2.gguf)
attention=(on off)
repack=(--repack --no-repack)
loading=(mmap none)
ubatch=(512 16)

# setting A B C: three bits; the other four settings are their sums.
setting() {
    local a=$1 b=$2 c=$3
    model "${models[a]}"
    export GGML_CPU_DISABLE_FUSION=$((a ^ b ^ c))
    traced_like_untraced run -n 3 -t $((b + 1)) -fa "${attention[c]}" "${repack[a ^ b]}" -lm "${loading[a ^ c]}" \
        -ub "${ubatch[b ^ c]}"
}

@test "matrix: dense, 1 thread, flash attention, repack, mmap, 512, fused" { setting 0 0 0; }
@test "matrix: dense, 1 thread, no flash attention, repack, read, 16, not fused" { setting 0 0 1; }
@test "matrix: dense, 2 threads, flash attention, no repack, mmap, 16, not fused" { setting 0 1 0; }
@test "matrix: dense, 2 threads, no flash attention, no repack, read, 512, fused" { setting 0 1 1; }
@test "matrix: experts, 1 thread, flash attention, no repack, read, 512, not fused" { setting 1 0 0; }
@test "matrix: experts, 1 thread, no flash attention, no repack, mmap, 16, fused" { setting 1 0 1; }
@test "matrix: experts, 2 threads, flash attention, repack, read, 16, fused" { setting 1 1 0; }
@test "matrix: experts, 2 threads, no flash attention, repack, mmap, 512, not fused" { setting 1 1 1; }
