#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat export: what it writes is read back with Python's own csv, json and struct. HOST is given.

bats_require_minimum_version 1.5.0
load toy

setup_file() {
    export PYTHONDONTWRITEBYTECODE=1
    export TRACE=$BATS_FILE_TMPDIR/trace LONG=$BATS_FILE_TMPDIR/long
    toy_trace "$TRACE" -g 40
    export many=1000000 graphs=4100
    case $(ldd "$TAT") in *libasan*) many=100000 graphs=450 ;; esac # once is enough
    toy_trace "$LONG" -g $graphs
}

setup() {
    TAT=${TAT:-tat}
    unset TAT_DIR
    mkdir "$BATS_TEST_TMPDIR/work" # bats keeps things of its own beside it
    cd "$BATS_TEST_TMPDIR/work"
}

# accesses TRACE: how many the library has.
accesses() {
    "$TAT" verify --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["accesses"])'
}

# read_back FILE...: how many records and bytes are in each; the same for all, or it fails.
read_back() {
    python3 "$BATS_TEST_DIRNAME/read_export.py" "$@"
}

@test "export: a million records and more, the same in all formats, as many as the library has" {
    count=$(accesses "$LONG")
    [ "$count" -gt $many ]
    for format in csv jsonl bin; do
        "$TAT" export --format $format -o "all.$format" "$LONG"
    done
    read_back all.csv all.jsonl all.bin > found
    cat found
    [ "$(cut -d ' ' -f 1 found)" = "$count" ]
    [ "$(stat -c %s all.bin)" -eq $((count * 64)) ]
}

@test "export: it does not hold them all" {
    case $(ldd "$TAT") in *libasan*) skip "a sanitizer takes any address space" ;; esac
    for format in csv jsonl bin perfetto; do
        (ulimit -v 60000 && "$TAT" export --heads --format $format "$LONG" > /dev/null)
    done
}

@test "export: by head, with layouts of its own" {
    for format in csv jsonl bin; do
        "$TAT" export --heads --kinds kv --kinds weights --format $format -o "heads.$format" "$TRACE"
    done
    read_back heads.csv heads.jsonl heads.bin
}

