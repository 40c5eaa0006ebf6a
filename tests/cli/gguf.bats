#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat gguf on models of a few hundred bytes, written here. TAT is the program under test.

bats_require_minimum_version 1.5.0
load gguf

setup() {
    TAT=${TAT:-tat}
    model=$BATS_TEST_TMPDIR/model.gguf
}

# Two tensors of 32 bytes, one after the other.
write_model() {
    {
        header 2 3
        kv_text general.architecture llama
        kv_text general.name "${NAME:-tiny}"
        kv_u32 llama.block_count 1
        tensor "${TENSOR:-blk.0.attn_q.weight}" 8 0
        tensor output.weight 8 "${OFFSET:-32}"
    } > "$model"
    pad
    grow 64
}

@test "gguf: hyper-parameters, then the tensors" {
    write_model
    run "$TAT" gguf "$model"
    [ "$status" -eq 0 ]
    [[ $output == *"tiny"* ]]
    [[ $output == *"architecture llama, layers 1"* ]]
    [[ $output =~ blk\.0\.attn_q\.weight\ +0\ attn_q\ +f32\ +8\ +[0-9]+\ +32 ]]
    [[ $output =~ output\.weight\ +output\ +f32\ +8\ +[0-9]+\ +32 ]]
}

@test "gguf --csv: the columns of gguf_structure.csv" {
    write_model
    data=$(($(stat -c %s "$model") - 64))
    run "$TAT" gguf --csv "$model"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "name,file_offset,size,layer_id,component_type,type,shape,file,part" ]
    [ "${lines[1]}" = "blk.0.attn_q.weight,$data,32,0,attn_q,f32,8,model.gguf,model" ]
    [ "${lines[2]}" = "output.weight,$((data + 32)),32,,output,f32,8,model.gguf,model" ]
    [ "${#lines[@]}" -eq 3 ]
}

@test "gguf --csv: names are quoted where they must be" {
    TENSOR='a,"b"' write_model
    run "$TAT" gguf --csv "$model"
    [[ ${lines[1]} == '"a,""b""",'* ]]
}

@test "gguf --json: one object" {
    write_model
    "$TAT" gguf --json "$model" | python3 -c '
import json, sys
model = json.load(sys.stdin)
assert model["hyperparameters"]["layers"] == 1
assert model["metadata"]["general.name"] == "tiny"
assert [t["name"] for t in model["tensors"]] == ["blk.0.attn_q.weight", "output.weight"]
assert model["tensors"][1]["layer"] is None
assert model["findings"]["total"] == 0'
}

@test "gguf --json: text that is no UTF-8 does not break it" {
    NAME=$'\xff\xfe' write_model
    "$TAT" gguf --json "$model" | python3 -c 'import json, sys; assert json.load(sys.stdin)["metadata"]["general.name"] == "??"'
}

@test "gguf --metadata: keys, types, values" {
    write_model
    run "$TAT" gguf --metadata "$model"
    [ "$status" -eq 0 ]
    [[ $output =~ llama\.block_count\ +uint32\ +1 ]]
}

@test "gguf --check: says nothing about a sound file" {
    write_model
    run "$TAT" gguf --check "$model"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "gguf --check: a truncated file is named, exit status 1" {
    write_model
    truncate -s -5 "$model"
    size=$(stat -c %s "$model")
    run "$TAT" gguf --check "$model"
    [ "$status" -eq 1 ]
    [[ $output == *"error: the file is cut short: its tensors need $((size + 5)) bytes, but it has $size. 1 of 2 tensors"*"'output.weight'"* ]]
}

# Many tensors of 32 bytes, of which the file holds the first two.
write_cut_model() {
    local i
    {
        header "$1" 1
        kv_text general.architecture llama
        for ((i = 0; i < $1; i++)); do tensor "blk.$i.attn_q.weight" 8 $((i * 32)); done
    } > "$model"
    pad
    grow 64
}

@test "gguf: a file cut short is one line, whatever is printed, and exit status 1" {
    write_cut_model 40
    run "$TAT" gguf "$model"
    [ "$status" -eq 1 ]
    [ "$(grep -c error <<< "$output")" -eq 1 ]
    [[ $output == *"error: the file is cut short"*"38 of 40 tensors"*"'blk.2.attn_q.weight'"* ]]
    run "$TAT" gguf --json "$model"
    [ "$status" -eq 1 ]
    for view in --csv --metadata; do
        run --separate-stderr "$TAT" gguf $view "$model"
        [ "$status" -eq 1 ]
        [[ $output != *error* && $stderr == *"error: the file is cut short"* ]]
    done
}

@test "gguf: of one kind of finding the first three are shown, and how many more there are" {
    {
        header 20 1
        kv_text general.architecture llama
        for ((i = 0; i < 20; i++)); do tensor "blk.$i.attn_q.weight" 8 0; done
    } > "$model"
    pad
    grow 32
    run "$TAT" gguf --check "$model"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 4 ]
    [[ ${lines[3]} == *"error: and 16 more tensors that overlap"* ]]
}

