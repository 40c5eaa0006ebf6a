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
    [[ $output == *"if the program loads ggml later"* ]]
    coproc "${host[@]}" "$model" "$prompt" 400 2> /dev/null
    pid=$COPROC_PID
    read -r -n 1 -u "${COPROC[0]}" _ # it writes: all is loaded
    kill -STOP "$pid"                # so that it is still there, however long the doctor takes
    run "$TAT" doctor "$pid"
    kill -KILL "$pid"
    [ "$status" -eq 0 ]
    [[ $output == *"through the dynamic linker"* ]]
    [[ $output == *"mapped: $model"* ]]
}

# served LAST MODEL...: what three contexts of each load have to be: new ones, with tokens from 0 to LAST, and reads from
# its own file.
served() {
    local number=1 all="" model
    for model in "${@:2}"; do
        for _ in 1 2 3; do all+=",$((number++)):$model:0-$1"; done
    done
    echo "${all#,}"
}

# one_after_the_other OPTION...: three models, the first one again, with three contexts each.
one_after_the_other() {
    model random-llama.gguf
    mamba=$MODELS/random-mamba.gguf
    [ -e "$mamba" ] || skip "no random-mamba.gguf: scripts/get-fixtures.sh makes it"
    other=$BATS_TEST_TMPDIR/other.gguf
    cp --reflink=auto "$model" "$other" # alike, so that it fits where the first was
    runs=$BATS_TEST_TMPDIR/runs
    arguments=("$model,$other,$model,$mamba" Once 4 --contexts 3 "$@")
    "${host[@]}" "${arguments[@]}" > "$BATS_TEST_TMPDIR/untraced" 2> /dev/null
    "$TAT" record -o "$runs/run" -- "${host[@]}" "${arguments[@]}" > "$BATS_TEST_TMPDIR/traced" 2> /dev/null
    cmp "$BATS_TEST_TMPDIR/untraced" "$BATS_TEST_TMPDIR/traced"
    facts=$("$HOST_DIR/check_trace" "$runs")
    grep '^served' <<< "$facts"
    [ "$(awk '$1 == "served" { print $2 }' <<< "$facts")" = \
        "$(served 3 random-llama.gguf other.gguf random-llama.gguf random-mamba.gguf)" ]
    # Each file's weights once.
    weights=0
    for file in "$model" "$other" "$mamba"; do
        weights=$((weights + $("$TAT" gguf "$file" | awk '$1 == "tensors" { print int($2) }')))
    done
    run -0 "$TAT" verify "$runs/run"
    echo "$output"
    [[ $output =~ offsets\ +good\ +$weights\ weights ]]
}

@test "python: models and contexts one after the other, the first model again" {
    one_after_the_other
}

@test "python: models whose weights are copied, one after the other" {
    one_after_the_other --no-mmap
}
