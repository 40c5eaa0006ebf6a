#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The pages of a model file that the trace names are the pages that the kernel saw touched: none missing, none too many. And
# the pages that are in memory after a run are those of an untraced run.
# TAT, AGENT, TOOLS (page_truth.so, page_check, resident), MODELS and LLAMA are given.

load ../ends_early

# Models are copied: pages that another process has mapped cannot be evicted.
model() {
    [ -e "$MODELS/$1" ] || skip "no $1: scripts/get-fixtures.sh makes it"
    [ "$(stat -f -c %T "$BATS_FILE_TMPDIR")" != tmpfs ] || skip "files in a tmpfs are always in memory: set BATS_TMPDIR"
    if [ ! -e "$BATS_FILE_TMPDIR/$1" ]; then
        cp --sparse=always "$MODELS/$1" "$BATS_FILE_TMPDIR"
        sync "$BATS_FILE_TMPDIR/$1" # dirty pages cannot be evicted either
    fi
    model=$BATS_FILE_TMPDIR/$1
}

# complete PRELOADED ARGUMENT...: in threads that share the work as they please.
complete() {
    LD_PRELOAD=$1 "$LLAMA/llama-completion" -m "$model" -t 2 --temp 0 -no-cnv --ignore-eos "${@:2}" < /dev/null 2> stderr || {
        cat stderr
        return 1
    }
}

# trace ARGUMENT...: runs the model; the same text as untraced.
trace() {
    cd "$BATS_TEST_TMPDIR"
    run_folder=$BATS_TEST_TMPDIR/trace
    pages=$BATS_TEST_TMPDIR/pages
    for _ in {1..10}; do
        rm -rf "$run_folder" "$pages"
        mkdir "$run_folder"
        complete "$TOOLS/page_truth.so" "$@" > untraced
        PAGE_TRUTH=$pages TAT_RUN_DIR=$run_folder complete "$TOOLS/page_truth.so $AGENT" "$@" > traced
        ends_early untraced traced || break
    done
    cmp untraced traced
    "$TAT" verify "$run_folder"
}

same_pages() {
    trace "$@"
    run "$TOOLS/page_check" "$run_folder" "$pages"
    echo "$output"
    [ "$status" -eq 0 ]
}

perf_events_work() {
    [ "$(id -u)" -eq 0 ] || [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -le 2 ]
}

# touched_share FILE_NUMBER: per cent of the file's pages.
touched_share() {
    grep -o 'pages [0-9]*, touched [0-9]*' <<< "$output" | sed -n "$1p" | { read -r _ all _ touched; echo $((100 * touched / ${all%,})); }
}

dense=SmolLM2-135M-Instruct.Q4_1.gguf
experts=SmolLM2-8x2.gguf
lean=(--no-repack --no-warmup)

@test "pages: dense model" {
    model $dense
    same_pages "${lean[@]}" -p "The capital of France is" -n 3
}

@test "pages: dense model, a prompt of several ubatches without flash attention" {
    model $dense
    same_pages "${lean[@]}" -p "$(printf 'word %.0s' {1..60})" -n 2 -ub 16 -fa off
}

@test "pages: mixture of experts; those not chosen are not in memory" {
    model $experts
    same_pages "${lean[@]}" -p "Hi" -n 1
    [ "$(touched_share 1)" -lt 40 ]
}

@test "pages: mixture of experts, a longer prompt" {
    model $experts
    same_pages "${lean[@]}" -p "Once upon a time there was a king" -n 4
    [ "$(touched_share 1)" -gt 60 ]
}

@test "pages: mixture of experts, the warm-up counted with the rest" {
    model $experts
    same_pages --no-repack -p "Hi" -n 2
}

@test "pages: rows of an embedding that is not the output matrix too" {
    model random-llama.gguf
    same_pages "${lean[@]}" -p "The capital" -n 2
    [ "$(touched_share 1)" -lt 60 ]
}

@test "pages: a model in three files" {
    model random-llama-split-00002-of-00003.gguf
    model random-llama-split-00003-of-00003.gguf
    model random-llama-split-00001-of-00003.gguf
    same_pages "${lean[@]}" -p "The capital" -n 2
    [ "$(grep -c '\.gguf: pages' <<< "$output")" -eq 3 ]
}

@test "pages: attention sinks and biases of experts" {
    model random-gpt-oss.gguf
    same_pages "${lean[@]}" -p "The capital" -n 3
}

@test "pages: shared experts" {
    model random-qwen2moe.gguf
    same_pages "${lean[@]}" -p "The capital" -n 3
}

@test "pages: latent attention and grouped experts" {
    model random-deepseek2.gguf
    same_pages "${lean[@]}" -p "The capital" -n 3
}

@test "pages: recurrent model" {
    model random-mamba.gguf
    same_pages "${lean[@]}" -p "The capital" -n 3
}

@test "pages: weights that loading repacked were read whole" {
    model random-gpt-oss.gguf
    same_pages -p "The capital" -n 2
}

