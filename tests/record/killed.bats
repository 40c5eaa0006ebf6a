#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# kill -9 at random moments of a real run, of its tracer too every other time: what was written until then is read, proved but
# for its end, and nothing is half.

load common

setup_file() {
    model SmolLM2-135M-Instruct.Q4_1.gguf
    untraced=$BATS_FILE_TMPDIR/untraced
    completion . -n 200 -t 1 > "$untraced" 2> "$untraced.stderr"
    export untraced
}

setup() {
    model SmolLM2-135M-Instruct.Q4_1.gguf
    RANDOM=1
}

has_begun() { [ -s "$trace/tensor_access.bin" ]; }
has_computed() { [ -n "$("$EVALUATIONS" "$trace" 2> /dev/null)" ]; }

# killed SINCE AFTER_MS [TOO]: kills the run so long after SINCE holds; with TOO its tracer as well.
killed() {
    local shell tracer traced
    rm -f pids
    completion "$TAT" record -o "$trace" -- sh -c 'echo $PPID $$ > pids; exec "$@"' sh . -n 4000 -t 1 > text 2> stderr &
    shell=$!
    until [ -s pids ]; do sleep 0.001; done
    read -r tracer traced < pids
    until $1; do kill -0 "$traced"; done
    sleep "$(printf '%d.%03d' $(($2 / 1000)) $(($2 % 1000)))"
    kill -KILL ${3:+"$tracer"} "$traced"
    wait $shell || [ $? -eq 137 ]
}

verdict() { awk -v check="$1" '$1 == check { print $2 }' <<< "$output"; }

# What verify says of a run that was killed.
is_proved_but_for_its_end() {
    run "$TAT" verify "$trace"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "$(verdict end)" = FAILED ]
    [[ $output == *"no END block: the process was killed"* ]]
    for check in file agent; do [ "$(verdict $check)" = good ]; done
    if [ "$(verdict identity)" = good ]; then
        # Whole evaluations only: of the weights, those of whole passes.
        for check in losses captures times records offsets weights layers results; do
            [ "$(verdict $check)" = good ]
        done
        [ "$(verdict positions)" != FAILED ] # the first of a context follows on nothing
        n_proved=$((n_proved + 1))
    else
        [ "$(verdict recorded)" = FAILED ]
        [[ $output == *"no graph of this program was computed"* ]]
    fi
}

# What it had printed is the beginning of what the untraced run prints, as far as that went.
text_is_untraced() { begins_alike text "$untraced"; }

# seven_times SINCE: at random moments from then on; n_proved and n_none are how many had evaluations, and no trace.
seven_times() {
    cd "$BATS_TEST_TMPDIR"
    n_proved=0 n_none=0
    for i in {1..7}; do
        trace=run_$i
        killed "$1" $((RANDOM % 1200)) $([ $((i % 2)) = 0 ] || echo too)
        text_is_untraced
        if [ -e "$trace/tensor_access.bin" ]; then
            is_proved_but_for_its_end
        else
            n_none=$((n_none + 1)) # the first graph was still to come
        fi
    done
    echo "$n_proved with evaluations, all good; $n_none without a trace"
}

@test "killed: from the start" { seven_times true; }

@test "killed: once there is a trace" {
    seven_times has_begun
    [ $n_none -eq 0 ]
}

@test "killed: once a graph is computed" {
    seven_times has_computed
    [ $n_proved -eq 7 ]
}
