#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# A real llama.cpp, traced: it does what it does untraced, and the trace has every pass of it.

load common

dense=SmolLM2-135M-Instruct.Q4_1.gguf
experts=SmolLM2-8x2.gguf

# evaluations_are LINE...: of $trace, from the first to the last.
evaluations_are() {
    local is=()
    mapfile -t is < <("$EVALUATIONS" "$trace")
    printf '%s\n' "${is[@]}"
    [ "${#is[@]}" -eq $# ]
    [ "$(printf '%s\n' "${is[@]}")" = "$(printf '%s\n' "$@")" ]
}

@test "record: -n 3 is a warm-up, the prompt and two tokens more" {
    model $dense
    traced_like_untraced run -n 3
    none="0 layers, 0 + 0 selections"
    evaluations_are "warmup 2 tokens, 1 outputs; $none" "prompt 44 tokens, 1 outputs; $none" \
        "generate 1 tokens, 1 outputs; $none" "generate 1 tokens, 1 outputs; $none"
}

@test "record: a prompt in ubatches of 16 is three passes, of which the last has an output" {
    model $dense
    traced_like_untraced run -n 1 -ub 16 --no-warmup
    none="0 layers, 0 + 0 selections"
    evaluations_are "prompt 16 tokens, 0 outputs; $none" "prompt 16 tokens, 0 outputs; $none" \
        "prompt 12 tokens, 1 outputs; $none"
}

@test "record: a prompt row by row has an output at its last alone, again and again" {
    model random-llama.gguf
    traced_like_untraced run -n 3 -ub 1 --no-warmup
    none="0 layers, 0 + 0 selections"
    [ "$("$EVALUATIONS" "$trace" | uniq -c | tr -s ' ' | paste -sd,)" = \
        " 43 prompt 1 tokens, 0 outputs; $none, 1 prompt 1 tokens, 1 outputs; $none, 2 generate 1 tokens, 1 outputs; $none" ]
    trace=$BATS_TEST_TMPDIR/bench
    "$TAT" record -o "$trace" -- "$LLAMA/llama-bench" -m "$model" -p 10 -n 2 -r 2 -t 1 -ub 1 > "$trace.text"
    # Three prompts of ten rows; then a warm-up of one token, and twice one at position 0 and one more.
    [ "$("$EVALUATIONS" "$trace" | awk '{ n[$1] += $2 } END { print n["warmup"], n["prompt"], n["generate"] }')" = "1 32 2" ]
}

# The last layer routes only the row whose output is asked for.
@test "record: every row of a prompt goes to two experts in each of 30 layers" {
    model $experts
    traced_like_untraced run -n 2 --no-warmup
    evaluations_are "prompt 44 tokens, 1 outputs; 30 layers, $((29 * 44 * 2)) + 2 selections" \
        "generate 1 tokens, 1 outputs; 30 layers, 58 + 2 selections"
}

@test "record: the status of a run that fails is its own" {
    model $dense
    run completion . -m /nowhere.gguf -n 1
    untraced=$status
    [ "$untraced" -ne 0 ]
    run completion "$TAT" record -o "$BATS_TEST_TMPDIR/run" -- . -m /nowhere.gguf -n 1
    [ "$status" -eq "$untraced" ]
}

@test "record: llama-bench, whose output is times, is traced in full" {
    model $dense
    [ -x "$LLAMA/llama-bench" ] || skip "no llama-bench: scripts/get-llama.sh makes one"
    trace=$BATS_TEST_TMPDIR/run
    "$TAT" record -o "$trace" -- "$LLAMA/llama-bench" -m "$model" -p 32 -n 2 -r 1 -t 2 -o json > "$trace.json"
    grep -q '"n_prompt": 32' "$trace.json"
    "$TAT" verify "$trace"
}

@test "record: 100 generated tokens, and 40 with experts" {
    for run in "$dense 100" "$experts 40"; do
        n=${run#* }
        model "${run% *}"
        traced_like_untraced run -n "$n" -t 2
        mapfile -t evaluations < <("$EVALUATIONS" "$trace")
        [ ${#evaluations[@]} -eq $((n + 1)) ] # a warm-up, the prompt, and all tokens but the last
        [ "$(grep -c '^generate 1 tokens, 1 outputs' <<< "$(printf '%s\n' "${evaluations[@]}")")" -eq $((n - 1)) ]
    done
}

# Without a mapping the weights have been read, or are in pages that do not move.
@test "record: every way to load" {
    model $dense
    for mode in auto none mmap mlock mmap+mlock dio; do
        echo "$mode"
        traced_like_untraced $mode -n 2 -lm $mode
        untraced_text=$trace.untraced # the same for all
    done
}

@test "record: a quantised KV cache" {
    model $dense
    traced_like_untraced run -n 2 -t 2 -fa on -ctk q8_0 -ctv q8_0
}

@test "record: models of other architectures" {
    for name in llama llama-split-00001-of-00003 gpt-oss qwen2moe deepseek2 mamba; do
        model random-$name.gguf
        echo "$name"
        traced_like_untraced $name -n 3 -t 2
    done
}

phases_are() { [ "$("$EVALUATIONS" "$trace" | cut -d\; -f1 | paste -sd,)" = "$1" ]; }

# RWKV's first layer has three weights that its graph does without: noted, not refused.
@test "record: recurrent models and hybrids" {
    for name in rwkv7 jamba lfm2; do
        model random-$name.gguf
        echo "$name"
        traced_like_untraced $name -n 2 -t 1
        phases_are "warmup 2 tokens, 1 outputs,prompt 44 tokens, 1 outputs,generate 1 tokens, 1 outputs"
    done
    "$TAT" verify "$BATS_TEST_TMPDIR/rwkv7" | grep "the model does without 3, first blk.0.time_mix_v0.weight"
}

# The encoder reads the prompt; the decoder begins with a token of its own.
@test "record: an encoder and a decoder" {
    model random-t5.gguf
    traced_like_untraced t5 -n 3 -t 1
    phases_are "warmup 2 tokens, 2 outputs,warmup 1 tokens, 1 outputs,prompt 44 tokens, 44 outputs,prompt 1 tokens, 1 outputs,generate 1 tokens, 1 outputs,generate 1 tokens, 1 outputs"
}

time_value() {
    "$TAT" report --json --section time "$trace" | python3 -c \
        'import json, sys; print(json.load(sys.stdin)["time"]["values"][sys.argv[1]])' "$1"
}

# How long thread 0 waits is the machine's affair; that waits lie within their nodes and graphs, check_trace sees.
@test "record: exact times tell what thread 0 waited" {
    model $dense
    options=(--exact-time)
    traced_like_untraced two -n 6 -t 2
    mkdir "$trace.alone"
    ln -s "$trace" "$trace.alone"
    facts=$("$HOST_DIR/check_trace" "$trace.alone")
    fact() { awk -v name="$1" '$1 == name { print $2 }' <<< "$facts"; }
    [ "$(fact exact)" -eq 7 ]
    [ "$(fact waits)" -eq "$(fact callbacks_stored)" ]
    [ "$(time_value wait_ns)" -gt 0 ]
    [ "$(time_value wait_ns)" -lt "$(time_value wait_of_ns)" ]
    [ "$(time_value wait_of_ns)" -eq "$(time_value ns)" ]
    "$TAT" report --questions "$trace" | grep "Thread 0 waited at barriers for"
    traced_like_untraced one -n 2 -t 1
    "$TAT" report --questions "$trace" | grep "None: one thread computed. Passing the barriers took"
}

# A draft model proposes, the other checks: two models and two contexts, whose graphs alternate; tokens are taken back.
@test "record: two models in one process" {
    program=$LLAMA/llama-speculative-simple
    model $experts
    plain=(-md "$MODELS/$dense" --spec-type draft-simple)
    traced_like_untraced run -n 20 -t 2
    [ "$("$EVALUATIONS" "$trace" | awk '{ print $6 }' | sort -u | tr '\n' ' ')" = "0 30 " ] # layers with experts
    parts_are "model $experts" "draft $dense"
    "$TAT" report "$trace" | tee "$trace.txt"
    grep "^Layers: $experts (model)$" "$trace.txt"
    [ "$(rows layers layers)" -eq 31 ] # and what is in none
    "$TAT" report "$trace" --model draft --section phases | grep "^Phases: $dense (draft)$"
    [ "$("$TAT" dump "$trace" --model draft | tail -n +2 | cut -f 14 | sort -u | tr -d '\n')" = 2 ]
    # Each warms up or tries its cache; each reads the prompt but for its last token; then the one drafts 3 tokens at most,
    # and both go over them. So many tokens were proposed and accepted as the program says.
    "$EVALUATIONS" "$trace" | cut -d\; -f1 | sort | uniq -c
    [ "$("$EVALUATIONS" "$trace" | grep -c "^warmup 2 tokens")" -eq 3 ]
    [ "$("$EVALUATIONS" "$trace" | grep -c "^prompt 43 tokens")" -eq 2 ]
    [ "$("$EVALUATIONS" "$trace" | awk '$1 == "prompt" { n += $2 } END { print n }')" -eq 86 ]
    ! "$EVALUATIONS" "$trace" | grep -E "^(unknown|other|mixed)"
    # What becomes of the last draft, its 3 tokens at most, no ubatch shows.
    proposed=$(grep -ao "n_drafted = [0-9]*" "$trace.stderr" | grep -o "[0-9]*$")
    "$TAT" report --json --section phases "$trace" | python3 -c '
import json, sys
v = json.load(sys.stdin)["phases"]["values"]
assert v["unclear_drafts"] == 1 and 0 <= int(sys.argv[1]) - v["proposed_tokens"] <= 3, v' "$proposed"
}

# rows SECTION TABLE: of a section of $trace, how many.
rows() {
    "$TAT" report --json --section "$1" "$trace" | python3 -c \
        'import json, sys; s, t = sys.argv[1:]; print(len(json.load(sys.stdin)[s]["tables"][t]["rows"]))' "$1" "$2"
}

@test "record: the weights of an adapter are weights, of its file" {
    model random-llama.gguf
    [ -e "$MODELS/random-llama-lora.gguf" ] || skip "no random-llama-lora.gguf: scripts/get-fixtures.sh makes it"
    traced_like_untraced run -n 2 -t 1 -c 256 --lora "$MODELS/random-llama-lora.gguf"
    parts_are "model random-llama.gguf" "adapter random-llama-lora.gguf"
    [ "$(weights_of 1)" -eq 39 ]
    [ "$(weights_of 2)" -eq 56 ] # two for each of seven matrices of four layers
    [ "$(cut -f 4 "$trace/tensor_names.txt" | grep -c state)" -eq 8 ]
}

# Both have the same names and shapes.
@test "record: the weights of two adapters are each of its own file" {
    model random-llama.gguf
    [ -e "$MODELS/random-llama-lora-2.gguf" ] || skip "no random-llama-lora-2.gguf: scripts/get-fixtures.sh makes it"
    traced_like_untraced run -n 2 -t 1 -c 256 --lora "$MODELS/random-llama-lora.gguf,$MODELS/random-llama-lora-2.gguf"
    parts_are "model random-llama.gguf" "adapter random-llama-lora.gguf" "adapter random-llama-lora-2.gguf"
    [ "$(weights_of 2) $(weights_of 3)" = "56 56" ]
}

@test "record: two control vectors are one sum, which is in no file" {
    model random-llama.gguf
    [ -e "$MODELS/random-llama-control.gguf" ] || skip "no random-llama-control.gguf: scripts/get-fixtures.sh makes it"
    cp "$MODELS/random-llama-control.gguf" "$BATS_TEST_TMPDIR/other.gguf"
    traced_like_untraced run -n 2 -t 1 -c 256 \
        --control-vector "$MODELS/random-llama-control.gguf,$BATS_TEST_TMPDIR/other.gguf"
    [ "$(weights_of 1)" -eq 39 ]
    [ "$(awk -F '\t' '$4 == "weight" && $9 == "" && $6 == "control_vector"' "$trace/tensor_names.txt" | wc -l)" -eq 3 ]
}

@test "record: a control vector is weights, with the names of its file" {
    model random-llama.gguf
    [ -e "$MODELS/random-llama-control.gguf" ] || skip "no random-llama-control.gguf: scripts/get-fixtures.sh makes it"
    traced_like_untraced run -n 2 -t 1 -c 256 --control-vector-scaled "$MODELS/random-llama-control.gguf:0.5"
    parts_are "model random-llama.gguf" "control vector random-llama-control.gguf"
    grep -cP "\tdirection\.3\t1?2?\tweight\t3\tcontrol_vector\t" "$trace/tensor_names.txt"
    [ "$(weights_of 2)" -eq 3 ]
    [ "$(cut -f 4 "$trace/tensor_names.txt" | grep -c state)" -eq 8 ]
}

# A host that looks at every node has each computed as a graph of its own.
@test "record: llama-eval-callback, node by node" {
    program=$LLAMA/llama-eval-callback
    plain=()
    for name in $experts random-mamba.gguf random-gpt-oss.gguf random-deepseek2.gguf; do
        model $name
        traced_like_untraced $name -t 1
    done
}
