#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat plan on the trace of a toy model with experts, which is smaller than the least that is managed. HOST is given.

load toy

bats_require_minimum_version 1.5.0

setup_file() {
    export TRACE=$BATS_FILE_TMPDIR/trace
    toy_trace "$TRACE" -g 20
}

setup() {
    TAT=${TAT:-tat}
    unset TAT_DIR
    export XDG_STATE_HOME=$BATS_TEST_TMPDIR/state XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache TMPDIR=$BATS_TEST_TMPDIR/tmp
    mkdir "$TMPDIR"
    cd "$BATS_TEST_TMPDIR"
}

# of FILTER FILE: a Python expression over the JSON `p`.
of() {
    python3 -c "import json, sys; p = json.load(open(sys.argv[1])); print($1)" "$2"
}

# memory_for BYTES: how much memory leaves that for the model, nearly.
memory_for() {
    "$TAT" plan --memory 1G -o besides.json "$TRACE" > /dev/null || [ $? -eq 1 ]
    of "(p['assumptions']['besides_bytes'] - p['assumptions']['kernel_bytes'] + (6 << 20) + $1) * 64 // 63" besides.json
}

@test "plan: a model that fits: the answer is no, and why" {
    run --separate-stderr "$TAT" plan --memory 1G "$TRACE"
    [ "$status" -eq 1 ]
    [[ ${lines[1]} == "Nothing to do: the "* ]]
    [ -s "$TRACE/analysis/plan.json" ]
    [ "$(of 'p["values"]["gate"], p["format"], p["version"]' "$TRACE/analysis/plan.json")" = "fits tat-plan 1" ]
}

@test "plan: no room for the model: the answer is no, and what to do" {
    run --separate-stderr "$TAT" plan --memory 1M -o plan.json "$TRACE"
    [ "$status" -eq 1 ]
    [[ $output == *"-c 512"* ]]
    [ "$(of 'p["values"]["gate"]' plan.json)" = no_room ]
    [ "$(of '"bounds" in p.get("tables", {})' plan.json)" = False ]
    cp -r "$TRACE" small
    echo '{"program": "llama-cli", "command": ["llama-cli", "-c", "512"]}' > small/trace_metadata.json
    run -1 --separate-stderr "$TAT" plan --memory 1M -o plan.json small
    [[ $output == *"Give"*"more."* && $output != *"-c 512"* ]]
}

@test "plan: too little for a manager, but bounds all the same; every piece has its class" {
    memory=$(memory_for 60000)
    run --separate-stderr "$TAT" plan --memory $memory --disk 1G/s -o plan.json "$TRACE"
    [ "$status" -eq 1 ]
    [ "$(of 'sorted({x["class"] for x in p["pieces"]}) != [], sum(x["bytes"] for x in p["pieces"]) == p["values"]["needed_bytes"]' plan.json)" = "True True" ]
    [ "$(of 'sum(x["bytes"] for x in p["pin_list"]) == p["placement"]["pinned_bytes"]' plan.json)" = True ]
    [ "$(of 'p["placement"]["pinned_bytes"] + p["placement"]["ring_bytes"] + p["placement"]["cache_bytes"] <= p["values"]["budget_bytes"]' plan.json)" = True ]
    [ "$(of 'all(r["tokens_per_second_serial"] <= r["tokens_per_second_overlapped"] for r in p["tables"]["bounds"]["rows"])' plan.json)" = True ]
    [ "$(of 'sorted({r.get("note") for r in p["tables"]["memory"]["rows"]})' plan.json)" = "['all fits', 'no room']" ]
    [ "$(of '{r["name"] for r in p["tables"]["bounds"]["rows"]} - {r["name"] for r in p["tables"]["times"]["rows"]}' plan.json)" = "{'all-min'}" ]
}

@test "plan: a run that was managed is not plain mmap, in the plan and in the report" {
    memory=$(memory_for 60000)
    cp -r "$TRACE" managed
    for managed in true false; do
        echo "{\"managed\": $managed, \"pressure\": {\"cold_files\": [], \"memory_limit\": $memory}}" > managed/trace_metadata.json
        "$TAT" plan --memory $memory --disk 1G/s -o $managed.json managed > /dev/null || [ $? -eq 1 ]
        "$TAT" report --section run managed | tr -s '\n ' ' ' > $managed.txt
    done
    rows='[x["name"] for x in p["tables"]["bounds"]["rows"] if "measured" in x["strategy"]]'
    [ "$(of "$rows" true.json) $(of "$rows" false.json)" = "['run-measured'] ['mmap-measured']" ]
    [ "$(of 'p["assumptions"]["compute_source"]' true.json)" = "trace, with waits for the disk" ]
    [ "$(of '[r["name"] for r in p["tables"]["bounds"]["rows"] if "tokens_per_second" in r]' true.json)" = "['run-measured']" ]
    grep -q "not those of plain mmap" true.txt
    run ! grep -q "plain mmap" false.txt
}

