#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat report on the trace of a toy model with experts. HOST is given.

load toy

setup_file() {
    export TRACE=$BATS_FILE_TMPDIR/trace
    toy_trace "$TRACE" -g 40
}

setup() {
    TAT=${TAT:-tat}
    unset TAT_DIR
    cd "$BATS_TEST_TMPDIR"
}

# json FILTER [ARGUMENT]...: a Python expression over the answers `a`.
json() {
    "$TAT" report --json "${@:2}" "$TRACE" | python3 -c "import json, sys; a = json.load(sys.stdin); print($1)"
}

@test "report: every section, in text and as JSON, the same" {
    run "$TAT" report "$TRACE"
    [ "$status" -eq 0 ]
    for name in $(json '" ".join(a)'); do
        title=$(json "a['$name']['title']")
        [[ $output == *"$title"* ]] || [ "$(json "a['$name'].get('absent')")" = True ]
        "$TAT" report --help | grep -q "$name"
    done
    [ "$(json 'len(a)')" -eq 13 ]
}

# asked PROGRAM ARGUMENT...: the tokens that a command line asked for, as the report tells them.
asked() {
    rm -rf asked
    cp -r "$TRACE" asked
    python3 -c 'import json, sys; json.dump({"program": sys.argv[1], "command": sys.argv[2:]}, open("asked/trace_metadata.json", "w"))' "$@"
    TRACE=$PWD/asked json 'a["phases"]["values"].get("asked_tokens")'
}

@test "report: the tokens asked for are those of the program that computed" {
    [ "$(asked /bin/llama-cli llama-cli -n 3)" = 3 ]
    [ "$(asked /bin/llama-cli nice -n 15 llama-cli -m x.gguf -n 3)" = 3 ]
    [ "$(asked /bin/llama-cli nice -n 15 llama-cli -m x.gguf)" = None ]
    [ "$(asked /opt/llama-cli-b99 nice -n 15 ./llama-cli --predict=4)" = 4 ] # by a link
    [ "$(asked /bin/llama-cli llama-cli -n 5 -p -n -n 6)" = 6 ]
    [ "$(asked /bin/llama-cli llama-cli -n -1)" = None ] # without an end
    [ "$(asked /bin/llama-cli llama-cli -n many)" = None ]
    [ "$(asked /bin/llama-cli sh -c 'llama-cli -n 3')" = None ]
    [ "$(asked /bin/python3 python3 chat.py -n 8)" = None ]
}

@test "report: questions and answers as JSON are those of the text" {
    "$TAT" report --questions "$TRACE" > text
    "$TAT" report --questions --json "$TRACE" > answers
    "$TAT" report --json "$TRACE" > sections
    python3 - << 'END'
import json
answers, sections = json.load(open("answers")), json.load(open("sections"))
assert all(list(a) == ["section", "question", "answer"] for a in answers)
assert open("text").read().split() == [word for a in answers for word in (a["question"] + " " + a["answer"]).split()]
in_sections = [(name, a["question"]) for name, s in sections.items() for a in s.get("answers", [])]
assert len(in_sections) > 10
assert [(a["section"], a["question"]) for a in answers if a["section"] in sections] == in_sections
assert {"speed", "hot", "caching"} <= {a["section"] for a in answers}
END
    [ "$("$TAT" report --questions --json --section hot "$TRACE" | python3 -c 'import json, sys; print({a["section"] for a in json.load(sys.stdin)})')" = "{'hot'}" ]
}

@test "report: text says what JSON says" {
    headline=$(json 'a["experts"]["headline"]')
    run "$TAT" report --section experts "$TRACE"
    [[ $(tr '\n' ' ' <<< "$output") == "Experts $headline "* ]]
    [ "$(json 'a["experts"]["tables"]["experts"]["rows"][0]["experts"]')" = 4 ]
}

