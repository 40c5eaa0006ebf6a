#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat list, tat rm and how a trace is found. The traces are made up: folders with a file of the right name.

setup() {
    TAT=${TAT:-tat}
    unset TAT_DIR
    export XDG_STATE_HOME=$BATS_TEST_TMPDIR/state
    cd "$BATS_TEST_TMPDIR"
}

# make NAME...: traces of 4 KiB.
make() {
    for name; do
        mkdir -p "traces/$name"
        head -c 4096 /dev/zero > "traces/$name/tensor_access.bin"
    done
}

@test "list: no folder is no error" {
    run "$TAT" list
    [ "$status" -eq 0 ]
    [[ $output == *"no traces"* ]]
    [ "$("$TAT" list --json)" = "[]" ]
}

@test "list: the newest first, a run's first process before its others" {
    make run_20260101_000000 run_20260102_000000_77 run_20260102_000000 run_20260102_000000-2 run_20260102_000000-10
    run "$TAT" list --names
    [ "${lines[*]}" = "run_20260102_000000-10 run_20260102_000000-2 run_20260102_000000 run_20260102_000000_77 run_20260101_000000" ]
}

@test "list: only what is named like a trace, and no links" {
    make run_20260101_000000 run_2026 other run_20260101_000000x run_20260101_000000_
    ln -s run_20260101_000000 traces/run_20260103_000000
    touch traces/run_20260104_000000
    [ "$("$TAT" list --names)" = run_20260101_000000 ]
}

@test "list: what the metadata says, whatever is in it" {
    make run_20260101_000000 run_20260101_000001
    echo '{"program": "/usr/bin/llama\u001b[31m", "model_files": [{"path": "/m/x.gguf"}]}' > traces/run_20260101_000000/trace_metadata.json
    echo '{"program": ["' > traces/run_20260101_000001/trace_metadata.json
    run "$TAT" list
    [ "$status" -eq 0 ]
    [[ $output == *"2026-01-01 00:00:00"*"llama"*"x.gguf"* ]]
    [[ $output != *$'\e'* ]]
    "$TAT" list --json | python3 -c 'import json, sys; runs = json.load(sys.stdin); assert runs[1]["model"] == "x.gguf" and runs[0]["model"] is None'
}

@test "list: TAT_DIR is where traces are" {
    make run_20260101_000000
    mv traces elsewhere
    [ -z "$("$TAT" list --names)" ]
    [ "$(TAT_DIR=elsewhere "$TAT" list --names)" = run_20260101_000000 ]
}

# recorded FOLDER OPTION...: a trace of the toy, recorded into it. With a sanitizer in it, the toy wants the sanitizer before
# the agent; and what the agent keeps for its life is not a leak.
recorded() {
    export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0
    [ -e toy.gguf ] || "$HOST" --write toy.gguf
    "$TAT" record -o "$1" "${@:2}" -- "$HOST" -g 3 "$PWD/toy.gguf" > out 2>&1
}