@test "plan: a disk that was not measured gives bytes and no times" {
    memory=$(memory_for 60000)
    run --separate-stderr "$TAT" plan --memory $memory -o plan.json "$TRACE"
    [[ $output == *"tat doctor --disk"* ]]
    [ "$(of 'any("tokens_per_second" in r for r in p["tables"]["bounds"]["rows"])' plan.json)" = False ]
    [ "$(of 'all("read_bytes_per_token" in r for r in p["tables"]["bounds"]["rows"])' plan.json)" = True ]
    [ "$(of '"times" in p["tables"]' plan.json)" = False ]
}

@test "plan: the disk's rates are those of eight reads at once, and of page faults with and without read-ahead" {
    memory=$(memory_for 60000)
    disk=$(of 'p["assumptions"].get("disk", "")' besides.json)
    [ -n "$disk" ] || skip "the trace's model is on no disk"
    mkdir -p "$XDG_STATE_HOME/tat"
    python3 - > "$XDG_STATE_HOME/tat/disk-$disk.json" << 'P'
import json
rates = [{"how": "direct", "order": order, "block_bytes": block, "depth": depth, "per_second": 1e9 + block + depth}
         for order in ("random", "sequential") for block in (4096, 1 << 20) for depth in (1, 8, 32)]
rates += [{"how": "mapped, MADV_RANDOM", "order": "random", "block_bytes": 4096, "depth": 1, "per_second": 1e7},
          {"how": "mapped", "order": "sequential", "block_bytes": 4096, "depth": 1, "per_second": 1e8}]
print(json.dumps({"rates": rates, "buffer_page_bytes": 2 << 20}))
P
    sed 's/"rates": \[/"told_together_share": 0.9, &{"how": "direct, burst", "order": "random", "block_bytes": 65536, "depth": 3, "per_second": 3e9}, /' \
        "$XDG_STATE_HOME/tat/disk-$disk.json" > bursts.json
    "$TAT" plan --memory $memory -o plan.json "$TRACE" > text || [ $? -eq 1 ]
    [ "$(of 'p["assumptions"]["stream_bytes_per_second"] - (1 << 20)' plan.json)" = 1000000008.0 ]
    [ "$(of 'p["assumptions"]["expert_bytes_per_second"] % 1000' plan.json)" = "$(of '(1e9 + 4096 + 8) % 1000' plan.json)" ]
    [ "$(of 'p["assumptions"]["fault_bytes_per_second"], p["assumptions"]["given_up_bytes_per_second"]' plan.json)" = "100000000.0 10000000.0" ]
    [ "$(of 'p["managing"]["told_together"], [round(x / p["managing"]["burst_ns"][0], 3) for x in p["managing"]["burst_ns"]]' plan.json)" = "False [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]" ]
    run ! grep -q "small pages" text
    mv bursts.json "$XDG_STATE_HOME/tat/disk-$disk.json" # which are told of together, and go before other rates
    "$TAT" plan --memory $memory -o plan.json "$TRACE" > text || [ $? -eq 1 ]
    [ "$(of 'p["managing"]["told_together"], round(p["managing"]["burst_ns"][2] / p["managing"]["burst_ns"][0], 3)' plan.json)" = "True 3.0" ]
    sed -i 's/"buffer_page_bytes": 2097152/"x": 1/' "$XDG_STATE_HOME/tat/disk-$disk.json"
    "$TAT" plan --memory $memory -o plan.json "$TRACE" > text || [ $? -eq 1 ]
    tr -s '\n ' ' ' < text | grep -q "into small pages: where the kernel makes large ones, measure again"
    run ! grep -q "measure again on an idle" <(tr -s '\n ' ' ' < text)
    sed -i 's/"depth": 8,/"depth": 8, "low": 1, "high": 3,/g' "$XDG_STATE_HOME/tat/disk-$disk.json"
    "$TAT" plan --memory $memory -o plan.json "$TRACE" > text || [ $? -eq 1 ]
    tr -s '\n ' ' ' < text | grep -q "other programs ran meanwhile: measure again on an idle machine"
}

