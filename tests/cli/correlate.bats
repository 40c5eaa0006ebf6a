#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat correlate on a run of a toy model whose page faults and disk requests are known. HOST and TAT are given.

bats_require_minimum_version 1.5.0
load toy

setup_file() {
    export PYTHONDONTWRITEBYTECODE=1 SOURCE=$BATS_TEST_DIRNAME/../..
    TAT=$(realpath "${TAT:-tat}")
    export TAT TRACE=$BATS_FILE_TMPDIR/trace RUN=$BATS_FILE_TMPDIR/run
    toy_trace "$TRACE" -g 40
    "$TAT" verify "$TRACE" > "$BATS_FILE_TMPDIR/verified"
    python3 "$BATS_TEST_DIRNAME/make_io.py" "$TRACE" "$RUN"
}

setup() {
    unset TAT_DIR NO_COLOR
    cd "$BATS_TEST_TMPDIR"
}

# holds EXPRESSION...: true of `c`, the sums in the file of that name, and of `facts`.
holds() {
    python3 -c '
import json, sys
c, facts = json.load(open("sums")), json.load(open(sys.argv[1] + "/facts.json"))
for expression in sys.argv[2:]:
    assert eval(expression), (expression, c)' "$RUN" "$@"
}

@test "correlate: each fault is an operation's, with its token" {
    "$TAT" correlate --json "$RUN" > sums
    holds 'c["faults"]["count"] == c["faults"]["major"] == facts["faults"] > 80' \
        'c["faults"]["matched_share"] == c["faults"]["placed_share"] == 1' \
        'c["faults"]["wait_ns"] == 400 * facts["faults"]' \
        '{r["place"] for r in c["faults"]["rows"]} == {"an operation"}' \
        '{r["while"] for r in c["faults"]["rows"]} <= {"warmup", "prompt", "generate"}' \
        'c["blktrace"] is None and c["requests"]["count"] == 0'
    "$TAT" correlate "$RUN" > text
    grep -q "^Page faults: .* of which .* waited for the disk" text
    grep -q "^matched: 100.0 % of them" text
}

@test "correlate: rows in all formats are the same" {
    "$TAT" correlate --table faults "$RUN" > tsv
    "$TAT" correlate --table faults --csv "$RUN" > csv
    "$TAT" correlate --table faults --json "$RUN" > lines
    python3 - << 'END'
import csv, json
with open("tsv") as tsv, open("csv", newline="") as text, open("lines") as lines:
    rows = [line.rstrip("\n").split("\t") for line in tsv]
    assert rows == list(csv.reader(text))
    for row, line in zip(rows[1:], lines, strict=True):
        a = json.loads(line)
        assert list(a) == rows[0]
        assert ["" if v is None else str(v) for v in a.values()] == row
        assert a["tensor"] and a["matched"] == 1 and a["major"] == 1 and a["duration_ns"] == 400
        assert a["op"] and a["tensor"] and a["file"] == 1
assert len(rows) > 80
END
    "$TAT" correlate --table faults --format table -n 3 "$RUN" > table
    [ "$(wc -l < table)" -eq 4 ]
}

@test "correlate: filters choose events by what they are placed in" {
    "$TAT" correlate --table faults "$RUN" > all
    "$TAT" correlate --table faults --layers 1 --phases generate "$RUN" > some
    awk -F '\t' 'NR == 1 { for (i = 1; i <= NF; i++) c[$i] = i; print; next } $c["layer"] == 1 && $c["while"] == "generate"' \
        all | diff - some
    [ "$(wc -l < some)" -gt 3 ]
    "$TAT" correlate --json --layers 1 --phases generate "$RUN" > sums
    holds "c['faults']['count'] == $(($(wc -l < some) - 1))"
    run -1 --separate-stderr "$TAT" correlate --table faults --layers 99 "$RUN"
    [ -z "$output" ]
}

