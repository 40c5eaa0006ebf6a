#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The sections "experts" and "attention": every figure in their JSON, counted again from the trace by brute force, by a reader
# that shares no code with the library. From the environment: TAT, AGENT, HOST_DIR (the fake hosts), TOOLS (recount), LLAMA,
# MODELS, CACHE.

bats_require_minimum_version 1.5.0

setup_file() {
    export PYTHONDONTWRITEBYTECODE=1
    "$HOST_DIR/fake_host1" --write "$BATS_FILE_TMPDIR/toy.gguf"
}

# check TRACE...: both sections.
check() {
    for trace in "$@"; do
        python3 "$BATS_TEST_DIRNAME/check_experts.py" "$TAT" "$trace"
        python3 "$BATS_TEST_DIRNAME/check_attention.py" "$TAT" "$trace"
    done
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

fixture() {
    [ -e "$MODELS/$1" ] || skip "no $1: scripts/get-fixtures.sh makes it"
}

# of_model FILE ARGUMENT...: a greedy run of llama-completion, 5 tokens of prompt.
of_model() {
    [ -x "$LLAMA/llama-completion" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    fixture "$1"
    traced "$LLAMA/llama-completion" -m "$MODELS/$1" -p "The quick brown fox jumps" --temp 0 -no-cnv --ignore-eos -t 2 \
        "${@:2}"
}

# of_sequences FILE ARGUMENT...: a run of several sequences at once.
of_sequences() {
    [ -x "$TOOLS/recount" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    fixture "$1"
    LD_LIBRARY_PATH=$LLAMA traced "$TOOLS/recount" -m "$MODELS/$1" "${@:2}" "The quick brown fox jumps over the lazy dog"
}

dense=SmolLM2-135M-Instruct.Q4_1.gguf
moe=SmolLM2-8x2.gguf

@test "sections: the toy model" {
    traced "$HOST_DIR/fake_host1" -g 40 "$BATS_FILE_TMPDIR/toy.gguf"
    check "$traces"/*/tensor_access.bin
}

@test "sections: the toy model in several contexts, with graphs that end early" {
    traced "$HOST_DIR/fake_host1" -c 4 -t 2 -g 60 --abort-every 5 "$BATS_FILE_TMPDIR/toy.gguf"
    check "$traces"/*/tensor_access.bin
}

@test "sections: some of the tokens, and captures that were left out" {
    TAT_TOKENS=8:21 traced "$HOST_DIR/fake_host1" -c 2 -g 30 "$BATS_FILE_TMPDIR/toy.gguf"
    check "$traces"/*/tensor_access.bin
    python3 "$BATS_TEST_DIRNAME/../format/damage.py" uncaptured "$traces"/*/tensor_access.bin "$BATS_TEST_TMPDIR/uncaptured.bin"
    check "$BATS_TEST_TMPDIR/uncaptured.bin"
}

@test "sections: a dense model" {
    of_model "$dense" -n 20
    check "$traces"/*/tensor_access.bin
    run "$TAT" report --section experts "$traces"/*
    [ "$status" -eq 1 ] # the answer is no
    [[ $output == *"the model is a dense one"* ]]
    run "$TAT" report --section experts --section attention "$traces"/*
    [ "$status" -eq 0 ]
}

@test "sections: a dense model without flash attention, and with a quantised cache" {
    of_model "$dense" -n 6 -fa off
    check "$traces"/*/tensor_access.bin
    of_model "$dense" -n 6 -fa on -ctk q8_0
    check "$traces"/*/tensor_access.bin
}

@test "sections: 8 experts, small ubatches of the prompt" {
    of_model "$moe" -n 40 -ub 2
    check "$traces"/*/tensor_access.bin
}

@test "sections: attention sinks and a sliding window, 32 experts with biases" {
    of_model random-gpt-oss.gguf -n 160
    check "$traces"/*/tensor_access.bin
    run "$TAT" report --section attention "$traces"/*
    [[ $output == *"3 of 6 layers see no more than the last 128 cells"* ]]
}

@test "sections: latent attention with grouped experts, shared experts, recurrent state" {
    for name in deepseek2 qwen2moe mamba; do
        of_model "random-$name.gguf" -n 20
        check "$traces"/*/tensor_access.bin
    done
}

@test "sections: several sequences at once" {
    of_sequences "$moe" -s 3 -n 6 -u 16 -t 2 -a 0
    check "$traces"/*/tensor_access.bin
    of_sequences random-gpt-oss.gguf -s 2 -n 6 -u 512 -t 2 -a 1
    check "$traces"/*/tensor_access.bin
}

# The cache is written by copies to views of it, and V may lie transposed.
@test "sections: 8 experts in older versions of llama.cpp" {
    fixture "$moe"
    for version in 0.3.2 0.3.16; do
        old=$CACHE/llama.cpp-$version/build/bin/llama-cli
        [ -x "$old" ] || skip "no llama-cli: scripts/get-llama.sh $version makes one"
        plain=(-no-cnv)
        [ "$version" != 0.3.2 ] || plain=() # knows no conversations
        for attention in "" -fa; do
            # shellcheck disable=SC2086
            traced "$old" -m "$MODELS/$moe" -p "The quick brown fox jumps" --temp 0 "${plain[@]}" --ignore-eos -t 2 -n 6 \
                $attention
            check "$traces"/*/tensor_access.bin
        done
    done
}

@test "sections: kinds of tokens need the tokens, and the model's vocabulary" {
    fixture random-deepseek2.gguf
    TAT_PRIVATE=1 of_model random-deepseek2.gguf -n 4
    check "$traces"/*/tensor_access.bin
    "$TAT" report --questions --section experts "$traces"/* | tr -s ' \n' ' ' > "$BATS_TEST_TMPDIR/answers"
    grep -q "of their own? Not to be told: the trace does not have the tokens." "$BATS_TEST_TMPDIR/answers"
    cp "$MODELS/random-deepseek2.gguf" "$BATS_TEST_TMPDIR/model.gguf"
    MODELS=$BATS_TEST_TMPDIR of_model model.gguf -n 4
    check "$traces"/*/tensor_access.bin
    rm "$BATS_TEST_TMPDIR/model.gguf"
    check "$traces"/*/tensor_access.bin
    "$TAT" report --questions --section experts "$traces"/* | tr -s ' \n' ' ' > "$BATS_TEST_TMPDIR/answers"
    grep -q "of their own? Not to be told: the model file is gone," "$BATS_TEST_TMPDIR/answers"
}

@test "sections: a figure that is wrong is noticed" {
    traced "$HOST_DIR/fake_host1" -g 20 "$BATS_FILE_TMPDIR/toy.gguf"
    cat > "$BATS_TEST_TMPDIR/liar" << END
#!/usr/bin/env bash
"$TAT" "\$@" | sed -E '0,/"(gini|kv_of_weights)": 0/s//"\1": 1/'
END
    chmod +x "$BATS_TEST_TMPDIR/liar"
    for section in experts attention; do
        run python3 "$BATS_TEST_DIRNAME/check_$section.py" "$BATS_TEST_TMPDIR/liar" "$traces"/*/tensor_access.bin
        [ "$status" -eq 1 ]
        [[ $output == *" 1 differ" ]]
    done
}
