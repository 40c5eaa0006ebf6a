#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat diff on traces of a toy model with experts. HOST is given.

load toy

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    for name in a b c longer threads threads2; do
        case $name in
            longer) set -- -g 60 ;;
            threads*) set -- -g 40 -t 2 ;;
            *) set -- -g 40 ;;
        esac
        toy_trace "$name" "$@"
    done
}

setup() {
    TAT=${TAT:-tat}
    unset TAT_DIR
    cd "$BATS_FILE_TMPDIR"
}

# says WORDS: text has them, wherever lines break.
says() {
    [[ $(tr -s ' \n' ' ' <<< "$output") == *"$1"* ]]
}

# json EXPRESSION ARGUMENT...: Python over the sections `a`.
json() {
    "$TAT" diff --json "${@:2}" | python3 -c "import json, sys; a = json.load(sys.stdin); print($1)"
}

@test "diff: a run against its repeat: nothing but time differs" {
    run "$TAT" diff a b
    [ "$status" -eq 0 ]
    says "2 runs of one setup: they repeat each other"
    says "The same weights, and of each the same number of bytes and accesses per generated token."
    says "Every expert of every layer was chosen as often."
    says "Identical: all runs read the same weights and experts in the same order, in all 39 generated tokens."
    "$TAT" diff --exit-code a b > /dev/null
}

@test "diff: other threads are another setup, and the order stays" {
    [ "$(json 'a["runs"]["values"]["setups"]' a threads)" = 2 ]
    [ "$(json 'a["order"]["values"]["differs"], a["experts"]["values"]["differs"]' a threads)" = "False False" ]
    run "$TAT" diff a threads
    says "threads: 1 became 2"
    says "without repeated runs this may be chance"
}

@test "diff: repeated runs stand together, with an interval and a rank test" {
    [ "$(json '[r["setup"] for r in a["runs"]["tables"]["runs"]["rows"]]' a threads b c)" = "[1, 2, 1, 1]" ]
    [ "$(json 'a["time"]["tables"]["rates"]["rows"][0]["runs_a"]' a threads b c)" = 3 ]
    [ "$(json '"p" in a["time"]["tables"]["rates"]["rows"][1]' a b c threads threads2)" = True ]
    run "$TAT" diff a b c threads threads2
    says "95 % interval"
    says "rank test p = "
}

# metadata RUN ARGUMENT...: a command line, as `tat record` writes it down.
metadata() {
    python3 -c 'import json, sys; json.dump({"command": sys.argv[2:]}, open(sys.argv[1] + "/trace_metadata.json", "w"))' "$@"
}

@test "diff: other arguments are another setup, another seed is not" {
    rm -rf one two three
    for run in one two three; do cp -r a "$run"; done
    metadata one host -s 1 --temp 1
    metadata two host -s 2 --temp 1
    metadata three host -s 1 --temp 0.5
    [ "$(json '[r["setup"] for r in a["runs"]["tables"]["runs"]["rows"]]' one two three)" = "[1, 1, 2]" ]
    run "$TAT" diff --section runs one three
    says 'command: --temp "1" became "0.5"'
    metadata two host --ignore-eos -t 2
    metadata three host --ignore-eos -n 3
    run "$TAT" diff --section runs two three
    says 'command: "-t 2" became "-n 3"'
    metadata two host -p -t --seed=1
    metadata three host -p -n --seed=2
    run "$TAT" diff --section runs two three
    says 'command: -p "-t" became "-n"'
    metadata two host --seed=1
    metadata three host --seed=2
    [ "$(json '[r["setup"] for r in a["runs"]["tables"]["runs"]["rows"]]' two three)" = "[1, 1]" ]
}

@test "diff: of a longer run the common tokens are compared" {
    [ "$(json 'a["order"]["tables"]["pairs"]["rows"][0]["tokens"]' a longer)" = 39 ]
    [ "$(json 'a["order"]["values"]["differs"]' a longer)" = False ]
    run "$TAT" diff --section order a longer
    says "different numbers of tokens"
}

@test "diff: the exit status says whether anything differs, where it is asked to" {
    "$TAT" diff a longer > /dev/null
    run "$TAT" diff --exit-code a longer
    [ "$status" -eq 1 ]
    "$TAT" diff --exit-code --section order a longer > /dev/null
}

@test "diff: only the sections asked for" {
    [ "$(json '" ".join(a)' a b)" = "runs tensors experts order time layers patterns" ]
    [ "$(json '" ".join(a)' --section time --section runs a b)" = "runs time" ]
    run "$TAT" diff --section flavour a b
    [ "$status" -eq 2 ]
    says "no section 'flavour'"
    for name in runs tensors experts order time patterns; do "$TAT" diff --help | grep -q "$name"; done
}

@test "diff: patterns of three runs, none of two" {
    run "$TAT" diff a b
    [[ $output != *Patterns* ]]
    run "$TAT" diff a b threads
    says "3 runs of 1 model: weights are read in the identical order in 3 of 3 pairs"
    [ "$(json 'a["patterns"]["values"]["matrices"]["identical_order"]' a b threads)" = "[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]" ]
}

@test "diff: text fits a terminal" {
    run "$TAT" diff a threads longer
    [ "$status" -eq 0 ]
    [ "$(printf '%s\n' "${lines[@]}" | wc -L)" -le 80 ]
}

@test "diff: used wrongly" {
    run "$TAT" diff a
    [ "$status" -eq 2 ]
    says "name two or more traces"
    run "$TAT" diff
    [ "$status" -eq 2 ]
    many=()
    for _ in {1..65}; do many+=(a); done
    run "$TAT" diff "${many[@]}"
    [ "$status" -eq 2 ]
    says "name at most 64 traces"
}

@test "diff: the same trace twice is no repeat" {
    [ "$(json 'a["time"]["tables"]["rates"]["rows"][1]["runs_a"]' a a a threads threads)" = 1 ]
    run "$TAT" diff a a
    [ "$status" -eq 0 ]
    says "B is the same recording as A: it repeats nothing, and counts once."
}

@test "diff: 64 traces" {
    many=()
    for _ in {1..64}; do many+=(a); done
    [ "$(json 'a["runs"]["values"]["setups"], len(a["patterns"]["values"]["matrices"]["runs"])' "${many[@]}")" = "1 64" ]
}

@test "diff: what is no trace, what is not there, what has no graph" {
    echo nothing > file
    run "$TAT" diff a file
    [ "$status" -eq 3 ]
    run "$TAT" diff absent a
    [ "$status" -eq 3 ]
    mkdir -p empty
    head -c 4096 a/tensor_access.bin > empty/tensor_access.bin
    run "$TAT" diff a empty
    [ "$status" -eq 1 ]
    says "empty: no graph was computed, so there is nothing to compare"
}

@test "diff: a trace cut short, and one with a prompt alone" {
    mkdir -p cut
    head -c $(($(stat -c %s a/tensor_access.bin) * 3 / 4)) a/tensor_access.bin > cut/tensor_access.bin
    run "$TAT" diff a cut
    [ "$status" -eq 0 ]
    rm -rf prompt
    toy_trace prompt -g 1
    run "$TAT" diff a prompt
    [ "$status" -eq 0 ]
    says "No generated token to compare."
}

@test "diff: a full disk is an error" {
    run bash -c '"$0" diff a b > /dev/full' "$TAT"
    [ "$status" -eq 4 ]
}
