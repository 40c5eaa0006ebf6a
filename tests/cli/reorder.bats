#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat reorder on models of some kilobytes, written here. TAT is the program under test.

bats_require_minimum_version 1.5.0
load gguf

setup() {
    TAT=${TAT:-tat}
    cd "$BATS_TEST_TMPDIR"
    model=$PWD/model.gguf
    export TAT_DIR=$PWD/traces
    mkdir out
}

# Three tensors, of which the last in the file is read first. A megabyte with bytes that are never the same.
write_model() {
    {
        header 3 2
        kv_text general.architecture llama
        kv_text general.name tiny
        tensor output.weight 130000 0
        tensor blk.0.attn_q.weight 65000 520000
        tensor blk.0.attn_norm.weight 65000 780000
    } > "$model"
    pad
    head -c 1040000 /dev/urandom >> "$model"
}

# order FILE: the names of its tensors.
order() { "$TAT" gguf --csv "$1" | tail -n +2 | cut -d, -f1 | paste -sd' '; }

# bytes FILE TENSOR: of its data.
bytes() {
    local row
    row=$("$TAT" gguf --csv --single "$1" | grep "^$2,")
    dd if="$1" iflag=skip_bytes,count_bytes skip="$(cut -d, -f2 <<< "$row")" count="$(cut -d, -f3 <<< "$row")" status=none
}

# nothing_in FOLDER: nothing was left there.
nothing_in() { [ -z "$(ls -A "$1")" ]; }

@test "reorder: without --output it shows what would be gained, and writes nothing" {
    write_model
    before=$(md5sum "$model")
    run "$TAT" reorder "$model"
    [ "$status" -eq 0 ]
    [[ $output == *"without a trace of"* ]]
    [[ $output =~ sequential:\ where\ the\ one\ before\ ended\ +0\.0\ +2\.0 ]]
    [[ $output =~ far:\ elsewhere\ +2\.0\ +0\.0 ]]
    [[ $output == *"saves 2.0 of 2.0 far jumps"* ]]
    [ "$(md5sum "$model")" = "$before" ]
    [ "$(ls -A)" = $'model.gguf\nout' ]
}

@test "reorder: the same tensors in another order" {
    write_model
    run "$TAT" reorder "$model" -o out/new.gguf
    [ "$status" -eq 0 ]
    [[ $output == *"out/new.gguf: written; all 3 tensors were read back and compared byte for byte"* ]]
    [ "$(ls -A out)" = new.gguf ]
    [ "$(order out/new.gguf)" = "blk.0.attn_norm.weight blk.0.attn_q.weight output.weight" ]
    for tensor in blk.0.attn_norm.weight blk.0.attn_q.weight output.weight; do
        cmp <(bytes "$model" $tensor) <(bytes out/new.gguf $tensor)
    done
    [ "$("$TAT" gguf --metadata "$model")" = "$("$TAT" gguf --metadata out/new.gguf)" ]
    "$TAT" gguf --check out/new.gguf
}

@test "reorder --align: each tensor on pages of its own" {
    write_model
    run "$TAT" reorder --align 4K "$model" -o out/new.gguf
    [ "$status" -eq 0 ]
    "$TAT" gguf --metadata out/new.gguf | grep -q "general.alignment.*4096"
    [ "$("$TAT" gguf --csv out/new.gguf | tail -n +2 | awk -F, '{ sum += $2 % 4096 } END { print sum }')" -eq 0 ]
    cmp <(bytes "$model" output.weight) <(bytes out/new.gguf output.weight)
    for alignment in 16 48 128K nonsense; do
        run "$TAT" reorder --align $alignment "$model"
        [ "$status" -eq 2 ]
    done
}

@test "reorder: a file that is there is replaced only by --force, and the model never" {
    write_model
    ln -s "$model" link.gguf
    ln "$model" hard.gguf
    echo precious > out/new.gguf
    run "$TAT" reorder "$model" -o out/new.gguf
    [ "$status" -eq 2 ]
    [[ $output == *"out/new.gguf: exists; --force replaces it"* ]]
    [ "$(cat out/new.gguf)" = precious ]
    before=$(md5sum < "$model")
    for out in model.gguf link.gguf hard.gguf; do
        run "$TAT" reorder link.gguf -o $out --force
        [ "$status" -eq 2 ]
        [[ $output == *"$out: is the model itself"* ]]
    done
    run "$TAT" reorder "$model" -o out --force
    [ "$status" -eq 2 ]
    run "$TAT" reorder "$model" -o out/new.gguf --force
    [ "$status" -eq 0 ]
    [ "$(order out/new.gguf)" = "blk.0.attn_norm.weight blk.0.attn_q.weight output.weight" ]
    [ "$(ls -A out)" = new.gguf ]
    [ "$(md5sum < "$model")" = "$before" ]
}

@test "reorder: a model that has the order already is not written again" {
    write_model
    "$TAT" reorder "$model" -o ordered.gguf > /dev/null
    run "$TAT" reorder ordered.gguf -o out/new.gguf
    [ "$status" -eq 1 ]
    [[ $output == *"already has this order; nothing was written"* ]]
    nothing_in out
}

@test "reorder: a damaged model is refused" {
    write_model
    truncate -s -1000 "$model"
    run "$TAT" reorder "$model" -o out/new.gguf
    [ "$status" -eq 3 ]
    [[ $output == *"ends "*" bytes after the file"* ]]
    run "$TAT" reorder no-such.gguf -o out/new.gguf
    [ "$status" -eq 4 ]
    nothing_in out
}

