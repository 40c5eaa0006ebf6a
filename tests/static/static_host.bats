#!/usr/bin/env bats
# The package for static builds, used by a project of somebody else's.
# From the environment: AGENT (libtat_agent.a), PACKAGE (its folder), HOST_DIR (check_trace), CMAKE, CC.
bats_require_minimum_version 1.5.0

setup() {
    traces=$BATS_TEST_TMPDIR/traces
    mkdir "$traces"
}

# consumer NAME CMAKE-OPTION...: builds the project; its program is $host.
consumer() {
    host=$BATS_FILE_TMPDIR/$1/host
    [ ! -e "$host" ] || return 0
    "$CMAKE" -S "$BATS_TEST_DIRNAME/consumer" -B "$BATS_FILE_TMPDIR/$1" -DCMAKE_C_COMPILER="$CC" "${@:2}"
    "$CMAKE" --build "$BATS_FILE_TMPDIR/$1"
}

found() { consumer found -DFIND=ON -DTENSOR_TRACE=ON -DTensorAccessTracker_DIR="$PACKAGE"; }

# traced_as_counted ARGUMENT...: output as without the tracer, and as many graphs and callbacks as the host counted.
traced_as_counted() {
    local model=$BATS_TEST_TMPDIR/toy.gguf plain seen facts
    "$host" --write "$model"
    plain=$(TAT_OFF=1 "$host" "$@" "$model")
    seen=$(TAT_DIR=$traces "$host" "$@" "$model")
    [ "$plain" = "$seen" ]
    facts=$("$HOST_DIR/check_trace" "$traces")
    for what in graphs:stored callbacks:callbacks_stored; do
        counted=$(awk -v name="${what%:*}" \
            '{ for (i = 1; i < NF; i++) if ($i == name) sum += $(i + 1) } END { print sum + 0 }' <<< "$plain")
        [ "$counted" -gt 0 ]
        grep -qx "${what#*:} *$counted" <<< "$facts"
    done
    grep -qx "lost *0" <<< "$facts"
}

@test "find_package: every graph is recorded" {
    found
    traced_as_counted -c 3 -t 2 -g 40
}

@test "a project that knows nothing of us, by CMAKE_PROJECT_INCLUDE" {
    consumer included -DTENSOR_TRACE=ON -DCMAKE_PROJECT_INCLUDE="$PACKAGE/TensorAccessTrackerConfig.cmake"
    traced_as_counted
}

@test "without TENSOR_TRACE nothing is linked" {
    consumer untouched -DFIND=ON -DTensorAccessTracker_DIR="$PACKAGE"
    run ! grep -q __wrap_ "$host"
}

@test "without libc's shared library either" {
    consumer alone -DFIND=ON -DTENSOR_TRACE=ON -DTensorAccessTracker_DIR="$PACKAGE" -DCMAKE_EXE_LINKER_FLAGS=-static
    traced_as_counted
}

@test "TAT_OFF: nothing is written" {
    found
    "$host" --write "$BATS_TEST_TMPDIR/toy.gguf"
    TAT_OFF=1 TAT_DIR=$traces "$host" "$BATS_TEST_TMPDIR/toy.gguf"
    [ -z "$(ls "$traces")" ]
}

@test "every hook there is is one that the linker diverts to" {
    diff <(nm "$AGENT" | sed -n 's/.* T __wrap_//p' | sort) <(sed -n 's/--wrap=//p' "$PACKAGE/libtat_agent.wrap" | sort)
}

@test "none of our own names can meet one of the program's" {
    run ! grep -vE '^(__wrap_|tat_agent_)' <(nm "$AGENT" | awk '$2 ~ /^[A-TV-Z]$/ { print $3 }')
}