@test "correlate: a block trace on another clock is aligned by the faults" {
    "$TAT" correlate --json --blktrace "$RUN/blk.txt" --device "$RUN/map.json" "$RUN" > sums 2> said
    holds 'abs(c["blktrace"]["clock"]["offset_ns"] - facts["offset_ns"]) < 1000' \
        'c["blktrace"]["clock"]["anchor"] == "faults" and c["blktrace"]["formats"] == ["blk"]' \
        'c["blktrace"]["clock"]["overlapping_share"] == 1' \
        'c["requests"]["in_model"] == {"count": facts["faults"], "bytes": 4096 * facts["faults"]}' \
        'c["requests"]["count"] == facts["faults"] + facts["writes"]' \
        'c["requests"]["placed_share"] > 0.99' \
        '0 < c["requests"]["busy_ns"] < c["requests"]["sum_ns"]' \
        'c["pages"]["bytes"] == 4096 * facts["faults"]' \
        'sum(r["count"] for r in c["requests"]["rows"] if r["place"] == "a write") == facts["writes"]' \
        'sum(r["count"] for r in c["requests"]["rows"]) == c["requests"]["count"]' \
        'sum(r["parts"] for r in c["requests"]["rows"]) > c["requests"]["count"]' # some have several weights
    [ ! -s said ]
}

@test "correlate: other formats and maps give the same" {
    "$TAT" correlate --json --blktrace "$RUN/blk.txt" --device "$RUN/map.json" "$RUN" > sums
    python3 -c 'import json; print(json.load(open("sums"))["requests"]["in_model"])' > wanted
    "$TAT" correlate --json --blktrace - --device "$RUN/map.txt" --partition-start 2048 "$RUN" \
        < "$RUN/blk.txt" > sums
    python3 -c 'import json; print(json.load(open("sums"))["requests"]["in_model"])' | diff wanted -
    "$TAT" correlate --json --blktrace "$RUN/biosnoop.txt" --device "$RUN/map.json" "$RUN" > sums
    python3 -c 'import json; print(json.load(open("sums"))["requests"]["in_model"])' | diff wanted -
    sed 's/^.*\. \([0-9.]*\): *\([0-9,]*\) */\2|\1|/; s/ \+/ /g' "$RUN/blk.txt" | grep "^8" > own.txt
    "$TAT" correlate --json --blktrace own.txt --blktrace-format '%D|%T.%t|%a %d %S + %n [%C]' --device "$RUN/map.json" \
        "$RUN" > sums
    python3 -c 'import json; print(json.load(open("sums"))["requests"]["in_model"])' | diff wanted -
}

@test "correlate: blktrace's own files have the run's clock, and the time of day" {
    files=(--blktrace "$RUN/sda.blktrace.0" --blktrace "$RUN/sda.blktrace.1" --device "$RUN/map.json")
    for anchor in auto wall; do
        "$TAT" correlate --json --anchor $anchor "${files[@]}" "$RUN" > sums
        holds 'c["requests"]["in_model"] == {"count": facts["faults"], "bytes": 4096 * facts["faults"]}' \
            'c["blktrace"]["clock"]["offset_ns"] == 0' 'c["blktrace"]["clock"]["overlapping_share"] == 1' \
            "c['blktrace']['clock']['anchor'] == ('none' if '$anchor' == 'auto' else 'wall')"
    done
}

@test "correlate: a clock can be set by hand, and a wrong one is said" {
    "$TAT" correlate --json --clock-offset 1234567890123ns --blktrace "$RUN/blk.txt" --device "$RUN/map.json" "$RUN" > sums
    holds 'c["blktrace"]["clock"]["overlapping_share"] == 1 and c["blktrace"]["clock"]["anchor"] is None'
    run -0 --separate-stderr "$TAT" correlate --json --clock-offset -5s --blktrace "$RUN/blk.txt" \
        --device "$RUN/map.json" "$RUN"
    [[ $stderr == *"no page fault overlaps a read of its page"* ]]
    [[ $stderr == *"none of the block trace's reads of the model was while the run loaded or computed"* ]]
    run -3 "$TAT" correlate --anchor wall --blktrace "$RUN/blk.txt" --device "$RUN/map.json" "$RUN"
    [[ $output == *"only binary files of blktrace tell the time of day"* ]]
}