@test "list: what record -o wrote is listed with the traces of its folder, is the newest there, and nowhere else" {
    make run_20260101_000000
    recorded "$PWD/out of/the way"
    [ "$("$TAT" list --names | xargs -d '\n' -n 1 echo)" = "$PWD/out of/the way
run_20260101_000000" ]
    [[ $("$TAT" list) == *"$(date +%Y-%m-%d)"*fake_host_linked*toy.gguf* ]]
    "$TAT" report --section run | grep -q "$PWD/out of/the way"
    [ "$(stat -c %a state/tat/runs)" = 600 ]
    mkdir other
    cd other
    [ -z "$("$TAT" list --names)" ]
}

@test "list: a private run is not remembered, one that is gone is not listed" {
    recorded private --private
    [ -z "$("$TAT" list --names)" ]
    recorded gone
    mv gone moved
    [ -z "$("$TAT" list --names)" ]
    mkdir gone # something else
    touch gone/file
    [ -z "$("$TAT" list --names)" ]
    make run_20260101_000000
    recorded traces/run_20260102_000000 # where it is found anyway
    [ "$("$TAT" list --names)" = "run_20260102_000000
run_20260101_000000" ]
}

@test "list: what record -o wrote into a folder with a newline, a tabulator and a backslash in its name" {
    recorded $'new\nline\tand\\n'
    "$TAT" list --json | python3 -c 'import json, os, sys
assert [r["name"] for r in json.load(sys.stdin)] == [os.getcwd() + "/new\nline\tand\\n"]'
    "$TAT" report --section run > /dev/null
}

@test "rm: a folder that record -o was given, but only if it holds nothing else" {
    recorded elsewhere
    touch elsewhere/thesis.tex
    run "$TAT" rm elsewhere
    [ "$status" -eq 2 ]
    [ -e elsewhere/tensor_access.bin ]
    rm elsewhere/thesis.tex
    "$TAT" rm "$("$TAT" list --names)"
    [ ! -e elsewhere ]
}

@test "list: a registry that is damaged, endless or cannot be written" {
    recorded run
    printf 'no tab\n\t\n\t/\n%s\tnot/absolute\n\xff' "$PWD/traces" >> state/tat/runs
    [ "$("$TAT" list --names)" = "$PWD/run" ]
    for i in $(seq 300); do printf '%s\t/no/such/run%s\n' "$PWD/traces" "$i"; done > state/tat/runs
    recorded second
    [ "$("$TAT" list --names)" = "$PWD/second" ]
    [ "$(wc -l < state/tat/runs)" -eq 101 ]
    rm state/tat/runs
    mkfifo state/tat/runs
    recorded third
    [ -z "$("$TAT" list --names)" ]
}

@test "list DIR: the traces in a folder, whatever they are called, and itself" {
    make run_20260101_000000
    recorded elsewhere/one
    mkdir elsewhere/none
    ln -s one elsewhere/link
    [ "$("$TAT" list --names elsewhere)" = elsewhere/one ]
    [ "$("$TAT" list --names elsewhere/one)" = elsewhere/one ]
    "$TAT" list --json elsewhere | python3 -c 'import json, sys; assert json.load(sys.stdin)[0]["has_trace"]'
    run "$TAT" list nowhere
    [ "$status" -eq 4 ]
    run "$TAT" list a b
    [ "$status" -eq 2 ]
}

@test "rm --keep: does not touch what record -o wrote elsewhere" {
    make run_20260101_000000 run_20260102_000000
    recorded elsewhere
    "$TAT" rm --keep 1
    [ -e elsewhere/tensor_access.bin ]
    [ "$(ls traces)" = run_20260102_000000 ]
}

@test "rm: by name, by path, and says what it freed" {
    make run_20260101_000000 run_20260102_000000 run_20260103_000000
    mkdir traces/run_20260101_000000/analysis
    touch traces/run_20260101_000000/analysis/statistics.json
    run "$TAT" rm run_20260101_000000 traces/run_20260102_000000/
    [ "$status" -eq 0 ]
    [[ $output == "2 deleted, "*" freed" ]]
    [ "$(ls traces)" = run_20260103_000000 ]
}

@test "rm: --keep leaves the newest" {
    make run_20260101_000000 run_20260102_000000 run_20260103_000000
    run "$TAT" rm --keep 2
    [[ $output == "1 deleted"* ]]
    [ "$(ls traces | tr '\n' ' ')" = "run_20260102_000000 run_20260103_000000 " ]
    "$TAT" rm --keep 5
    [ "$(ls traces | wc -l)" -eq 2 ]
}

@test "rm: an empty run may go, one with foreign files and no trace stays" {
    mkdir -p traces/run_20260101_000000 traces/run_20260102_000000
    echo precious > traces/run_20260102_000000/thesis.tex
    run "$TAT" rm run_20260101_000000 run_20260102_000000
    [ "$status" -eq 2 ]
    [[ $output == *"1 deleted"* ]]
    [ -e traces/run_20260102_000000/thesis.tex ]
}

@test "rm: nothing that is not named like a trace" {
    make precious
    for what in precious traces/precious traces . / ..; do
        run "$TAT" rm "$what"
        [ "$status" -ne 0 ]
    done
    [ -e traces/precious/tensor_access.bin ]
}

@test "rm: follows no link, neither as the run nor inside it" {
    make run_20260101_000000
    mkdir outside
    touch outside/file outside/tensor_access.bin
    ln -s ../outside traces/run_20260102_000000
    ln -s ../../outside traces/run_20260101_000000/analysis
    run "$TAT" rm run_20260102_000000
    [ "$status" -eq 2 ]
    run "$TAT" rm traces/run_20260102_000000/
    [ "$status" -eq 2 ]
    "$TAT" rm run_20260101_000000
    [ -e outside/file ]
    [ -L traces/run_20260102_000000 ]
    [ ! -e traces/run_20260101_000000 ]
}

@test "rm: used wrongly" {
    for arguments in "" "--keep x" "--keep -1" "--keep 1 run_20260101_000000"; do
        run "$TAT" rm $arguments
        [ "$status" -eq 2 ]
    done
    run "$TAT" rm run_20260101_000000
    [ "$status" -eq 3 ]
}

@test "resolve: the newest that has a trace; else what to do" {
    run "$TAT" verify
    [ "$status" -eq 3 ]
    [[ $output == *"tat record"* ]]
    make run_20260101_000000
    mkdir traces/run_20260102_000000
    run "$TAT" verify
    [ "$status" -eq 3 ]
    [[ $output == *run_20260101_000000* ]] # found; it is no real trace
}

# A folder with a trace in it that is named like a run's, and nothing beside it: as the agent leaves it.
left_by_the_agent() {
    "$HOST" --write toy.gguf
    TAT_RUN_DIR=$PWD/traces/run_20260101_000000 "$HOST" -g 5 toy.gguf > /dev/null
    [ "$(ls traces/run_20260101_000000)" = tensor_access.bin ]
}

@test "what stands beside a trace is written when it is first opened" {
    mkdir -p traces/run_20260101_000000
    left_by_the_agent
    "$TAT" report --section run > /dev/null
    [ "$(ls traces/run_20260101_000000 | xargs)" = "gguf_structure.csv tensor_access.bin tensor_names.txt trace_metadata.json" ]
    grep -q '"ended": true' traces/run_20260101_000000/trace_metadata.json
}

@test "not while the run goes on" {
    mkdir -p traces/run_20260101_000000
    left_by_the_agent
    exec 8< traces/run_20260101_000000
    flock -s 8 # as tat record does
    "$TAT" report --section run > /dev/null
    [ "$(ls traces/run_20260101_000000)" = tensor_access.bin ]
    exec 8<&-
    "$TAT" report --section run > /dev/null
    [ -e traces/run_20260101_000000/trace_metadata.json ]
}
