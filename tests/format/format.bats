#!/usr/bin/env bats
# doc/format.md against the library: a reader written from the first must find what the second finds.
# FLAT (flat.c), SUMS (sums.c), IO (io.c) and AGENT_EXACT are given.

load ../traced

# compare [--damaged] TRACE...: reader against reader, and the library's sums against its records.
compare() {
    local option=()
    if [ "$1" = --damaged ]; then
        option=(--damaged)
        shift
    fi
    python3 "$BATS_TEST_DIRNAME/compare.py" "${option[@]}" "$FLAT" "$@"
    "$SUMS" "$@"
}

# The fake host made it when the format was frozen; every later version must read it like this.
@test "a trace of version 1, from the day it was frozen" {
    compare "$BATS_TEST_DIRNAME/version-1.bin"
    "$TAT" export --format csv "$BATS_TEST_DIRNAME/version-1.bin" > "$BATS_TEST_TMPDIR/records.csv"
    python3 - "$BATS_TEST_TMPDIR/records.csv" << 'END'
import csv, sys
records = list(csv.DictReader(open(sys.argv[1], newline="")))
found = [len(records)] + [sum(int(r[column]) for r in records) for column in ("size", "duration_ns")]
assert found == [1003, 834240, 1522827], found  # fused pairs have their time once
END
}

@test "the fake host: three layouts, every rule" {
    for layout in 1 2 3; do
        for rule in every empty unasked fused; do
            FAKEGGML_RULE=$rule traced "$HOST_DIR/fake_host$layout" -g 20 "$toy"
            compare "$trace"
        done
    done
}

@test "the fake host: several contexts, graphs that end early" {
    traced "$HOST_DIR/fake_host1" -c 4 -t 2 -g 60 --abort-every 5 "$toy"
    compare "$trace"
}

@test "losses: told by LOSS blocks and by END, each counted once" {
    traced "$HOST_DIR/fake_host1" -c 80 -g 1 --gate "$toy"
    compare "$trace"
    python3 - "$BATS_TEST_DIRNAME" "$trace" << 'END'
import sys
sys.path.insert(0, sys.argv[1])
from read_trace import Trace
trace = Trace(sys.argv[2])
assert sum(count for reason, count, _ in trace.losses if reason == 3) == 16, trace.losses
assert trace.totals()[:4] == (80, 64, 0, [0, 0, 16, 0, 0]), trace.totals()
END
    damaged END # then LOSS blocks alone tell of them
    compare --damaged "$trace.damaged"
    python3 - "$BATS_TEST_DIRNAME" "$trace.damaged" << 'END'
import sys
sys.path.insert(0, sys.argv[1])
from read_trace import Trace
trace = Trace(sys.argv[2])
assert trace.totals()[:4] == (80, 64, 0, [0, 0, 16, 0, 0]), trace.totals()
END
}

@test "a trace of some of the tokens" {
    TAT_TOKENS=8:11 traced "$HOST_DIR/fake_host1" -c 2 -g 20 "$toy"
    compare "$trace"
}

@test "a trace without captured ids of tokens" {
    TAT_PRIVATE=1 traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    compare "$trace"
}

@test "waits at barriers: the fake host, and a real one" {
    for layout in 1 2 3; do
        AGENT=$AGENT_EXACT traced "$HOST_DIR/fake_host$layout" -c 2 -t 2 -g 60 --abort-every 7 "$toy"
        compare "$trace" | tee "$BATS_TEST_TMPDIR/compared"
        [ "${PIPESTATUS[0]}" -eq 0 ]
        run ! grep -q " and 0 waits" "$BATS_TEST_TMPDIR/compared"
    done
    AGENT=$AGENT_EXACT of_model "$dense" -n 4
    compare "$trace"
}

@test "captures that were left out" {
    of_model random-mamba.gguf -n 4
    damaged uncaptured
    compare "$trace.damaged"
}

@test "events that stand many in a block" {
    traced "$HOST_DIR/fake_host1" -c 2 -g 20 "$toy"
    damaged gathered
    compare "$trace" "$trace.damaged"
    [ "$("$TAT" dump "$trace" | md5sum)" = "$("$TAT" dump "$trace.damaged" | md5sum)" ]
}

@test "damage: killed, cut, a block of each type" {
    traced "$HOST_DIR/fake_host1" -g 20 "$toy"
    for how in killed cut STRING TENSOR TEMPLATE EVALUATION EVENT END; do
        damaged $how
        compare --damaged "$trace.damaged"
    done
}

@test "a dense model, and the three questions" {
    of_model "$dense" -n 10
    compare "$trace"
    "$TAT" gguf --csv "$model" > "$BATS_TEST_TMPDIR/structure.csv"
    python3 "$BATS_TEST_DIRNAME/test_questions.py" "$trace" "$BATS_TEST_TMPDIR/structure.csv"
}

@test "the same without flash attention: V is stored transposed" {
    of_model "$dense" -n 10 -fa off
    compare "$trace"
    "$TAT" gguf --csv "$model" > "$BATS_TEST_TMPDIR/structure.csv"
    python3 "$BATS_TEST_DIRNAME/test_questions.py" "$trace" "$BATS_TEST_TMPDIR/structure.csv"
}

@test "a mixture of experts" {
    of_model "$moe" -n 10
    compare "$trace"
}

@test "other architectures: sinks, recurrent state, latent attention, shared experts" {
    for name in gpt-oss mamba deepseek2 qwen2moe; do
        of_model "random-$name.gguf" -n 4
        compare "$trace"
    done
}

# columns TRACE...: what tat dump prints of them.
columns() {
    python3 "$BATS_TEST_DIRNAME/columns.py" "$TAT" "$@"
}

@test "the columns of tat dump: the fake host" {
    for layout in 1 2 3; do
        traced "$HOST_DIR/fake_host$layout" -c 2 -g 20 "$toy"
        columns "$trace"
    done
}

@test "the columns of tat dump: a dense model and experts, heads and graphs" {
    of_model "$dense" -n 3 -fa off
    columns "$trace"
    of_model "$dense" -n 3 -ctk q8_0 -fa on
    columns "$trace"
    of_model "$moe" -n 3
    columns "$trace"
}

# same_io FILE: the library and the second reader find the same I/O events, which are in "events" then.
same_io() {
    "$IO" "$1" | sort > library
    python3 "$BATS_TEST_DIRNAME/read_io.py" "$1" | sort > events
    diff library events
}

@test "I/O events of every kind, and some of no known kind" {
    cd "$BATS_TEST_TMPDIR"
    python3 "$BATS_TEST_DIRNAME/write_io.py" io_events.bin
    same_io io_events.bin
    for kind in fault file extent pages request counter residency source; do
        grep -q "^$kind " events
    done
    [ "$(tail -n 1 <(grep ^all events))" = "all 7 5 0 1 1" ]
    head -c -40 io_events.bin > cut.bin # its last block is damage
    same_io cut.bin
    run ! grep -qx "all 7 5 0 1 1" events
}

@test "I/O events of a run" {
    cd "$BATS_TEST_TMPDIR"
    "$TAT" record --io -o run -- "$HOST_DIR/fake_host_linked" -g 20 "$toy" > output 2>&1
    [ -e run/io_events.bin ] || skip "the system allows no perf events"
    same_io run/io_events.bin
    grep -q "^fault " events
    grep -q "^all .* 1$" events
}