@test "plan: libraries that are in memory do not count towards a cgroup of the program's own" {
    [ "$(stat -c %u "$HOST")" = "$(id -u)" ] || [ "$(id -u)" = 0 ] || skip "the kernel does not tell what of others' files is in memory"
    cat "$HOST" > /dev/null
    "$TAT" plan --memory 100M -o plan.json "$TRACE" > /dev/null || [ $? -eq 1 ]
    [ "$(of 'p["assumptions"]["library_bytes"]' plan.json)" = 0 ]
    "$TAT" plan --memory 1000000G -o plan.json "$TRACE" > /dev/null || [ $? -eq 1 ]
    [ "$(of 'p["assumptions"]["library_bytes"]' plan.json)" = 12582912 ]
}

@test "plan: a disk of which page faults were not measured has times all the same" {
    memory=$(memory_for 60000)
    disk=$(of 'p["assumptions"].get("disk", "")' besides.json)
    [ -n "$disk" ] || skip "the trace's model is on no disk"
    mkdir -p "$XDG_STATE_HOME/tat"
    cat > "$XDG_STATE_HOME/tat/disk-$disk.json" << 'J'
{"read_ahead_bytes": 131072, "rates": [{"how": "direct", "order": "random", "block_bytes": 4096, "depth": 1, "per_second": 1e7},
 {"how": "direct", "order": "sequential", "block_bytes": 131072, "depth": 1, "per_second": 5e8},
 {"how": "direct", "order": "sequential", "block_bytes": 1048576, "depth": 8, "per_second": 1e9},
 {"how": "direct", "order": "random", "block_bytes": 131072, "depth": 8, "per_second": 1e9}]}
J
    "$TAT" plan --memory $memory -o plan.json "$TRACE" > text || [ $? -eq 1 ]
    [ "$(of 'p["assumptions"]["fault_bytes_per_second"], p["assumptions"]["mapped_bytes_per_second"]' plan.json)" = "500000000.0 500000000.0" ]
    [ "$(of '[r["name"] for r in p["tables"]["times"]["rows"]][:4]' plan.json)" = "['mmap', 'pin', 'stream', 'pin+stream']" ]
}

@test "plan: what each token read, and how many tokens had the same order, as the report says" {
    "$TAT" plan --memory 1G -o plan.json --access-pattern pattern.json "$TRACE" > text || [ $? -eq 1 ]
    grep -qx "The access pattern: pattern.json" text
    "$TAT" report --json --section order "$TRACE" > order.json
    for key in compared_tokens identical_by_tensor identical_by_slice; do
        [ "$(of "p['determinism']['$key']" pattern.json)" = "$(of "p['order']['values']['$key']" order.json)" ]
    done
    [ "$(of 'len(p["tokens"]) > 10 and all(i < len(p["slices"]) for t in p["tokens"] for i in t.get("order", []))' pattern.json)" = True ]
    [ "$(of 'sorted(p["slices"][0])' pattern.json)" = "['component', 'file', 'file_offset', 'layer', 'name', 'rows', 'size']" ]
}

@test "plan: JSON is what is in the file, and is all that stdout gets" {
    "$TAT" plan --memory 1G --json -o plan.json "$TRACE" > out.json || [ $? -eq 1 ]
    cmp <(python3 -m json.tool plan.json) <(python3 -m json.tool out.json)
}

@test "plan: used wrongly" {
    for arguments in "" "--memory 0" "--memory lots" "--memory 1G --disk fast" "--memory 1G --disk 0" \
        "--memory 1G $TRACE $TRACE"; do
        # shellcheck disable=SC2086
        run --separate-stderr "$TAT" plan $arguments
        echo "$arguments: $status"
        [ "$status" -eq 2 ]
        [ -z "$output" ]
    done
}

@test "plan: bad input: a trace, a model that is not there or none" {
    run --separate-stderr "$TAT" plan --memory 1G nothing
    [ "$status" -eq 3 ]
    run --separate-stderr "$TAT" plan --memory 1G --model ./nothing.gguf "$TRACE"
    [ "$status" -ne 0 ] && [ "$status" -ne 1 ]
    run --separate-stderr "$TAT" plan --memory 1G --model no.gguf "$TRACE"
    [ "$status" -eq 1 ]
    [[ $stderr == *"nor is there a file 'no.gguf'"* ]]
    echo no > no.gguf
    run --separate-stderr "$TAT" plan --memory 1G --model no.gguf "$TRACE"
    [ "$status" -eq 3 ]
    cp "$TRACE/tensor_access.bin" alone.bin
    run --separate-stderr "$TAT" plan --memory 1G alone.bin
    [ "$status" -eq 2 ]
    [[ $stderr == *"-o FILE"* ]]
}

