#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# A program that was never linked with llama.cpp: Python, which loads it by ctypes.

load common

dense=SmolLM2-135M-Instruct.Q4_1.gguf
experts=SmolLM2-8x2.gguf

setup() {
    host=("$(command -v python3)" "$BATS_TEST_DIRNAME/ctypes_host.py" "$LLAMA/libllama.so")
}

# python_like_untraced N: the same text with and without the tracer, a trace that is proved and has N evaluations.
python_like_untraced() {
    trace=$BATS_TEST_TMPDIR/run
    "${host[@]}" "$model" "$prompt" "$1" > "$trace.untraced" 2> "$trace.stderr"
    "$TAT" record -o "$trace" -- "${host[@]}" "$model" "$prompt" "$1" > "$trace.traced" 2> "$trace.stderr"
    cmp "$trace.untraced" "$trace.traced"
    [ -s "$trace.traced" ]
    "$TAT" verify "$trace"
    [ "$("$EVALUATIONS" "$trace" | wc -l)" -eq "$1" ]
}

@test "python: libllama by ctypes, a dense model" {
    model $dense
    python_like_untraced 5
    "$EVALUATIONS" "$trace" | head -1 | grep -q '^prompt 44 tokens, 1 outputs'
}

@test "python: libllama by ctypes, experts" {
    model $experts
    python_like_untraced 3
}

@test "python: the doctor does not know yet, and knows the process" {
    model $dense
    run "$TAT" doctor "${host[0]}"
    [ "$status" -eq 0 ]
    [[ $output == *"if it loads ggml later"* ]]
    coproc "${host[@]}" "$model" "$prompt" 400 2> /dev/null
    pid=$COPROC_PID
    read -r -n 1 -u "${COPROC[0]}" _ # it writes: all is loaded
    run "$TAT" doctor "$pid"
    kill "$pid"
    [ "$status" -eq 0 ]
    [[ $output == *"through the dynamic linker"* ]]
    [[ $output == *"mapped: $model"* ]]
}
