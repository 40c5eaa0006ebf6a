#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat dump on the trace of a toy model with attention and experts. HOST is given.

bats_require_minimum_version 1.5.0
load toy

setup_file() {
    export PYTHONDONTWRITEBYTECODE=1
    export TRACE=$BATS_FILE_TMPDIR/trace
    toy_trace "$TRACE" -g 40
}

setup() {
    TAT=${TAT:-tat}
    unset TAT_DIR NO_COLOR
    cd "$BATS_TEST_TMPDIR"
}

# column NAME [ARGUMENT]...: the different values of a column, in order of their first.
column() {
    "$TAT" dump "${@:2}" "$TRACE" | awk -F '\t' -v name="$1" \
        'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } !seen[$c]++ { print $c }'
}

some="--tokens 6 --layers 0 --ops FLASH_ATTN_EXT --ops SET_ROWS --ops MUL_MAT_ID --heads"

@test "dump: one layer's attention and experts, all columns but times" {
    "$TAT" dump $some "$TRACE" | cut -f 3- | diff - "$BATS_TEST_DIRNAME/golden/dump.tsv"
}

@test "dump: the same for the eye" {
    "$TAT" dump $some --format table "$TRACE" | sed -E 's/at [0-9.]+ s/at TIME/; s/[0-9.]+ (ns|us|ms)$/TIME/' |
        diff - "$BATS_TEST_DIRNAME/golden/dump.txt"
}

@test "dump: a terminal gets the table, a pipe gets columns" {
    "$TAT" dump $some "$TRACE" | head -1 | grep -q "^start_ns	duration_ns"
    script -qec "TERM=xterm '$TAT' dump $some '$TRACE'" /dev/null < /dev/null > terminal
    grep -q $'\e\[1mgraph 2  generate, token 6' terminal
    NO_COLOR=1 script -qec "TERM=xterm '$TAT' dump $some '$TRACE'" /dev/null < /dev/null > terminal
    grep -q "^graph 2  generate, token 6" terminal
}

@test "dump: JSON lines hold what the columns do" {
    "$TAT" dump --heads "$TRACE" > columns
    "$TAT" dump --heads --json "$TRACE" > lines
    python3 - << 'END'
import json
with open("columns") as columns, open("lines") as lines:
    names = columns.readline().rstrip("\n").split("\t")
    count = 0
    for row, line in zip(columns, lines, strict=True):
        a = json.loads(line)
        assert list(a) == names
        assert ["" if v is None else str(v) for v in a.values()] == row.rstrip("\n").split("\t"), (row, line)
        count += 1
assert count > 5000
END
}

@test "dump: times and order" {
    "$TAT" dump "$TRACE" | awk -F '\t' 'NR > 1 { if ($1 < last || $2 == "") exit 1; last = $1 }'
}

@test "dump: filters" {
    [ "$(column phase --phases prompt)" = prompt ]
    [ "$(column tokens --phases prompt)" = 5 ]
    [ "$(column token --tokens 5:7 | tr '\n' ' ')" = "5 6 7 " ]
    [ "$(column token --tokens 3 | tr '\n' ' ')" = "0 " ] # the prompt's evaluation computed it
    [ "$(column token --tokens 5 --tokens 9:10 | tr '\n' ' ')" = "5 9 10 " ]
    [ "$(column layer --layers 1: | tr '\n' ' ')" = "1 2 " ]
    [ "$(column graph --evaluations :2 | tr '\n' ' ')" = "0 1 2 " ]
    [ "$(column op --ops mul_mat --ops Rope | sort | tr '\n' ' ')" = "MUL_MAT ROPE " ]
    [ "$(column memory --kinds weights)" = file ]
    [ "$(column memory --kinds kv)" = kv ]
    [ "$(column component --components kv_k --components attn_q | sort | tr '\n' ' ')" = "attn_q kv_k " ]
    [ "$(column expert --experts 1 | tr '\n' ' ')" = "1 " ]
    [ "$(column tensor --tensors 'cache_?_l1' | tr '\n' ' ')" = "cache_k_l1 cache_v_l1 " ]
    [ "$(column context --contexts 1)" = 1 ]
    [ "$(column head --heads --tensors blk.0.attn_output.weight | tr '\n' ' ')" = "0 1 2 3 " ]
    [ "$(column head --heads=1:2 | tr '\n' ' ')" = "1 2 " ]
}

@test "dump: filters by their short names, and by what --kinds was called" {
    "$TAT" dump --phases generate --tensors 'cache*' --kinds kv --ops SET_ROWS "$TRACE" > long
    "$TAT" dump --phase generate --tensor 'cache*' --only kv --op SET_ROWS "$TRACE" | cmp - long
}

