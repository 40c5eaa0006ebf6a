#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The sections "experts" and "attention": every figure in their JSON, counted again from the trace by brute force, by a reader
# that shares no code with the library. CACHE is given.

load ../traced
load ../wheels

# check TRACE: both sections.
check() {
    python3 "$BATS_TEST_DIRNAME/check_experts.py" "$TAT" "$1"
    python3 "$BATS_TEST_DIRNAME/check_attention.py" "$TAT" "$1"
}

@test "sections: the toy model" {
    traced "$HOST_DIR/fake_host1" -g 40 "$toy"
    check "$trace"
}

@test "sections: the toy model in several contexts, with graphs that end early" {
    traced "$HOST_DIR/fake_host1" -c 4 -t 2 -g 60 --abort-every 5 "$toy"
    check "$trace"
}

@test "sections: some of the tokens, and captures that were left out" {
    TAT_TOKENS=8:21 traced "$HOST_DIR/fake_host1" -c 2 -g 30 "$toy"
    check "$trace"
    damaged uncaptured
    check "$trace.damaged"
}

@test "sections: a dense model" {
    of_model "$dense" -n 20
    check "$trace"
    run "$TAT" report --section experts "$trace"
    [ "$status" -eq 1 ] # the answer is no
    [[ $output == *"the model is a dense one"* ]]
    run "$TAT" report --section experts --section attention "$trace"
    [ "$status" -eq 0 ]
}

@test "sections: a dense model without flash attention, and with a quantised cache" {
    of_model "$dense" -n 6 -fa off
    check "$trace"
    of_model "$dense" -n 6 -fa on -ctk q8_0
    check "$trace"
}

@test "sections: 8 experts, small ubatches of the prompt" {
    of_model "$moe" -n 40 -ub 2
    check "$trace"
}

@test "sections: attention sinks and a sliding window, 32 experts with biases" {
    of_model random-gpt-oss.gguf -n 160
    check "$trace"
    run "$TAT" report --section attention "$trace"
    [[ $output == *"3 of 6 layers see no more than the last 128 cells"* ]]
}

@test "sections: latent attention with grouped experts, shared experts, recurrent state" {
    for name in deepseek2 qwen2moe mamba lfm2; do
        of_model "random-$name.gguf" -n 20
        check "$trace"
    done
    "$TAT" report --section attention --section order "$trace" | tr -s ' \n' ' ' > "$BATS_TEST_TMPDIR/hybrid"
    for kind in "order in layers 0 and 2: read state, write state in layer 1: Q, " \
        "a layer layers 0 and 2: attn_norm, shortconv.in_proj, " "layer 1: attn_norm, attn_q, "; do
        grep -qF "$kind" "$BATS_TEST_TMPDIR/hybrid"
    done
    of_model random-deepseek2.gguf -n 4 -fa off
    check "$trace"
    "$TAT" report --section attention "$trace" | grep -q "4 query heads per layer, all on one latent vector"
}

@test "export: counts of experts, masks, and rules that llama.cpp obeys" {
    traced "$HOST_DIR/fake_host1" -g 40 "$toy"
    python3 "$BATS_TEST_DIRNAME/check_export.py" "$TAT" "$trace"
    of_model random-gpt-oss.gguf -n 8
    python3 "$BATS_TEST_DIRNAME/check_export.py" "$TAT" "$trace"
    of_model random-deepseek2.gguf -n 8
    half=$("$TAT" export --expert-mask --per-layer 1 "$trace" | awk -F, 'NR > 1 { n += $4 } END { print int(n / 2) }')
    rules=$("$TAT" export --override-tensor --memory "$half" "$trace")
    "$LLAMA/llama-completion" -m "$model" -p "$prompt" -n 1 -no-cnv -t 2 -lv 5 -ot "$rules" > "$trace.log" 2>&1 < /dev/null
    python3 "$BATS_TEST_DIRNAME/check_export.py" "$TAT" "$trace" "$trace.log"
}

@test "sections: several sequences at once" {
    local sentence="The quick brown fox jumps over the lazy dog"
    of_sequences "$moe" -s 3 -n 6 -u 16 -a 0 "$sentence"
    check "$trace"
    of_sequences random-gpt-oss.gguf -s 2 -n 6 -u 512 -a 1 "$sentence"
    check "$trace"
}

# The cache is written by copies to views of it, and V may lie transposed.
@test "sections: 8 experts in older versions of llama.cpp" {
    for wheel in llama-cpp-cffi-0.1.20 xllamacpp-0.1.20; do
        for option in "" --flash-attention; do
            of_wheel $wheel "$moe" "$prompt" 6 --threads 1 $option
            traced "${command[@]}"
            check "$trace"
        done
    done
}

@test "sections: kinds of tokens need the tokens, and the model's vocabulary" {
    fixture random-deepseek2.gguf
    TAT_PRIVATE=1 of_model random-deepseek2.gguf -n 4
    check "$trace"
    "$TAT" report --questions --section experts "$trace" | tr -s ' \n' ' ' > "$BATS_TEST_TMPDIR/answers"
    grep -q "of their own? Unknown: the trace does not have the tokens." "$BATS_TEST_TMPDIR/answers"
    cp "$MODELS/random-deepseek2.gguf" "$BATS_TEST_TMPDIR/model.gguf"
    MODELS=$BATS_TEST_TMPDIR of_model model.gguf -n 4
    check "$trace"
    rm "$BATS_TEST_TMPDIR/model.gguf"
    check "$trace"
    "$TAT" report --questions --section experts "$trace" | tr -s ' \n' ' ' > "$BATS_TEST_TMPDIR/answers"
    grep -q "of their own? Unknown: the model file is gone," "$BATS_TEST_TMPDIR/answers"
}

@test "sections: a figure that is wrong is noticed" {
    traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    cat > "$BATS_TEST_TMPDIR/liar" << END
#!/usr/bin/env bash
"$TAT" "\$@" | sed -E '0,/"(gini|kv_of_weights)": 0/s//"\1": 1/'
END
    chmod +x "$BATS_TEST_TMPDIR/liar"
    for section in experts attention; do
        run python3 "$BATS_TEST_DIRNAME/check_$section.py" "$BATS_TEST_TMPDIR/liar" "$trace"
        [ "$status" -eq 1 ]
        [[ $output == *" 1 differ" ]]
    done
}