@test "report: only the sections asked for" {
    [ "$(json '" ".join(a)' --section layers --section run)" = "layers run" ]
    run "$TAT" report --section layers "$TRACE"
    [ "${lines[0]}" = Layers ]
    [[ $output != *"The run"* ]]
    run "$TAT" report --section laiers "$TRACE"
    [ "$status" -eq 2 ]
    [[ $output == *"no section 'laiers'"* ]]
}

@test "report: experts are counted by row and slot" {
    # 5 rows of a prompt and 39 tokens, two experts each; the last layer routes only the row whose output is asked for.
    [ "$(json '[row["selections"] for row in a["experts"]["tables"]["experts"]["rows"]]')" = "[88, 88, 80]" ]
    [ "$(json 'all(sum(row["counts"]) == row["selections"] for row in a["experts"]["tables"]["experts"]["rows"])')" = True ]
}

@test "report: shares add up" {
    for where in time/operations time/components time/phases layers/layers; do
        local section=${where%/*} table=${where#*/}
        [ "$(json "abs(sum(row['share'] for row in a['$section']['tables']['$table']['rows']) - 1) < 1e-9")" = True ]
        [ "$(json "sum(row['ns'] for row in a['$section']['tables']['$table']['rows']) == a['$section']['values']['ns']")" = True ]
    done
}

@test "report: the newest trace, if none is named" {
    mkdir traces
    cp -r "$TRACE" traces/run_20260101_000000
    run "$TAT" report --section run
    [ "$status" -eq 0 ]
    [[ $output == *run_20260101_000000* ]]
}

@test "report: a trace without a graph is told so" {
    mkdir empty
    head -c 4096 "$TRACE/tensor_access.bin" > empty/tensor_access.bin
    run "$TAT" report empty
    [ "$status" -eq 1 ]
    [[ $output == *"computed no graph: there is nothing to report"* ]]
    "$TAT" report --json empty | python3 -c 'import json, sys; json.load(sys.stdin)' || true
}

@test "report: a trace cut short is reported up to there" {
    mkdir cut
    size=$(stat -c %s "$TRACE/tensor_access.bin")
    head -c $((size * 3 / 4)) "$TRACE/tensor_access.bin" > cut/tensor_access.bin
    run "$TAT" report cut
    [ "$status" -eq 0 ]
    [[ $output == *"did not come to its end"* ]]
}

@test "report: what is no trace, and what is not there" {
    echo nothing > file
    run "$TAT" report file
    [ "$status" -eq 3 ]
    run "$TAT" report absent
    [ "$status" -ne 0 ]
}

@test "report: a full disk is an error, a closed pipe is none" {
    run bash -c '"$0" report "$1" > /dev/full' "$TAT" "$TRACE"
    [ "$status" -eq 4 ]
    run bash -c '"$0" report "$1" | head -1' "$TAT" "$TRACE"
    [ "$output" = "Speed" ]
}

@test "report: caching for so much memory and such a disk" {
    run "$TAT" report --section caching --memory 1G --disk 1G/s "$TRACE"
    [ "$status" -eq 0 ]
    [[ $output == *"not limited by memory"* ]]
    for unit in slice expert page 64K 512; do
        run "$TAT" report --section caching --unit $unit "$TRACE"
        [ "$status" -eq 0 ]
        [[ $output == *"  unit "* ]]
    done
    for wrong in "--unit=none" "--unit=100" "--unit=5000" "--unit=1G" "--memory=none" "--disk=2G/h" "--hot=0" "--cold=101" "--hot=x"; do
        run "$TAT" report "$wrong" "$TRACE"
        [ "$status" -eq 2 ]
    done
}

@test "verify: figures are broken between words where the terminal is narrow, and whole in a pipe" {
    "$TAT" verify "$TRACE" > whole
    grep -q '^weights .\{70\}' whole
    script -qec "stty columns 60; NO_COLOR=1 '$TAT' verify '$TRACE'" /dev/null < /dev/null | tr -d '\r' > terminal
    [ -z "$(awk 'length > 60' terminal)" ]
    [ "$(tr -s ' \n' ' ' < terminal)" = "$(tr -s ' \n' ' ' < whole)" ]
}