@test "plan: in a folder that cannot be written, the plan is not half there" {
    run --separate-stderr "$TAT" plan --memory 1G -o nowhere/plan.json "$TRACE"
    [ "$status" -eq 4 ]
    [ ! -e nowhere ]
}

@test "plan: 80 columns" {
    memory=$(memory_for 60000)
    for options in "" "--disk 1G/s"; do
        # shellcheck disable=SC2086
        "$TAT" plan --memory $memory $options -o plan.json "$TRACE" > text || [ $? -eq 1 ]
        awk 'length > 80 && !/^The plan: / { print; wide = 1 } END { exit wide }' text
    done
}

# recordable: a program that `tat record` records, in $computes.
recordable() {
    computes=${HOST%_linked}1
    export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 # of the agent, if it has such
    "$computes" --write toy.gguf
}

@test "plan: without a trace, it records some tokens of the command, and leaves nothing behind" {
    recordable
    run --separate-stderr "$TAT" plan --memory 1G -- "$computes" -g 40 toy.gguf
    [ "$status" -eq 1 ]
    [[ ${lines[1]} == "Nothing to do: the "* ]]
    [[ $stderr == "tat plan: recording about 32 generated tokens first, without output: $computes -g 40 toy.gguf"* ]]
    [[ $stderr == *"tat plan: recorded "*" generated tokens in "* ]]
    [ -z "$(ls "$TMPDIR")" ] && [ ! -e traces ]
    [ -z "$("$TAT" list 2> /dev/null | grep tat-brief)" ]
    [ "$(of 'p["made_for"]["memory_bytes"], "pieces" in p' cache/tat/plans/*.json)" = "1073741824 False" ]
    run -1 "$TAT" plan --memory 1G --keep=kept -o plan.json -- "$computes" -g 40 toy.gguf
    [ "$(of '"pieces" in p' plan.json)" = True ]
    "$TAT" verify kept | grep -q "^identity *good"
}

@test "plan: of a model's file alone, it records llama-completion" {
    recordable
    mkdir bin
    # shellcheck disable=SC2016
    printf '#!/bin/sh\n[ "$1" = -m ] && [ "$3 $4" = "-c 512" ] && exec %s -g 40 "$2"\n' "$computes" > bin/llama-completion
    chmod +x bin/llama-completion
    PATH=$PWD/bin:$PATH run -1 --separate-stderr "$TAT" plan --memory 1G --model toy.gguf
    [[ ${lines[1]} == "Nothing to do: the "* ]]
    [[ $stderr == *' -no-cnv -p "The history of the world'* ]]
    run -2 --separate-stderr env PATH=/nowhere "$TAT" plan --memory 1G --model toy.gguf
    [[ $stderr == *"llama-completion is not on PATH"* ]]
}

@test "plan: a command that computes nothing, or fails, or is no command" {
    recordable
    run -3 --separate-stderr "$TAT" plan --memory 1G -- sh -c 'echo no; exit 5'
    [ -z "$output" ]
    [[ $stderr == *"sh generated no token while it was recorded"*"sh ended with status 5"* ]]
    run -3 "$TAT" plan --memory 1G -- no-such-program
    [[ $output == *"no-such-program: no such program"* ]]
    run -2 "$TAT" plan --memory 1G "$TRACE" -- true
    run -2 "$TAT" plan --memory 1G --keep "$TRACE"
    [ -z "$(ls "$TMPDIR")" ]
}

@test "plan: an interrupt ends the recording and its command" {
    recordable
    "$TAT" plan --memory 1G -- sh -c 'echo $$ > pid; sleep 1000' 2> talk 3>&- &
    tat=$!
    until [ -s pid ]; do sleep 0.02; done
    kill -TERM $tat
    status=0
    wait $tat || status=$?
    [ "$status" -eq 143 ]
    run ! kill -0 "$(cat pid)"
    [ -z "$(ls "$TMPDIR")" ]
}

# managed_trace LINE...: a trace in the folder managed, and what a manager said; PID is its process's.
managed_trace() {
    rm -rf managed
    cp -r "$TRACE" managed
    python3 - managed "$@" << 'P'
import json, struct, sys
pid = struct.unpack_from("<I", open(sys.argv[1] + "/tensor_access.bin", "rb").read(256), 72)[0]
lines = [dict(json.loads(line), pid=pid) for line in sys.argv[2:]]
json.dump({"format": "tat-managed", "version": 1, "lines": lines}, open(sys.argv[1] + "/managed.json", "w"))
P
}