@test "reorder: where there is no room, nothing is left behind" {
    write_model
    run bash -c "ulimit -f 500; '$TAT' reorder '$model' -o out/new.gguf"
    [ "$status" -eq 4 ]
    [[ $output == *"File too large"* ]]
    run "$TAT" reorder "$model" -o nowhere/new.gguf
    [ "$status" -eq 4 ]
    nothing_in out
}

@test "reorder: a signal ends it, and nothing is left behind" {
    { header 2 1; kv_text general.architecture llama; tensor output.weight 50000000 0; tensor blk.0.attn_q.weight 8 200000000; } > "$model"
    pad
    grow 200000032 # without data: only to be read
    for signal in TERM HUP KILL; do
        "$TAT" reorder "$model" -o out/new.gguf > /dev/null 2>&1 3>&- &
        pid=$!
        until at=$(readlink /proc/$pid/fd/* | grep "^$PWD/out/"); do kill -0 $pid || break; done 2> /dev/null
        kill -$signal $pid || true # it may have ended
        status=0
        wait $pid || status=$?
        [ $status -eq 0 ] || [ $status -eq $((128 + $(kill -l $signal))) ]
        [ ! -e out/new.gguf ] || [ -z "$("$TAT" gguf --check out/new.gguf)" ]
        rm -f out/new.gguf
        # Not every file system has files without names; there, nobody can take away what was killed.
        [ $signal != KILL ] || [[ $at == *"(deleted)" ]] || rm -f out/.new.gguf.*
        nothing_in out
    done
}

# write_part NUMBER TENSOR BYTES...: one of three parts, each of which has its tensors in the wrong order.
write_part() {
    model=$PWD/split-0000$1-of-00003.gguf
    local offset=0 tensors=$((($# - 1) / 2))
    {
        header $tensors 4
        kv_text general.architecture llama
        kv_u16 split.no $(($1 - 1))
        kv_u16 split.count 3
        kv_u32 split.tensors.count 5
        for ((i = 2; i <= $#; i += 2)); do
            tensor "${!i}" 16 $offset
            offset=$((offset + 64))
        done
    } > "$model"
    pad
    head -c $offset /dev/urandom >> "$model"
}

@test "reorder: each part of a split model" {
    write_part 1 output.weight 64 blk.0.attn_norm.weight 64
    write_part 2 blk.1.attn_q.weight 64 blk.0.attn_q.weight 64
    write_part 3 blk.2.attn_q.weight 64
    run "$TAT" reorder split-00002-of-00003.gguf -o out/new.gguf
    [ "$status" -eq 2 ]
    [[ $output == *"3 parts, so name the first of the new ones: NAME-00001-of-00003.gguf"* ]]
    echo precious > out/new-00003-of-00003.gguf
    run "$TAT" reorder split-00002-of-00003.gguf -o out/new-00001-of-00003.gguf
    [ "$status" -eq 2 ]
    [ "$(ls -A out)" = new-00003-of-00003.gguf ]
    rm out/*
    run "$TAT" reorder split-00002-of-00003.gguf -o out/new-00001-of-00003.gguf
    [ "$status" -eq 0 ]
    [ "$(ls out | wc -l)" -eq 3 ]
    [ "$(order out/new-00003-of-00003.gguf)" = "blk.0.attn_norm.weight output.weight blk.0.attn_q.weight blk.1.attn_q.weight blk.2.attn_q.weight" ]
    cmp <(bytes split-00002-of-00003.gguf blk.1.attn_q.weight) <(bytes out/new-00002-of-00003.gguf blk.1.attn_q.weight)
    cmp split-00003-of-00003.gguf out/new-00003-of-00003.gguf
}

@test "reorder --json: places, seeks and gaps" {
    write_model
    "$TAT" reorder --json "$model" -o out/new.gguf > answer.json
    python3 - "$model" << 'END'
import json
import sys

answer = json.load(open("answer.json"))
assert answer["order"] == "names" and answer["trace"] is None and answer["gains"]
assert answer["output"] == "out/new.gguf" and answer["model"] == sys.argv[1]
assert [t["name"] for t in answer["tensors"]] == ["blk.0.attn_norm.weight", "blk.0.attn_q.weight", "output.weight"]
before, after = answer["before"], answer["after"]
assert before["far"]["reads_per_token"] == 2 and after["far"]["reads_per_token"] == 0
assert after["sequential"]["reads_per_token"] == 2 and after["gap_bytes_per_token"] == 0
assert before["gap_bytes_per_token"] == 520000 + 780000
assert sum(b["forward"] + b["backward"] for b in before["gaps"]) == 2
old, new = open(sys.argv[1], "rb").read(), open("out/new.gguf", "rb").read()
assert len(new) == after["file_bytes"] and len(old) == before["file_bytes"]
for t in answer["tensors"]:
    assert old[t["old_offset"]:][:t["bytes"]] == new[t["offset"]:][:t["bytes"]]
END
}

@test "reorder --trace: only a trace of this model" {
    write_model
    run "$TAT" reorder --trace "$BATS_TEST_DIRNAME/../format/version-1.bin" "$model"
    [ "$status" -eq 3 ]
    [[ $output == *"is a trace of another model"* ]]
    run "$TAT" reorder --trace run --by-name "$model"
    [ "$status" -eq 2 ]
}
