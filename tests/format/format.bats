#!/usr/bin/env bats
# doc/format.md against the library: a reader written from the one must find what the other does.
# From the environment: TAT, AGENT, AGENT_EXACT, FLAT (flat.c), SUMS (sums.c), HOST_DIR (the fake hosts), LLAMA, MODELS.

bats_require_minimum_version 1.5.0

setup_file() {
    export PYTHONDONTWRITEBYTECODE=1
    "$HOST_DIR/fake_host1" --write "$BATS_FILE_TMPDIR/toy.gguf"
}

# compare [--damaged] TRACE...: reader against reader, and the library's sums against its records.
compare() {
    local damaged=()
    if [ "$1" = --damaged ]; then
        damaged=(--damaged)
        shift
    fi
    python3 "$BATS_TEST_DIRNAME/compare.py" "${damaged[@]}" "$FLAT" "$@"
    "$SUMS" "$@"
}

# traced COMMAND...: traces a program; its traces are $traces/*/tensor_access.bin.
traced() {
    traces=$BATS_TEST_TMPDIR/traces
    rm -rf "$traces"
    TAT_DIR=$traces LD_PRELOAD=$AGENT "$@" < /dev/null > "$BATS_TEST_TMPDIR/output" 2>&1 || {
        cat "$BATS_TEST_TMPDIR/output"
        return 1
    }
}

# of_model FILE ARGUMENT...: a greedy run of llama-completion, 5 tokens of prompt.
of_model() {
    [ -x "$LLAMA/llama-completion" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    [ -e "$MODELS/$1" ] || skip "no $1: scripts/get-fixtures.sh makes it"
    model=$MODELS/$1
    traced "$LLAMA/llama-completion" -m "$model" -p "The quick brown fox jumps" --temp 0 -no-cnv --ignore-eos -t 2 \
        "${@:2}"
}

dense=SmolLM2-135M-Instruct.Q4_1.gguf
moe=SmolLM2-8x2.gguf

# Made by the fake host when the format was frozen: whatever comes, it is read like this.
@test "a trace of version 1, from the day it was frozen" {
    compare "$BATS_TEST_DIRNAME/version-1.bin"
    "$TAT" export --format csv "$BATS_TEST_DIRNAME/version-1.bin" > "$BATS_TEST_TMPDIR/records.csv"
    python3 - "$BATS_TEST_TMPDIR/records.csv" << 'END'
import csv, sys
records = list(csv.DictReader(open(sys.argv[1], newline="")))
found = [len(records)] + [sum(int(r[column]) for r in records) for column in ("size", "duration_ns")]
assert found == [1003, 834240, 1640106], found
END
}

@test "the fake host: three layouts, every rule" {
    for layout in 1 2 3; do
        for rule in every empty unasked fused; do
            FAKEGGML_RULE=$rule traced "$HOST_DIR/fake_host$layout" -g 20 "$BATS_FILE_TMPDIR/toy.gguf"
            compare "$traces"/*/tensor_access.bin
        done
    done
}

@test "the fake host: several contexts, graphs that end early" {
    traced "$HOST_DIR/fake_host1" -c 4 -t 2 -g 60 --abort-every 5 "$BATS_FILE_TMPDIR/toy.gguf"
    compare "$traces"/*/tensor_access.bin
}

@test "a trace of some of the tokens" {
    TAT_TOKENS=8:11 traced "$HOST_DIR/fake_host1" -c 2 -g 20 "$BATS_FILE_TMPDIR/toy.gguf"
    compare "$traces"/*/tensor_access.bin
}

@test "a trace without captured ids of tokens" {
    TAT_PRIVATE=1 traced "$HOST_DIR/fake_host1" -g 20 "$BATS_FILE_TMPDIR/toy.gguf"
    compare "$traces"/*/tensor_access.bin
}

@test "waits at barriers: the fake host, and a real one" {
    for layout in 1 2 3; do
        AGENT=$AGENT_EXACT traced "$HOST_DIR/fake_host$layout" -c 2 -t 2 -g 60 --abort-every 7 \
            "$BATS_FILE_TMPDIR/toy.gguf"
        compare "$traces"/*/tensor_access.bin | tee "$BATS_TEST_TMPDIR/compared"
        [ "${PIPESTATUS[0]}" -eq 0 ]
        run ! grep -q " and 0 waits" "$BATS_TEST_TMPDIR/compared"
    done
    AGENT=$AGENT_EXACT of_model "$dense" -n 4
    compare "$traces"/*/tensor_access.bin
}

@test "captures that were left out" {
    of_model random-mamba.gguf -n 4
    python3 "$BATS_TEST_DIRNAME/damage.py" uncaptured "$traces"/*/tensor_access.bin "$BATS_TEST_TMPDIR/uncaptured.bin"
    compare "$BATS_TEST_TMPDIR/uncaptured.bin"
}

@test "damage: killed, cut, a block of each type" {
    traced "$HOST_DIR/fake_host1" -g 20 "$BATS_FILE_TMPDIR/toy.gguf"
    for how in killed cut STRING TENSOR TEMPLATE EVALUATION EVENT END; do
        python3 "$BATS_TEST_DIRNAME/damage.py" $how "$traces"/*/tensor_access.bin "$BATS_TEST_TMPDIR/damaged.bin"
        compare --damaged "$BATS_TEST_TMPDIR/damaged.bin"
    done
}

@test "a dense model, and the three questions" {
    of_model "$dense" -n 10
    compare "$traces"/*/tensor_access.bin
    "$TAT" gguf --csv "$model" > "$BATS_TEST_TMPDIR/structure.csv"
    python3 "$BATS_TEST_DIRNAME/test_questions.py" "$traces"/*/tensor_access.bin "$BATS_TEST_TMPDIR/structure.csv"
}

@test "the same without flash attention: V is stored transposed" {
    of_model "$dense" -n 10 -fa off
    compare "$traces"/*/tensor_access.bin
    "$TAT" gguf --csv "$model" > "$BATS_TEST_TMPDIR/structure.csv"
    python3 "$BATS_TEST_DIRNAME/test_questions.py" "$traces"/*/tensor_access.bin "$BATS_TEST_TMPDIR/structure.csv"
}

@test "a mixture of experts" {
    of_model "$moe" -n 10
    compare "$traces"/*/tensor_access.bin
}

@test "other architectures: sinks, recurrent state, latent attention, shared experts" {
    for name in gpt-oss mamba deepseek2 qwen2moe; do
        of_model "random-$name.gguf" -n 4
        compare "$traces"/*/tensor_access.bin
    done
}

# columns TRACE...: what tat dump prints of them.
columns() {
    python3 "$BATS_TEST_DIRNAME/columns.py" "$TAT" "$@"
}

@test "the columns of tat dump: the fake host" {
    for layout in 1 2 3; do
        traced "$HOST_DIR/fake_host$layout" -c 2 -g 20 "$BATS_FILE_TMPDIR/toy.gguf"
        columns "$traces"/*/tensor_access.bin
    done
}

@test "the columns of tat dump: a dense model and experts, heads and graphs" {
    of_model "$dense" -n 3 -fa off
    columns "$traces"/*/tensor_access.bin
    of_model "$dense" -n 3 -ctk q8_0 -fa on
    columns "$traces"/*/tensor_access.bin
    of_model "$moe" -n 3
    columns "$traces"/*/tensor_access.bin
}
