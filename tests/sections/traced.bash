# SPDX-License-Identifier: MIT
#
# Traces for these tests. From the environment: AGENT, LLAMA, MODELS.

# traced COMMAND...: traces a program; its trace is $trace.
traced() {
    trace=$BATS_TEST_TMPDIR/trace
    rm -rf "$trace"
    mkdir "$trace"
    TAT_RUN_DIR=$trace LD_PRELOAD=$AGENT "$@" < /dev/null > "$BATS_TEST_TMPDIR/output" 2>&1 || {
        cat "$BATS_TEST_TMPDIR/output"
        return 1
    }
}

# of_model FILE ARGUMENT...: a greedy run of llama-completion, 23 tokens of prompt.
of_model() {
    [ -x "$LLAMA/llama-completion" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    [ -e "$MODELS/$1" ] || skip "no $1: scripts/get-fixtures.sh makes it"
    traced "$LLAMA/llama-completion" -m "$MODELS/$1" --temp 0 -no-cnv --ignore-eos -t 2 "${@:2}" -p "The quick brown \
fox jumps over the lazy dog, and the dog is not amused: it was asleep."
}

# damaged HOW: that trace, in $trace.damaged.
damaged() {
    rm -rf "$trace.damaged"
    mkdir "$trace.damaged"
    python3 "$BATS_TEST_DIRNAME/../format/damage.py" "$1" "$trace/tensor_access.bin" "$trace.damaged/tensor_access.bin"
}
