#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# What tat verify must refuse, and in which words: each way in which a trace can lack something without anybody noticing.
# HOST_DIR (fake hosts), DAMAGE (rewrites traces) and CACHE are given.

load common

dense=SmolLM2-135M-Instruct.Q4_1.gguf
elsewhere="another backend (BLAS, GPU) computed them"

with_blas() {
    export LD_LIBRARY_PATH=$CACHE/llama.cpp-0.3.36/build-blas/bin
    [ -e "$LD_LIBRARY_PATH/libggml-blas.so" ] || skip "no ggml with BLAS: scripts/build-blas-ggml.sh makes one"
}

# fake_host NAME ARGUMENT...: the toy model computed by it, as untraced; what tat record says is in $stderr.
fake_host() {
    local host=$HOST_DIR/$1 toy=$BATS_TEST_TMPDIR/toy.gguf
    trace=$BATS_TEST_TMPDIR/run
    "$HOST_DIR/fake_host1" --write "$toy"
    "$host" "${@:2}" "$toy" > "$trace.untraced"
    "$TAT" record -o "$trace" -- "$host" "${@:2}" "$toy" > "$trace.traced" 2> "$trace.stderr"
    cmp "$trace.untraced" "$trace.traced"
    stderr=$(cat "$trace.stderr")
}

@test "refused: BLAS computes the products of the prompt, the CPU those of the tokens after it" {
    with_blas
    for name in $dense SmolLM2-8x2.gguf; do
        model $name
        recorded $name -n 3 -t 2
        refused "$trace" results "Qcur-0, of RESHAPE, in evaluation 2: $elsewhere"
        "$EVALUATIONS" "$trace" | grep -v "^other" | cut -d\; -f1 | paste -sd, |
            grep -xE "warmup 2 tokens, 1 outputs,prompt 44 tokens, [0-9]+ outputs,(generate 1 tokens, 1 outputs,?){2}"
        said=$("$TAT" report "$trace" | tr -s ' \n' ' ')
        [[ $said == *" The run Another backend (BLAS, GPU) computed parts of 1 of 4 ubatches: "* ]]
        [[ $said == *" in no figure. The others: Generation ran at "*" tokens/s; the median token took "* ]]
        [[ $said != *"rompt ran at"* ]]
    done
}

@test "refused: BLAS computes all products there are" {
    with_blas
    model $dense
    recorded run -n 1 -t 2 --no-warmup
    refused "$trace" weights "another backend (BLAS, GPU) took them"
}

@test "refused: BLAS and a model in several files" {
    with_blas
    model random-llama-split-00001-of-00003.gguf
    recorded run -n 3 -t 2
    refused "$trace" results "$elsewhere"
}

@test "not refused: BLAS is there, but the prompt is too short for it" {
    with_blas
    model $dense
    prompt="Once upon a time"
    traced_like_untraced run -n 3 -t 2
}

@test "refused: a fusion rule that is not known" {
    FAKEGGML_RULE=unknown fake_host fake_host1
    refused "$trace" identity "this ggml fuses or skips nodes by a rule that is not known"
}

@test "refused: a weight moved by one byte, an evaluation lost" {
    model $dense
    traced_like_untraced run -n 3
    for how in moved lost; do
        mkdir "$trace.$how"
        python3 "$DAMAGE" $how "$trace/tensor_access.bin" "$trace.$how/tensor_access.bin"
    done
    refused "$trace.moved" offsets "1 wrong, 0 unknown; token_embd.weight: its address is not where the mapping puts"
    refused "$trace.lost" losses "an evaluation is missing without a count"
}

@test "refused: evaluations lost for want of room" {
    model $dense
    options=(--max-size 192KiB)
    recorded run -n 60
    [ "$(stat -c %s "$trace/tensor_access.bin")" -le $((192 << 10)) ]
    [[ $(cat "$trace.stderr") =~ ", "[1-9][0-9,.]*" lost," ]]
    refused "$trace" losses "evaluations lost (--max-size: "
}

@test "refused: no trace where ggml binds the call inside itself" {
    fake_host fake_host_bound
    [ ! -e "$trace" ]
    [[ $stderr == *"no trace: "*"ggml_graph_compute is bound inside the library (-Bsymbolic"* ]]
}

@test "refused: no trace of a llama.cpp linked with -Bsymbolic" {
    model $dense
    export LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/lib
    mkdir "$LD_LIBRARY_PATH"
    mapfile -t objects < <(find "$LLAMA/../ggml/src/CMakeFiles/ggml-cpu.dir" -name '*.o')
    soname=$(basename "$(ls "$LLAMA"/libggml-cpu.so.?)")
    c++ -shared -Wl,-Bsymbolic -Wl,-soname,"$soname" -o "$LD_LIBRARY_PATH/$soname" "${objects[@]}" -fopenmp \
        -L "$LLAMA" -lggml-base
    recorded run -n 2
    [ ! -e "$trace" ]
    cat "$trace.stderr"
    [[ $(cat "$trace.stderr") == *"no trace: "*"ggml_graph_compute is bound inside the library (-Bsymbolic"* ]]
}
