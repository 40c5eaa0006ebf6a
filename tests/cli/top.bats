#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat top beside a toy model that computes until it is killed, and on traces that have ended. HOST is that model, with the
# agent linked in.

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    "$HOST" --write toy.gguf
    TAT_DIR=$PWD/made "$HOST" -g 40 toy.gguf > host.out
    mv made/run_* ended
}

setup() {
    TAT=${TAT:-tat}
    export LC_ALL=C.UTF-8 TAT_DIR=$BATS_TEST_TMPDIR/traces
    cd "$BATS_FILE_TMPDIR"
    host=
}

teardown() {
    [ -z "$host" ] || kill -9 "$host" 2> /dev/null || true
}

# start [ARGUMENT]...: a host in the background, which has computed something when this returns.
start() {
    "$HOST" -g 100000000 "$@" toy.gguf > /dev/null 2>&1 3>&- &
    host=$!
    for _ in {1..3000}; do
        "$TAT" top --once > "$BATS_TEST_TMPDIR/first" 2>&1 && return 0
        sleep 0.02
    done
    cat "$BATS_TEST_TMPDIR/first"
    return 1
}

# json EXPRESSION [ARGUMENT]...: Python over the values `v` and tables `t` of one look.
json() {
    "$TAT" top --json "${@:2}" | python3 -c "import json, sys; a = json.load(sys.stdin); v = a['values']; t = a['tables']; print($1)"
}

# screen STEP [ARGUMENT]...: tests/cli/screen.py, 24 rows of 80.
screen() {
    python3 "$BATS_TEST_DIRNAME/screen.py" 24 80 "$1" "$TAT" top --interval 0.1 "${@:2}" > screen.json
}

# seen EXPRESSION: Python over what screen saw, `s`.
seen() {
    python3 -c "import json; s = json.load(open('screen.json')); print($1)"
}

@test "top: no recording is running" {
    run "$TAT" top
    [ "$status" -eq 1 ]
    [[ $output == *"no recording is running in $TAT_DIR: start one with"* ]]
    mkdir -p "$TAT_DIR"
    cp -r ended "$TAT_DIR/run_20260101_000000"
    run "$TAT" top
    [ "$status" -eq 1 ]
}

@test "top: a trace that has ended is told so, and how to go on" {
    run "$TAT" top ended
    [ "$status" -eq 0 ]
    [ "${lines[1]}" = "The run has ended, with 39 generated tokens." ]
    [ "${lines[-1]}" = "Next: tat report ended" ]
    [ "$(json 'v["running"], v["tokens"]["prompt"], v["lost_evaluations"]' ended)" = "False 5 0" ]
}