@test "gguf --check: overlaps and trailing bytes" {
    OFFSET=0 write_model
    run "$TAT" gguf --check "$model"
    [ "$status" -eq 1 ]
    [[ $output == *"error: "*"'output.weight' overlaps 32 bytes"* ]]
    [[ $output == *"note: "*"32 bytes at the end of the file belong to no tensor"* ]]
}

@test "gguf: control characters never reach the terminal" {
    NAME=$'\e[2J' TENSOR=$'\e]0;evil\a' write_model
    for view in "" --metadata --json --check; do
        run "$TAT" gguf $view "$model"
        [ "$status" -le 1 ]
        [[ $output != *$'\e'* && $output != *$'\a'* ]]
    done
}

@test "gguf: no model file, exit status 3" {
    printf 'PK\x03\x04' > "$model"
    run "$TAT" gguf "$model"
    [ "$status" -eq 3 ]
    [[ $output == "tat gguf: $model: byte 0: not a GGUF file"* ]]
    run "$TAT" gguf "$BATS_TEST_TMPDIR"
    [ "$status" -eq 3 ]
}

@test "gguf: a FIFO does not hang it" {
    mkfifo "$model"
    run timeout 60 "$TAT" gguf "$model"
    [ "$status" -eq 3 ]
    [[ $output == *"not a regular file"* ]]
}

@test "gguf: no such file, exit status 4" {
    run "$TAT" gguf "$model"
    [ "$status" -eq 4 ]
    [[ $output == *"No such file or directory"* ]]
}

@test "gguf: a trace is said to be one; so is a model file where a trace is wanted" {
    mkdir "$BATS_TEST_TMPDIR/run"
    { printf TATTRACE; head -c 4088 /dev/zero; } > "$BATS_TEST_TMPDIR/run/tensor_access.bin"
    for trace in "$BATS_TEST_TMPDIR/run" "$BATS_TEST_TMPDIR/run/tensor_access.bin"; do
        run "$TAT" gguf "$trace"
        [ "$status" -eq 3 ]
        [[ $output == *"$trace: a trace, not a model file; \`tat report\`"* ]]
    done
    write_model
    for command in report verify dump export top "diff $model"; do
        run "$TAT" $command "$model" < /dev/null
        echo "$command: $output"
        [ "$status" -eq 3 ]
        [[ $output == *"$model: a model file, not a trace; \`tat gguf\`"* ]]
    done
}

# on_terminal COLUMNS: the model's table there.
on_terminal() {
    script -qec "stty cols $1; '$TAT' gguf '$model'" /dev/null < /dev/null | tr -d '\r' | sed '1,/^hash/d'
}

@test "gguf: on a narrow terminal the table has fewer columns, and then shorter names" {
    TENSOR=blk.0.ffn_a_name_that_is_long.weight write_model
    columns=$(on_terminal 100 | sed -n 2p)
    [[ $columns =~ ^TENSOR\ +LAYER\ COMPONENT\ +TYPE\ SHAPE\ +OFFSET\ +BYTES$ ]]
    for width in $((${#columns} - 1)) $((${#columns} - 12)) 40; do
        lines=$(on_terminal $width)
        echo "$lines"
        [[ $(sed -n 2p <<< "$lines") =~ ^TENSOR\ .*BYTES$ ]]
        [ "$(awk '{ if (length > most) most = length } END { print most }' <<< "$lines")" -le $width ]
    done
    [[ $lines != *COMPONENT* ]] && [[ $lines != *LAYER* ]]
    [[ $(on_terminal $((${#columns} - 1))) == *"LAYER TYPE"*"blk.0.ffn_a_name_that_is_long.weight "* ]]
}

@test "gguf: used wrongly, exit status 2" {
    run "$TAT" gguf
    [ "$status" -eq 2 ]
    run "$TAT" gguf a b
    [ "$status" -eq 2 ]
    run "$TAT" gguf --no-such-option a
    [ "$status" -eq 2 ]
}

@test "gguf: a full disk is an error" {
    write_model
    run bash -c '"$0" gguf --csv "$1" > /dev/full' "$TAT" "$model"
    [ "$status" -eq 4 ]
}
