#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat diff of real runs, every figure counted again, and tat top beside one. From the environment: TAT, LLAMA, MODELS.

bats_require_minimum_version 1.5.0

dense=SmolLM2-135M-Instruct.Q4_1.gguf
moe=SmolLM2-8x2.gguf
laws="The three laws of robotics are"
code="def quicksort(numbers): return"

setup_file() {
    export PYTHONDONTWRITEBYTECODE=1
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# record NAME MODEL PROMPT TOKENS OPTION...: a run, greedy unless the options say otherwise.
record() {
    [ -x "$LLAMA/llama-completion" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
    [ -e "$MODELS/$2" ] || skip "no $2: scripts/get-fixtures.sh makes it"
    "$TAT" record -o "$1" -- "$LLAMA/llama-completion" -m "$MODELS/$2" -p "$3" -n "$4" --temp 0 -no-cnv --ignore-eos -t 2 \
        "${@:5}" < /dev/null > "$1.out" 2>&1
}

check() {
    python3 "$BATS_TEST_DIRNAME/check_diff.py" "$@"
}

@test "two prompts of the 8-expert model" {
    record laws $moe "$laws" 16
    record code $moe "$code" 16
    check "$TAT" laws code
    run "$TAT" diff laws code
    [[ $output == *"Weights are read in the identical order, in all 15 generated tokens; the experts"* ]]
    [[ $output =~ "LAYER EXPERT "+"A "+"B  "+"APART"$'\n'" "+[0-9]+" "+[0-9]" "+[0-9.]+" % "+[0-9.]+" % "+[0-9.]+" %" ]]
}

@test "a dense model against experts" {
    record dense $dense "$laws" 8
    record experts $moe "$laws" 8
    check "$TAT" dense experts
    [ "$("$TAT" diff --json dense experts | python3 -c '
import json, sys
a = json.load(sys.stdin)
v = a["tensors"]["values"]
print(v["weights_in_both"], v["weights_in_one"], v["weights_read_differently"], a["experts"]["values"]["layers_unlike"])')" = \
        "182 210 0 30" ]
}

@test "the same run three times, and another prompt three times" {
    for i in 1 2 3; do
        record "laws$i" $moe "$laws" 8
        record "code$i" $moe "$code" 8
    done
    check "$TAT" laws1 laws2 laws3
    check --repeated "$TAT" laws1 code1 laws2 code2 laws3 code3
    "$TAT" diff --exit-code laws1 laws2 laws3 > /dev/null
    run "$TAT" diff --exit-code laws1 code1
    [ "$status" -eq 1 ]
}

@test "sampled runs of two prompts, two seeds each and a copy: experts are tested over four runs" {
    for i in 1 2; do
        record "laws$i" $moe "$laws" 8 --temp 1 -s "$i"
        record "code$i" $moe "$code" 8 --temp 1 -s "$i"
    done
    record laws1b $moe "$laws" 8 --temp 1 -s 1
    check --repeated "$TAT" laws1 code1 laws2 code2 laws1b
    run "$TAT" diff laws1 code1 laws2 code2 laws1b
    [[ $(tr -s ' \n' ' ' <<< "$output") == *"1 of its 3 runs routes every token as another one does"* ]]
}

@test "models of other architectures: what holds in all of them" {
    for name in gpt-oss mamba deepseek2 qwen2moe; do record "$name" "random-$name.gguf" "$laws" 6; done
    check "$TAT" gpt-oss mamba deepseek2 qwen2moe
}

@test "tat top beside a real run, to its end" {
    record warm $dense "$laws" 1
    TAT_DIR=$PWD/traces "$TAT" record -- "$LLAMA/llama-completion" -m "$MODELS/$moe" -p "$laws" -n 120 --temp 0 -no-cnv \
        --ignore-eos -t 2 < /dev/null > out 2>&1 3>&- &
    local host=$! program
    export TAT_DIR=$PWD/traces LC_ALL=C.UTF-8
    until program=$(pgrep -P "$host" llama-comp); do sleep 0.01; done
    while kill -STOP "$program" && ! "$TAT" top --once > first 2>&1; do # stopped until there is a screen that shows it
        kill -CONT "$program"
        sleep 0.01
    done
    STOPPED=$program python3 "$BATS_TEST_DIRNAME/../cli/screen.py" 40 100 wait "$TAT" top --interval 0.1 > screen.json
    wait "$host"
    python3 - << 'END'
import json
s = json.load(open("screen.json"))
assert s["status"] == 0 and s["given_back"] and s["frames"] > 1, s
assert "The run has ended, with 119 generated tokens." in s["after"], s["after"]
assert "SmolLM2-8x2.gguf" in s["after"] and "Experts by layer" in s["after"]
END
    [ "$(ls traces | wc -l)" -eq 1 ]
    "$TAT" verify traces/run_* > /dev/null
}