@test "top: its figures are those of the report" {
    [ "$("$TAT" report --json ended | python3 -c '
import json, sys
a = json.load(sys.stdin)
hot = {}
for row in a["hot"]["tables"]["hottest"]["rows"]:
    hot[row["tensor"]] = hot.get(row["tensor"], 0) + row["accesses"]
print([row["shares"] for row in a["experts"]["tables"]["experts"]["rows"]], a["hot"]["values"]["bytes"])')" = \
        "$(json '[row["shares"] for row in t["experts"]["rows"]], v["weight_bytes"]' ended)" ]
}

@test "top: a running recording, look by look" {
    start
    # Now is the last two seconds, in which others may have kept the processor.
    until [ "$(json 'v["running"], v["phase"], v["tokens_per_second_now"] > 0, v["bytes_per_second_now"] > v["weight_bytes_per_second_now"] > 0')" = \
        "True generate True True" ]; do sleep 0.1; done
    first=$(json 'v["tokens"]["generate"]')
    until [ "$(json 'v["tokens"]["generate"]')" -gt "$first" ]; do sleep 0.1; done
    kill -9 "$host"
    wait "$host" || true
    run "$TAT" top --once "$TAT_DIR"/run_*
    [ "$status" -eq 0 ]
    [[ $output == *"The program did not close its trace. Everything recorded before that is there."* ]]
}

@test "top: a process that was given the number of a killed one does not make its run go on" {
    sleep 100 3>&- &
    older=$!
    start
    kill -9 "$host"
    wait "$host" || true
    sleep 100 3>&- &
    younger=$!
    trace=("$TAT_DIR"/run_*/tensor_access.bin)
    seen=()
    for given in "$older" "$younger" "$older 48"; do
        python3 "$BATS_TEST_DIRNAME/give_pid.py" "${trace[0]}" $given
        seen+=("$(json 'v["running"]' "${trace[0]%/*}")")
    done
    kill "$older" "$younger"
    [ "${seen[*]}" = "True False False" ]
}

@test "top: looking changes nothing in the folder" {
    start
    for _ in 1 2 3; do "$TAT" top --once > /dev/null; done
    [ "$(ls "$TAT_DIR"/run_*)" = tensor_access.bin ]
}

@test "top: before the first graph" {
    case $(ldd "$TAT") in *libasan*) skip "a sanitizer takes the agent's place in the traced program" ;; esac
    "$TAT" record -- sleep 100 > /dev/null 2>&1 3>&- &
    host=$!
    for _ in {1..3000}; do
        run "$TAT" top --once
        [[ $output != *"no graph has been computed yet"* ]] || break
        sleep 0.02
    done
    [ "$status" -eq 1 ]
    [[ $output == *"no graph has been computed yet"* ]]
    kill -TERM "$host" # which it passes on
    wait "$host" || true
    host=
}

@test "top: q and Ctrl-C end it, and the terminal is as before" {
    start
    for step in q ctrl-c; do
        screen "$step"
        [ "$(seen 's["status"], s["given_back"], s["echo"], s["as_before"], s["after"]')" = "0 True True True " ]
    done
    kill -0 "$host"
}

@test "top: where the terminal can do nothing, one look" {
    start
    run env TERM=dumb python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' \
        "$TAT" top
    [ "$status" -eq 0 ]
    [[ $output == *Recording* ]]
    [[ $output != *"[?1049h"* ]]
}

@test "top: SIGTERM gives the terminal back too" {
    start
    screen term
    [ "$(seen 's["status"], s["given_back"], s["as_before"]')" = "-15 True True" ]
}

@test "top: stopped and resumed, it takes the screen again" {
    start
    screen stop
    [ "$(seen 's["status"], s["given_back"], s["as_before"]')" = "0 True True" ]
}

@test "top: a frame fits the screen, whatever its size" {
    start
    screen q
    [ "$(seen 'len(s["lines"]) <= 24, max(len(l) for l in s["lines"]) <= 80')" = "True True" ]
    [ "$(seen 'any("Experts by layer" in l for l in s["lines"]), s["lines"][-1].startswith("Press q to leave")')" = "True True" ]
    screen resize
    [ "$(seen 'len(s["lines"]) <= 12, max(len(l) for l in s["lines"]) <= 40, s["status"]')" = "True True 0" ]
}

# until_its_end ARGUMENT...: watches a host to its end. It is stopped until there is a screen that shows it.
until_its_end() {
    "$HOST" "$@" toy.gguf > /dev/null 2>&1 3>&- &
    host=$!
    while kill -STOP "$host" && ! "$TAT" top --once > /dev/null 2>&1; do
        kill -CONT "$host"
        sleep 0.01
    done
    STOPPED=$host screen wait
    [ "$(seen 's["status"], s["given_back"]')" = "0 True" ]
    [ "$(seen '"Next: tat report " in s["after"] and "did not close" not in s["after"]')" = True ]
}

# graphs NUMBER: with a sanitizer a fifth of them takes longer still.
graphs() {
    case $(ldd "$TAT") in *libasan*) echo $(($1 / 5)) ;; *) echo "$1" ;; esac
}

# again GRAPHS: how often a fake host begins at position 0 again, as its cache is full: that row is a prompt.
again() { echo $((($1 + 3) / 256)); }

@test "top: it ends when the run does" {
    n=$(graphs 20000)
    until_its_end -g "$n"
    [ "$(seen "'The run has ended, with {:,} generated tokens.'.format($n - 1 - $(again "$n")) in s['after']")" = True ]
}

@test "top: what several threads write is all there in the end" {
    n=$(graphs 6000)
    until_its_end -c 4 -g "$n"
    generated=$((4 * (n - 1 - $(again "$n"))))
    [ "$(seen "'$((20 + 4 * $(again "$n"))) of prompts' in s['after'] and 'with {:,} generated tokens.'.format($generated) in s['after']")" = True ]
    # Look by look it comes to what one look at the whole finds: bytes, and choices of experts.
    "$TAT" top "$TAT_DIR"/run_* > whole
    seen 's["after"].replace("\r", "")' > pieces
    for from in '  touched' '  0 '; do
        [ -n "$(grep "^$from" whole)" ]
        [ "$(grep "^$from" whole)" = "$(grep "^$from" pieces)" ]
    done
}

@test "top: used wrongly" {
    for argument in "--interval 0" "--interval 0.05" "--interval soon" "--interval 4000" "ended ended"; do
        # shellcheck disable=SC2086
        run "$TAT" top $argument
        [ "$status" -eq 2 ]
    done
    echo nothing > file
    run "$TAT" top file
    [ "$status" -eq 3 ]
    run "$TAT" top absent
    [ "$status" -eq 3 ]
    : > nothing
    run "$TAT" top nothing
    [ "$status" -eq 1 ]
    [[ $output == *"nothing: no graph was computed" ]]
    run bash -c '"$0" top ended > /dev/full' "$TAT"
    [ "$status" -eq 4 ]
}