@test "correlate: damage is counted and said with its line" {
    line=$(awk '/ D +R / { if (++n == 9) print NR }' "$RUN/blk.txt") # one that is issued
    sed "${line}s/ + .*/ + x/" "$RUN/blk.txt" > cut.txt
    "$TAT" correlate --json --blktrace cut.txt --device "$RUN/map.json" "$RUN" > sums 2> said
    holds 'c["blktrace"]["damaged"] == 1'
    grep -q "cut.txt: lines left out as damaged: 1, the first at line $line" said
    grep -q "beginning is not in the block trace: 1, which .* whose end is not: 0" said
}

@test "correlate: the disk has to be known, and the file has to be the model" {
    run -3 "$TAT" correlate --disk sdb --blktrace "$RUN/blk.txt" --device "$RUN/map.json" "$RUN"
    [[ $output == *"sdb: the block trace has 8:0 ("*"--disk says which"* ]]
    sed 's/"8:0"/"259:0"/; s/"sda"/"nvme0n1"/' "$RUN/map.json" > other.json
    run -3 "$TAT" correlate --blktrace "$RUN/blk.txt" --device other.json "$RUN"
    [[ $output == *"the map is of disk 259:0 (nvme0n1), of which there is no request"* ]]
    "$TAT" correlate --disk 8:0 --blktrace "$RUN/blk.txt" --device other.json "$RUN" > text
    sed 's/"bytes": /"modified_ns": 12, &/' "$RUN/map.json" > other.json
    run -0 "$TAT" correlate --blktrace "$RUN/blk.txt" --device other.json "$RUN"
    [[ $output == *"toy.gguf was written between the run and the making of the map"* ]]
    sed 's/"bytes": /"bytes": 1/' "$RUN/map.json" > other.json
    run -3 "$TAT" correlate --blktrace "$RUN/blk.txt" --device other.json "$RUN"
    [[ $output == *"make the map of that file"* ]]
}

@test "correlate: without I/O events it says what records them" {
    run -1 "$TAT" correlate "$TRACE"
    [[ $output == *"tat record --io"* ]]
    "$TAT" correlate --json --blktrace "$RUN/blk.txt" --device "$RUN/map.json" --clock-offset 1234567890123ns "$TRACE" \
        > sums 2> said
    holds 'c["requests"]["in_model"]["count"] == facts["faults"] and not c["recorded"]'
    grep -q "nothing tells whether the clocks agree" said
}

@test "correlate: wrong usage" {
    for arguments in "--blktrace x" "--device x" "--table what" "--csv" "-n 3" "--anchor soon" "--clock-offset x" \
        "--blktrace-format nothing" "--write-map" "--partition-start -1" "a b" "--clock-offset 1s --anchor none"; do
        run -2 "$TAT" correlate $arguments
    done
    run -2 "$TAT" correlate --blktrace "$RUN/blk.txt" --device "$RUN/map.json" --blktrace-format '%a' "$RUN"
    [[ $output == *"%S (the sector)"* ]]
}

@test "correlate: a map of a file here, or why there is none" {
    cp "$BATS_FILE_TMPDIR/toy.gguf" model.gguf
    sync model.gguf
    if "$TAT" correlate --write-map model.gguf > map.json 2> why; then
        python3 -c '
import json, os
m = json.load(open("map.json"))
(f,) = m["files"]
assert m["tat_disk_map"] == 1 and f["bytes"] == os.path.getsize("model.gguf") and f["path"] == os.path.realpath("model.gguf")
assert sum(e[2] for e in f["extents"]) >= f["bytes"] and ":" in f["disk"]'
    else
        grep -q "model.gguf: no map: " why # the file system does not tell
    fi
    run -1 "$TAT" correlate --write-map /proc/version
    [[ $output == *"/proc/version: no map: "* ]]
}
