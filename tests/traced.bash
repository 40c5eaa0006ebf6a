# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Traces for tests that count again what is in them. From the environment: TAT, AGENT, HOST_DIR (the fake hosts), TOOLS
# (recount), LLAMA, MODELS.

bats_require_minimum_version 1.5.0

dense=SmolLM2-135M-Instruct.Q4_1.gguf
moe=SmolLM2-8x2.gguf
prompt="The quick brown fox jumps" # 5 tokens

setup_file() {
    export PYTHONDONTWRITEBYTECODE=1
    "$HOST_DIR/fake_host1" --write "$BATS_FILE_TMPDIR/toy.gguf"
}

setup() {
    toy=$BATS_FILE_TMPDIR/toy.gguf
    trace=$BATS_TEST_TMPDIR/trace
}

# traced COMMAND...: traces a program; its trace is $trace. One that was not made, for want of room say, is told here.
traced() {
    rm -rf "$trace"
    mkdir "$trace"
    if ! TAT_VERBOSE=1 TAT_RUN_DIR=$trace LD_PRELOAD=$AGENT "$@" < /dev/null > "$BATS_TEST_TMPDIR/output" 2>&1 ||
        [ ! -s "$trace/tensor_access.bin" ]; then
        cat "$BATS_TEST_TMPDIR/output"
        return 1
    fi
}

fixture() {
    [ -e "$MODELS/$1" ] || skip "no $1: scripts/get-fixtures.sh makes it"
    model=$MODELS/$1
}

# of_model FILE ARGUMENT...: a greedy run of llama-completion.
of_model() {
    [ -x "$LLAMA/llama-completion" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    fixture "$1"
    traced "$LLAMA/llama-completion" -m "$model" -p "$prompt" --temp 0 -no-cnv --ignore-eos -t 2 "${@:2}"
}

# of_sequences FILE ARGUMENT...: a run of several sequences at once, whose prompt is the last argument.
of_sequences() {
    [ -x "$TOOLS/recount" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    fixture "$1"
    LD_LIBRARY_PATH=$LLAMA traced "$TOOLS/recount" -m "$model" -t 2 "${@:2}"
}

# damaged HOW: that trace, in $trace.damaged.
damaged() {
    rm -rf "$trace.damaged"
    mkdir "$trace.damaged"
    python3 "$BATS_TEST_DIRNAME/../format/damage.py" "$1" "$trace" "$trace.damaged/tensor_access.bin"
}