@test "dump: bytes of the model file, and times" {
    read -r offset size start < <("$TAT" dump --tensors blk.0.attn_q.weight --tokens 7 -n 1 --json "$TRACE" |
        sed -E 's/.*"start_ns":([0-9]+).*"offset":([0-9]+),"size":([0-9]+).*/\2 \3 \1/')
    last=$((offset + size - 1))
    for at in "$offset" "$last" "$(printf 0x%x:0x%x "$offset" "$last")"; do
        [ "$(column tensor --at "$at")" = blk.0.attn_q.weight ]
    done
    [[ $(column tensor --at "$((offset - 1)):$offset") == *blk.0.attn_q.weight* ]]
    [[ $(column tensor --at $((last + 1))) != *blk.0.attn_q.weight* ]]
    [ "$(column token --at-time "$start")" = 7 ]
    column start_ns --at-time "$start" | grep -qx "$start"
    "$TAT" dump --at-time 1min: "$TRACE" 2>&1 | grep -q "no access record matches the filter"
    # The time at which a graph began is printed as the option takes it.
    read -r at unit < <("$TAT" dump --format table --tokens 7 "$TRACE" | sed -nE 's/^graph .* at ([0-9.]+) (s), .*/\1 \2/p')
    [ "$(column token --at-time "$at$unit:$start")" = 7 ]
}

@test "dump: every record is of one of the four kinds" {
    all=$("$TAT" dump "$TRACE" | wc -l)
    sum=1
    for kind in weights kv activations inputs; do
        sum=$((sum + $("$TAT" dump --kinds $kind "$TRACE" | wc -l) - 1))
    done
    [ "$sum" -eq "$all" ]
    [ "$("$TAT" dump --kinds weights --kinds kv --kinds activations --kinds inputs "$TRACE" | wc -l)" -eq "$all" ]
}

@test "dump: -n ends it, heads or not" {
    for n in 1 7 5000; do
        [ "$("$TAT" dump -n $n "$TRACE" | wc -l)" -eq $((n + 1)) ]
        [ "$("$TAT" dump --heads --json -n $n "$TRACE" | wc -l)" -eq "$n" ]
    done
}

@test "dump: what nothing passes is answered with no, and nothing printed" {
    for filter in "--tokens 5000" "--layers 77" "--contexts 9" "--tensors nothing" "--ops NOTHING" "--phases warmup" \
        "--files 2" "--files other" "--model other" "--experts 77" "--heads=77" "--components state"; do
        run --separate-stderr "$TAT" dump $filter "$TRACE"
        [ "$status" -eq 1 ]
        [ -z "$output" ]
        [[ $stderr == "tat dump: no "* ]]
    done
    [[ $("$TAT" dump --ops NOTHING "$TRACE" 2>&1) == *"'NOTHING'; there are GET_ROWS RMS_NORM MUL"* ]]
}

@test "dump: a trace without a graph is told so" {
    mkdir empty
    head -c 4096 "$TRACE/tensor_access.bin" > empty/tensor_access.bin
    run "$TAT" dump empty
    [ "$status" -eq 1 ]
    [ "$output" = "tat dump: no graph was computed, so the trace has no access records" ]
}

@test "dump: used wrongly" {
    for wrong in "--tokens 5:3" "--tokens x" "--tokens :" "--layers -1" "--evaluations 1-2" "--phases gen" "--kinds weighty" \
        "--components attn" "--at 4K" "--at 5:3" "--at-time 1h" "--heads=x" "--experts -1" \
        "--format csv" "-n 0" "-n x" "--contexts x" "--graph 1:2" "--graph x" "--blocks --heads" "--graph 1 -n 2" \
        "--blocks --graph 1" "--tensors="; do
        run --separate-stderr "$TAT" dump $wrong "$TRACE"
        [ "$status" -eq 2 ]
        [ -z "$output" ]
        [[ $stderr == *"tat dump: "* ]]
        [[ ${stderr_lines[1]} == *--help* ]]
    done
    run "$TAT" dump --tokens 8:3 "$TRACE"
    [[ $output == "tat dump: --tokens '8:3': the range ends before it begins"* ]]
    run "$TAT" dump --at-time 1h "$TRACE"
    [[ $output == "tat dump: --at-time '1h': must be a time or a range"* ]]
    run "$TAT" dump "$TRACE" "$TRACE"
    [ "$status" -eq 2 ]
}

@test "dump: --blocks are all of the file" {
    "$TAT" dump --blocks --json "$TRACE" > blocks
    python3 - "$TRACE/tensor_access.bin" << 'END'
import json, os, sys
at, types = 4096, {}
for line in open("blocks"):
    block = json.loads(line)
    assert block["offset"] == at, block
    at += block["bytes"]
    types[block["type"]] = types.get(block["type"], 0) + 1
    if block["type"] == "end":
        assert block["evaluations_stored"] == 40
assert at == os.path.getsize(sys.argv[1])
assert types["evaluation"] == 40 and types["end"] == 1
END
    [ "$("$TAT" dump --blocks "$TRACE" | wc -l)" -eq $(($(wc -l < blocks) + 1)) ]
    "$TAT" dump --blocks --format table "$TRACE" | tail -1 | grep -q "end .* evaluations_emitted=40"
}

