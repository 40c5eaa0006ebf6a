# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# TAT, EVALUATIONS, MODELS and LLAMA are given.

bats_require_minimum_version 1.5.0

# 44 tokens
prompt="Once upon a time there was a king who had three daughters, and the youngest of them was so fair that the sun \
itself, who had seen so many things, wondered each time it shone upon her face at all."

model() {
    [ -x "$LLAMA/llama-completion" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    [ -e "$MODELS/$1" ] || skip "no $1: see tests/fixtures/README.md"
    model=$MODELS/$1
}

# completion [BEFORE...] . ARGUMENT...: runs llama-completion greedily, as an argument of what stands before the point.
completion() {
    local before=()
    while [ "$1" != . ]; do
        before+=("$1")
        shift
    done
    "${before[@]}" "$LLAMA/llama-completion" -m "$model" --temp 0 -no-cnv --ignore-eos -p "$prompt" "${@:2}" < /dev/null
}

# traced_like_untraced NAME ARGUMENT...: the same text and exit status, and a trace that is proved, in $trace.
traced_like_untraced() {
    trace=$BATS_TEST_TMPDIR/$1
    completion . "${@:2}" > "$trace.untraced" 2> "$trace.stderr"
    completion "$TAT" record -o "$trace" -- . "${@:2}" > "$trace.traced" 2> "$trace.stderr" || {
        cat "$trace.stderr"
        return 1
    }
    cmp "$trace.untraced" "$trace.traced"
    [ -s "$trace.traced" ]
    "$TAT" verify "$trace"
}
