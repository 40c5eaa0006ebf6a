#!/usr/bin/env bats
# The fake host, traced and untraced, gives the same output, and a trace with exactly what the host counted.
# From the environment: AGENT, HOST_DIR (the programs).

setup() {
    model="$BATS_FILE_TMPDIR/toy.gguf"
    [ -e "$model" ] || "$HOST_DIR/fake_host1" --write "$model"
    traces="$BATS_TEST_TMPDIR/traces"
    mkdir "$traces"
}

traced() {
    TAT_DIR="$traces" LD_PRELOAD="$AGENT" "$@"
}

# compare PROGRAM [ARGUMENT]...: runs it both ways, then reads the traces.
compare() {
    plain=$("$@" "$model")
    seen=$(traced "$@" "$model")
    [ "$plain" = "$seen" ]
    facts=$("$HOST_DIR/check_trace" "$traces")
}

fact() {
    awk -v name="$1" '$1 == name { print $2 }' <<< "$facts"
}

# is NAME VALUE [NAME VALUE]...
is() {
    while [ $# -gt 0 ]; do
        [ "$(fact "$1")" = "$2" ] || { echo "$1 is $(fact "$1"), not $2"; return 1; }
        shift 2
    done
}

# What the host says that it did, summed over its lines.
counted() {
    awk -v name="$1" '{ for (i = 1; i < NF; i++) if ($i == name) sum += $(i + 1) } END { print sum + 0 }' <<< "$plain"
}

everything_is_there() {
    is emitted "$(counted graphs)" stored "$(counted graphs)" lost 0 \
       callbacks_emitted "$(counted callbacks)" callbacks_stored "$(counted callbacks)" \
       aborted "$(counted aborted)" unmatched 0 cut 0
}

@test "three layouts of ggml's structs" {
    for layout in 1 2 3; do
        rm -rf "${traces:?}"/*
        compare "$HOST_DIR/fake_host$layout" -g 60
        everything_is_there
        is traces 1 ended 1 contexts 1 model_files 1 relearned 0
    done
}

@test "every rule for callbacks, with the records of one the same as another's" {
    for layout in 1 2 3; do
        for rule in every empty unasked fused; do
            rm -rf "${traces:?}"/*
            FAKEGGML_RULE=$rule compare "$HOST_DIR/fake_host$layout" -g 40
            everything_is_there
            [ "$(fact relearned)" -le 1 ]
        done
    done
}

@test "fusion turned off is known from the start" {
    GGML_CPU_DISABLE_FUSION=1 compare "$HOST_DIR/fake_host1"
    everything_is_there
    is relearned 0
}

@test "a rule nobody knows is marked, and no record is guessed" {
    FAKEGGML_RULE=unknown compare "$HOST_DIR/fake_host1"
    is unmatched 20 stored 20 records 0 callbacks_stored "$(counted callbacks)"
}

@test "graphs of one node each, views too, as where a program looks at every node" {
    for layout in 1 2 3; do
        rm -rf "${traces:?}"/*
        FAKEGGML_SPLIT=1 FAKEGGML_RULE=fused compare "$HOST_DIR/fake_host$layout" -g 40
        is unmatched 0 lost 0 cut 0 callbacks_stored "$(counted callbacks)"
    done
}

@test "fewer templates in memory than there are graphs: those that come again are written again" {
    compare "$HOST_DIR/fake_host1" -g 700 # goes through the extents of its KV cache three times
    few=$(fact templates)
    rm -rf "${traces:?}"/*
    TAT_TEMPLATES=3 compare "$HOST_DIR/fake_host1" -g 700
    everything_is_there
    [ "$(fact templates)" -gt $((2 * few)) ]
    rm -rf "${traces:?}"/*
    TAT_TEMPLATES=1 compare "$HOST_DIR/fake_host1" -c 16 -t 2 -g 240
    everything_is_there
}

@test "many contexts on many threads" {
    compare "$HOST_DIR/fake_host1" -c 8 -t 2 -g 70
    everything_is_there
    is contexts 8 traces 1 ended 1
}

@test "the host's own abort callback is asked, with its own data, and obeyed" {
    compare "$HOST_DIR/fake_host1" -c 4 -t 2 -g 60 --abort-every 5
    everything_is_there
    is aborted 48 failed 48
}

@test "a fork's plan without thread pools: found, and nothing behind it written" {
    compare "$HOST_DIR/fake_host_NO_POOL" -c 4 -t 2 -g 60 --abort-every 5
    everything_is_there
    is aborted 48 failed 48 notes 0
}

@test "a fork's plan that cannot be proven is not touched, and the trace says so" {
    compare "$HOST_DIR/fake_host_REVERSED" -c 4 -t 2 -g 60 --abort-every 5
    is emitted "$(counted graphs)" stored 0 lost_layout "$(counted graphs)" notes 1
}

@test "graphs computed in threads that come and go" {
    compare "$HOST_DIR/fake_host1" -c 3 -g 60 --detached
    everything_is_there
    is contexts 3
}

@test "a plug-in that the program never linked" {
    plain=$("$HOST_DIR/fake_host_loader" "$HOST_DIR/libfake_plugin1.so" -c 3 "$model")
    seen=$(traced "$HOST_DIR/fake_host_loader" "$HOST_DIR/libfake_plugin1.so" -c 3 "$model")
    [ "$plain" = "$seen" ]
    facts=$("$HOST_DIR/check_trace" "$traces")
    everything_is_there
    is contexts 3
}

# reload PLUGIN,PLUGIN...: each in turn, both ways. The plug-ins' own counts, which begin anew, must be equal.
reload() {
    plain=$("$HOST_DIR/fake_host_loader" "$1" -g 5 "$model")
    seen=$(traced "$HOST_DIR/fake_host_loader" "$1" -g 5 "$model" 2> "$BATS_TEST_TMPDIR/places")
    [ "$plain" = "$seen" ]
    facts=$("$HOST_DIR/check_trace" "$traces")
    everything_is_there
    places=$(sort -u "$BATS_TEST_TMPDIR/places" | wc -l)
}

@test "a plug-in is unloaded, and another ggml comes to its address" {
    pair=$HOST_DIR/libfake_plugin1.so,$HOST_DIR/libfake_plugin3.so
    for agent in "$AGENT" "$AGENT_EXACT"; do
        rm -rf "${traces:?}"/*
        AGENT=$agent reload "$pair,$pair"
        [ "$places" -eq 1 ]
    done
}

@test "more plug-ins are loaded and unloaded than there is room for at once" {
    pair=$HOST_DIR/libfake_plugin1.so,$HOST_DIR/libfake_plugin3.so
    FAKE_HOST_MOVES=1 reload "$(printf "$pair,%.0s" $(seq 10))"
    [ "$places" -eq 20 ]
}

@test "a library that jumps to what it calls last" {
    "$HOST_DIR/tail_calls_program" "$HOST_DIR/libtail_calls.so"
    traced "$HOST_DIR/tail_calls_program" "$HOST_DIR/libtail_calls.so"
}

@test "fork in the middle: parent and child have a trace each" {
    for _ in 1 2 3 4 5; do
        rm -rf "${traces:?}"/*
        compare "$HOST_DIR/fake_host1" -c 2 -t 2 -g 60 --fork
        everything_is_there
        is traces 2 ended 2 contexts 3 model_files 2
    done
}

@test "exec: what was recorded stays, the new program has its own" {
    compare "$HOST_DIR/fake_host1" -c 2 -g 60 --exec
    everything_is_there
    is traces 2 ended 1
}

@test "more graphs at once than the agent serves: counted as lost" {
    compare "$HOST_DIR/fake_host1" -c 80 -g 1 --gate
    is emitted 80 stored 64 lost 16 lost_slots 16
}

@test "exit while other threads compute" {
    for _ in $(seq 20); do
        rm -rf "${traces:?}"/*
        traced "$HOST_DIR/fake_host1" -c 8 -t 2 -g 60 --early-exit "$model"
        facts=$("$HOST_DIR/check_trace" "$traces")
        is ended 1
    done
}

@test "a ggml that binds its call inside is left alone" {
    compare "$HOST_DIR/fake_host_bound"
    is traces 0
}

# What each context of one load must be: the file, and tokens from 0.
served() {
    local number=1 all="" file context
    for file; do
        for context in 1 2; do all+=",$((number++)):$file.gguf:0-15"; done
    done
    echo "${all#,}"
}

@test "models and contexts freed, others made at the same addresses: right files, new contexts, tokens from 0" {
    cd "$BATS_TEST_TMPDIR"
    for name in a b c; do "$HOST_DIR/fake_host1" --write $name.gguf ${#name}$(printf %d "'$name"); done
    for layout in 1 2 3; do
        rm -rf "${traces:?}"/*
        model=c.gguf compare "$HOST_DIR/fake_host$layout" --reload -c 2 -g 12 a.gguf b.gguf a.gguf
        everything_is_there
        is served "$(served a b a c)" contexts 8 model_files 3
    done
}

@test "a type at the address of another of the same size" {
    compare "$HOST_DIR/fake_host1" --masks -g 4
    everything_is_there
    facts_of_masks=$(fact tensors)
    rm -rf "${traces:?}"/*
    compare "$HOST_DIR/fake_host1" -g 4
    [ "$facts_of_masks" -eq $(($(fact tensors) + 1)) ]
}

@test "tokens asked for: of the others, only that they were computed" {
    TAT_TOKENS=10:12 compare "$HOST_DIR/fake_host1" -c 2 -g 60
    is stored "$(counted graphs)" lost 0 outside $((2 * 57)) unmatched 0
    callbacks=$(fact callbacks_stored)
    [ "$callbacks" = "$(counted callbacks)" ]
    TAT_TOKENS=:5 compare "$HOST_DIR/fake_host1" -g 60
    rm -rf "${traces:?}"/*
    TAT_TOKENS=3: compare "$HOST_DIR/fake_host1" -g 60
    is outside 0
}

@test "the time that the other threads take: in the next node, or exactly in its own" {
    node=40 # an executed one, and so is the next
    FAKEGGML_SLOW=$node FAKEGGML_RULE=every compare "$HOST_DIR/fake_host1" -t 3
    is exact 0 waits 0 longest_node $((node + 1))
    rm -rf "${traces:?}"/*
    AGENT=$AGENT_EXACT FAKEGGML_SLOW=$node FAKEGGML_RULE=every compare "$HOST_DIR/fake_host1" -t 3
    is exact "$(counted graphs)" longest_node $node longest_wait $node
    # In each graph the others take 10 ms more, from when thread 0 has reached the barrier.
    [ "$(fact longest_wait_ms)" -ge 9 ]
    everything_is_there
}

@test "a thread alone waits for no other" {
    AGENT=$AGENT_EXACT FAKEGGML_SLOW=40 compare "$HOST_DIR/fake_host1" -t 1
    is exact "$(counted graphs)"
    [ "$(fact waits)" -gt "$(counted graphs)" ]
    [ "$(fact longest_wait_ms)" -lt 9 ]
    everything_is_there
}

@test "exact times of many contexts, aborts and forks" {
    AGENT=$AGENT_EXACT compare "$HOST_DIR/fake_host1" -c 8 -t 2 -g 60 --abort-every 7
    everything_is_there
    rm -rf "${traces:?}"/*
    AGENT=$AGENT_EXACT compare "$HOST_DIR/fake_host1" -c 2 -t 2 -g 60 --fork
    everything_is_there
}

@test "a program of musl's starts, and is left alone" {
    command -v musl-gcc > /dev/null || skip "no musl-gcc: scripts/install-deps.sh test installs it"
    cd "$BATS_TEST_TMPDIR"
    echo '#include <stdio.h>
          #include <unistd.h>
          int main(void) { puts("hello"); fflush(stdout); return fork() ? 3 : 0; }' > musl.c
    musl-gcc musl.c -o musl
    run traced ./musl
    [ "$status" -eq 3 ]
    [ "$output" = hello ]
    [ -z "$(ls "$traces")" ]
}

@test "TAT_OFF: nothing is written" {
    plain=$("$HOST_DIR/fake_host1" "$model")
    seen=$(TAT_OFF=1 traced "$HOST_DIR/fake_host1" "$model")
    [ "$plain" = "$seen" ]
    [ -z "$(ls "$traces")" ]
}