@test "dump: --blocks shows where a file is damaged" {
    size=$(stat -c %s "$TRACE/tensor_access.bin")
    mkdir cut
    { head -c $((size / 2)) "$TRACE/tensor_access.bin"; head -c 500 /dev/urandom; } > cut/tensor_access.bin
    "$TAT" dump --blocks cut | tail -1 | grep -q damage
}

@test "dump: --graph is a graph" {
    "$TAT" dump --graph 3 --json "$TRACE" > graph
    python3 - << 'END'
import json
entries = [json.loads(line) for line in open("graph")]
assert [e["entry"] for e in entries] == list(range(len(entries)))
names = [e["name"] for e in entries]
leaves = [e for e in entries if e["kind"] == "leaf"]
assert entries[: len(leaves)] == leaves and all(e["op"] is None for e in leaves)
for e in entries[len(leaves) :]:
    assert e["op"] and all(s is None or s < e["entry"] for s in e["sources"]), e
product = entries[names.index("Qcur-0")]
assert product["op"] == "MUL_MAT" and names[product["sources"][0]] == "blk.0.attn_q.weight"
END
    "$TAT" dump --graph 3 --format table "$TRACE" | grep -q "MUL_MAT .* Qcur-0  <- "
    [ "$("$TAT" dump --graph 3 "$TRACE" | wc -l)" -eq $(($(wc -l < graph) + 1)) ]
    run "$TAT" dump --graph 40 "$TRACE"
    [ "$status" -eq 1 ]
    [[ $output == *"no evaluation 40: the trace has 40, counted from 0"* ]]
}

@test "dump: a name of any bytes does not reach the terminal" {
    mkdir hostile
    python3 "$BATS_TEST_DIRNAME/rename_string.py" "$TRACE/tensor_access.bin" hostile/tensor_access.bin \
        blk.0.attn_q.weight 61091b5d303b78070a225c2cffc29b62626262 # a, tab, ESC ]0;x BEL, LF, "\, a bad byte, CSI
    for format in table tsv jsonl; do
        "$TAT" dump --format $format hostile > out.$format
        "$TAT" dump --graph 3 --format $format hostile >> out.$format
        run ! grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2\x9b' out.$format
    done
    [ "$(wc -l < out.tsv)" -gt 1000 ]
    "$TAT" dump hostile | awk -F '\t' 'NF != 24 { exit 1 }'
    grep -qF 'a\x09\x1b]0;x\x07\x0a"\\,\xff\xc2\x9bbbbb' out.tsv
    python3 -c 'import json; [json.loads(line) for line in open("out.jsonl", encoding="utf-8")]'
}

@test "dump: the newest trace, if none is named; what is no trace" {
    mkdir traces
    cp -r "$TRACE" traces/run_20260101_000000
    [ "$("$TAT" dump -n 3 | wc -l)" -eq 4 ]
    echo nothing > file
    run "$TAT" dump file
    [ "$status" -eq 3 ]
}

# without_origin FILE: a report without the rows that say where a run was made, some of which take two lines.
without_origin() {
    awk '/^  [a-z]/ { origin = $1 ~ /^(trace|host|start|model|program)$/ } /^[^ ]/ { origin = 0 } !origin' "$1"
}

@test "dump: a trace out of its folder, by any name" {
    cp "$TRACE/tensor_access.bin" sent.tat
    for command in dump verify report; do
        "$TAT" $command sent.tat > alone || [ $command = verify ]
        "$TAT" $command "$TRACE" > inside || [ $command = verify ]
        diff <(without_origin alone) <(without_origin inside)
    done
    run "$TAT" rm sent.tat
    [ "$status" -ne 0 ]
    [ -e sent.tat ]
}

@test "dump: a full disk is an error, told once; a closed pipe is none" {
    for what in "--json" "--format table" "--blocks" "--graph 1"; do
        run bash -c '"$0" dump $1 "$2" > /dev/full' "$TAT" "$what" "$TRACE"
        [ "$status" -eq 4 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ $output == *"No space left"* ]]
        run --separate-stderr bash -c '"$0" dump $1 "$2" | head -1' "$TAT" "$what" "$TRACE"
        [ "$status" -eq 0 ]
        [ "${#lines[@]}" -eq 1 ]
        [ -z "$stderr" ]
    done
    run --separate-stderr bash -c 'trap "" PIPE; "$0" dump --json "$1" | head -1' "$TAT" "$TRACE"
    [ -z "$stderr" ]
}

@test "dump: the man page says what a range is" {
    "$TAT" --man dump | grep -A 1 "^\.PP" | grep -q "A RANGE is 5, 3:8, 3: or :8"
}