@test "export: CSV is read by every column, whatever is in a name" {
    mkdir hostile
    python3 "$BATS_TEST_DIRNAME/rename_string.py" "$TRACE/tensor_access.bin" hostile/tensor_access.bin \
        blk.0.attn_q.weight 612c2262220a3b0d09636465ff787878787878 # a,"b" LF ; CR tab cde, a bad byte, x
    "$TAT" export -o all.csv hostile
    "$TAT" export -f jsonl -o all.jsonl hostile
    "$TAT" export -f bin -o all.bin hostile
    python3 - << 'END'
import csv, json
hostile = 'a,"b"\n;\r\tcde\ufffdxxxxxx'
with open("all.csv", newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
lines = [json.loads(line) for line in open("all.jsonl", encoding="utf-8")]
assert len(rows) == len(lines) > 5000
assert sum(row["tensor"] == hostile for row in rows) == sum(line["tensor"] == hostile for line in lines) == 40
assert all(None not in row and None not in row.values() for row in rows)
assert json.load(open("all.bin.json"))["tensors"].count(None) == 1 # no UTF-8
END
}

@test "export: FILE.json says how to read FILE" {
    "$TAT" export --format bin --heads -o all.bin "$TRACE"
    "$TAT" export --format csv --heads -o all.csv "$TRACE"
    python3 - << 'END'
import csv, json, struct
about = json.load(open("all.bin.json"))
assert about["file"] == "all.bin" and about["record_bytes"] == 64
codes = {"<u8": "Q", "<u4": "I", "<u2": "H", "u1": "B"}
record = struct.Struct("<" + "".join(codes[t] for _, t in about["dtype"]))
assert record.size == 64
names = [n for n, _ in about["dtype"]]
count = 0
with open("all.bin", "rb") as file, open("all.csv", newline="") as text:
    for row, values in zip(csv.DictReader(text), record.iter_unpack(file.read()), strict=True):
        a = dict(zip(names, values))
        count += 1
        run, stride = about["layouts"][a["layout"]]
        strided = bool(a["flags"] & about["flags"]["strided"])
        assert strided == (row["stride"] != "") == (a["layout"] != 0)
        assert not strided or (stride == int(row["stride"]) and run * a["rows"] == a["bytes"])
        assert about["tensors"][a["tensor"]] == row["tensor"] and about["ops"][a["op"]] == row["op"]
        assert about["phases"][a["flags"] >> 8 & 7] == row["phase"]
        assert about["roles"][a["kind"] & 15] == row["role"] and about["memories"][a["kind"] >> 4] == row["memory"]
        assert ("write" if a["flags"] & about["flags"]["write"] else "read") == row["access"]
        assert ("" if a["head_first"] == 65535 else str(a["head_first"])) == row["head"].split("-")[0]
        assert row["token"] in ("", str(a["token"]))
        assert (a["offset"], a["bytes"], a["start_ns"]) == tuple(int(row[c]) for c in ("offset", "size", "start_ns"))
assert about["records"] == count > 5000
END
}

@test "export: to the standard output, the same bytes" {
    for format in csv jsonl bin; do
        "$TAT" export -f $format -o file "$TRACE"
        "$TAT" export -f $format "$TRACE" | cmp - file
        "$TAT" export -f $format -o - "$TRACE" | cmp - file
    done
}

@test "export: the format is what the file's name ends in, if none is given" {
    for format in csv jsonl bin; do
        "$TAT" export -o "implied.$format" "$TRACE"
        "$TAT" export -f $format "$TRACE" | cmp - "implied.$format"
    done
    "$TAT" export -o accesses.txt "$TRACE"
    cmp accesses.txt implied.csv
    "$TAT" export -f bin -o accesses.csv "$TRACE"
    cmp accesses.csv implied.bin
}

@test "export: filters are those of dump" {
    filter="--tokens 6:9 --layers 1 --kinds weights --heads"
    "$TAT" export --format jsonl $filter "$TRACE" > exported
    "$TAT" dump --json $filter "$TRACE" | cmp - exported
    [ -s exported ]
    [ "$("$TAT" export -n 5 "$TRACE" | wc -l)" -eq 6 ]
}

@test "export: a failed write is status 4 and leaves no half file, nor harms the one there" {
    echo old > keep.csv
    run --separate-stderr bash -c 'ulimit -f 100; trap "" XFSZ; "$0" export -o keep.csv "$1"' "$TAT" "$TRACE"
    [ "$status" -eq 4 ]
    [ "$stderr" = "tat export: keep.csv: cannot write the access records: File too large" ]
    [ "$(cat keep.csv)" = old ]
    run bash -c 'ulimit -f 1; trap "" XFSZ; "$0" export -n 10 -f bin -o new.bin "$1"' "$TAT" "$TRACE" # FILE.json is longer
    [ "$status" -eq 4 ]
    [[ $output == *"new.bin.json: cannot write"* ]]
    [ "$(ls -A | tr '\n' ' ')" = "keep.csv " ]
    for format in csv jsonl bin; do
        run bash -c '"$0" export -f $1 "$2" > /dev/full' "$TAT" $format "$TRACE"
        [ "$status" -eq 4 ]
        [ "$output" = "tat export: standard output: cannot write the access records: No space left on device" ]
        run "$TAT" export -f $format -o /dev/full "$TRACE"
        [ "$status" -eq 4 ]
        [ "$output" = "tat export: /dev/full: cannot write the access records: No space left on device" ]
        [ -c /dev/full ]
    done
    run "$TAT" export -o nowhere/file.csv "$TRACE"
    [ "$status" -eq 4 ]
    [[ $output == "tat export: nowhere/file.csv: cannot write: No such file"* ]]
}

@test "export: killed, it leaves nothing" {
    "$TAT" export --format jsonl -o killed.jsonl "$LONG" &
    until readlink /proc/$!/fd/* | grep -q "^$PWD/"; do kill -0 $! || break; done 2> /dev/null # it writes
    kill -9 $! || true # it may have ended
    wait $! || true
    ls -A
    [ -z "$(ls -A | grep -v '^killed.jsonl$')" ]
}

@test "export: nothing that passes is answered with no, and nothing written" {
    run "$TAT" export --tokens 5000 -o none.csv "$TRACE"
    [ "$status" -eq 1 ]
    [ "$output" = "tat export: no access record matches the filter" ]
    [ -z "$(ls -A)" ]
    run --separate-stderr "$TAT" export --tokens 5000 "$TRACE"
    [ "$status" -eq 1 ]
    [ -z "$output" ]
}

@test "export: used wrongly" {
    for wrong in "--format tsv" "--format" "-o" "--output=" "--layers 3:1" "--no-such"; do
        run "$TAT" export $wrong
        [ "$status" -eq 2 ]
    done
    run script -qec "'$TAT' export --format bin '$TRACE'" /dev/null < /dev/null
    [ "$status" -eq 2 ]
    [[ $output == *"cannot go to a terminal"* ]]
}

@test "export: progress is shown on a terminal for what takes over a second, and wiped" {
    mkfifo slow
    # Read slowly until it is seen.
    timeout 150 bash -c 'exec < slow; until grep -q exporting terminal; do head -c 65536 > /dev/null; sleep 0.1; done; cat > /dev/null' 3>&- &
    script -qec "TERM=xterm '$TAT' export --format jsonl -o slow '$LONG'" /dev/null < /dev/null > terminal
    grep -qP '\r\e\[Kexporting \[[#.]{24}\] +\d+ %' terminal
    tail -c 4 terminal | grep -q $'\e\[K$'
}

@test "export: a closed pipe is quiet" {
    run --separate-stderr bash -c '"$0" export "$1" | head -1' "$TAT" "$TRACE"
    [ "${#lines[@]}" -eq 1 ]
    [ -z "$stderr" ]
}

@test "export: experts: counts of several runs are added, what does not go with them" {
    [ "$("$TAT" export --expert-counts "$TRACE" | head -1)" = "layer,expert,count" ]
    "$TAT" export --expert-counts -o once.csv "$TRACE"
    "$TAT" export --expert-counts --phases prompt -o prompt.csv "$TRACE"
    "$TAT" export --expert-counts --phases generate -o generate.csv "$TRACE"
    "$TAT" export --expert-counts "$TRACE" "$TRACE" > twice.csv
    merged() { awk -F, 'NR == FNR || FNR > 1 { if (FNR == 1) print; else n[$1 "," $2] += $3 } END { for (k in n) print k "," n[k] }' \
        "$@" | sort; }
    cmp <(merged once.csv once.csv) <(sort twice.csv)
    cmp <(merged prompt.csv generate.csv) <(sort once.csv)
    "$TAT" export --expert-counts -o counts.jsonl "$TRACE"
    [ "$(head -1 counts.jsonl | cut -c1-21)" = '{"layer":0,"expert":0' ]
    for wrong in "--expert-counts --tokens 1" "--expert-counts -f bin" "--expert-counts --memory 1M" "--expert-mask" \
        "--expert-mask --memory 1M --per-layer 2" "--override-tensor" "--override-tensor --memory 1M -f csv" "--memory 1M" \
        "--expert-counts --expert-mask --per-layer 1" "--expert-mask --per-layer 0" "--expert-mask --memory x" \
        "--expert-counts --references" "$TRACE"; do
        run "$TAT" export $wrong "$TRACE"
        [ "$status" -eq 2 ]
    done
    run "$TAT" export --override-tensor --memory 100G "$TRACE"
    [ "$status" -eq 1 ]
    [ "$output" = "tat export: the experts of all layers fit, so llama.cpp needs no rule" ]
}

@test "export: references, by the end of the file's name, and what does not go with them" {
    "$TAT" export --references -o refs.csv "$TRACE" 2> said
    grep -q "reads of .* objects in refs.csv" said
    [ "$(head -1 refs.csv)" = "object,bytes,next,graph,phase,tensor,expert,address" ]
    "$TAT" export --references -o refs.oracleGeneral "$TRACE" 2> /dev/null
    [ "$(stat -c %s refs.oracleGeneral)" -eq $((24 * ($(wc -l < refs.csv) - 1))) ]
    cmp <("$TAT" export --references "$TRACE") refs.csv
    for wrong in "--references --tokens 1" "--references --format jsonl" "--references --unit 100" "--unit page" \
                 "--references --heads" "--references -n 3"; do
        run "$TAT" export $wrong "$TRACE"
        [ "$status" -eq 2 ]
    done
}