@test "pages: tensors behind the first 8 GiB of the file" {
    model random-sparse.gguf
    same_pages "${lean[@]}" -p "The capital" -n 2
    [ "$(awk '$1 == "pages" { last = $3 } END { print last }' "$pages")" -gt $((8 << 18)) ]
}

@test "pages: one page more or less is noticed" {
    model $dense
    trace "${lean[@]}" -p "Hi" -n 1
    awk 'NR == 2 { $2++ } { print }' "$pages" > "$pages.less"
    run "$TOOLS/page_check" "$run_folder" "$pages.less"
    [ "$status" -eq 1 ]
    [[ $output == *"missing 0, extra 1"* ]]
    { cat "$pages"; echo "pages 1 1"; } > "$pages.more"
    run "$TOOLS/page_check" "$run_folder" "$pages.more"
    [ "$status" -eq 1 ]
    [[ $output == *"missing 1, extra 0"* ]]
}

# metadata PATH: of the metadata.
metadata() {
    python3 -c 'import functools, json, sys
print(functools.reduce(dict.get, sys.argv[1].split("."), json.load(open("trace/trace_metadata.json"))))' "$1"
}

# left_behind NAME COMMAND...: with a cold cache; the pages that are in memory afterwards go to NAME, the output to NAME.out.
left_behind() {
    "$TOOLS/resident" --evict "$model"
    "${@:2}" < /dev/null > "$1.out" 2> stderr || {
        cat stderr
        return 1
    }
    "$TOOLS/resident" "$model" > "$1"
}

# same_left_behind PRELOADED ARGUMENT...: untraced, and recorded, sealed and looked at. Without page_truth.so two untraced runs
# can differ: how far the kernel reads ahead depends on what else it has to do.
same_left_behind() {
    cd "$BATS_TEST_TMPDIR"
    local run=("$LLAMA/llama-completion" -m "$model" -t 2 --temp 0 -no-cnv --ignore-eos "${@:2}")
    left_behind untraced env LD_PRELOAD="$1" "${run[@]}"
    # shellcheck disable=SC2016
    left_behind traced "$TAT" record -o trace -- sh -c 'LD_PRELOAD="$LD_PRELOAD $0" exec "$@"' "$1" "${run[@]}"
    ends_early untraced.out traced.out || cmp untraced.out traced.out
    cmp untraced traced
    "$TAT" verify trace > /dev/null
    "$TAT" report trace > /dev/null
    "$TAT" gguf "$model" > /dev/null
    "$TOOLS/resident" "$model" > traced
    cmp untraced traced
}

in_memory() {
    awk '{ sum += $3 - $2 + 1 } END { print sum + 0 }' "$1"
}

@test "pages: in memory after a traced run are those of an untraced run, header and all" {
    model $experts
    same_left_behind "$TOOLS/page_truth.so" "${lean[@]}" -p "Hi" -n 1
    [ "$(in_memory untraced)" -gt 10000 ]
    [ "$(in_memory untraced)" -lt 50000 ] # of 109,000: a page too many is seen
    read=$(metadata own_io.agent.read)
    [ "$read" -gt 1000000 ]
    [ "$(metadata own_io.agent.fetched)" = "$read" ] # the page cache was emptied behind the header
}

# A page comes in where it is touched first, by a fault that waits: read-ahead is off in these runs.
@test "pages: with --io, each is a major fault, of an operation that reads it" {
    model $dense
    cd "$BATS_TEST_TMPDIR"
    perf_events_work || skip "no perf events here"
    # Not into tat, which samples the model's file too.
    TOOLS=$TOOLS PAGE_TRUTH=$BATS_TEST_TMPDIR/pages "$TAT" record --io -o trace -- bash -c \
        'LD_PRELOAD=$TOOLS/page_truth.so:$LD_PRELOAD exec "$@"' bash "$LLAMA/llama-completion" -m "$model" -t 1 --temp 0 \
        -no-cnv --ignore-eos "${lean[@]}" -p "The capital of France is" -n 3 < /dev/null > text 2> stderr
    run "$TOOLS/page_check" trace pages
    touched=$(grep -o 'touched [0-9]*' <<< "$output")
    "$TAT" report --section storage --json trace | python3 -c '
import json, sys
storage = json.load(sys.stdin)["storage"]
places = {row["place"]: row for row in storage["tables"]["places"]["rows"]}
assert places["an operation"]["major_faults"] == int(sys.argv[1]), (places, sys.argv[1])
assert storage["values"]["lost_events"] == 0 and storage["values"]["fault_placed_share"] == 1
demanded = storage["values"].get("demanded_bytes") # where the page cache is recorded
assert demanded is None or demanded >= 0.999 * 4096 * int(sys.argv[1]), storage["values"]
assert abs(storage["values"]["process_major_faults"] / int(sys.argv[1]) - 1) < 0.02' "${touched#touched }"
}
