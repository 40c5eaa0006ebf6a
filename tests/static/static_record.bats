#!/usr/bin/env bats
# A real llama.cpp that is linked statically, with the agent in it, by scripts/build-static-llama.sh. From the environment: TAT,
# LLAMA_CPP, MODELS.

setup() {
    program=$LLAMA_CPP/build-static/bin/llama-simple
    model=$MODELS/SmolLM2-135M-Instruct.Q4_1.gguf
    [ -x "$program" ] && [ -e "$model" ] || skip "no static llama.cpp: scripts/build-static-llama.sh makes one"
    command=("$program" -m "$model" -n 40 "Once upon a time")
    export TAT_DIR=$BATS_TEST_TMPDIR/traces
}

@test "a static llama-simple: the text is the same, the trace is proved" {
    TAT_OFF=1 "${command[@]}" > "$BATS_TEST_TMPDIR/off" 2> /dev/null
    [ ! -e "$TAT_DIR" ]
    "${command[@]}" > "$BATS_TEST_TMPDIR/on" 2> /dev/null
    cmp "$BATS_TEST_TMPDIR/off" "$BATS_TEST_TMPDIR/on"
    [ "$(ls "$TAT_DIR" | wc -l)" -eq 1 ]
    "$TAT" verify
}

@test "under tat record there is one trace, in its folder" {
    "$TAT" record -o "$BATS_TEST_TMPDIR/run" -- "${command[@]}" > /dev/null 2>&1
    [ ! -e "$TAT_DIR" ]
    "$TAT" verify "$BATS_TEST_TMPDIR/run"
}
