#!/usr/bin/env bats
# Whatever happens to the trace, the host computes the same, and the trace says what is missing.
# From the environment: TAT, AGENT, HOST_DIR (the fake host's programs), KILL_HOST, REFUSING_SYSTEM.

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

# unharmed ARGUMENT...: expects the same output and status with and without the agent, and no message.
unharmed() {
    plain=$("$host" "$@" "$model")
    seen=$(traced "$host" "$@" "$model" 2> "$BATS_TEST_TMPDIR/stderr")
    [ "$plain" = "$seen" ]
    [ ! -s "$BATS_TEST_TMPDIR/stderr" ]
}

# unharmed_within LIMIT KIB...: expects the same output under each of these ulimits under which the host runs at all; under
# the last, everything is recorded.
unharmed_within() {
    local kib
    for kib in "${@:2}"; do
        rm -rf "${traces:?}"/*
        plain=$(ulimit "$1" "$kib" && "$host" -c 2 "$model") || continue
        seen=$(ulimit "$1" "$kib" && traced "$host" -c 2 "$model")
        [ "$plain" = "$seen" ]
    done
    facts=$("$HOST_DIR/check_trace" "$traces")
    [ "$(fact stored)" = "$(graphs)" ]
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

# check_trace has already checked that emitted = stored + lost and that what is there is whole.
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

@test "the disk fills up, and the last of it is left to the host" {
    mount_tmpfs size=5m
    unharmed -c 2 -g 12000
    some_is_lost lost_space
    head -c $((5 << 20 >> 6)) /dev/zero > "$traces/own"
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

@test "tat record tells why the trace could not be written, where it may write nothing" {
    mount_tmpfs size=1m
    run "$TAT" record -o "$traces/run" -- "$host" "$model"
    [[ $output == *"is not recorded: cannot reserve disk space for the trace file: No space left on device"* ]] || { echo "$output"; false; }
    [ ! -e "$traces/run" ]
    umount "$traces"
    mount_tmpfs size=100m
    run "$TAT" record -o "$traces/run" -- bash -c 'mount -o remount,ro "$1"; exec "${@:2}"' bash "$traces" "$host" "$model"
    [[ $output == *"is not recorded: cannot create the trace file: Read-only file system"* ]] || { echo "$output"; false; }
    mount -o remount,rw "$traces"
}

@test "a file where the folder should be" {
    folder="$model" unharmed
}

@test "little address space" {
    unharmed_within -v 60000 120000 400000 1200000
}

@test "few open files" {
    plain=$("$host" "$model")
    for files in 4 5 6 7 8 16; do
        seen=$(ulimit -n "$files" && traced "$host" "$model") || [ "$files" -lt 6 ] # the loader itself needs some
        [ "$files" -lt 6 ] || [ "$plain" = "$seen" ]
    done
}

@test "a limit on the size of files" {
    for blocks in 0 1 3 4 60 64 68 4096; do
        rm -rf "${traces:?}"/*
        plain=$("$host" -c 2 "$model")
        seen=$(ulimit -f "$blocks" && traced "$host" -c 2 "$model")
        [ "$plain" = "$seen" ]
    done
    rm -rf "${traces:?}"/*
    plain=$("$host" -c 2 -g 12000 "$model")
    seen=$(ulimit -f 4200 && traced "$host" -c 2 -g 12000 "$model")
    [ "$plain" = "$seen" ]
    some_is_lost lost_max_size
}

@test "little stack" {
    unharmed_within -s 48 64 96 256
}

@test "started with its input and output closed" {
    # It writes after its first graph.
    traced "$host" --cancel "$model" <&- >&- 2>&-
    traced "$host" --cancel "$model" < /dev/null >&- 2> "$BATS_TEST_TMPDIR/stderr"
    facts=$("$HOST_DIR/check_trace" "$traces")
    [ "$(fact traces)" = 2 ]
    [ "$(fact stored)" = 42 ]
    [ "$(fact ended)" = 2 ]
}

@test "the host closes all files and puts one of its own in their places" {
    unharmed -c 2 -g 200 --still --close-files "$BATS_TEST_TMPDIR/own"
    [ "$(cat "$BATS_TEST_TMPDIR/own")" = own ]
    facts=$("$HOST_DIR/check_trace" "$traces")
    [ "$(fact stored)" = "$(graphs)" ]
    [ "$(fact ended)" = 1 ]
}

@test "the trace is cut while it is recorded" {
    unharmed -c 2 -g 400 --cut "$traces"
    run "$TAT" verify "$traces"/*
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output =~ file\ +FAILED\ +[0-9]+\ bytes\ damaged ]]
    [[ $output == *"the trace was cut short while it was recorded: what it held until then is lost"* ]]
    [[ $output =~ $(graphs)\ evaluations\ emitted ]]
}

@test "the first graph is computed by a thread that is cancelled" {
    unharmed --cancel
    facts=$("$HOST_DIR/check_trace" "$traces")
    [ "$(fact stored)" = 21 ]
    [ "$(fact ended)" = 1 ]
}

@test "threads are cancelled in the middle of their graphs, more of them than may compute at once" {
    unharmed --cancel-within
    facts=$("$HOST_DIR/check_trace" "$traces")
    [ "$(fact stored) $(fact aborted) $(fact unmatched)" = "100 80 0" ]
    [ "$(fact ended)" = 1 ]
}

@test "processes of one run that start at once have a trace each" {
    export TAT_RUN_DIR="$traces/run"
    AGENT="$REFUSING_SYSTEM:$AGENT"
    mkdir "$TAT_RUN_DIR"
    unharmed
    # It is told that there is no file yet; then there is one.
    REFUSE=access=2 unharmed
    facts=$("$HOST_DIR/check_trace" "$traces")
    [ "$(fact traces)" = 2 ]
    [ "$(fact ended)" = 2 ]
}

@test "the folder it runs in is gone" {
    mkdir "$BATS_TEST_TMPDIR/gone"
    cd "$BATS_TEST_TMPDIR/gone"
    rmdir "$BATS_TEST_TMPDIR/gone"
    folder=here unharmed
    folder= unharmed
}

@test "nothing of the system in sight" {
    [ "$(id -u)" = 0 ] || skip "chroot takes root"
    mkdir "$BATS_TEST_TMPDIR/root"
    unharmed --root "$BATS_TEST_TMPDIR/root"
    facts=$("$HOST_DIR/check_trace" "$BATS_TEST_TMPDIR/root$traces") # made there, as any folder is
    [ "$(fact stored)" = "$(graphs)" ]
}

@test "a system that refuses what can be done without" {
    AGENT="$REFUSING_SYSTEM:$AGENT"
    plain=$("$host" -c 2 "$model")
    for refuse in fallocate64=1 fallocate64=38 fallocate64=95 signal=1 short=1 "fallocate64=1 short=1"; do
        rm -rf "${traces:?}"/*
        REFUSE="$refuse" unharmed -c 2
        facts=$("$HOST_DIR/check_trace" "$traces")
        [ "$(fact stored)" = "$(graphs)" ]
        [ "$(fact ended)" = 1 ]
    done
}

@test "a system that refuses what has to be" {
    AGENT="$REFUSING_SYSTEM:$AGENT"
    # A full disk, a limit, a sandbox, no more threads.
    for refuse in fallocate64=28 fallocate64=27 pwritev64=1 pthread_create=11; do
        REFUSE="$refuse" unharmed -c 2
        [ -z "$(find "$traces" -type f)" ]
    done
}

@test "a disk that fills up, or fails, under the trace" {
    AGENT="$REFUSING_SYSTEM:$AGENT"
    for refuse in later=28 later=5; do
        rm -rf "${traces:?}"/*
        REFUSE="$refuse" unharmed -c 2 -g 400
        facts=$("$HOST_DIR/check_trace" "$traces")
        [ "$(fact stored)" -gt 0 ]
        [ "$(fact stored)" -lt "$(graphs)" ]
        [ "$(fact ended)" = 0 ]
    done
}

@test "a program with more rights than whoever starts it is not traced" {
    [ "$(id -u)" = 0 ] || skip "a program of root's takes root"
    rights=$(mktemp -d -p "${HOST_DIR:?}")
    chmod 755 "$rights"
    install -m 755 "$HOST_DIR/fake_host_linked" "$rights/host"
    cp "$model" "$rights/toy.gguf"
    chmod 644 "$rights/toy.gguf"
    as_nobody() { setpriv --reuid 65534 --clear-groups env TAT_DIR="$rights/traces" "$rights/host" "$rights/toy.gguf"; }
    mkdir -m 777 "$rights/traces"
    as_nobody && [ -n "$(find "$rights/traces" -type f)" ]
    rm -rf "$rights/traces"/*
    chmod 4755 "$rights/host"
    as_nobody && [ -z "$(find "$rights/traces" -type f)" ]
    rm -rf "$rights"
}

@test "a graph seen before is computed without a page fault more" {
    count() { sed -n 's/^faults //p'; }
    for _ in {1..5}; do # where memory is short, the kernel moves pages, and faults follow
        plain=$("$host" --faults -g 250 "$model" 2>&1 > "$BATS_TEST_TMPDIR/plain" | count)
        seen=$(traced "$host" --faults -g 250 "$model" 2>&1 > "$BATS_TEST_TMPDIR/seen" | count)
        cmp "$BATS_TEST_TMPDIR/plain" "$BATS_TEST_TMPDIR/seen"
        echo "untraced $plain, traced $seen"
        [ "$plain $seen" != "0 0" ] || break
    done
    [ "$plain" = 0 ]
    [ "$seen" = 0 ]
}