begin='{"kind": "begin", "at_ns": 1000, "pinned": 20000, "cached": 90000, "cache": 40000, "limit": 1000000, "pool": 60000, "reader": "uring", "direct": 1, "predicted": 12500}'
end='{"kind": "end", "at_ns": 3000, "tokens": 20, "ns": 2000000000, "wait_ns": 1500000000, "read": 3000000, "disk_ns": 1000000000, "token_read": 1000000, "token_wanted": 400000, "token_held": 100000, "token_kept": 60000}'

@test "report: a run that tat run managed: predicted and delivered, reads, hits beside policies, bound, waits" {
    managed_trace "$begin" "$end"
    "$TAT" report --section managed managed > text
    grep -q "Predicted 12.5 tokens/s, delivered 10.0: the prediction is off by +25.0 %" text
    "$TAT" report --json --section managed managed > managed.json
    values='p["managed"]["values"]'
    [ "$(of "[$values[k] for k in ('tokens_per_second', 'predicted_tokens_per_second', 'wait_share', 'read_bytes_per_token', 'hit_share', 'disk_bytes_per_second')]" managed.json)" = \
        "[10.0, 12.5, 0.75, 50000.0, 0.15, 3000000.0]" ]
    [ "$(of "0 < $values['bound_share'] < 1" managed.json)" = True ]
    hits='{r["name"]: r["hit_share"] for r in p["managed"]["tables"]["policies"]["rows"]}'
    [ "$(of "(lambda h: h['run'] == 0.15 and h['min'] >= max(h['lru'], h['cycle'], h['frequency']))($hits)" managed.json)" = True ]
    # hits are what the policy kept, wherever they stand: what was read ahead in time was found, but is no hit
    [ "$(of "$values['found_share']" managed.json)" = 0.25 ]
    [ "$(of '[(r["at_ns"], r["hit_share"]) for r in p["managed"]["tables"]["course"]["rows"]]' managed.json)" = "[(2000, 0.15)]" ]
    "$TAT" plan --memory 4G --json -o plan.json managed > /dev/null || [ $? -eq 1 ]
    [ "$(of 'p["assumptions"]["compute_source"]' plan.json)" = "trace, without waits for reads" ]
    # what it read for a token, the plan has from there too
    memory=$(memory_for 60000)
    echo "{\"managed\": true, \"pressure\": {\"cold_files\": [], \"memory_limit\": $memory}}" > managed/trace_metadata.json
    "$TAT" plan --memory $memory --json -o plan.json managed > /dev/null || [ $? -eq 1 ]
    [ "$(of '[r["read_bytes_per_token"] for r in p["tables"]["bounds"]["rows"] if r["name"] == "run-measured"]' plan.json)" = "[50000.0]" ]
    # what others took is said, and what came after it stopped managing
    managed_trace "$begin" "${end/'"tokens"'/'"handed_back": 1, "after_tokens": 40, "after_ns": 8000000000, "threads": 2, "processors": 2, "cpu_ns": 1500000000, "machine_ns": 2000000000, "machine_busy_ns": 3500000000, "machine_disk_bytes": 4000000, "disk_bytes": 3000000, "tokens"'}"
    "$TAT" report --section managed managed | tr -s '\n ' ' ' > text
    grep -q "BUSY other programs took 1.00 of 2 processors and 25.0 % of what the disk moved meanwhile" text
    grep -q "took over before the end: 5.0 tokens/s for 40 more tokens" text
    # a run that was not managed has no such section
    run -1 "$TAT" report --section managed "$TRACE"
}

@test "report: whatever managed.json holds, there is an answer" {
    for line in '{}' '{"kind": "end", "tokens": -1}' '{"kind": "begin", "pinned": 9223372036854775807, "cache": 9223372036854775807, "cached": 1, "ring": "x"}'; do
        managed_trace "$begin" "$line" '{"kind": "end", "tokens": 9223372036854775807, "ns": 1, "wait_ns": 5, "token_held": 7}'
        "$TAT" report --section managed managed > text
        grep -q "^Memory that tat run managed" text
    done
    for content in '' '{' '[]' '{"format": "tat-managed", "lines": 5}' '{"format": "tat-managed", "lines": [1, [], null]}'; do
        echo "$content" > managed/managed.json
        run -1 "$TAT" report --section managed managed
    done
}
