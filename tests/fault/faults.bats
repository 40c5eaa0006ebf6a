#!/usr/bin/env bats
# Whatever happens to the trace, the host computes what it would have computed, and the trace says what is missing.
# From the environment: AGENT, HOST_DIR (the fake host's programs), KILL_HOST.

setup() {
    model="$BATS_FILE_TMPDIR/toy.gguf"
    host="$HOST_DIR/fake_host1"
    [ -e "$model" ] || "$host" --write "$model"
    traces="$BATS_TEST_TMPDIR/traces"
    mkdir "$traces"
}

teardown() {
    if mountpoint -q "$traces"; then umount "$traces"; fi
}

traced() {
    TAT_DIR="${folder:-$traces}" LD_PRELOAD="$AGENT" "$@"
}

# unharmed ARGUMENT...: the same output and status with and without the agent, and nothing said.
unharmed() {
    plain=$("$host" "$@" "$model")
    seen=$(traced "$host" "$@" "$model" 2> "$BATS_TEST_TMPDIR/stderr")
    [ "$plain" = "$seen" ]
    [ ! -s "$BATS_TEST_TMPDIR/stderr" ]
}

fact() {
    awk -v name="$1" '$1 == name { print $2 }' <<< "$facts"
}

graphs() {
    awk '{ print $4 }' <<< "$plain"
}

mount_tmpfs() {
    [ "$(id -u)" = 0 ] || skip "mounting a file system takes root"
    mount -t tmpfs -o "$1" tat-test "$traces" || skip "no file system can be mounted here"
}

# check_trace has checked that emitted = stored + lost and that what is there is whole.
some_is_lost() {
    facts=$("$HOST_DIR/check_trace" "$traces")
    [ "$(fact emitted)" = "$(graphs)" ]
    [ "$(fact lost)" -gt 0 ]
    [ "$(fact stored)" -gt 0 ]
    [ "$(fact "$1")" = "$(fact lost)" ]
    [ "$(fact ended)" = 1 ]
}

@test "killed 500 times at random moments" {
    "$KILL_HOST" "$AGENT" "$host" "$model" "$traces" 500
}

@test "the disk fills up" {
    mount_tmpfs size=5m
    unharmed -c 2 -g 12000
    some_is_lost lost_space
}

@test "the disk is full from the start" {
    mount_tmpfs size=1m
    unharmed
    [ -z "$(find "$traces" -type f)" ]
}

@test "TAT_MAX_SIZE is kept to" {
    export TAT_MAX_SIZE=4194304
    unharmed -c 2 -g 12000
    some_is_lost lost_max_size
    [ "$(stat -c %s "$traces"/*/tensor_access.bin)" -le "$TAT_MAX_SIZE" ]
}

@test "TAT_MAX_SIZE is too small for anything" {
    export TAT_MAX_SIZE=1000
    unharmed
    [ -z "$(find "$traces" -type f)" ]
}

@test "a folder that cannot be written" {
    mount_tmpfs ro,size=1m
    unharmed
}

@test "a file where the folder should be" {
    folder="$model" unharmed
}

@test "little address space" {
    for kib in 60000 120000 400000 1200000; do
        rm -rf "${traces:?}"/*
        plain=$(ulimit -v "$kib" && "$host" -c 2 "$model") || continue
        seen=$(ulimit -v "$kib" && traced "$host" -c 2 "$model")
        [ "$plain" = "$seen" ]
    done
    facts=$("$HOST_DIR/check_trace" "$traces")
    [ "$(fact stored)" = "$(graphs)" ]
}

@test "few open files" {
    plain=$("$host" "$model")
    for files in 4 5 6 7 8 16; do
        seen=$(ulimit -n "$files" && traced "$host" "$model") || [ "$files" -lt 6 ] # the loader itself needs some
        [ "$files" -lt 6 ] || [ "$plain" = "$seen" ]
    done
}

@test "a graph seen before is computed without a page fault more" {
    count() { sed -n 's/^faults //p'; }
    plain=$("$host" --faults -g 250 "$model" 2>&1 > "$BATS_TEST_TMPDIR/plain" | count)
    seen=$(traced "$host" --faults -g 250 "$model" 2>&1 > "$BATS_TEST_TMPDIR/seen" | count)
    cmp "$BATS_TEST_TMPDIR/plain" "$BATS_TEST_TMPDIR/seen"
    echo "untraced $plain, traced $seen"
    [ "$plain" = 0 ]
    [ "$seen" = 0 ]
}
